//! Issuer, audience, kind of token, and what becomes of claims.

use portcullis::bearer::{Audience, Issuer, Profile};
use serde_json::{Value, json};

use crate::mint::{ES256, ISSUER, ask, claims, claims_with, claims_without, jwks, layer};

/// A name, claims to add, and the words that are found.
type Row = (&'static str, Value, Result<&'static [&'static str], &'static str>);

const MISSING: Result<(), &str> = Err("a required claim is missing");
const MALFORMED: Result<(), &str> = Err("the claims are malformed");

fn issuer(audience: Audience) -> Issuer {
    Issuer::new(ISSUER, audience).keys(jwks([ES256.jwk("k")]))
}

fn check(layer: &portcullis::BearerLayer, name: &str, claims: &Value, expected: Result<(), &str>) {
    assert_eq!(ask(layer, &ES256.token(claims)).map(drop), expected, "{name}");
}

#[test]
fn the_issuer_must_match_to_the_letter() {
    let wrong = Err("the issuer is not accepted");
    let rows = [
        ("the same", json!(ISSUER), Ok(())),
        ("a slash more", json!("https://idp.example/"), wrong),
        ("other case", json!("https://IDP.example"), wrong),
        ("http", json!("http://idp.example"), wrong),
        ("its port", json!("https://idp.example:443"), wrong),
        ("a prefix", json!("https://idp.exampl"), wrong),
        ("longer", json!("https://idp.example.evil.example"), wrong),
        ("a space", json!(" https://idp.example"), wrong),
        ("a NUL", json!("https://idp.example\0"), wrong),
        ("empty", json!(""), wrong),
        ("an array", json!([ISSUER]), MALFORMED),
        ("an object", json!({ "iss": ISSUER }), MALFORMED),
        ("null", Value::Null, MALFORMED),
    ];
    let layer = layer([issuer(Audience::one_of(["api"]))]);
    for (name, iss, expected) in rows {
        check(&layer, name, &claims_with("iss", iss), expected);
    }
    check(&layer, "absent", &claims_without("iss"), MISSING);
}

#[test]
fn the_audience_must_name_this_service() {
    let wrong = Err("the token is meant for another audience");
    let rows = [
        ("the name", json!("api"), Ok(())),
        ("its other name", json!("api2"), Ok(())),
        ("a list of one", json!(["api"]), Ok(())),
        ("among others", json!(["other", "api"]), Ok(())),
        ("another", json!("other"), wrong),
        ("others", json!(["other", "more"]), wrong),
        ("other case", json!("API"), wrong),
        ("a prefix", json!("ap"), wrong),
        ("longer", json!("api/"), wrong),
        ("both in one string", json!("api api2"), wrong),
        ("an empty list", json!([]), wrong),
        ("empty", json!(""), wrong),
        ("a number", json!(1), MALFORMED),
        ("an object", json!({ "api": true }), MALFORMED),
        ("true", json!(true), MALFORMED),
        ("null", Value::Null, MALFORMED),
        ("a number in the list", json!(["api", 1]), MALFORMED),
        ("a list in the list", json!([["api"]]), MALFORMED),
    ];
    let layer = layer([issuer(Audience::one_of(["api", "api2"]))]);
    for (name, aud, expected) in rows {
        check(&layer, name, &claims_with("aud", aud), expected);
    }
    check(&layer, "absent", &claims_without("aud"), MISSING);
}

#[test]
fn another_claim_can_name_the_audience() {
    let wrong = Err("the token is meant for another audience");
    let plain = layer([issuer(Audience::claim("azp", ["web", "app"]))]);
    let both = layer([issuer(Audience::claim("azp", ["web", "app"]).with_aud(["api"]))]);
    let rows = [
        ("the name", json!({ "azp": "web" }), Ok(()), Ok(())),
        ("its other name", json!({ "azp": "app" }), Ok(()), Ok(())),
        ("among others", json!({ "azp": ["x", "web"] }), Ok(()), Ok(())),
        ("another", json!({ "azp": "evil" }), wrong, wrong),
        ("a prefix", json!({ "azp": "we" }), wrong, wrong),
        ("empty", json!({ "azp": "" }), wrong, wrong),
        ("nobody", json!({ "azp": [] }), wrong, wrong),
        ("absent", json!({}), MISSING, MISSING),
        ("a number", json!({ "azp": 1 }), MALFORMED, MALFORMED),
        ("with an aud", json!({ "azp": "web", "aud": "api" }), wrong, Ok(())),
        ("with another aud", json!({ "azp": "web", "aud": "other" }), wrong, wrong),
        ("with an empty aud", json!({ "azp": "web", "aud": [] }), wrong, wrong),
        ("with an aud alone", json!({ "aud": "api" }), wrong, MISSING),
        ("the names confused", json!({ "azp": "api", "aud": "web" }), wrong, wrong),
    ];
    for (name, more, by_plain, by_both) in rows {
        let mut claims = claims_without("aud");
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check(&plain, name, &claims, by_plain);
        check(&both, name, &claims, by_both);
    }
}

#[test]
fn a_required_claim_has_its_value() {
    let wrong = Err("a required claim has another value");
    let issuer = || issuer(Audience::one_of(["api"])).require_claim("use", "access");
    let rows = [
        ("the value", json!({ "use": "access" }), Ok(())),
        ("another", json!({ "use": "id" }), wrong),
        ("other case", json!({ "use": "Access" }), wrong),
        ("longer", json!({ "use": "access " }), wrong),
        ("empty", json!({ "use": "" }), wrong),
        ("a list of it", json!({ "use": ["access"] }), MISSING),
        ("absent", json!({}), MISSING),
        ("null", json!({ "use": null }), MALFORMED),
        ("true", json!({ "use": true }), MALFORMED),
        ("elsewhere", json!({ "a": { "use": "access" } }), MISSING),
    ];
    let one = layer([issuer()]);
    for (name, more, expected) in rows {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check(&one, name, &claims, expected);
    }
    let two = layer([issuer().require_claim("acr", "gold")]);
    let mut claims = claims_with("use", json!("access"));
    check(&two, "one of two", &claims, MISSING);
    claims["acr"] = json!("silver");
    check(&two, "one right, one wrong", &claims, wrong);
    claims["acr"] = json!("gold");
    check(&two, "both", &claims, Ok(()));
}

#[test]
fn a_subject_is_required() {
    let layer = layer([ES256.issuer()]);
    for (name, sub, expected) in [
        ("empty", json!(""), MISSING),
        ("a number", json!(7), MALFORMED),
        ("an array", json!(["ada"]), MALFORMED),
        ("null", Value::Null, MALFORMED),
    ] {
        check(&layer, name, &claims_with("sub", sub), expected);
    }
    check(&layer, "absent", &claims_without("sub"), MISSING);
}

#[test]
fn the_type_decides_by_profile() {
    let rows = [
        ("absent", None, true, false),
        ("JWT", Some("JWT"), true, false),
        ("jwt", Some("jwt"), true, false),
        ("at+jwt", Some("at+jwt"), true, true),
        ("AT+JWT", Some("AT+JWT"), true, true),
        ("application/at+jwt", Some("application/at+jwt"), true, true),
        ("dpop+jwt", Some("dpop+jwt"), false, false),
        ("logout+jwt", Some("logout+jwt"), false, false),
        ("secevent+jwt", Some("secevent+jwt"), false, false),
        ("id_token+jwt", Some("id_token+jwt"), false, false),
        ("rt+jwt", Some("rt+jwt"), false, false),
        ("kb+jwt", Some("kb+jwt"), false, false),
        ("JOSE", Some("JOSE"), false, false),
        ("empty", Some(""), false, false),
        ("at+jwt with a space", Some("at+jwt "), false, false),
    ];
    let generic = layer([ES256.issuer()]);
    let strict = layer([ES256.issuer().profile(Profile::AccessToken)]);
    let claims = claims_with("client_id", json!("web"));
    for (name, typ, by_generic, by_strict) in rows {
        let mut header = json!({ "alg": "ES256", "kid": "k" });
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        let token = ES256.token_with(&header, &claims);
        assert_eq!(ask(&generic, &token).is_ok(), by_generic, "{name}, generic");
        assert_eq!(ask(&strict, &token).is_ok(), by_strict, "{name}, RFC 9068");
    }
}

/// What `oidc-provider` 9 puts into an ID token at its token endpoint; `typ` is absent.
#[test]
fn an_id_token_that_does_not_say_so_is_told_by_its_audience_or_by_the_profile() {
    let mut claims = claims_with("aud", json!("web"));
    claims
        .as_object_mut()
        .unwrap()
        .retain(|name, _| ["iss", "sub", "aud", "exp", "iat"].contains(&name.as_str()));
    let service = layer([issuer(Audience::one_of(["api"]))]);
    let client = layer([issuer(Audience::one_of(["web"]))]);
    let strict = layer([issuer(Audience::one_of(["web"])).profile(Profile::AccessToken)]);
    check(&service, "for the service", &claims, Err("the token is meant for another audience"));
    check(&client, "for a client, as the documentation warns", &claims, Ok(()));
    check(&strict, "for a client, by RFC 9068", &claims, Err("the token is not an access token"));
}

#[test]
fn an_rfc_9068_token_has_all_its_claims() {
    let layer = layer([ES256.issuer().profile(Profile::AccessToken)]);
    let header = json!({ "alg": "ES256", "kid": "k", "typ": "at+jwt" });
    let whole = claims_with("client_id", json!("web"));
    assert!(ask(&layer, &ES256.token_with(&header, &whole)).is_ok());
    let marked = claims_with("nonce", json!("n")).as_object().unwrap().clone();
    let marked: Value = marked.into_iter().chain([("client_id".to_owned(), json!("web"))]).collect();
    assert!(ask(&layer, &ES256.token_with(&header, &marked)).is_ok(), "its type says what it is");
    for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"] {
        let mut claims = whole.clone();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(ask(&layer, &ES256.token_with(&header, &claims)).map(drop), MISSING, "{name}");
    }
}

