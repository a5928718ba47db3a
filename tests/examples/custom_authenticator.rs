//! A credential of one's own is absent, accepted or refused, and nothing in between.

use axum::Router;
use http::Method;
use portcullis_testkit::client::Client;

#[path = "../../examples/custom_authenticator.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

/// Some programs' client, and the keys of a reader and of a deployer.
fn stage() -> (Client<Router>, [String; 2]) {
    let mut keys = program::ApiKeys::new();
    let issued = [("reporting", "reader"), ("ci", "deployer")];
    let issued = issued.map(|(name, role)| keys.issue(name, role).unwrap());
    (Client::new(program::app(keys)), issued)
}

#[tokio::test]
async fn each_key_opens_what_its_role_may_and_a_bad_one_opens_nothing() {
    let (client, [reader, deployer]) = stage();
    let (id, secret) = reader.split_once('.').unwrap();
    let other_secret = deployer.split_once('.').unwrap().1;
    let flipped = if secret.starts_with('A') { 'B' } else { 'A' };
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let rows = [
        ("none", vec![], [401, 401]),
        ("the reader's", keys(&[&reader]), [200, 403]),
        ("the deployer's", keys(&[&deployer]), [200, 200]),
        ("a guess", keys(&["guess"]), [401, 401]),
        ("empty", keys(&[""]), [401, 401]),
        ("an id alone", keys(&[id]), [401, 401]),
        ("an id without its secret", vec![format!("{id}.")], [401, 401]),
        ("another's secret", vec![format!("{id}.{other_secret}")], [401, 401]),
        ("a character changed", vec![format!("{id}.{flipped}{}", &secret[1..])], [401, 401]),
        ("two", keys(&[&reader, &deployer]), [401, 401]),
    ];
    for (name, values, expected) in rows {
        for ((method, path), expected) in
            [(Method::GET, "/"), (Method::POST, "/rebuild")].into_iter().zip(expected)
        {
            let request = client.request(method, path).without_browser();
            let request =
                values.iter().fold(request, |request, value| request.header("x-api-key", value.as_str()));
            let response = request.await;
            assert_eq!(response.status, expected, "{name}, {path}");
            let challenge = response.header("www-authenticate");
            assert_eq!(challenge, (expected == 401).then_some("ApiKey"), "{name}, {path}");
        }
    }
}

#[tokio::test]
async fn who_calls_has_the_name_that_the_key_was_issued_to() {
    let (client, [reader, deployer]) = stage();
    for (key, name) in [(&reader, "reporting"), (&deployer, "ci")] {
        let response = client.get("/").header("x-api-key", key.as_str()).await.assert_status(200);
        assert_eq!(response.text(), format!("hello, {name}\n"));
    }
}
