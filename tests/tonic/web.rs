//! gRPC-web as a page speaks it, with tonic-web outside of our layers and inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use portcullis::AuthLayer;
use tonic_web::GrpcWebLayer;

use super::*;
use crate::integration::wire::{Answer, Wire};

/// An empty message in one frame: a flag, four bytes of length.
const MESSAGE: &[u8] = &[0; 5];
const MEDIA_TYPES: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// What a client of gRPC-web reads: the status and message in the header, or in the last frame of the body.
#[derive(Debug, PartialEq)]
pub struct WebStatus {
    pub code: String,
    pub message: String,
    /// How many messages came.
    pub messages: usize,
}

pub async fn ask(
    wire: &Wire,
    path: &str,
    media_type: &str,
    headers: &[(&str, &str)],
    message: &[u8],
) -> Answer {
    let is_text = media_type.contains("-text");
    let body = if is_text { Bytes::from(STANDARD.encode(message)) } else { Bytes::copy_from_slice(message) };
    let mut all = vec![("content-type", media_type), ("x-grpc-web", "1"), ("accept", media_type)];
    all.extend(headers);
    wire.ask(hyper::Method::POST, path, &all, body).await
}

/// Reads an answer by the protocol (gRPC-web, "HTTP wire protocols").
pub fn read(answer: &Answer) -> WebStatus {
    assert_eq!(answer.status, 200, "{answer:?}");
    let media_type = answer.all("content-type")[0];
    assert!(media_type.starts_with("application/grpc-web"), "{media_type}");
    let header = |name: &str| answer.all(name).first().map(ToString::to_string);
    if let Some(code) = header("grpc-status") {
        assert!(answer.body.is_empty(), "a status in the header, and something after it: {answer:?}");
        return WebStatus { code, message: header("grpc-message").unwrap_or_default(), messages: 0 };
    }
    let body = if media_type.contains("-text") { decode(&answer.body) } else { answer.body.to_vec() };
    let (mut rest, mut messages) = (&body[..], 0);
    loop {
        let (head, after) = rest.split_at(5);
        let (frame, after) = after.split_at(u32::from_be_bytes(head[1..].try_into().unwrap()) as usize);
        if head[0] & 0x80 != 0 {
            assert!(after.is_empty(), "trailers are the last frame");
            let text = String::from_utf8(frame.to_vec()).unwrap();
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.unwrap_or_default().trim().to_owned()
            };
            return WebStatus { code: field("grpc-status"), message: field("grpc-message"), messages };
        }
        messages += 1;
        rest = after;
    }
}

/// Text is base64 in pieces, each of which may end in padding.
fn decode(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|piece| STANDARD.decode(piece).unwrap()).collect()
}

async fn assert_web_codes(name: &str, address: SocketAddr, issuer: &TestIssuer) {
    let with = |scope: &str| format!("Bearer {}", issuer.token(json!({ "sub": "ada", "scope": scope })));
    let bad = format!("Bearer {}", issuer.token(json!({ "sub": "ada" })).tampered());
    let (other, health) = (with("other"), with("health"));
    for wire in [Wire::h1(address), Wire::h2(address)] {
        for media_type in MEDIA_TYPES {
            let rows = [
                ("nobody", vec![], "16", "sign in first", 0),
                ("a bad token", vec![("authorization", bad.as_str())], "16", "", 0),
                ("without the scope", vec![("authorization", other.as_str())], "7", "a scope is missing", 0),
                ("with it", vec![("authorization", health.as_str())], "0", "", 1),
            ];
            for (row, headers, code, message, messages) in rows {
                let answer = ask(&wire, "/grpc.health.v1.Health/Check", media_type, &headers, MESSAGE).await;
                let read = read(&answer);
                assert_eq!(
                    (read.code.as_str(), read.messages),
                    (code, messages),
                    "{name}, {media_type}, {row}: {answer:?}"
                );
                let said = read.message.replace("%20", " ");
                assert!(!message.is_empty() || !said.is_empty() || code == "0", "{name}, {row}: {answer:?}");
                assert!(message.is_empty() || said == message, "{name}, {row}: {said}");
            }
        }
    }
}

fn auth(issuer: &TestIssuer) -> AuthLayer {
    AuthLayer::builder().bearer(bearer(issuer)).csrf(CsrfLayer::new()).build().unwrap()
}

fn guard() -> RequireLayer {
    RequireLayer::authenticated().scope("health")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_16_7_and_ok_with_tonic_web_outside() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .accept_http1(true)
        .layer(GrpcWebLayer::new())
        .layer(auth(&issuer))
        .layer(guard())
        .add_service(health);
    tokio::spawn(server.serve_with_incoming(incoming));
    assert_web_codes("outside", address, &issuer).await;
    assert_codes(&mut connect(address).await, &issuer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_16_7_and_ok_with_tonic_web_inside() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (incoming, address) = listen().await;
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .accept_http1(true)
        .layer(auth(&issuer))
        .layer(guard())
        .layer(GrpcWebLayer::new())
        .add_service(health);
    tokio::spawn(server.serve_with_incoming(incoming));
    assert_web_codes("inside", address, &issuer).await;
    assert_codes(&mut connect(address).await, &issuer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_14_of_an_outage_and_7_of_a_forged_call() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let browser = World::new(&store, &clock).browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let cookie = format!("__Host-id={}", browser.jar().get("__Host-id").unwrap());
        for tonic_web_is_outside in [true, false] {
            let spy = Spy::new(store.another());
            let (incoming, address) = listen().await;
            let (_, health) = tonic_health::server::health_reporter();
            let session =
                SessionLayer::builder(spy.clone()).clock(clock.clone()).budget(PATIENCE).build().unwrap();
            let auth = AuthLayer::builder().session(session).csrf(CsrfLayer::new()).build().unwrap();
            let server = Server::builder().accept_http1(true);
            if tonic_web_is_outside {
                let server = server.layer(GrpcWebLayer::new()).layer(auth).add_service(health);
                tokio::spawn(server.serve_with_incoming(incoming));
            } else {
                let server = server.layer(auth).layer(GrpcWebLayer::new()).add_service(health);
                tokio::spawn(server.serve_with_incoming(incoming));
            }
            let wire = Wire::h1(address);
            let status = async |site: &str| {
                let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", site)];
                read(&ask(&wire, "/grpc.health.v1.Health/Check", MEDIA_TYPES[1], &headers, MESSAGE).await)
                    .code
            };
            assert_eq!(status("same-origin").await, "0", "{tonic_web_is_outside}");
            assert_eq!(status("cross-site").await, "7", "{tonic_web_is_outside}");
            spy.fail_with(StoreErrorKind::Unavailable);
            assert_eq!(status("same-origin").await, "14", "{tonic_web_is_outside}");
        }
    }
}