#[test]
fn other_kinds_of_token_are_no_access_tokens() {
    let other = Err("the token is not an access token");
    let rows = [
        ("an ID token's nonce", "nonce", json!("n"), other),
        ("an ID token's at_hash", "at_hash", json!("h"), other),
        ("an ID token's c_hash", "c_hash", json!("h"), other),
        ("an ID token of Cognito", "token_use", json!("id"), other),
        ("a use that nobody knows", "token_use", json!("refresh"), other),
        ("an access token of Cognito", "token_use", json!("access"), Ok(())),
        ("an ID token of Keycloak", "typ", json!("ID"), other),
        ("a refresh token of Keycloak", "typ", json!("Refresh"), other),
        ("an offline token of Keycloak", "typ", json!("Offline"), other),
        ("a refresh token in small letters", "typ", json!("refresh"), other),
        ("an access token of Keycloak", "typ", json!("Bearer"), Ok(())),
        ("a logout token", "events", json!({}), other),
        ("a use that is no string", "token_use", json!(["access"]), MALFORMED),
        (
            "a token that is bound to a key",
            "cnf",
            json!({ "jkt": "t" }),
            Err("the token is bound to a key that was not proved"),
        ),
        ("bound by null", "cnf", Value::Null, Err("the token is bound to a key that was not proved")),
    ];
    let layer = layer([ES256.issuer()]);
    for (name, claim, value, expected) in rows {
        check(&layer, name, &claims_with(claim, value), expected);
    }
    let cookie = "9mVnYQkVd3PT3w5JfB1a8Q.Jq0sWq1yG2n8v1bDk2mT0c4Hh7r9XzLw5uE6pA3sN0o";
    assert!(ask(&layer, cookie).is_err(), "a session's cookie");
    let proof = json!({ "jti": "j", "htm": "GET", "htu": "https://api.example/", "iat": 1_767_225_600 });
    check(&layer, "a DPoP proof's claims", &proof, MISSING);
}

