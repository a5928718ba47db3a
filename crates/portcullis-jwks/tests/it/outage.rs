//! A provider that is away, or answers what is no key set: the old keys keep working.

use std::sync::Arc;
use std::time::Duration;

use portcullis::bearer::{KeySource, KeyState};
use portcullis_testkit::idp::{Answer, FakeIdp};
use portcullis_testkit::jwt::Algorithm;
use serde_json::{Value, json};

use crate::stage::{Stage, until};

/// Answers that are of no use.
fn useless(other: &FakeIdp) -> Vec<(&'static str, Answer)> {
    let text = |value: Value| Answer::Text(value.to_string());
    let key = || other.issuer().jwk(Algorithm::Es256);
    let with = |name: &str, value: Value| {
        let mut key = key();
        key[name] = value;
        key
    };
    vec![
        ("closes", Answer::HangUp),
        ("500", Answer::Status(500)),
        ("204", Answer::Status(204)),
        ("403 with a set", Answer::Status(403)),
        ("HTML", Answer::Html),
        ("10 MB", Answer::Huge(10 << 20)),
        ("just too large", Answer::Huge(512 << 10)),
        ("a set as HTML", Answer::As("text/html".into())),
        ("a set as no type", Answer::As("\u{7f}".into())),
        ("a redirect", Answer::Redirect(other.jwks_url())),
        ("no keys", text(json!({ "keys": [] }))),
        ("no set", text(json!({}))),
        ("no JSON", Answer::Text("keys".into())),
        ("nothing", Answer::Text(String::new())),
        ("one bad key", text(json!({ "keys": [with("x", json!("AA"))] }))),
        ("a key for encryption", text(json!({ "keys": [with("use", json!("enc"))] }))),
        ("a shared secret", text(json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": "es256" }] }))),
        (
            "a shared secret among others",
            text(json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": "k" }, key()] })),
        ),
        ("101 keys", text(json!({ "keys": vec![key(); 101] }))),
    ]
}

#[tokio::test]
async fn whatever_the_provider_answers_the_old_keys_keep_working() {
    let other = FakeIdp::start("api").await;
    for (name, answer) in useless(&other) {
        let stage = Stage::warm().await;
        let (token, before) = (stage.token(), stage.source.snapshot());
        stage.idp.answer(answer);
        assert_eq!(stage.status(&stage.stray("new")).await, 503, "{name}");
        assert_eq!(stage.state(), KeyState::Degraded, "{name}");
        stage.admits(&token).await;
        assert!(Arc::ptr_eq(&before, &stage.source.snapshot()), "{name}");
        stage.layer.ready().await.unwrap();

        // And it recovers by itself.
        stage.idp.rotate("-2");
        stage.idp.answer(Answer::Document);
        until(async || stage.state() == KeyState::Good).await;
        stage.admits(&stage.token()).await;
        assert_eq!(stage.status(&token).await, 401, "{name}");
    }
    assert_eq!(other.asked().len(), 0, "a redirect was followed");
}

#[tokio::test]
async fn a_provider_that_hangs_costs_strays_two_seconds_and_others_nothing() {
    let stage = Stage::warm().await;
    let token = stage.token();
    stage.idp.answer(Answer::Hang);
    let began = tokio::time::Instant::now();
    let stray = stage.stray("new");
    let others = async {
        stage.idp.fetched(2).await;
        for _ in 0..100 {
            stage.admits(&token).await;
        }
        began.elapsed()
    };
    let (status, took) = tokio::join!(stage.status(&stray), others);
    assert_eq!(status, 503);
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    stage.idp.answer(Answer::Document);
    until(async || stage.state() == KeyState::Good).await;
}

#[tokio::test]
async fn of_a_set_with_a_bad_key_the_others_are_used() {
    let stage = Stage::warm().await;
    stage.idp.rotate("-2");
    let mut bad = stage.idp.issuer().jwk(Algorithm::EdDsa);
    bad["x"] = json!("AA");
    let keys = [bad, Value::Null, json!({ "kty": "new" }), stage.idp.issuer().jwk(Algorithm::Es256)];
    stage.idp.publish(json!({ "keys": keys }).to_string());
    stage.admits(&stage.token()).await;
    assert_eq!(stage.state(), KeyState::Good);
}

/// "Not modified" is then said of what was of no use.
#[tokio::test]
async fn a_set_of_no_use_that_stays_confirms_no_keys() {
    let stage = Stage::warm().await;
    let token = stage.token();
    let good = stage.idp.issuer().jwk(Algorithm::Es256);
    stage.idp.publish(json!({ "keys": [] }).to_string());
    assert_eq!(stage.status(&stage.stray("new")).await, 503);
    let fetches = stage.idp.fetches();
    until(async || stage.idp.fetches() >= fetches + 2).await;
    assert_eq!(stage.state(), KeyState::Degraded);
    stage.admits(&token).await;
    stage.idp.publish(json!({ "keys": [good] }).to_string());
    until(async || stage.state() == KeyState::Good).await;
}

#[tokio::test]
async fn a_set_is_read_by_any_name_of_json_and_of_bytes() {
    for media_type in [
        "application/json",
        "application/jwk-set+json",
        "Application/JSON; charset=utf-8",
        "text/plain",
        "application/octet-stream",
    ] {
        let stage = Stage::warm().await;
        stage.idp.rotate("-2");
        stage.idp.answer(Answer::As(media_type.into()));
        stage.admits(&stage.token()).await;
    }
    let stage = Stage::warm().await;
    stage.idp.rotate("-2");
    stage.idp.answer(Answer::Huge(500 << 10));
    stage.admits(&stage.token()).await;
}

#[tokio::test]
async fn a_provider_that_goes_away_is_no_matter_for_known_keys() {
    let stage = Stage::warm().await;
    let token = stage.token();
    stage.idp.stop().await;
    assert_eq!(stage.status(&stage.stray("new")).await, 503);
    stage.admits(&token).await;
    stage.idp.rotate("-2");
    stage.idp.start_again().await;
    until(async || stage.status(&stage.token()).await == 200).await;
    assert_eq!(stage.status(&token).await, 401);
}
