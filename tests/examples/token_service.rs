//! The walk that the example's first lines describe.

use portcullis::bearer::MemoryTokenBackend;
use portcullis_testkit::client::Client;
use serde_json::Value;

#[path = "../../examples/token_service.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

const PASSWORD: &str = "correct horse battery staple";
const URL: &str = "http://localhost:3009";

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn login_refresh_logout() {
    let client = Client::new(program::app(URL, PASSWORD, MemoryTokenBackend::new()).unwrap());
    let metadata: Value =
        serde_json::from_str(&client.get("/.well-known/oauth-authorization-server").await.text()).unwrap();
    assert_eq!(text(&metadata, "issuer"), URL);
    assert_eq!(client.get("/.well-known/openid-configuration").await.text(), metadata.to_string());
    let jwks = client.get(text(&metadata, "jwks_uri").strip_prefix(URL).unwrap()).await;
    assert!(jwks.text().contains("P-256"));

    let wrong = [("username", "ada"), ("password", "guess")];
    client.post_form("/login", &wrong).await.assert_status(401);
    let right = [("username", "ada"), ("password", PASSWORD)];
    let login = client.post_form("/login", &right).await.assert_status(200);
    assert_eq!(login.header("cache-control"), Some("no-store"));
    let login: Value = serde_json::from_str(&login.text()).unwrap();
    client.get("/me").await.assert_status(401);
    assert_eq!(client.get("/me").bearer(text(&login, "access_token")).await.text(), "hello ada\n");

    let endpoint = text(&metadata, "token_endpoint").strip_prefix(URL).unwrap().to_owned();
    let refresh = async |token: &str| {
        let form = [("grant_type", "refresh_token"), ("client_id", "web"), ("refresh_token", token)];
        let response = client.post_form(&endpoint, &form).await;
        (response.status.as_u16(), serde_json::from_str::<Value>(&response.text()).unwrap())
    };
    let (status, next) = refresh(text(&login, "refresh_token")).await;
    assert_eq!(status, 200);
    let (_, same) = refresh(text(&login, "refresh_token")).await;
    assert_eq!(text(&next, "refresh_token"), text(&same, "refresh_token"));

    client.post("/logout").bearer(text(&next, "access_token")).await.assert_status(204);
    for token in [&login, &next, &same] {
        client.get("/me").bearer(text(token, "access_token")).await.assert_status(401);
    }
    let (status, refused) = refresh(text(&next, "refresh_token")).await;
    assert_eq!((status, text(&refused, "error")), (400, "invalid_grant"));
}
