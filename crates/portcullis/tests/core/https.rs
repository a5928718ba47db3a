//! `RequireHttpsLayer`: whose word about the scheme is taken, and where the others are sent.

use std::net::IpAddr;
use std::time::Duration;

use http::{Request, Response};
use portcullis::RequireHttpsLayer;
use portcullis::https::{ProxyHeader, Transport};
use portcullis::rejection::{Misassembly, Rejection};
use portcullis::respond::{LoginRedirect, ProblemResponder};
use tower::Layer;

use crate::common::{Handler, all, answer, logged};

const ORIGIN: &str = "https://www.example.com";
const HSTS: &str = "max-age=31536000";

fn peer(extensions: &http::Extensions) -> Option<IpAddr> {
    extensions.get().copied()
}

fn behind_proxies() -> portcullis::https::RequireHttpsBuilder {
    RequireHttpsLayer::builder(ORIGIN)
        .peer(peer)
        .behind(ProxyHeader::XForwardedProto, ["10.0.0.0/8", "fd00::/8"])
}

struct Ask {
    method: &'static str,
    uri: &'static str,
    peer: Option<&'static str>,
    transport: Option<Transport>,
    headers: &'static [(&'static str, &'static str)],
}

const GET: Ask =
    Ask { method: "GET", uri: "/a?b=1", peer: Some("203.0.113.9"), transport: None, headers: &[] };
const HTTPS: &[(&str, &str)] = &[("x-forwarded-proto", "https")];

async fn ask(layer: &RequireHttpsLayer, ask: &Ask) -> (Response<String>, usize) {
    let request = Request::builder().method(ask.method).uri(ask.uri).header("host", "evil.example");
    let mut request = request.body(String::new()).unwrap();
    for (name, value) in ask.headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    if let Some(peer) = ask.peer {
        request.extensions_mut().insert(peer.parse::<IpAddr>().unwrap());
    }
    if let Some(transport) = ask.transport {
        request.extensions_mut().insert(transport);
    }
    let handler = Handler::default();
    let response = answer(&layer.layer(handler.clone()), request).await;
    (response, handler.calls())
}

#[tokio::test]
async fn only_the_connection_and_trusted_proxies_are_believed() {
    const FORWARDED: &[(&str, &str)] = &[("forwarded", "proto=https")];
    const RIGHTMOST: &[(&str, &str)] = &[("x-forwarded-proto", "https, http")];
    const PLAIN: &[(&str, &str)] = &[("x-forwarded-proto", "http")];
    const OTHERS: &[(&str, &str)] = &[
        ("x-forwarded-ssl", "on"),
        ("front-end-https", "on"),
        ("x-forwarded-scheme", "https"),
        ("x-scheme", "https"),
    ];
    let proxy = Some("10.1.2.3");
    let rows = [
        ("nothing said", GET, 308),
        ("a connection with TLS", Ask { transport: Some(Transport::Tls), ..GET }, 200),
        ("a plain connection", Ask { transport: Some(Transport::Plain), ..GET }, 308),
        ("an untrusted peer that claims https", Ask { headers: HTTPS, ..GET }, 308),
        ("a trusted proxy", Ask { peer: proxy, headers: HTTPS, ..GET }, 200),
        ("a trusted proxy by IPv6", Ask { peer: Some("fd00::7"), headers: HTTPS, ..GET }, 200),
        ("one on a socket of IPv6", Ask { peer: Some("::ffff:10.1.2.3"), headers: HTTPS, ..GET }, 200),
        ("a trusted proxy without the header", Ask { peer: proxy, ..GET }, 308),
        ("a trusted proxy that says http", Ask { peer: proxy, headers: PLAIN, ..GET }, 308),
        ("a client's value, then the proxy's", Ask { peer: proxy, headers: RIGHTMOST, ..GET }, 308),
        ("the header that the proxy does not set", Ask { peer: proxy, headers: FORWARDED, ..GET }, 308),
        ("headers that nobody has configured", Ask { peer: proxy, headers: OTHERS, ..GET }, 308),
        (
            "a proxy with TLS whose client had none",
            Ask { peer: proxy, headers: PLAIN, transport: Some(Transport::Tls), ..GET },
            308,
        ),
        ("an absolute-form https URI", Ask { uri: "https://www.example.com/a?b=1", ..GET }, 308),
        ("localhost", Ask { peer: Some("127.0.0.1"), ..GET }, 308),
    ];
    let layer = behind_proxies().build().unwrap();
    for (name, row, expected) in rows {
        let (response, calls) = ask(&layer, &row).await;
        assert_eq!(response.status(), expected, "{name}");
        assert_eq!(calls, usize::from(expected == 200), "{name}");
        let (hsts, location) = if expected == 200 {
            (vec![HSTS], vec![])
        } else {
            (vec![], vec!["https://www.example.com/a?b=1"])
        };
        assert_eq!(all(&response, "strict-transport-security"), hsts, "{name}");
        assert_eq!(all(&response, "location"), location, "{name}");
    }
}

