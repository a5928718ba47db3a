//! What a service is asked by the browser in the test process.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, Version};
use axum::response::Redirect;
use axum::routing::{any, get, post};
use bytes::Bytes;
use http_body_util::Full;
use portcullis_testkit::client::{Client, Response};
use portcullis_testkit::clock::ManualClock;
use serde_json::{Value, json};
use tower::service_fn;

/// Answers with the header fields of the request that came.
fn echo() -> Router {
    let show = async |headers: HeaderMap| {
        let pairs = headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
        axum::Json(Value::Object(pairs.collect()))
    };
    Router::new().fallback(any(show))
}

fn seen<'a>(response: &'a Value, name: &str) -> &'a str {
    response[name].as_str().unwrap_or("-")
}

#[tokio::test]
async fn origin_and_fetch_metadata_are_those_of_a_browser() {
    let client = Client::new(echo());
    let evil = "https://evil.example";
    let sibling = "https://blog.app.example";
    // columns: Origin, Sec-Fetch-Site, -Mode, -Dest, -User
    let cases = [
        ("a link", client.get("/"), ["-", "same-origin", "navigate", "document", "?1"]),
        ("an address typed", client.get("/").typed(), ["-", "none", "navigate", "document", "?1"]),
        (
            "a form",
            client.post_form("/", &[]),
            ["https://app.example", "same-origin", "navigate", "document", "?1"],
        ),
        ("a fetch", client.get("/").fetch(), ["-", "same-origin", "cors", "empty", "-"]),
        (
            "a fetch that posts",
            client.post("/"),
            ["https://app.example", "same-origin", "cors", "empty", "-"],
        ),
        (
            "a form of another site",
            client.post_form("/", &[]).from_origin(evil),
            [evil, "cross-site", "navigate", "document", "?1"],
        ),
        (
            "a link on another site",
            client.get("/").from_origin(evil),
            ["-", "cross-site", "navigate", "document", "?1"],
        ),
        (
            "a fetch of another site",
            client.get("/").fetch().from_origin(evil),
            [evil, "cross-site", "cors", "empty", "-"],
        ),
        (
            "a fetch of a sibling",
            client.post("/").from_origin(sibling),
            [sibling, "same-site", "cors", "empty", "-"],
        ),
        (
            "an image",
            client.get("/").from_origin(evil).subresource("image"),
            ["-", "cross-site", "no-cors", "image", "-"],
        ),
        (
            "a frame",
            client.get("/").from_origin(evil).subresource("iframe"),
            ["-", "cross-site", "navigate", "iframe", "-"],
        ),
        (
            "a sandboxed frame",
            client.post("/").from_origin("null"),
            ["null", "cross-site", "cors", "empty", "-"],
        ),
        (
            "a websocket",
            client.websocket("wss://app.example/").from_origin(evil),
            [evil, "cross-site", "websocket", "websocket", "-"],
        ),
        ("a program", client.post("/").without_browser(), ["-", "-", "-", "-", "-"]),
        (
            "an old browser",
            client.post("/").without_header("sec-fetch-site"),
            ["https://app.example", "-", "cors", "empty", "-"],
        ),
        ("plain http", client.post("http://app.example/"), ["https://app.example", "-", "-", "-", "-"]),
    ];
    for (name, request, expected) in cases {
        let response: Value = request.await.json();
        let names = ["origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user"];
        assert_eq!(names.map(|name| seen(&response, name)), expected, "{name}");
    }
}

#[tokio::test]
async fn a_header_of_the_test_stands_in_place_of_the_clients() {
    let client = Client::new(echo());
    client.jar().add("https://app.example/", "a=1");
    let request =
        client.post("/").header("origin", "junk").header("cookie", "b=2").header("host", "x").bearer("t");
    let response: Value = request.await.json();
    let names = ["origin", "cookie", "host", "authorization"];
    assert_eq!(names.map(|name| seen(&response, name)), ["junk", "b=2", "x", "Bearer t"]);
}

fn shop() -> Router {
    Router::new()
        .route(
            "/login",
            post(async || [("set-cookie", "__Host-id=7; Secure; Path=/; SameSite=Lax; Max-Age=600")]),
        )
        .route("/logout", post(async || [("set-cookie", "__Host-id=; Secure; Path=/; Max-Age=0")]))
        .route("/bad", post(async || [("set-cookie", "__Host-id=8; Path=/")]))
        .merge(echo())
}

async fn cookie(response: impl IntoFuture<Output = Response>) -> String {
    let value: Value = response.await.json();
    seen(&value, "cookie").to_owned()
}

