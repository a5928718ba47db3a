//! Each method asks for its own scope, and what is in no row of the table nobody may call.

use std::future::pending;

use portcullis::issue::Grant;
use tokio::net::TcpListener;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use self::program::reports::{DELETE, READ, ReadRequest, ReportsClient};

#[path = "../../examples/tonic_bearer.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

/// What the call came to: its code, and the text of the reply or of the refusal.
async fn call(channel: &Channel, method: &'static str, token: Option<&str>) -> (Code, String) {
    let mut request = Request::new(ReadRequest { year: 2026 });
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    match ReportsClient::new(channel.clone()).call(method, request).await {
        Ok(reply) => (Code::Ok, reply.into_inner().text),
        Err(status) => (status.code(), status.message().to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_asks_for_its_own_scope_and_one_that_was_forgotten_is_nobodys() {
    let tokens = program::authority::Authority::new("https://tonic.example", "reports").unwrap();
    let others = program::authority::Authority::new("https://tonic.example", "reports").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut minted = Vec::new();
    for scope in ["other", "reports.read", "reports.delete"] {
        minted.push(tokens.mint(&Grant::new("ada", "test").scope(scope)).await.unwrap().as_str().to_owned());
    }
    let [other, reads, deletes] = minted.try_into().unwrap();
    let forged = others.mint(&Grant::new("ada", "test").scope("reports.read")).await.unwrap();
    tokio::spawn(async move { program::serve(listener, &tokens, pending()).await.unwrap() });

    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let (refused, denied) = (Code::Unauthenticated, Code::PermissionDenied);
    let forgotten = "/demo.Reports/Forgotten";
    let rows = [
        ("nobody reads", READ, None, refused, "sign in first"),
        ("by another's key", READ, Some(forged.as_str()), refused, "the signature cannot be verified"),
        ("without the scope", READ, Some(&other), denied, "a scope is missing"),
        ("with it", READ, Some(&reads), Code::Ok, "the report of 2026, for ada"),
        ("nobody deletes", DELETE, None, refused, "sign in first"),
        ("with the scope of the other", DELETE, Some(&reads), denied, "a scope is missing"),
        ("with its own", DELETE, Some(&deletes), Code::Ok, "the report of 2026 is gone"),
        ("and does not read", READ, Some(&deletes), denied, "a scope is missing"),
        ("in no row", forgotten, Some(&reads), denied, "not allowed"),
        ("in no row, by nobody", forgotten, None, denied, "not allowed"),
    ];
    for (name, method, token, code, text) in rows {
        assert_eq!(call(&channel, method, token).await, (code, text.to_owned()), "{name}");
    }
    let health = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    assert!(health.is_ok(), "{health:?}");
}
