//! Whose token it is decides whose data are seen, and nothing else does.

use axum::Router;
use portcullis_testkit::client::Client;

#[path = "../../examples/multi_tenant.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

async fn get(client: &Client<Router>, path: &str, token: &str) -> (u16, String) {
    let request = client.get(path).header("authorization", format!("Bearer {token}"));
    let response = request.header("x-tenant", "acme").header("host", "acme.example").await;
    (response.status.as_u16(), response.text())
}

#[tokio::test]
async fn two_users_of_one_name_are_two_and_see_what_is_their_tenants() {
    let minting = program::minting().unwrap();
    let client = Client::new(program::app(&minting).unwrap());
    let [acme, globex] = [0, 1].map(|at| minting[at].mint("ada", &[]).unwrap());
    assert_eq!(get(&client, "/orders", &acme).await, (200, "acme: anvils\n".to_owned()));
    assert_eq!(get(&client, "/orders", &globex).await, (200, "globex: a moon\n".to_owned()));
    assert_eq!(get(&client, "/me", &globex).await, (200, "ada of globex\n".to_owned()));
    client.get("/orders").await.assert_status(401);
}

#[tokio::test]
async fn no_tenant_speaks_in_anothers_name() {
    let minting = program::minting().unwrap();
    let client = Client::new(program::app(&minting).unwrap());
    let acme = serde_json::json!("https://login.acme.example");
    let forged = minting[1].mint("ada", &[("iss", acme)]).unwrap();
    assert_eq!(get(&client, "/orders", &forged).await.0, 401);
    // Nor does one whom nobody knows, with a good key of its own.
    let other = program::minting().unwrap();
    assert_eq!(get(&client, "/orders", &other[0].mint("ada", &[]).unwrap()).await.0, 401);
}
