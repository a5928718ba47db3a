//! The example `websocket_logout`: a socket is opened by its own page and by no other, and closed when somebody signs out.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;

use super::serve;
use super::webdriver::Browser;
use crate::examples::websocket_logout::node;
use crate::support::app::now;
use crate::support::store::AnyStore;

/// A page that opens a socket to the chat; its heading says what came of it.
fn evil_site(chat: &str) -> Router {
    let page = async |State(chat): State<String>| {
        Html(format!(
            r#"<!doctype html><title>Kittens</title><h1>Kittens</h1>
            <script>
            const socket = new WebSocket('{chat}');
            const says = (text) => document.querySelector('h1').textContent = text;
            socket.onopen = () => says('Opened');
            socket.onerror = () => says('Refused');
            </script>"#
        ))
    };
    Router::new().route("/", get(page)).with_state(chat.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_the_own_page_s_and_closed_when_its_user_signs_out() {
    let browser = Browser::open().await;
    for store in AnyStore::each(&now()) {
        println!("on {store:?}");
        let port = node(&store).await.port();
        let service = format!("http://localhost:{port}");
        browser.visit(&service).await;
        browser.write("name", "ada").await;
        browser.press("Sign in").await;
        browser.shows("pre", "connected").await;

        // A neighbour: the browser sends it the cookie along.
        let evil = serve(evil_site(&format!("ws://localhost:{port}/chat"))).await;
        browser.visit(&format!("http://localhost:{evil}/")).await;
        browser.sees("Refused").await;

        browser.visit(&service).await;
        browser.shows("pre", "connected").await;
        let sign_out = "return fetch('/logout', { method: 'POST' }).then(answer => answer.ok)";
        assert_eq!(browser.script(sign_out).await, true);
        browser.shows("pre", "closed: 4401 session revoked").await;
    }
}