#[test]
fn a_proxy_that_sends_browsers_round_in_circles_is_named_in_the_log_once() {
    let proxy = Some("10.1.2.3");
    let unnamed = || RequireHttpsLayer::builder(ORIGIN).peer(peer).build().unwrap();
    let blind = || RequireHttpsLayer::builder(ORIGIN).build().unwrap();
    let named = || behind_proxies().build().unwrap();
    let said = |layer: RequireHttpsLayer, row: Ask| {
        let lines = logged(async {
            for _ in 0..3 {
                assert_eq!(ask(&layer, &row).await.0.status(), 308);
            }
        });
        let lines: Vec<_> = lines.into_iter().filter(|line| line.starts_with("WARN")).collect();
        assert!(lines.len() < 2, "{lines:?}");
        lines.concat()
    };

    let silent = said(named(), Ask { peer: proxy, ..GET });
    assert!(silent.contains("header=x-forwarded-proto") && silent.contains("does not say"), "{silent}");
    let stranger = said(named(), Ask { headers: HTTPS, ..GET });
    assert!(stranger.contains("no trusted proxy") && stranger.contains("peer=203.0.113.9"), "{stranger}");
    for layer in [unnamed(), blind()] {
        let unnamed = said(layer, Ask { peer: proxy, headers: HTTPS, ..GET });
        assert!(unnamed.contains("name it with behind"), "{unnamed}");
    }
    const PLAIN: &[(&str, &str)] = &[("x-forwarded-proto", "http")];
    for (name, row) in [
        ("a client that came by http", GET),
        ("a proxy that says so", Ask { peer: proxy, headers: PLAIN, ..GET }),
        ("a stranger who says so", Ask { headers: PLAIN, ..GET }),
    ] {
        assert_eq!(said(named(), row), "", "{name}");
    }
}

#[tokio::test]
async fn what_is_not_a_page_is_refused_and_grpc_hears_so_in_its_own_protocol() {
    let layer = behind_proxies().build().unwrap();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "QUERY"] {
        let (response, calls) = ask(&layer, &Ask { method, ..GET }).await;
        assert_eq!((response.status().as_u16(), calls), (403, 0), "{method}");
        assert!(all(&response, "location").is_empty(), "{method}");
    }
    let (head, _) = ask(&layer, &Ask { method: "HEAD", ..GET }).await;
    assert_eq!(head.status(), 308);
    for content_type in ["application/grpc", "application/grpc-web+proto"] {
        let headers: &'static [(&str, &str)] = Box::leak(Box::new([("content-type", content_type)]));
        let (response, calls) = ask(&layer, &Ask { method: "POST", headers, ..GET }).await;
        assert_eq!((response.status().as_u16(), calls), (200, 0), "{content_type}");
        assert_eq!(all(&response, "grpc-status"), ["7"], "{content_type}");
        assert_eq!(all(&response, "grpc-message"), ["https is required"], "{content_type}");
    }
}

#[tokio::test]
async fn a_redirect_goes_to_the_configured_origin_whoever_answers() {
    let layer = behind_proxies().build().unwrap();
    for (uri, page) in [("http://evil.example/a", "/a"), ("//evil.example/a", "//evil.example/a"), ("/", "/")]
    {
        let (response, _) = ask(&layer, &Ask { uri, ..GET }).await;
        assert_eq!(all(&response, "location"), [format!("{ORIGIN}{page}")], "{uri}");
    }
    let handler = Handler::default();
    let answered = layer.responder(|rejection: &Rejection, _: &portcullis::respond::RequestHead| {
        Response::new(format!("{:?}", rejection.status()))
    });
    let mut request = Request::new(String::new());
    request.extensions_mut().insert(IpAddr::from([203, 0, 113, 9]));
    assert_eq!(answer(&answered.layer(handler), request).await.body(), "308");
    let _ =
        behind_proxies().build().unwrap().responder(LoginRedirect::to("/login").otherwise(ProblemResponder));
}

#[tokio::test]
async fn inside_a_router_that_strips_a_prefix_a_redirect_is_to_the_whole_path() {
    /// As axum leaves it.
    #[derive(Clone)]
    struct Whole(http::Uri);
    let layer = behind_proxies().original_uri(|extensions| extensions.get().map(|Whole(uri)| uri));
    let layer = layer.build().unwrap();
    for (whole, page) in [(Some("/shop/a?b=1"), "/shop/a?b=1"), (None, "/a?b=1")] {
        let mut request = Request::get("/a?b=1").body(String::new()).unwrap();
        request.extensions_mut().insert(IpAddr::from([203, 0, 113, 9]));
        if let Some(whole) = whole {
            request.extensions_mut().insert(Whole(whole.parse().unwrap()));
        }
        let response = answer(&layer.layer(Handler::default()), request).await;
        assert_eq!(all(&response, "location"), [format!("{ORIGIN}{page}")], "{whole:?}");
    }
}

