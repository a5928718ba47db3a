//! Several issuers in one layer.

use portcullis::bearer::{Algorithm, Audience, HmacKeys, Issuer, Tenants};
use serde_json::json;

use crate::mint::{ALL, ES256, SECRET, Signer, ask, claims_with, claims_without, jwks, layer};

const ONE: &str = "https://one.example";
const TWO: &str = "https://two.example";

fn issuer(name: &str, signer: &Signer, audience: &str) -> Issuer {
    Issuer::new(name, Audience::one_of([audience])).keys(jwks([signer.jwk("k")]))
}

#[test]
fn the_same_kid_from_two_issuers_never_crosses() {
    let (one, two) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let layer = layer([issuer(ONE, &one, "api"), issuer(TWO, &two, "api")]);
    for (name, signer, iss, expected) in [
        ("one's", &one, ONE, true),
        ("two's", &two, TWO, true),
        ("one's key for two", &one, TWO, false),
        ("two's key for one", &two, ONE, false),
        ("a stranger", &one, "https://three.example", false),
        ("nobody", &one, "", false),
    ] {
        let token = signer.token(&claims_with("iss", json!(iss)));
        assert_eq!(ask(&layer, &token).is_ok(), expected, "{name}");
    }
    assert!(ask(&layer, &one.token(&claims_without("iss"))).is_err(), "there is no default issuer");
}

#[test]
fn the_same_subject_from_two_issuers_is_two_identities() {
    let layer = layer([issuer(ONE, &ES256, "api"), issuer(TWO, &ES256, "api")]);
    let one = ask(&layer, &ES256.token(&claims_with("iss", json!(ONE)))).unwrap();
    let two = ask(&layer, &ES256.token(&claims_with("iss", json!(TWO)))).unwrap();
    assert_eq!(one.subject(), two.subject());
    assert!(!one.is_same_user(&two));
}

#[test]
fn each_issuer_has_its_own_audience_and_algorithms() {
    let hs256 = ALL.iter().find(|signer| signer.algorithm == Algorithm::HS256).unwrap();
    let shared = Issuer::new(TWO, Audience::one_of(["two"])).keys(HmacKeys::new([SECRET.to_vec()]).unwrap());
    let layer = layer([issuer(ONE, &ES256, "one"), shared]);
    for (name, signer, iss, aud, expected) in [
        ("one's", &*ES256, ONE, "one", true),
        ("two's", hs256, TWO, "two", true),
        ("one's for two's audience", &*ES256, ONE, "two", false),
        ("HMAC for one", hs256, ONE, "one", false),
        ("ES256 for two", &*ES256, TWO, "two", false),
    ] {
        let mut claims = claims_with("iss", json!(iss));
        claims["aud"] = json!(aud);
        assert_eq!(ask(&layer, &signer.token(&claims)).is_ok(), expected, "{name}");
    }
}

#[test]
fn an_issuer_that_stands_twice_in_a_payload_names_nobody() {
    let (one, two) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let layer = layer([issuer(ONE, &one, "api"), issuer(TWO, &two, "api")]);
    let payload =
        claims_with("iss", json!(TWO)).to_string().replacen('{', &format!("{{\"iss\":\"{ONE}\","), 1);
    for signer in [&one, &two] {
        let token = signer.compact(signer.header().to_string().as_bytes(), payload.as_bytes());
        assert_eq!(ask(&layer, &token).err(), Some("the claims are malformed"));
    }
}

#[test]
fn a_template_stands_beside_other_issuers_and_has_keys_of_its_own() {
    let (one, many) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let tenants = Tenants::list(["a", "b"]);
    let templated = Issuer::templated("https://many.example/{org}", tenants, Audience::one_of(["api"]))
        .keys(jwks([many.jwk("k")]));
    let layer = layer([issuer(ONE, &one, "api"), templated]);
    for (name, signer, iss, org, expected) in [
        ("one's", &one, ONE, "a", true),
        ("a tenant's", &many, "https://many.example/a", "a", true),
        ("another tenant's", &many, "https://many.example/b", "b", true),
        ("a tenant's in another's name", &many, "https://many.example/a", "b", false),
        ("a stranger's", &many, "https://many.example/c", "c", false),
        ("a tenant's by one's key", &one, "https://many.example/a", "a", false),
        ("one's by the tenants' key", &many, ONE, "a", false),
        ("the template itself", &many, "https://many.example/{org}", "{org}", false),
        ("a longer name", &many, "https://many.example/a/", "a", false),
        ("nobody's", &many, "https://many.example/", "", false),
    ] {
        let mut claims = claims_with("iss", json!(iss));
        claims["org"] = json!(org);
        assert_eq!(ask(&layer, &signer.token(&claims)).is_ok(), expected, "{name}");
    }
    let names: Vec<_> = layer.key_health().map(|(name, _)| name).collect();
    assert_eq!(names, [ONE, "https://many.example/{org}"]);
}
