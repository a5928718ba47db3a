//! One router, two kinds of callers, and a rule for each route.

use axum::Router;
use portcullis::guard::Public;
use portcullis::issue::Grant;
use portcullis::rejection::Rejection;
use portcullis_testkit::client::Client;
use portcullis_testkit::coverage::Coverage;

#[path = "../../examples/axum_full.rs"]
#[expect(dead_code, reason = "the program's main")]
pub mod program;

pub const PASSWORD: &str = "correct horse battery staple";

pub fn tokens() -> program::authority::Authority {
    program::authority::Authority::new("https://full.example", "reports").unwrap()
}

fn browser() -> Client<Router> {
    Client::new(program::app(PASSWORD, &tokens()).unwrap())
}

async fn sign_in(browser: &Client<Router>, user: &str) {
    let form = [("username", user), ("password", PASSWORD)];
    browser.post_form("/login", &form).await.assert_status(303);
}

#[tokio::test]
async fn people_are_sent_to_sign_in_and_come_back_and_programs_are_told_why() {
    let browser = browser();
    let page = browser.get("/account?tab=2").await.assert_status(303);
    assert_eq!(page.header("location"), Some("/login?next=/account%3Ftab%3D2"));
    let form = browser.get("/login?next=/account%3Ftab%3D2").await.assert_status(200);
    assert!(form.text().contains(r#"name="next" value="/account?tab=2""#), "{}", form.text());
    let fields = [("username", "ada"), ("password", PASSWORD), ("next", "/account?tab=2")];
    let back = browser.post_form("/login", &fields).await.assert_status(303);
    assert_eq!(back.header("location"), Some("/account?tab=2"));
    assert_eq!(browser.get("/account?tab=2").await.text(), "hello ada\n");

    let program = browser.another();
    let refused = program.request(http::Method::GET, "/account").await.assert_status(401);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    for hostile in ["//evil.example", "/\\evil.example", "https:evil.example"] {
        let fields = [("username", "ada"), ("password", PASSWORD), ("next", hostile)];
        program.post_form("/login", &fields).await.assert_status(422);
        program.get(&format!("/login?next={hostile}")).await.assert_status(400);
    }
}

#[tokio::test]
async fn each_route_has_its_rule() {
    let (ada, grace) = (browser(), browser());
    sign_in(&ada, "ada").await;
    sign_in(&grace, "grace").await;
    ada.post("/notes/ada").await.assert_status(204);
    ada.post("/notes/grace").await.assert_status(403);
    grace.post("/notes/ada").await.assert_status(204);
    ada.get("/admin").await.assert_status(403);
    grace.get("/admin").await.assert_status(200);
    grace.request(http::Method::DELETE, "/admin").await.assert_status(200);
    // A browser leaves the cookie at home. If it did not, it would still say where it comes from.
    ada.post("/notes/ada").from_origin("https://evil.example").await.assert_status(401);
    let forged = ada.post("/notes/ada").header("sec-fetch-site", "cross-site");
    forged.await.assert_status(403);
    let fields = [("username", "ada"), ("password", PASSWORD)];
    browser().post_form("/login", &fields).from_origin("https://evil.example").await.assert_status(403);
    ada.get("/reports/7").await.assert_status(403);
    ada.post("/logout").await.assert_status(204);
    ada.post("/notes/ada").await.assert_status(401);
}

#[tokio::test]
async fn programs_come_with_tokens() {
    let tokens = tokens();
    let program = Client::new(program::app(PASSWORD, &tokens).unwrap());
    let mut minted = Vec::new();
    for scope in ["reports.read", "other", "x"] {
        let token = tokens.mint(&Grant::new("robot", "test").scope(scope)).await.unwrap();
        minted.push(token.as_str().to_owned());
    }
    let [reads, other, x] = minted.try_into().unwrap();
    let report = program.get("/reports/7").bearer(reads).await.assert_status(200);
    assert_eq!(report.text(), "report 7, for robot\n");
    let refused = program.get("/reports/7").bearer(other).await.assert_status(403);
    assert!(refused.header("www-authenticate").unwrap().contains(r#"scope="reports.read""#));
    program.post("/notes/robot").bearer(x).from_origin("https://evil.example").await.assert_status(204);
}

#[tokio::test]
async fn no_route_was_forgotten() {
    let coverage = Coverage::<Rejection, Public>::new()
        .get("/")
        .get("/login")
        .post("/login")
        .post("/logout")
        .get("/account")
        .post("/notes/ada")
        .get("/admin")
        .route(http::Method::DELETE, "/admin")
        .get("/reports/7")
        .post("/demo.Reports/Read");
    coverage.assert(program::app(PASSWORD, &tokens()).unwrap()).await;
}
