//! A message is shown once, to whom it was meant for.

use axum::Router;
use portcullis_testkit::client::Client;

#[path = "../../examples/flash_message.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

fn browser() -> Client<Router> {
    Client::new(program::app())
}

async fn page(browser: &Client<Router>) -> String {
    browser.get("/").await.assert_status(200).text()
}

#[tokio::test]
async fn a_message_is_shown_by_the_next_page_and_no_other() {
    let browser = browser();
    let response = browser.post_form("/notes", &[("text", "buy milk")]).await.assert_status(303);
    assert_eq!(response.header("location"), Some("/"));
    let next = page(&browser).await;
    assert!(next.contains("Kept.") && next.contains("<li>buy milk</li>"), "{next}");
    let reloaded = page(&browser).await;
    assert!(!reloaded.contains("role=\"status\"") && reloaded.contains("<li>buy milk</li>"), "{reloaded}");
}

#[tokio::test]
async fn of_tabs_that_load_at_once_one_shows_it() {
    let browser = browser();
    browser.post_form("/notes", &[("text", "x")]).await.assert_status(303);
    let tabs: Vec<_> = (0..8).map(|_| tokio::spawn(browser.get("/").into_future())).collect();
    let mut shown = 0;
    for tab in tabs {
        shown += usize::from(tab.await.unwrap().assert_status(200).text().contains("Kept."));
    }
    assert_eq!(shown, 1);
}

#[tokio::test]
async fn each_outcome_has_its_words_and_nothing_that_was_typed_becomes_markup() {
    let browser = browser();
    browser.post_form("/notes", &[("text", "  ")]).await.assert_status(303);
    assert!(page(&browser).await.contains("Nothing to keep."));
    for _ in 0..10 {
        browser.post_form("/notes", &[("text", "<b>&")]).await.assert_status(303);
    }
    assert!(page(&browser).await.contains("<li>&lt;b&gt;&amp;</li>"));
    browser.post_form("/notes", &[("text", "one more")]).await.assert_status(303);
    assert!(page(&browser).await.contains("as many notes as you may"));
}

#[tokio::test]
async fn a_visitor_who_only_looks_gets_no_session_and_another_site_writes_nothing() {
    let browser = browser();
    page(&browser).await;
    let forged = browser.post_form("/notes", &[("text", "x")]).from_origin("https://evil.example");
    forged.await.assert_status(403);
    assert_eq!(browser.jar().names(), [""; 0]);
}
