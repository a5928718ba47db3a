//! A page and a program call one service, each in its own protocol.

use std::future::pending;

use portcullis::issue::Grant;
use tokio::net::TcpListener;

use crate::integration::wire::Wire;
use crate::tonic::web::{ask, read};

#[path = "../../examples/tonic_web.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

/// `{year: 2026}` behind gRPC's five bytes.
const MESSAGE: &[u8] = &[0, 0, 0, 0, 3, 8, 234, 15];

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_reports_and_why_it_may_not() {
    let tokens = program::tokens::Tokens::new("https://tonic.example", "reports").unwrap();
    let bearer = async |scope: &str| {
        let token = tokens.mint(&Grant::new("ada", "test").scope(scope)).await.unwrap();
        format!("Bearer {}", token.as_str())
    };
    let (good, other) = (bearer("reports.read").await, bearer("other").await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::h1(listener.local_addr().unwrap());
    tokio::spawn(async move { program::serve(listener, &tokens, "https://page.example", pending()).await });

    let page = ("origin", "https://page.example");
    let rows = [
        ("nobody", vec![page], "16", 0),
        ("another scope", vec![page, ("authorization", other.as_str())], "7", 0),
        ("good", vec![page, ("authorization", good.as_str())], "0", 1),
    ];
    for (name, headers, code, messages) in rows {
        let answer = ask(&wire, "/demo.Reports/Read", "application/grpc-web+proto", &headers, MESSAGE).await;
        let status = read(&answer);
        assert_eq!((status.code.as_str(), status.messages), (code, messages), "{name}");
        assert_eq!(answer.all("access-control-allow-origin"), ["https://page.example"], "{name}");
        assert_eq!(answer.text.contains("the report of 2026, for ada"), code == "0", "{name}");
    }
}
