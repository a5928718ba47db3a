//! The example `quickstart` as people use it: in a Chromium, over a socket, with the cookie that it has by default; and what
//! pages of other origins make one do.

mod chat;
mod driver;
mod forgery;
mod full;
mod webdriver;

use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use self::webdriver::Browser;
use crate::quickstart::stage::{COOKIE, PASSWORD, Stage};

/// Serves `app` on a free loopback port, until the test ends.
async fn serve(app: Router) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async { axum::serve(listener, app).await });
    port
}

async fn sign_in(browser: &Browser, service: &str, user: &str) {
    browser.visit(&format!("{service}/account")).await;
    browser.sees("Sign in").await;
    assert_eq!(browser.url().await, format!("{service}/login?next=/account"));
    browser.write("username", user).await;
    browser.write("password", PASSWORD).await;
    browser.press("Sign in").await;
    browser.sees("Account").await;
    assert_eq!(browser.url().await, format!("{service}/account"));
}

async fn keep_note(browser: &Browser, note: &str) {
    browser.write("note", note).await;
    browser.press("Keep it").await;
    assert_eq!(browser.text("blockquote").await, note);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_writes_a_note_signs_out_and_is_a_stranger_again() {
    let browser = Browser::open().await;
    for stage in [Stage::in_memory(), Stage::in_redis()] {
        let service = format!("http://localhost:{}", serve(stage.app.clone()).await);
        sign_in(&browser, &service, "ada").await;

        let cookies = browser.cookies().await;
        let kept: Vec<_> = cookies.as_array().unwrap().iter().collect();
        assert_eq!(kept.len(), 1, "{cookies}");
        let expected = json!({
            "name": COOKIE, "secure": true, "httpOnly": true, "sameSite": "Lax", "path": "/", "domain": "localhost",
        });
        for (attribute, value) in expected.as_object().unwrap() {
            assert_eq!(&kept[0][attribute], value, "{attribute}");
        }
        assert_eq!(browser.script("return document.cookie").await, "", "no script of the page reads it");

        keep_note(&browser, "<script>document.title = 'stolen'</script> & \"ünïcode\" ☃").await;
        browser.visit(&format!("{service}/devices")).await;
        assert!(browser.text("tbody").await.contains("(this one)"));

        browser.visit(&format!("{service}/account")).await;
        browser.press("Sign out").await;
        browser.sees("Welcome").await;
        assert_eq!(browser.cookies().await, json!([]));
        browser.back().await;
        browser.sees("Sign in").await;
        browser.visit(&format!("{service}/account")).await;
        browser.sees("Sign in").await;
        assert_eq!(browser.url().await, format!("{service}/login?next=/account"));
    }
}

/// A page that posts a form to `PATH` of the service as soon as it is opened, `/post/PATH`, or has a script send it with the
/// cookie along, `/fetch/PATH`: its heading says when that has been done.
fn evil_site(service: &str) -> Router {
    let page = async |State(service): State<String>, Path((way, path)): Path<(String, String)>| {
        Html(format!(
            r#"<!doctype html><title>Kittens</title><h1>Kittens</h1>
            <form method="post" action="{service}/{path}">
                <input name="note" value="stolen">
                <input name="username" value="grace"><input name="password" value="{PASSWORD}">
            </form>
            <script>
            const form = document.forms[0];
            const ways = {{
                post() {{ form.submit(); }},
                async fetch() {{
                    const body = new URLSearchParams(new FormData(form));
                    await fetch(form.action, {{ method: 'POST', mode: 'no-cors', credentials: 'include', body }});
                    document.querySelector('h1').textContent = 'Tried';
                }},
            }};
            ways['{way}']();
            </script>"#
        ))
    };
    Router::new().route("/{way}/{*path}", get(page)).with_state(service.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_origins_post_is_refused_and_changes_nothing() {
    let stage = Stage::in_redis();
    let service = format!("http://localhost:{}", serve(stage.app.clone()).await);
    let evil = serve(evil_site(&service)).await;
    // Sites do not differ by their ports: to this one the browser sends the cookie along.
    let same_site = format!("http://localhost:{evil}");
    let cross_site = format!("http://127.0.0.1:{evil}");
    // From the other site the Lax cookie does not come along. What the counter would begin for a visitor has a cookie, too.
    let paths = ["note", "counter", "login", "logout", "devices/revoke-others"];
    let ways =
        [&same_site, &cross_site].into_iter().flat_map(|site| ["post", "fetch"].map(|way| (site, way)));
    let rows = ways.flat_map(|(site, way)| paths.map(|path| (site, way, path)));

    let elsewhere = stage.signed_in("ada").await;
    let browser = Browser::open().await;
    sign_in(&browser, &service, "ada").await;
    keep_note(&browser, "mine").await;
    for (site, way, path) in rows {
        println!("{site} posts to {path} by {way}");
        browser.visit(&format!("{site}/{way}/{path}")).await;
        browser.sees(if way == "post" { "Forbidden" } else { "Tried" }).await;

        browser.visit(&format!("{service}/account")).await;
        browser.sees("Account").await;
        assert!(browser.text("main").await.contains("You are ada."));
        assert_eq!(browser.text("blockquote").await, "mine");
        elsewhere.get("/account").await.assert_status(200);
    }
}
