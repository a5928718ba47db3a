//! [`Stage`]: the example's service on one kind of store, and what the tests do with it again and again.

use axum::Router;
use portcullis_testkit::client::{Client, Response};
use portcullis_testkit::redis::RedisServer;
use serde_json::{Value, json};

use crate::example::{Config, app};

pub type Browser = Client<Router>;

pub const ORIGIN: &str = "http://localhost:3000";
pub const PASSWORD: &str = "correct horse battery staple";
pub const COOKIE: &str = "__Host-id";

/// The service. Each has a store of its own: users are the same everywhere, and their devices are listed.
pub struct Stage {
    pub app: Router,
    /// `None`: sessions are kept in memory.
    redis: Option<RedisServer>,
}

impl Stage {
    pub fn in_memory() -> Self {
        Self { app: instance(None), redis: None }
    }

    pub fn in_redis() -> Self {
        let redis = RedisServer::start();
        Self { app: instance(Some(redis.url())), redis: Some(redis) }
    }

    /// # Panics
    /// In memory.
    pub fn redis(&self) -> &RedisServer {
        self.redis.as_ref().unwrap()
    }

    /// Another instance on the same Redis, with a connection of its own.
    pub fn another_instance(&self) -> Router {
        instance(Some(self.redis().url()))
    }

    /// A browser at [`ORIGIN`], without cookies.
    pub fn browser(&self) -> Browser {
        Client::new(self.app.clone()).base(ORIGIN)
    }

    /// A browser in which this user is signed in.
    pub async fn signed_in(&self, user: &str) -> Browser {
        let browser = self.browser();
        sign_in(&browser, user).await.assert_status(303);
        browser
    }

    /// An access token of this user.
    pub async fn token(&self, user: &str) -> String {
        let credentials = json!({ "username": user, "password": PASSWORD });
        let response = self.browser().post_json("/api/token", &credentials).without_browser().await;
        response.assert_status(200).json::<Value>()["access_token"].as_str().unwrap().to_owned()
    }
}

/// Runs `test` on each kind of store.
pub async fn on_each<F: Future<Output = ()>>(test: impl Fn(Stage) -> F) {
    for stage in [Stage::in_memory(), Stage::in_redis()] {
        println!("in {}", if stage.redis.is_some() { "redis" } else { "memory" });
        test(stage).await;
    }
}

/// The service as its program makes it.
pub fn instance(redis_url: Option<String>) -> Router {
    app(&Config { demo_password: PASSWORD.to_owned(), redis_url, insecure_dev: false }).unwrap()
}

pub async fn sign_in(browser: &Browser, user: &str) -> Response {
    browser.post_form("/login", &[("username", user), ("password", PASSWORD)]).await
}

/// The browser that a thief would have who got hold of the cookies.
pub fn thief(browser: &Browser) -> Browser {
    browser.another().with_jar(browser.jar().copy())
}

/// Who is signed in, if anybody.
pub async fn subject(browser: &Browser) -> Option<String> {
    let response = browser.get("/api/me").await;
    match response.status.as_u16() {
        401 => None,
        _ => response.assert_status(200).json::<Value>()["subject"].as_str().map(str::to_owned),
    }
}

/// The note on the account page, as HTML.
pub async fn note(browser: &Browser) -> Option<String> {
    let page = browser.get("/account").await.assert_status(200).text();
    between(&page, "<blockquote>", "</blockquote>").map(str::to_owned)
}

/// Where the counter on the account page stands.
pub async fn counter(browser: &Browser) -> i64 {
    let page = browser.get("/account").await.assert_status(200).text();
    between(&page, "It stands at <strong>", "</strong>").unwrap().parse().unwrap()
}

/// The sessions on the page of devices, in its order, and which of them is this one.
pub async fn devices(browser: &Browser) -> (Vec<String>, Option<usize>) {
    let page = browser.get("/devices").await.assert_status(200).text();
    let rows: Vec<&str> = page.split("<code>").skip(1).collect();
    let refs = rows.iter().map(|row| row.split("</code>").next().unwrap().to_owned()).collect();
    (refs, rows.iter().position(|row| row.contains("(this one)")))
}

pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(within, _)| within)
}
