//! A token's way to a handler.

use portcullis::identity::{AuthMethod, Carrier};
use portcullis_store::{Clock, ManualClock};
use serde_json::{Value, json};

use crate::mint::{ALL, ES256, ISSUER, ask, claims, layer, send};

#[test]
fn a_good_token_reaches_the_handler_as_an_identity() {
    let now = ManualClock::default().now();
    let mut token = claims();
    token["scope"] = json!("read write");
    token["acr"] = json!("gold");
    token["amr"] = json!(["pwd", "otp"]);
    token["auth_time"] = json!(now.as_secs() - 60);
    token["org"] = json!({ "name": "Analytical Engines" });
    let me = ask(&layer([ES256.issuer()]), &ES256.token(&token)).unwrap();

    assert_eq!((me.subject(), me.issuer()), ("ada", Some(ISSUER)));
    assert_eq!((me.method(), me.carrier()), (AuthMethod::Bearer, Carrier::Explicit));
    assert!(me.scopes().eq(["read", "write"]) && me.amr().eq(["pwd", "otp"]));
    assert_eq!((me.acr(), me.session_ref()), (Some("gold"), None));
    assert_eq!(me.authenticated_at().map(|at| at.as_secs()), Some(now.as_secs() - 60));
    assert_eq!(me.expires_at().map(|at| at.as_secs()), Some(now.as_secs() + 300));
    assert_eq!(me.claims::<Value>().unwrap(), token);
}

#[test]
fn every_algorithm_verifies_its_own_tokens() {
    for signer in ALL.iter() {
        let me = ask(&layer([signer.issuer()]), &signer.token(&claims()));
        assert_eq!(me.unwrap().subject(), "ada", "{}", signer.algorithm);
    }
}

#[test]
fn a_request_without_a_token_passes_unless_one_is_required() {
    let layer = layer([ES256.issuer()]);
    for absent in [vec![], vec![&b"Basic YTpi"[..]]] {
        let response = send(&layer, absent.clone());
        assert_eq!((response.status().as_u16(), response.body().as_str()), (200, "nobody"));
        let response = send(&layer.clone().required().protection_space("a b"), absent);
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="a b""#);
    }
}
