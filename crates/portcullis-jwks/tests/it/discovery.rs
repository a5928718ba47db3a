//! Where the keys are, by the issuer's own word.

use portcullis::bearer::KeyState;
use portcullis_jwks::RemoteJwks;
use portcullis_testkit::idp::{Answer, FakeIdp};
use portcullis_testkit::jwt::Algorithm;
use serde_json::json;

use crate::stage::{Stage, until};

fn discovering(idp: FakeIdp) -> Stage {
    let source = RemoteJwks::discovery(idp.url()).insecure_http().build().unwrap();
    Stage::with(idp, source)
}

#[tokio::test]
async fn keys_are_found_by_either_standard_with_and_without_a_path() {
    for (path, is_oauth) in [("", false), ("", true), ("/tenant/v2.0", false), ("/tenant/v2.0", true)] {
        let idp = FakeIdp::start_at(path, "api").await;
        if is_oauth {
            idp.oauth_only();
        }
        let stage = discovering(idp);
        stage.admits(&stage.token()).await;
        // A rotation is one fetch: where the keys are is known.
        let asked = stage.idp.asked().len();
        stage.idp.rotate("-2");
        stage.admits(&stage.token()).await;
        assert_eq!((stage.idp.asked().len(), stage.idp.fetches()), (asked + 1, 2), "{path}, {is_oauth}");
    }
}

/// Metadata that are another issuer's, or lead astray, for an issuer of this name; `keys` and `other` are somebody else's.
fn astray(name: &str, other: &FakeIdp) -> Vec<(&'static str, Answer)> {
    let (url, keys) = (other.url(), other.jwks_url());
    let with_user = keys.replace("http://", "http://a@");
    let text =
        |issuer: &str, keys: &str| Answer::Text(json!({ "issuer": issuer, "jwks_uri": keys }).to_string());
    let twice = format!(r#"{{"issuer":"{name}","issuer":"{name}","jwks_uri":"{keys}"}}"#);
    vec![
        ("another issuer", text(&url, &keys)),
        ("a slash more", text(&format!("{name}/"), &keys)),
        ("another case", text(&name.to_uppercase(), &keys)),
        ("plain http elsewhere", text(name, "http://10.0.0.1/jwks")),
        ("no URL", text(name, "jwks")),
        ("a file", text(name, "file:///etc/passwd")),
        ("user information", text(name, &with_user)),
        ("no address", Answer::Text(json!({ "issuer": name }).to_string())),
        ("no issuer", Answer::Text(json!({ "jwks_uri": keys }).to_string())),
        ("an issuer twice", Answer::Text(twice)),
        ("a list of issuers", Answer::Text(json!({ "issuer": [name], "jwks_uri": keys }).to_string())),
        ("a redirect", Answer::Redirect(format!("{url}/.well-known/openid-configuration"))),
        ("HTML", Answer::Html),
        ("500", Answer::Status(500)),
        ("10 MB", Answer::Huge(10 << 20)),
    ]
}

#[tokio::test]
async fn metadata_that_are_another_issuer_s_or_lead_astray_are_not_followed() {
    let other = FakeIdp::start("api").await;
    for row in 0..astray("", &other).len() {
        let idp = FakeIdp::start("api").await;
        let (name, answer) = astray(&idp.url(), &other).swap_remove(row);
        idp.answer_metadata(answer);
        let stage = discovering(idp);
        assert_eq!(stage.status(&stage.token()).await, 503, "{name}");
        assert_eq!((stage.state(), stage.idp.fetches()), (KeyState::Unavailable, 0), "{name}");
        stage.idp.answer_metadata(Answer::Document);
        until(async || stage.state() == KeyState::Good).await;
        stage.admits(&stage.token()).await;
    }
    assert_eq!(other.asked().len(), 0, "somebody else was asked");
}

#[tokio::test]
async fn keys_that_have_moved_are_found_again() {
    let (stage, elsewhere) = (discovering(FakeIdp::start("api").await), FakeIdp::start("api").await);
    stage.admits(&stage.token()).await;
    stage.idp.rotate("-2");
    elsewhere.publish(json!({ "keys": [stage.idp.issuer().jwk(Algorithm::Es256)] }).to_string());
    stage.idp.answer(Answer::Status(410));
    let moved = json!({ "issuer": stage.idp.url(), "jwks_uri": elsewhere.jwks_url() });
    stage.idp.answer_metadata(Answer::Text(moved.to_string()));
    until(async || stage.status(&stage.token()).await == 200).await;
    assert!(elsewhere.fetches() >= 1);
    // The tag of the old address is nothing to the new one.
    assert!(!elsewhere.asked()[0].headers.contains_key("if-none-match"));
}
