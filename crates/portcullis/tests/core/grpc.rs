//! Refusals as a gRPC client reads them: HTTP 200, the status among the headers, nothing in the body.

use std::time::Duration;

use http::{Request, Response};
use portcullis::RequireLayer;
use portcullis::authenticate::AuthenticateLayer;
use portcullis::identity::Authentication;
use portcullis::rejection::{Challenge, Rejection};
use tower::{Layer, ServiceBuilder};

use crate::common::{Finds, Handler, answer, by_session};

fn call(content_type: &str) -> Request<String> {
    let request = Request::post("/bank.Bank/Transfer").header("content-type", content_type);
    request.body("\0\0\0\0\0".to_owned()).unwrap()
}

fn status(response: &Response<String>) -> (u16, &str, &str) {
    let header = |name| response.headers().get(name).map_or("none", |value| value.to_str().unwrap());
    (response.status().as_u16(), header("grpc-status"), header("content-type"))
}

#[tokio::test]
async fn refusals_are_read_as_their_grpc_status() {
    let away = Authentication::unavailable(Duration::from_secs(1));
    let bad = Rejection::invalid_credential(Challenge::new("Bearer"), "expired");
    let rows = [
        ("nobody", Finds::nobody(), "16"),
        ("bad token", Finds::what(Err(bad)), "16"),
        ("no role", Finds::identity(by_session("ada")), "7"),
        ("outage", Finds::what(Ok(away)), "14"),
        ("allowed", Finds::identity(by_session("ada").role("teller")), "none"),
    ];
    for (name, finds, expected) in rows {
        let handler = Handler::default();
        let stack = ServiceBuilder::new()
            .layer(AuthenticateLayer::new(finds.scheme("Bearer")))
            .layer(RequireLayer::authenticated().role("teller"))
            .service(handler.clone());
        for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web-text+proto"]
        {
            let response = answer(&stack, call(content_type)).await;
            let echoed = if expected == "none" { "none" } else { content_type };
            assert_eq!(status(&response), (200, expected, echoed), "{name}");
            assert_eq!(response.headers().contains_key("grpc-message"), expected != "none", "{name}");
            assert_eq!(response.headers().contains_key("www-authenticate"), expected == "16", "{name}");
        }
    }
}

#[tokio::test]
async fn a_missing_layer_is_internal() {
    let service = RequireLayer::authenticated().layer(Handler::default());
    let response = answer(&service, call("application/grpc")).await;
    assert_eq!(status(&response), (200, "13", "application/grpc"));
    assert_eq!(response.headers()["grpc-message"], "the service is misconfigured");
}