#[test]
fn scopes_come_from_the_claims_that_are_named() {
    let rows: [Row; 12] = [
        ("none", json!({}), Ok(&[])),
        ("a string", json!({ "scope": "a b" }), Ok(&["a", "b"])),
        ("more spaces", json!({ "scope": "  a   b " }), Ok(&["a", "b"])),
        ("an escape", json!({ "scope": "a \"b\"" }), Ok(&["a", "\"b\""])),
        ("empty", json!({ "scope": "" }), Ok(&[])),
        ("a list", json!({ "scp": ["a", "b"] }), Ok(&["a", "b"])),
        ("an entry with a space is one scope", json!({ "scp": ["a b"] }), Ok(&["a b"])),
        ("both claims", json!({ "scope": "a", "scp": ["b"] }), Ok(&["a", "b"])),
        ("a number", json!({ "scope": 1 }), Err("the claims are malformed")),
        ("a list with a number", json!({ "scp": ["a", 1] }), Err("the claims are malformed")),
        ("an object", json!({ "scp": { "a": true } }), Err("the claims are malformed")),
        ("another claim", json!({ "scopes": "admin", "permissions": ["admin"] }), Ok(&[])),
    ];
    let layer = layer([ES256.issuer()]);
    for (name, more, expected) in rows {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match (ask(&layer, &ES256.token(&claims)), expected) {
            (Ok(me), Ok(scopes)) => assert!(me.scopes().eq(scopes.iter().copied()), "{name}: {me:?}"),
            (found, expected) => assert_eq!(found.map(drop), expected.map(drop), "{name}"),
        }
    }
}

