//! [`Browser`]: a Chromium without a window, driven as W3C WebDriver says: JSON over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::driver::{Driver, PATIENCE, chromium};

/// A browser with an empty profile. What a test looks for on a page is waited for, until [`PATIENCE`] ends.
pub struct Browser {
    http: Client<HttpConnector, Full<Bytes>>,
    driver: Driver,
    /// The path of its commands.
    session: String,
}

/// What names an element in JSON (WebDriver, section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The element's page is gone (WebDriver, section 12.1).
const STALE: &str = "stale element reference";

/// Nothing that the browser does by itself may reach the network, or the profile of whoever runs the tests.
const ARGUMENTS: [&str; 14] = [
    "--headless",
    // Pages are our own, and neither root nor a container has a sandbox.
    "--no-sandbox",
    "--disable-gpu",
    // Containers have little of /dev/shm.
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    // No port that others could connect to.
    "--remote-debugging-pipe",
];

impl Browser {
    /// # Panics
    /// Where there is no Chromium.
    pub async fn open() -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        let mut browser = Self { http, driver: Driver::start(), session: "/session".to_owned() };
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", browser.driver.directory().join("profile").display()));
        let milliseconds = PATIENCE.as_millis();
        let capabilities = json!({
            "timeouts": { "implicit": milliseconds, "pageLoad": milliseconds, "script": milliseconds },
            "goog:chromeOptions": { "binary": chromium(), "args": arguments },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let session = browser.call(Method::POST, "", &wanted).await.unwrap_or_else(|error| panic!("{error}"));
        browser.session = format!("/session/{}/", text(&session["sessionId"]));
        browser
    }

    /// Goes to this address; its page is loaded when this returns.
    pub async fn visit(&self, url: &str) {
        self.post("url", &json!({ "url": url })).await;
    }

    /// Presses the browser's own back button.
    pub async fn back(&self) {
        self.post("back", &json!({})).await;
    }

    /// The address of the page.
    pub async fn url(&self) -> String {
        text(&self.get("url").await)
    }

    /// Writes into the field of this name, in place of what it holds.
    pub async fn write(&self, field: &str, value: &str) {
        let field = self.element("css selector", &format!("[name='{field}']")).await;
        self.post(&format!("element/{field}/clear"), &json!({})).await;
        self.post(&format!("element/{field}/value"), &json!({ "text": value })).await;
    }

    /// Presses the button that says this.
    pub async fn press(&self, button: &str) {
        let button = self.element("xpath", &format!("//button[normalize-space()='{button}']")).await;
        self.post(&format!("element/{button}/click"), &json!({})).await;
    }

    /// Waits for a page with this heading.
    pub async fn sees(&self, heading: &str) {
        self.element("xpath", &format!("//h1[normalize-space()='{heading}']")).await;
    }

    /// Waits for an element of this kind that says this, among other things.
    pub async fn shows(&self, kind: &str, text: &str) {
        self.element("xpath", &format!("//{kind}[contains(., '{text}')]")).await;
    }

    /// What is to be read in the element of this selector; where a page takes another's place meanwhile, in the new one's.
    pub async fn text(&self, selector: &str) -> String {
        loop {
            let element = self.element("css selector", selector).await;
            let command = format!("element/{element}/text");
            match self.call(Method::GET, &command, &Value::Null).await {
                Ok(read) => return text(&read),
                // Each look ends with the page that it was at, and pages do not come without end.
                Err(error) if error.contains(STALE) => {}
                Err(error) => panic!("{command}: {error}"),
            }
        }
    }

    /// The cookies for this page, also those that its scripts do not see.
    pub async fn cookies(&self) -> Value {
        self.get("cookie").await
    }

    /// What this function's body gives when the page runs it.
    pub async fn script(&self, body: &str) -> Value {
        self.post("execute/sync", &json!({ "script": body, "args": [] })).await
    }

    /// The element's name, once it is there.
    async fn element(&self, strategy: &str, what: &str) -> String {
        let wanted = json!({ "using": strategy, "value": what });
        match self.call(Method::POST, "element", &wanted).await {
            Ok(element) => text(&element[ELEMENT]),
            Err(error) => {
                let page = self.get("source").await;
                panic!("no {what} on {}: {error}\n{}", self.url().await, text(&page))
            }
        }
    }

    async fn get(&self, command: &str) -> Value {
        let answer = self.call(Method::GET, command, &Value::Null).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    async fn post(&self, command: &str, arguments: &Value) -> Value {
        let answer = self.call(Method::POST, command, arguments).await;
        answer.unwrap_or_else(|error| panic!("{command} {arguments}: {error}"))
    }

    /// A command's value, or the error that it ended with (WebDriver, section 6.6).
    async fn call(&self, method: Method, command: &str, arguments: &Value) -> Result<Value, String> {
        let body = if arguments.is_null() { String::new() } else { arguments.to_string() };
        let uri = format!("http://127.0.0.1:{}{}{command}", self.driver.port(), self.session);
        let request = Request::builder().method(method).uri(uri).body(Full::from(body)).unwrap();
        let answer = async {
            let response = self.http.request(request).await.unwrap();
            (response.status(), response.into_body().collect().await.unwrap().to_bytes())
        };
        // The driver has limits of its own, which say what was waited for; this one is for a driver that hangs.
        let limit = PATIENCE + Duration::from_secs(10);
        let (status, body) = tokio::time::timeout(limit, answer).await.expect("chromedriver answers");
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        let value = answer["value"].take();
        if status.is_success() { Ok(value) } else { Err(text(&value["message"])) }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}
