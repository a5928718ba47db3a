//! https by the proxy's word, and the origin that browsers know.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::integration::wire::Wire;

#[path = "../../examples/behind_proxy.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

const ORIGIN: &str = "https://www.example.com";
const HTTPS: (&str, &str) = ("x-forwarded-proto", "https");

/// A server whose only proxy is at this address.
async fn serve(proxy: &str) -> Wire {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = program::app(ORIGIN, proxy).unwrap().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, service).await });
    Wire::h1(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxys_word_counts_and_nobody_elses() {
    let proxy = serve("127.0.0.1").await;
    let secure = proxy.get("/", &[HTTPS]).await;
    assert_eq!((secure.status, secure.text.as_str()), (200, "welcome\n"));
    assert_eq!(secure.all("strict-transport-security"), ["max-age=31536000"]);
    let stranger = serve("127.0.0.2").await;
    let claims: [(&Wire, &[(&str, &str)]); 5] = [
        (&proxy, &[]),
        (&proxy, &[("x-forwarded-proto", "http")]),
        (&proxy, &[("x-forwarded-proto", "https, http")]),
        (&proxy, &[("forwarded", "proto=https")]),
        (&stranger, &[HTTPS]),
    ];
    for (wire, headers) in claims {
        let hostile = [headers, &[("host", "evil.example"), ("x-forwarded-host", "evil.example")]].concat();
        let page = wire.get("/a?b=1", &hostile).await;
        assert_eq!(
            (page.status, page.all("location")),
            (308, vec!["https://www.example.com/a?b=1"]),
            "{headers:?}"
        );
        assert!(page.all("strict-transport-security").is_empty());
        let form = wire.post("/visit", &hostile).await;
        assert_eq!((form.status, form.all("set-cookie").len()), (403, 0), "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_told_by_the_origin_that_browsers_know_whatever_the_proxy_says_of_the_host() {
    let proxy = serve("127.0.0.0/8").await;
    let host = ("host", "10.0.0.7:8080");
    let own = proxy.post("/visit", &[HTTPS, host, ("origin", ORIGIN)]).await;
    assert_eq!((own.status, own.text.as_str()), (200, "visit 1\n"));
    let evil = proxy.post("/visit", &[HTTPS, host, ("origin", "https://evil.example")]).await;
    assert_eq!(evil.status, 403);
}