#[test]
fn roles_come_from_the_path_that_is_named() {
    let rows: [Row; 11] = [
        ("a list", json!({ "realm_access": { "roles": ["a", "b c"] } }), Ok(&["a", "b c"])),
        ("a string is one role", json!({ "realm_access": { "roles": "a b" } }), Ok(&["a b"])),
        ("beside others", json!({ "realm_access": { "x": [1], "roles": ["a"], "y": {} } }), Ok(&["a"])),
        ("absent", json!({}), Ok(&[])),
        ("no roles in it", json!({ "realm_access": {} }), Ok(&[])),
        (
            "elsewhere",
            json!({ "roles": ["admin"], "a": { "realm_access": { "roles": ["admin"] } } }),
            Ok(&[]),
        ),
        ("deeper", json!({ "realm_access": { "a": { "roles": ["admin"] } } }), Ok(&[])),
        ("a dotted name", json!({ "realm_access.roles": ["admin"] }), Ok(&[])),
        ("a number", json!({ "realm_access": { "roles": 1 } }), Err("the claims are malformed")),
        ("an object", json!({ "realm_access": { "roles": {} } }), Err("the claims are malformed")),
        ("a list on the way", json!({ "realm_access": [] }), Err("the claims are malformed")),
    ];
    let layer = layer([ES256.issuer().roles_claim(["realm_access", "roles"])]);
    for (name, more, expected) in rows {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match (ask(&layer, &ES256.token(&claims)), expected) {
            (Ok(me), Ok(roles)) => assert!(me.roles().eq(roles.iter().copied()), "{name}: {me:?}"),
            (found, expected) => assert_eq!(found.map(drop), expected.map(drop), "{name}"),
        }
    }
    let twice = claims().to_string().replacen('{', r#"{"realm_access":{"roles":["a"],"roles":["b"]},"#, 1);
    let token = ES256.compact(ES256.header().to_string().as_bytes(), twice.as_bytes());
    assert_eq!(ask(&layer, &token).map(drop), MALFORMED);
}

#[test]
fn a_top_level_claim_can_hold_roles() {
    let layer =
        layer([ES256.issuer().roles_claim("https://api.example/roles").scope_claims(["permissions"])]);
    let mut claims = claims_with("https://api.example/roles", json!(["admin"]));
    claims["permissions"] = json!(["read:x"]);
    claims["scope"] = json!("ignored");
    let me = ask(&layer, &ES256.token(&claims)).unwrap();
    assert!(me.roles().eq(["admin"]) && me.scopes().eq(["read:x"]));
}

#[test]
fn scopes_and_roles_can_stand_below_one_name() {
    let issuer =
        ES256.issuer().scope_claims([["access", "scopes"], ["more", "s"]]).roles_claim(["access", "roles"]);
    let layer = layer([issuer]);
    let access = json!({ "x": [1], "roles": ["r"], "scopes": "a b" });
    let mut claims = claims_with("access", access);
    claims["more"] = json!({ "s": ["c d"] });
    claims["scope"] = json!("ignored");
    let me = ask(&layer, &ES256.token(&claims)).unwrap();
    assert!(me.roles().eq(["r"]) && me.scopes().eq(["a", "b", "c d"]), "{me:?}");
    for (name, access) in [
        ("a list on the way", json!([])),
        ("a number", json!({ "scopes": 1 })),
        ("an object at the end", json!({ "roles": { "r": true } })),
    ] {
        check(&layer, name, &claims_with("access", access), MALFORMED);
    }
    let twice = claims_with("x", json!(1)).to_string();
    let twice = twice.replacen('{', r#"{"access":{"scopes":"a","scopes":"b"},"#, 1);
    let token = ES256.compact(ES256.header().to_string().as_bytes(), twice.as_bytes());
    assert_eq!(ask(&layer, &token).map(drop), MALFORMED);
}

#[test]
fn no_more_is_granted_by_a_claim_of_the_wrong_type() {
    let layer = layer([ES256.issuer()]);
    for (name, value) in [
        ("jti", json!(1)),
        ("acr", json!(1)),
        ("amr", json!({})),
        ("client_id", json!([])),
        ("typ", json!(1)),
    ] {
        check(&layer, name, &claims_with(name, value), MALFORMED);
    }
}
