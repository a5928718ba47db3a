//! Whose token it is decides whose data are seen, and nothing else does.

use axum::Router;
use portcullis::issue::Grant;
use portcullis_testkit::client::Client;

#[path = "../../examples/multi_tenant.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

async fn get(client: &Client<Router>, path: &str, token: &str) -> (u16, String) {
    let request = client.get(path).header("authorization", format!("Bearer {token}"));
    let response = request.header("x-tenant", "acme").header("host", "acme.example").await;
    (response.status.as_u16(), response.text())
}

async fn token(tokens: &program::tokens::Tokens) -> String {
    tokens.mint(&Grant::new("ada", "test")).await.unwrap().as_str().to_owned()
}

#[tokio::test]
async fn two_users_of_one_name_are_two_and_see_what_is_their_tenants() {
    let minting = program::minting().unwrap();
    let client = Client::new(program::app(&minting).unwrap());
    let (acme, globex) = (token(&minting[0]).await, token(&minting[1]).await);
    assert_eq!(get(&client, "/orders", &acme).await, (200, "acme: anvils\n".to_owned()));
    assert_eq!(get(&client, "/orders", &globex).await, (200, "globex: a moon\n".to_owned()));
    assert_eq!(get(&client, "/me", &globex).await, (200, "ada of globex\n".to_owned()));
    client.get("/orders").await.assert_status(401);
}

#[tokio::test]
async fn nobody_speaks_in_a_tenants_name_with_a_good_key_of_their_own() {
    let client = Client::new(program::app(&program::minting().unwrap()).unwrap());
    for other in &program::minting().unwrap() {
        assert_eq!(get(&client, "/orders", &token(other).await).await.0, 401);
    }
}
