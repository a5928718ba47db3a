//! An API finds its provider's keys by the provider's name, and goes along when they change.

use std::time::Duration;

use axum::Router;
use portcullis_testkit::client::Client;
use portcullis_testkit::idp::FakeIdp;
use serde_json::json;

#[path = "../../examples/axum_oidc_api.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

mod provider;

use self::provider::Provider;

fn client(idp: &FakeIdp) -> Client<Router> {
    Client::new(program::app(&idp.url(), "notes").unwrap())
}

fn bearer(idp: &FakeIdp, scope: &str) -> String {
    format!("Bearer {}", idp.token(json!({ "scope": scope })))
}

#[tokio::test]
async fn each_method_asks_for_its_own_scope() {
    let idp = FakeIdp::start("notes").await;
    let client = client(&idp);
    let (reads, writes) = (bearer(&idp, "notes.read"), bearer(&idp, "notes.read notes.write"));
    client.get("/notes").await.assert_status(401);
    let answer = client.get("/notes").header("authorization", reads.as_str()).await;
    assert_eq!(answer.text(), "the notes of ada\n");
    let refused = client.post("/notes").header("authorization", reads.as_str()).await;
    refused.assert_status(403);
    let answer = client.post("/notes").header("authorization", writes.as_str()).await;
    assert_eq!(answer.text(), "a note of ada's is kept\n");
}

#[tokio::test]
async fn it_starts_while_the_provider_is_away_and_follows_its_keys() {
    let idp = FakeIdp::start("notes").await;
    idp.stop().await;
    let client = client(&idp);
    client.get("/ready").await.assert_status(503);
    client.get("/notes").header("authorization", bearer(&idp, "notes.read")).await.assert_status(503);
    idp.start_again().await;
    let mut tries = 0;
    while client.get("/ready").await.status != 200 {
        tries += 1;
        assert!(tries < 100, "it finds the provider by itself");
        // It asks again after a quarter of a second, and then twice as long each time.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    idp.rotate("-2");
    client.get("/notes").header("authorization", bearer(&idp, "notes.read")).await.assert_status(200);
}

#[tokio::test]
async fn tokens_of_a_provider_made_of_another_library_are_told_apart_through_rotation_and_outage() {
    let mut provider = Provider::start();
    let client = Client::new(program::app(&provider.issuer, "notes").unwrap());
    let get = async |bearer: &str| client.get("/notes").header("authorization", bearer).await;
    let reads = provider.bearer("notes", "notes.read", 600).await;
    assert_eq!(get(&reads).await.assert_status(200).text(), "the notes of job\n");
    let post = client.post("/notes").header("authorization", reads.as_str()).await;
    assert!(post.assert_status(403).header("www-authenticate").unwrap().contains("scope=\"notes.write\""));
    let writes = provider.bearer("notes", "notes.read+notes.write", 600).await;
    client.post("/notes").header("authorization", writes.as_str()).await.assert_status(200);

    let mut flipped = reads.clone().into_bytes();
    let at = reads.rfind('.').unwrap() + 10;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    let rows = [
        ("another audience", provider.bearer("mail", "notes.read", 600).await),
        ("expired", provider.bearer("notes", "notes.read", -6).await),
        ("a bit flipped", String::from_utf8(flipped).unwrap()),
    ];
    for (name, bearer) in rows {
        let answer = get(&bearer).await;
        assert_eq!(answer.status, 401, "{name}");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{name}");
    }
    get(&provider.bearer("notes", "notes.read", -3).await).await.assert_status(200);

    provider.rotate();
    let next = provider.bearer("notes", "notes.read", 600).await;
    get(&next).await.assert_status(200);
    get(&reads).await.assert_status(401);

    provider.stop();
    get(&next).await.assert_status(200);
    let late = Client::new(program::app(&provider.issuer, "notes").unwrap());
    late.get("/notes").header("authorization", next.as_str()).await.assert_status(503);
}