#[tokio::test]
async fn a_cookie_is_kept_sent_and_removed() {
    let clock = ManualClock::default();
    let client = Client::new(shop()).clock(clock.clone());
    let login = client.post_form("/login", &[("user", "ada")]).await.assert_status(200);
    assert_eq!(login.set_cookies().len(), 1);
    assert_eq!(cookie(client.get("/x")).await, "__Host-id=7");
    assert_eq!(cookie(client.clone().get("/x")).await, "__Host-id=7", "another tab");
    assert_eq!(cookie(client.another().get("/x")).await, "-", "another browser");
    assert_eq!(cookie(client.get("/x").without_cookies()).await, "-");
    assert_eq!(cookie(client.get("https://other.example/x")).await, "-", "another host");
    assert_eq!(cookie(client.get("/x").from_origin("https://evil.example")).await, "__Host-id=7", "a link");
    assert_eq!(cookie(client.post("/x").from_origin("https://evil.example")).await, "-", "a cross-site POST");

    client.post("/bad").await;
    assert_eq!(client.jar().get("__Host-id").as_deref(), Some("7"));
    let thief = client.another().with_jar(client.jar().copy());
    client.post("/logout").await;
    assert_eq!(cookie(client.get("/x")).await, "-");
    assert_eq!(cookie(thief.get("/x")).await, "__Host-id=7");
    clock.advance(Duration::from_secs(600));
    assert_eq!(cookie(thief.get("/x")).await, "-", "expired");
}

#[tokio::test]
async fn redirects_are_followed_on_request_only() {
    let app = Router::new()
        .route("/a", post(async || ([("set-cookie", "seen=1; Path=/")], Redirect::to("/b?c"))))
        .route("/keep", post(async || Redirect::temporary("https://other.example/b")))
        .route("/loop", get(async || Redirect::to("/loop")))
        .route(
            "/b",
            any(async |request: Request| {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 100).await.unwrap();
                let header =
                    |name| head.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
                let (site, bearer, cookie) =
                    (header("sec-fetch-site"), header("authorization"), header("cookie"));
                format!("{} {} {} {site} {bearer} {cookie}", head.method, head.uri, body.len())
            }),
        );
    let client = Client::new(app);
    let request = || client.post_form("/a", &[("x", "y")]).bearer("t");
    assert_eq!(request().await.assert_status(303).header("location"), Some("/b?c"));
    assert_eq!(request().follow().await.text(), "GET /b?c 0 same-origin Bearer t seen=1");
    let kept = client.post_form("/keep", &[("x", "y")]).bearer("t").follow().await;
    assert_eq!(kept.text(), "POST /b 3 cross-site - -", "another origin gets no token and no cookie");
    let endless = tokio::spawn(client.get("/loop").follow().into_future()).await;
    assert!(endless.unwrap_err().is_panic());
}

#[tokio::test]
async fn any_tower_service_can_be_asked() {
    let axum_body = service_fn(async |request: http::Request<Body>| {
        let whole = axum::body::to_bytes(request.into_body(), 100).await.unwrap();
        Ok::<_, Infallible>(http::Response::new(Body::from(whole)))
    });
    let response = Client::<_, Body>::with_body(axum_body).post("/").body("hello").send().await;
    assert_eq!(response.text(), "hello");

    let full = service_fn(|request: http::Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(http::Response::new(request.into_body())))
    });
    assert_eq!(Client::new(full).post_json("/", &json!({"a": 1})).await.json::<Value>()["a"], 1);
}

#[tokio::test]
async fn http2_carries_the_host_in_the_uri() {
    let show = async |version: Version, uri: Uri, headers: HeaderMap| {
        format!("{version:?} {uri} {:?}", headers.get("host"))
    };
    let client = Client::new(Router::new().fallback(any(show))).base("http://localhost:3000");
    assert_eq!(client.get("/a?b").await.text(), "HTTP/1.1 /a?b Some(\"localhost:3000\")");
    assert_eq!(client.http2().get("/a?b").await.text(), "HTTP/2.0 http://localhost:3000/a?b None");
}

#[tokio::test]
async fn extensions_pass_in_both_directions() {
    let app = service_fn(|request: http::Request<Full<Bytes>>| {
        let number = *request.extensions().get::<u32>().unwrap();
        let mut response = http::Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::ACCEPTED;
        response.extensions_mut().insert(number + 1);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let response = Client::new(app).get("/").extension(41u32).await.assert_status(202);
    assert_eq!(response.extensions.get(), Some(&42u32));
}
