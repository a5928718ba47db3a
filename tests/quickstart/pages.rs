//! What a session holds, and what pages say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::stage::{COOKIE, counter, note, on_each, sign_in, subject};

#[tokio::test]
async fn a_note_is_kept_and_shown_as_text_whatever_it_holds() {
    let rows = [
        ("plain", "remember the milk", "remember the milk"),
        (
            "markup",
            "<script>alert('1')</script> & \"so on\"",
            "&lt;script&gt;alert('1')&lt;/script&gt; &amp; &quot;so on&quot;",
        ),
        (
            "the end of its element",
            "</blockquote></textarea><img src=x>",
            "&lt;/blockquote&gt;&lt;/textarea&gt;&lt;img src=x&gt;",
        ),
        ("lines", "one\r\ntwo", "one\ntwo"),
        ("any script", "ünïcode ☃ 🦀 \u{202e}", "ünïcode ☃ 🦀 \u{202e}"),
        ("a template's words", "{{7*7}} %s ${x}", "{{7*7}} %s ${x}"),
    ];
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        for (name, text, html) in rows {
            let response = browser.post_form("/note", &[("note", text)]).await.assert_status(303);
            assert_eq!(response.header("location"), Some("/account"), "{name}");
            assert_eq!(note(&browser).await.as_deref(), Some(html), "{name}");
            let page = browser.get("/account").await.text();
            assert!(!page.contains("<script") && !page.contains("<img"), "{name}: {page}");
        }
        let longest = "é".repeat(2000);
        browser.post_form("/note", &[("note", &longest)]).await.assert_status(303);
        assert_eq!(note(&browser).await, Some(longest));
        browser.post_form("/note", &[("note", "  ")]).await.assert_status(303);
        assert_eq!(note(&browser).await, None, "an empty note takes the old one away");
    })
    .await;
}

#[tokio::test]
async fn n_parallel_posts_to_the_counter_get_n_different_answers() {
    const N: i64 = 20;
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        let posts: Vec<_> = (0..N).map(|_| tokio::spawn(browser.post("/counter").into_future())).collect();
        let mut answers = BTreeSet::new();
        for post in posts {
            let answer: Value = post.await.unwrap().assert_status(200).json();
            answers.insert(answer["count"].as_i64().unwrap());
        }
        assert_eq!(answers, (1..=N).collect());
        assert_eq!(counter(&browser).await, N);
    })
    .await;
}

#[tokio::test]
async fn a_visitor_has_a_session_from_the_first_write_on_and_no_cookie_before() {
    on_each(async |stage| {
        let browser = stage.browser();
        for path in ["/", "/login", "/account", "/api/me", "/healthz"] {
            assert_eq!(browser.get(path).await.set_cookies(), [""; 0], "{path}");
        }
        for expected in 1..=3 {
            let answer: Value = browser.post("/counter").await.assert_status(200).json();
            assert_eq!(answer["count"], expected);
        }
        assert_eq!(browser.jar().names(), [COOKIE]);
        assert_eq!(subject(&browser).await, None);
    })
    .await;
}

#[tokio::test]
async fn the_home_page_is_for_everybody_and_says_who_is_signed_in() {
    on_each(async |stage| {
        let browser = stage.browser();
        let page = browser.get("/").await.assert_status(200).text();
        assert!(page.contains(r#"href="/login""#) && !page.contains("Signed in as"), "{page}");
        sign_in(&browser, "ada").await.assert_status(303);
        let page = browser.get("/").await.assert_status(200).text();
        assert!(page.contains("Signed in as <strong>ada</strong>") && page.contains("Sign out"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_cookie_that_is_none_of_ours_is_nobody_and_not_an_error() {
    on_each(async |stage| {
        let rows = ["", "x", "__Host-id", &"a".repeat(4000), "AAAA.BBBB", "../../etc", "%00"];
        for value in rows {
            let request = stage.browser().get("/").header("cookie", format!("{COOKIE}={value}"));
            let page = request.await.assert_status(200).text();
            assert!(!page.contains("Signed in as"), "{value}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_answer_tells_the_browser_to_be_strict() {
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        for path in ["/", "/account", "/devices", "/login", "/api/me", "/healthz", "/style.css", "/nowhere"] {
            let response = browser.get(path).await;
            let policy = response.header("content-security-policy").unwrap();
            for part in
                ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
            {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(response.header("referrer-policy"), Some("same-origin"), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn healthz_answers_whoever_asks() {
    on_each(async |stage| {
        let plain = stage.browser().get("/healthz").without_browser();
        let odd = stage.browser().get("/healthz").header("cookie", "__Host-id=x").bearer("nonsense");
        for request in [plain, odd] {
            assert_eq!(request.await.assert_status(200).text(), "ok\n");
        }
    })
    .await;
}