#[tokio::test]
async fn localhost_is_known_by_the_peers_address_and_never_by_its_name() {
    let layer = RequireHttpsLayer::builder(ORIGIN).peer(peer).allow_localhost().build().unwrap();
    const NAMED: &[(&str, &str)] =
        &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1"), ("x-real-ip", "::1")];
    let rows = [
        ("IPv4", Ask { peer: Some("127.0.0.1"), ..GET }, 200),
        ("another of them", Ask { peer: Some("127.8.9.1"), ..GET }, 200),
        ("IPv6", Ask { peer: Some("::1"), ..GET }, 200),
        ("on a socket of IPv6", Ask { peer: Some("::ffff:127.0.0.1"), ..GET }, 200),
        ("somebody who says so", Ask { uri: "http://localhost/", headers: NAMED, ..GET }, 308),
        ("a neighbour", Ask { peer: Some("192.168.0.7"), ..GET }, 308),
    ];
    for (name, row, expected) in rows {
        let (response, _) = ask(&layer, &row).await;
        assert_eq!(response.status(), expected, "{name}");
        assert!(all(&response, "strict-transport-security").is_empty(), "{name}: it was plain http");
    }
}

#[tokio::test]
async fn a_peer_that_nobody_names_is_a_mistake_and_neither_a_refusal_nor_a_success() {
    let layer = behind_proxies().build().unwrap();
    for transport in [None, Some(Transport::Tls)] {
        let (response, calls) = ask(&layer, &Ask { peer: None, headers: HTTPS, transport, ..GET }).await;
        assert_eq!((response.status().as_u16(), calls), (500, 0));
        let rejection = response.extensions().get::<Rejection>();
        assert_eq!(rejection, Some(&Rejection::Misconfigured(Misassembly::PeerUnknown)));
        assert!(Misassembly::PeerUnknown.to_string().contains("into_make_service_with_connect_info"));
    }
}

#[tokio::test]
async fn how_long_browsers_stay_with_https_can_be_said() {
    let tls = Ask { transport: Some(Transport::Tls), ..GET };
    let plain = || RequireHttpsLayer::builder(ORIGIN);
    let rows = [
        (plain(), HSTS),
        (plain().hsts_max_age(Duration::from_millis(60_999)), "max-age=60"),
        (plain().hsts_max_age(Duration::ZERO), "max-age=0"),
        (plain().hsts_include_subdomains(), "max-age=31536000; includeSubDomains"),
    ];
    for (builder, expected) in rows {
        let (response, _) = ask(&builder.build().unwrap(), &tls).await;
        assert_eq!(all(&response, "strict-transport-security"), [expected]);
    }
    let by_closure =
        plain().transport(|extensions| extensions.get::<u16>().map(|_| Transport::Tls)).build().unwrap();
    let (response, _) = ask(&by_closure, &tls).await;
    assert_eq!(response.status(), 308, "only the closure is asked");
}

#[test]
fn what_cannot_be_safe_is_not_built() {
    let origin = || RequireHttpsLayer::builder(ORIGIN);
    let x = ProxyHeader::XForwardedProto;
    let rows = [
        ("http", RequireHttpsLayer::builder("http://www.example.com"), Some("https://host[:port]")),
        ("no network", origin().peer(peer).behind(x, ["proxy"]), Some("CIDR")),
        ("host bits", origin().peer(peer).behind(x, ["10.0.0.1/8"]), Some("behind its prefix")),
        ("no proxies", origin().peer(peer).behind(x, [""; 0]), Some("no proxy")),
        ("no peer, proxies", origin().behind(x, ["10.0.0.7"]), Some("peer")),
        ("no peer, localhost", origin().allow_localhost(), Some("peer")),
        (
            "two headers",
            origin().peer(peer).behind(x, ["10.0.0.7"]).behind(ProxyHeader::Forwarded, ["10.0.0.8"]),
            Some("only one header"),
        ),
        (
            "localhost and a proxy there",
            origin().peer(peer).allow_localhost().behind(x, ["::1"]),
            Some("allow_localhost"),
        ),
        (
            "and everybody",
            origin().peer(peer).allow_localhost().behind(x, ["0.0.0.0/0"]),
            Some("allow_localhost"),
        ),
        (
            "localhost and a proxy elsewhere",
            origin().peer(peer).allow_localhost().behind(x, ["10.0.0.7"]),
            None,
        ),
        ("a proxy there alone", origin().peer(peer).behind(x, ["127.0.0.1"]), None),
        ("one header twice", origin().peer(peer).behind(x, ["10.0.0.7"]).behind(x, ["10.0.0.8"]), None),
        ("the connection alone", origin(), None),
    ];
    for (name, builder, problem) in rows {
        let said = builder.build().err().map(|error| error.to_string());
        assert_eq!(said.is_some(), problem.is_some(), "{name}: {said:?}");
        assert!(said.unwrap_or_default().contains(problem.unwrap_or_default()), "{name}");
    }
}
