//! What clients are told, read by two parsers that know RFC 9110 and nothing of the library: one of these tests, as strict
//! as the grammar, and `http-auth`, which clients use.

use std::time::Duration;

use http::{Request, Response};
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
use portcullis::bearer::Algorithm;
use portcullis::{BearerLayer, Identity, RequireLayer};
use portcullis_store::ManualClock;
use serde_json::json;
use tower::{Layer, Service, service_fn};

use crate::mint::{ES256, Signer, at_once, claims, claims_with, handler, layer, send};

const HOSTILE: [&str; 8] = [
    "plain",
    "two words",
    "a\", error=\"none",
    "back\\slash\\\"",
    "comma, Basic realm=\"x\"",
    "line\r\nSet-Cookie: a=b",
    "n\u{fc}ll \0 \u{1f512}",
    "",
];

/// One challenge: a scheme, and parameters with their values, each once (RFC 9110, section 11.6.1).
fn parse(header: &str) -> (String, Vec<(String, String)>) {
    let mut rest = header.chars().peekable();
    let scheme = token(&mut rest);
    assert_eq!(rest.next(), Some(' '), "{header}");
    let mut params: Vec<(String, String)> = Vec::new();
    loop {
        let name = token(&mut rest);
        assert_eq!(rest.next(), Some('='), "{header}");
        let value = if rest.peek() == Some(&'"') { quoted(&mut rest) } else { token(&mut rest) };
        assert!(params.iter().all(|(held, _)| !held.eq_ignore_ascii_case(&name)), "{name} twice in {header}");
        params.push((name, value));
        while rest.next_if_eq(&' ').is_some() {}
        match rest.next() {
            None => return (scheme, params),
            Some(',') => while rest.next_if_eq(&' ').is_some() {},
            Some(other) => panic!("{other:?} between the parameters of {header}"),
        }
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn token(rest: &mut Chars<'_>) -> String {
    let is_tchar = |c: &char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(*c);
    let token: String = std::iter::from_fn(|| rest.next_if(is_tchar)).collect();
    assert!(!token.is_empty());
    token
}

fn quoted(rest: &mut Chars<'_>) -> String {
    assert_eq!(rest.next(), Some('"'));
    let mut value = String::new();
    loop {
        match rest.next().expect("an open quote") {
            '"' => return value,
            '\\' => value.push(rest.next().expect("a lone backslash")),
            c @ (' '..='~') => value.push(c),
            other => panic!("{other:?}"),
        }
    }
}

fn challenge(response: &Response<String>) -> Vec<(String, String)> {
    let all: Vec<_> = response.headers().get_all("www-authenticate").iter().collect();
    let [one] = all[..] else { panic!("{all:?}") };
    let (scheme, params) = parse(one.to_str().unwrap());
    assert_eq!(scheme, "Bearer");
    assert_eq!(by_http_auth(one.to_str().unwrap()), params);
    params
}

/// As a client reads it.
fn by_http_auth(header: &str) -> Vec<(String, String)> {
    let challenges = http_auth::parser::ChallengeParser::new(header).collect::<Result<Vec<_>, _>>().unwrap();
    let [one] = challenges.as_slice() else { panic!("{header}") };
    assert_eq!(one.scheme, "Bearer");
    one.params.iter().map(|(name, value)| ((*name).to_owned(), value.to_unescaped())).collect()
}

fn param<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
}

/// Bearer outside, a required scope inside.
fn guarded(bearer: &BearerLayer, scope: &str, authorization: Option<String>) -> Response<String> {
    let mut request = Request::get("/");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let inner = RequireLayer::authenticated().scope(scope).layer(service_fn(handler));
    at_once(bearer.layer(inner).call(request.body(String::new()).unwrap()))
}

#[test]
fn every_challenge_parses_and_has_the_right_error() {
    let required = layer([ES256.issuer()]).required();
    let stranger = Signer::new(Algorithm::ES256);
    let rows: [(&str, Vec<String>, u16, Option<&str>); 5] = [
        ("no credentials", vec![], 401, None),
        ("another scheme", vec!["Basic YTpi".into()], 401, None),
        ("two tokens", vec!["Bearer a".into(), "Bearer b".into()], 400, Some("invalid_request")),
        ("garbage", vec!["Bearer garbage".into()], 401, Some("invalid_token")),
        ("a stranger's", vec![format!("Bearer {}", stranger.token(&claims()))], 401, Some("invalid_token")),
    ];
    for realm in HOSTILE {
        let layer = required.clone().protection_space(realm);
        for (name, values, status, error) in &rows {
            let response = send(&layer, values.iter().map(String::as_bytes));
            assert_eq!(response.status().as_u16(), *status, "{name}");
            let params = challenge(&response);
            assert_eq!(param(&params, "error"), *error, "{name}");
            assert_eq!(param(&params, "error_description").is_some(), error.is_some(), "{name}");
            assert_eq!(param(&params, "scope"), None, "{name}");
            let printable: String = realm.chars().filter(|c| (' '..='~').contains(c)).collect();
            assert_eq!(param(&params, "realm"), Some(printable.as_str()), "{name}");
            assert_eq!(response.headers().get("set-cookie"), None, "{name}");
        }
    }
}

#[test]
fn nothing_of_a_hostile_token_is_in_its_challenge() {
    let layer = layer([ES256.issuer()]);
    for hostile in HOSTILE {
        let mut header = ES256.header();
        header["kid"] = json!(hostile);
        let tokens = [
            ES256.token_with(&header, &claims()),
            ES256.token_with(&json!({ "alg": hostile }), &claims()),
            ES256.token(&claims_with("iss", json!(hostile))),
            ES256.token(&claims_with("aud", json!(hostile))),
        ];
        for token in tokens {
            let response = send(&layer, [format!("Bearer {token}").as_bytes()]);
            let params = challenge(&response);
            assert_eq!(param(&params, "error"), Some("invalid_token"));
            assert_eq!(params.len(), 3, "{params:?}");
            assert!(
                params.iter().all(|(_, value)| hostile.is_empty() || !value.contains(hostile)),
                "{params:?}"
            );
        }
    }
}

#[test]
fn hostile_scopes_stay_in_their_quotes() {
    let layer = layer([ES256.issuer()]);
    for scope in HOSTILE {
        let response = guarded(&layer, scope, Some(format!("Bearer {}", ES256.token(&claims()))));
        assert_eq!(response.status(), 403);
        let params = challenge(&response);
        let printable: String = scope.chars().filter(|c| (' '..='~').contains(c)).collect();
        assert_eq!(param(&params, "scope"), Some(printable.as_str()));
        assert_eq!(param(&params, "error"), Some("insufficient_scope"));
    }
}

#[test]
fn a_step_up_asks_for_everything_at_once() {
    let bearer = layer([ES256.issuer()]);
    let require = RequireLayer::authenticated().clock(ManualClock::default());
    let hour = Duration::from_secs(3600);
    let rows = [
        ("fresh", require.clone().fresh(hour), None, Some("3600")),
        ("strong", require.clone().acr(["gold", "silver"]), Some("gold silver"), None),
        ("both", require.clone().acr(["gold"]).fresh(hour), Some("gold"), Some("3600")),
        ("both the other way", require.clone().fresh(hour).acr(["gold"]), Some("gold"), Some("3600")),
        ("the shorter time", require.clone().fresh(hour).fresh(hour / 60), None, Some("60")),
        ("what is on both lists", require.clone().acr(["a", "b"]).acr(["b", "c"]), Some("b"), None),
    ];
    for (name, require, acr_values, max_age) in rows {
        let mut request = Request::new(String::new());
        let authorization = format!("Bearer {}", ES256.token(&claims()));
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        let response = at_once(bearer.layer(require.layer(service_fn(handler))).call(request));
        assert_eq!(response.status(), 401, "{name}");
        let params = challenge(&response);
        assert_eq!(param(&params, "error"), Some("insufficient_user_authentication"), "{name}");
        assert!(param(&params, "error_description").is_some(), "{name}");
        assert_eq!(
            (param(&params, "acr_values"), param(&params, "max_age")),
            (acr_values, max_age),
            "{name}"
        );
    }
    for acr in HOSTILE {
        let require = RequireLayer::authenticated().acr([acr]);
        let mut request = Request::new(String::new());
        let authorization = format!("Bearer {}", ES256.token(&claims()));
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        let response = at_once(bearer.layer(require.layer(service_fn(handler))).call(request));
        let printable: String = acr.chars().filter(|c| (' '..='~').contains(c)).collect();
        assert_eq!(param(&challenge(&response), "acr_values"), Some(printable.as_str()));
    }
}

/// Recognises everybody as the same user, as a session would.
struct Session;

impl Authenticator for Session {
    type Visit = ();

    fn open<B>(&self, _: &mut Request<B>) -> Opening<()> {
        Opening::authenticated(Identity::new("ada"), ())
    }
}

#[test]
fn the_required_scope_is_not_named_before_a_token_is_verified() {
    let bearer = layer([ES256.issuer()]);
    let token = ES256.token(&claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    let unverified = [
        ("no token", None),
        ("garbage", Some("Bearer garbage".to_owned())),
        ("unsigned", Some(format!("Bearer {message}."))),
        ("another scheme", Some("Basic YTpi".to_owned())),
        ("malformed", Some("Bearer a b".to_owned())),
    ];
    let names_it = |response: &Response<String>| format!("{:?}", response.headers()).contains("vault:open");
    for (name, authorization) in unverified {
        let response = guarded(&bearer, "vault:open", authorization);
        assert!(!names_it(&response), "{name}");
    }
    assert!(names_it(&guarded(&bearer, "vault:open", Some(format!("Bearer {token}")))));

    let inner = bearer.layer(RequireLayer::authenticated().scope("vault:open").layer(service_fn(handler)));
    let mut service = AuthenticateLayer::new(Session).layer(inner);
    let response = at_once(service.call(Request::new(String::new())));
    assert_eq!(response.status(), 403);
    assert!(!names_it(&response), "a session");
}
