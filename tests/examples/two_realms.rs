//! Whoever is signed in as a customer is nobody among the staff, and the other way round.

use axum::Router;
use portcullis_testkit::client::Client;

#[path = "../../examples/two_realms.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

const PASSWORD: &str = "correct horse battery staple";

async fn sign_in(browser: &Client<Router>, path: &str, username: &str, status: u16) {
    let form = [("username", username), ("password", PASSWORD)];
    browser.post_form(path, &form).await.assert_status(status);
}

fn browser() -> Client<Router> {
    Client::new(program::app(PASSWORD).unwrap())
}

#[tokio::test]
async fn two_people_share_a_browser_and_stay_two() {
    let browser = browser();
    sign_in(&browser, "/login", "ada", 204).await;
    browser.get("/staff").await.assert_status(401);
    sign_in(&browser, "/staff/login", "ada", 401).await;
    sign_in(&browser, "/login", "grace", 401).await;
    sign_in(&browser, "/staff/login", "grace", 204).await;
    assert_eq!(browser.jar().names(), ["__Host-id", "__Host-staff-id"]);
    assert_eq!(browser.get("/").await.text(), "hello ada\n");
    assert_eq!(browser.get("/staff").await.text(), "hello grace\n");
    browser.post("/logout").await.assert_status(204);
    assert_eq!(browser.get("/").await.text(), "hello stranger\n");
    assert_eq!(browser.get("/staff").await.text(), "hello grace\n");
}

#[tokio::test]
async fn staff_end_a_customers_sessions_and_no_other_site_makes_them() {
    let customer = browser();
    let clerk = customer.another();
    sign_in(&customer, "/login", "ada", 204).await;
    customer.post("/staff/sign-out/ada").await.assert_status(401);
    sign_in(&clerk, "/staff/login", "grace", 204).await;
    let cookie = format!("__Host-staff-id={}", clerk.jar().get("__Host-staff-id").unwrap());
    let forged = clerk.post("/staff/sign-out/ada").from_origin("https://evil.example");
    forged.header("cookie", cookie.as_str()).await.assert_status(403);
    assert_eq!(customer.get("/").await.text(), "hello ada\n");
    assert_eq!(clerk.post("/staff/sign-out/ada").await.text(), "1\n");
    assert_eq!(customer.get("/").await.text(), "hello stranger\n");
}
