//! Wrong input, on every route.

use http::Method;
use portcullis_testkit::client::Response;

use super::stage::{Browser, counter, note, on_each, subject};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

struct Row {
    name: &'static str,
    method: Method,
    path: &'static str,
    content: (&'static str, String),
    status: u16,
    /// In the text of the answer.
    says: &'static str,
}

fn row(
    name: &'static str,
    request: (Method, &'static str),
    content: (&'static str, &str),
    (status, says): (u16, &'static str),
) -> Row {
    let (method, path) = request;
    Row { name, method, path, content: (content.0, content.1.to_owned()), status, says }
}

fn rows() -> Vec<Row> {
    let post = |path| (Method::POST, path);
    let get = |path| (Method::GET, path);
    let large = format!("note={}", "x".repeat(17 * 1024));
    let long = format!("note={}", "x".repeat(2001));
    let large_json = format!(r#"{{"username":"ada","password":"{}"}}"#, "x".repeat(17 * 1024));
    let nothing = ("", "");
    vec![
        row("nothing in the form", post("/login"), (FORM, ""), (422, "missing field `username`")),
        row("no password", post("/login"), (FORM, "username=ada"), (422, "missing field `password`")),
        row(
            "a name twice",
            post("/login"),
            (FORM, "username=ada&username=grace&password=x"),
            (422, "duplicate field"),
        ),
        row("no form", post("/login"), (JSON, "{}"), (415, FORM)),
        row("no type of content", post("/login"), ("", "username=ada&password=x"), (415, FORM)),
        row("a large form", post("/login"), (FORM, &large), (413, "length limit")),
        row(
            "next is another site",
            post("/login"),
            (FORM, "username=a&password=b&next=//x"),
            (422, "not the path"),
        ),
        row("next is another site", get("/login?next=//x"), nothing, (400, "not the path")),
        row("next twice", get("/login?next=/&next=/"), nothing, (400, "duplicate field")),
        row("not a method", (Method::PUT, "/login"), (FORM, ""), (405, "Method Not Allowed")),
        row("signing out by a link", get("/logout"), nothing, (405, "Method Not Allowed")),
        row("no note", post("/note"), (FORM, "text=x"), (422, "missing field `note`")),
        row("a long note", post("/note"), (FORM, &long), (422, "at most 2000 characters")),
        row("a large note", post("/note"), (FORM, &large), (413, "length limit")),
        row("a note in JSON", post("/note"), (JSON, r#"{"note":"x"}"#), (415, FORM)),
        row("a note by a link", get("/note?note=x"), nothing, (405, "Method Not Allowed")),
        row("counting by a link", get("/counter"), nothing, (405, "Method Not Allowed")),
        row("no such session", post("/devices/nonsense/revoke"), nothing, (404, "you have no such session")),
        row("no text in the path", post("/devices/%ff/revoke"), nothing, (400, "UTF-8")),
        row("revoking by a link", get("/devices/revoke-others"), nothing, (405, "Method Not Allowed")),
        row("not a method", post("/devices"), nothing, (405, "Method Not Allowed")),
        row("not a method", post("/account"), nothing, (405, "Method Not Allowed")),
        row("not JSON", post("/api/token"), (JSON, "{"), (400, "Failed to parse")),
        row("bytes", post("/api/token"), (JSON, "\u{0}\u{1}"), (400, "Failed to parse")),
        row("nothing", post("/api/token"), (JSON, ""), (400, "Failed to parse")),
        row("another shape", post("/api/token"), (JSON, "[]"), (422, "invalid")),
        row(
            "another type",
            post("/api/token"),
            (JSON, r#"{"username":1,"password":"x"}"#),
            (422, "expected a string"),
        ),
        row(
            "a missing field",
            post("/api/token"),
            (JSON, r#"{"username":"ada"}"#),
            (422, "missing field `password`"),
        ),
        row("a form", post("/api/token"), (FORM, "username=ada&password=x"), (415, JSON)),
        row("large JSON", post("/api/token"), (JSON, &large_json), (413, "length limit")),
        row("not a method", get("/api/token"), nothing, (405, "Method Not Allowed")),
        row("not a method", post("/api/me"), (JSON, "{}"), (405, "Method Not Allowed")),
        row("not a method", post("/api/admin"), (JSON, "{}"), (405, "Method Not Allowed")),
        row("no such page", get("/nowhere"), nothing, (404, "Not Found")),
        row("no such page", post("/nowhere"), nothing, (404, "Not Found")),
        row("out of the tree", get("/../../etc/passwd"), nothing, (404, "Not Found")),
        row("not a method", post("/healthz"), nothing, (405, "Method Not Allowed")),
        row("not a method", post("/style.css"), nothing, (405, "Method Not Allowed")),
    ]
}

/// `accept` tells a program, which gets a line of text, from a browser, which gets a page.
async fn ask(browser: &Browser, row: &Row, accept: &str) -> Response {
    let request = browser.request(row.method.clone(), row.path).header("accept", accept);
    let (content_type, body) = &row.content;
    let request =
        if content_type.is_empty() { request } else { request.header("content-type", *content_type) };
    request.body(body.clone()).await
}

#[tokio::test]
async fn wrong_input_gets_a_status_and_a_reason_on_every_route() {
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        for row in rows() {
            let name = format!("{}: {} {}", row.name, row.method, row.path);
            for (accept, content_type) in
                [("*/*", "text/plain; charset=utf-8"), ("text/html", "text/html; charset=utf-8")]
            {
                let response = ask(&browser, &row, accept).await;
                assert_eq!(response.status.as_u16(), row.status, "{name}: {}", response.text());
                assert_eq!(response.header("content-type"), Some(content_type), "{name}");
                assert!(unescaped(&response.text()).contains(row.says), "{name}: {}", response.text());
                assert_eq!(response.header("allow").is_some(), row.status == 405, "{name}");
            }
            assert_eq!(subject(&browser).await.as_deref(), Some("ada"), "{name}");
        }
        assert_eq!(note(&browser).await, None);
        assert_eq!(counter(&browser).await, 0);
    })
    .await;
}

fn unescaped(html: &str) -> String {
    html.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
