//! Tokens: minted, verified, and what they open.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_testkit::client::Response;
use serde_json::{Value, json};

use super::stage::{PASSWORD, on_each};

/// The parameters of each challenge by its scheme: `Scheme name="value", ...` (RFC 9110, section 11.6.1).
fn challenges(response: &Response) -> BTreeMap<String, BTreeMap<String, String>> {
    let lines: Vec<&str> =
        response.headers.get_all("www-authenticate").iter().map(|line| line.to_str().unwrap()).collect();
    let challenges: BTreeMap<_, _> = lines.iter().map(|line| challenge(line)).collect();
    assert_eq!(challenges.len(), lines.len(), "no scheme twice: {lines:?}");
    challenges
}

fn challenge(line: &str) -> (String, BTreeMap<String, String>) {
    let (scheme, parameters) = line.split_once(' ').unwrap();
    let pairs: Vec<_> = parameters.split(", ").map(parameter).collect();
    let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(map.len(), pairs.len(), "no parameter twice: {line}");
    (scheme.to_owned(), map)
}

fn parameter(text: &str) -> (String, String) {
    let (name, quoted) = text.split_once('=').unwrap();
    let value = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-');
    assert!(!name.is_empty() && name.bytes().all(is_name), "{text}");
    assert!(!value.is_empty() && !value.contains(['"', '\\']), "{text}");
    (name.to_owned(), value.to_owned())
}

/// The token with one bit of each of its bytes flipped in turn, in the header, the claims and the signature.
fn flipped(token: &str) -> Vec<String> {
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let places =
        parts.iter().enumerate().flat_map(|(part, bytes)| (0..bytes.len()).map(move |at| (part, at)));
    let flip = |(part, at): (usize, usize)| {
        let mut parts = parts.clone();
        parts[part][at] ^= 1 << (at % 8);
        parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".")
    };
    places.map(flip).collect()
}

#[tokio::test]
async fn a_token_with_one_bit_flipped_is_401_with_a_well_formed_challenge() {
    on_each(async |stage| {
        let token = stage.token("grace").await;
        let browser = stage.signed_in("grace").await;
        let flipped = flipped(&token);
        assert!(flipped.len() > 200);
        for bad in flipped {
            assert_ne!(bad, token);
            // The good session beside it does not help: a credential that was offered and failed never falls back.
            for request in [browser.get("/api/admin").without_cookies(), browser.get("/api/admin")] {
                let response = request.bearer(&bad).await;
                assert_eq!(response.status, 401, "{bad}: {}", response.text());
                let challenges = challenges(&response);
                assert_eq!(challenges.keys().collect::<Vec<_>>(), ["Bearer"]);
                assert_eq!(challenges["Bearer"]["realm"], "api", "{challenges:?}");
                assert_eq!(challenges["Bearer"]["error"], "invalid_token", "{challenges:?}");
            }
        }
        browser.get("/api/admin").bearer(&token).await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn a_token_is_given_for_a_password_and_must_not_be_stored() {
    on_each(async |stage| {
        let browser = stage.browser();
        let ask = |password: &str| {
            let credentials = json!({ "username": "ada", "password": password });
            browser.post_json("/api/token", &credentials).without_browser()
        };
        let response = ask(PASSWORD).await.assert_status(200);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.set_cookies(), [""; 0]);
        let answer: Value = response.json();
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(600)));

        let refused = ask("wrong").await.assert_status(401);
        assert_eq!(refused.text(), "unknown user or wrong password\n");
        assert!(challenges(&refused).contains_key("Bearer"));
    })
    .await;
}

#[tokio::test]
async fn me_is_the_same_person_by_session_and_by_token() {
    on_each(async |stage| {
        let refused = stage.browser().get("/api/me").await.assert_status(401);
        let challenges = challenges(&refused);
        assert_eq!(challenges.keys().collect::<Vec<_>>(), ["Bearer", "Cookie"], "what would be accepted");
        assert!(!challenges["Bearer"].contains_key("error"), "nothing was offered, so nothing is wrong");

        let browser = stage.signed_in("grace").await;
        let token = stage.token("grace").await;
        let rows = [
            ("session", browser.get("/api/me"), "session"),
            ("token", browser.get("/api/me").without_cookies().bearer(&token), "bearer"),
            ("both", browser.get("/api/me").bearer(&token), "bearer"),
        ];
        for (name, request, method) in rows {
            let me: Value = request.await.assert_status(200).json();
            assert_eq!(me["subject"], "grace", "{name}");
            assert_eq!(me["issuer"], "https://quickstart.example", "{name}");
            assert_eq!(me["method"], method, "{name}");
            assert_eq!(me["roles"], json!(["admin"]), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn credentials_of_two_users_in_one_request_are_refused() {
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        let response = browser.get("/api/admin").bearer(stage.token("grace").await).await.assert_status(400);
        assert_eq!(response.text(), "the request carries credentials of two different users\n");
    })
    .await;
}

#[tokio::test]
async fn admin_is_for_admins_by_session_and_by_token() {
    on_each(async |stage| {
        let browser = stage.browser();
        let (ada, grace) = (stage.signed_in("ada").await, stage.signed_in("grace").await);
        let rows = [
            ("nobody", browser.get("/api/admin"), 401),
            ("ada's session", ada.get("/api/admin"), 403),
            ("ada's token", browser.get("/api/admin").bearer(stage.token("ada").await), 403),
            ("grace's session", grace.get("/api/admin"), 200),
            ("grace's token", browser.get("/api/admin").bearer(stage.token("grace").await), 200),
        ];
        for (name, request, status) in rows {
            let response = request.await;
            assert_eq!(response.status.as_u16(), status, "{name}: {}", response.text());
            if status == 200 {
                assert_eq!(response.json::<Value>()["message"], "hello, grace", "{name}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_token_at_all_is_refused_on_every_route() {
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        for path in ["/", "/account", "/devices", "/api/me", "/login"] {
            for bad in ["x", "a.b.c", "e30.e30.", "..", &"a".repeat(9000)] {
                let response = browser.get(path).bearer(bad).await;
                let status = response.status.as_u16();
                assert!([400, 401].contains(&status), "{path} {bad}: {status} {}", response.text());
                let error = &challenges(&response)["Bearer"]["error"];
                assert!(["invalid_token", "invalid_request"].contains(&error.as_str()), "{bad}: {error}");
            }
        }
    })
    .await;
}
