//! Every visitor has a counter of their own, on a server without a framework.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use crate::integration::wire::{Answer, Wire};

#[path = "../../examples/hyper_session.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

fn cookie(answer: &Answer) -> String {
    answer.all("set-cookie")[0].split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_visitor_counts_alone_and_no_other_site_counts_for_them() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(program::run(listener));
    let own = format!("http://{address}");
    let own = ("origin", own.as_str());
    for wire in [Wire::h1(address), Wire::h2(address)] {
        let stranger = wire.get("/", &[]).await;
        assert!(
            stranger.text.contains("counted to 0") && stranger.all("set-cookie").is_empty(),
            "{stranger:?}"
        );

        let first = wire.post("/", &[own]).await;
        assert_eq!((first.status, first.all("location")), (303, vec!["/"]));
        let ada = cookie(&first);
        let with_cookie = ("cookie", ada.as_str());
        assert!(wire.post("/", &[own, with_cookie]).await.all("set-cookie").is_empty(), "one is enough");
        assert!(wire.get("/", &[with_cookie]).await.text.contains("counted to 2"));
        let grace = cookie(&wire.post("/", &[own]).await);
        assert!(wire.get("/", &[("cookie", &grace)]).await.text.contains("counted to 1"));

        let evil = ("origin", "https://evil.example");
        for forged in [&[evil, with_cookie][..], &[evil]] {
            let answer = wire.post("/", forged).await;
            assert_eq!((answer.status, answer.all("set-cookie").len()), (403, 0), "{forged:?}");
        }
        assert!(wire.get("/", &[with_cookie]).await.text.contains("counted to 2"), "nothing was counted");

        let put = wire.ask(hyper::Method::PUT, "/", &[own], bytes::Bytes::new()).await;
        assert_eq!((put.status, put.all("allow")), (405, vec!["GET, HEAD, POST"]));
        assert_eq!(wire.get("/nowhere", &[]).await.status, 404);
    }
}
