//! Signing in and out.

use portcullis_testkit::client::Response;

use super::stage::{
    Browser, COOKIE, ORIGIN, PASSWORD, Stage, between, counter, note, on_each, sign_in, subject, thief,
};

#[tokio::test]
async fn login_sets_a_host_cookie_that_is_secure_http_only_and_lax() {
    on_each(async |stage| {
        let response = sign_in(&stage.browser(), "ada").await.assert_status(303);
        assert_eq!(response.header("location"), Some("/account"));
        let cookies = response.set_cookies();
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        let mut parts = cookies[0].split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        assert_eq!(name, COOKIE);
        assert!(value.len() >= 64, "{value}");
        let attributes: Vec<&str> = parts.collect();
        for expected in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(attributes.contains(&expected), "{expected}: {attributes:?}");
        }
        assert!(!attributes.iter().any(|it| it.starts_with("Domain")), "{attributes:?}");
    })
    .await;
}

#[tokio::test]
async fn whoever_is_signed_in_sees_the_account() {
    on_each(async |stage| {
        for user in ["ada", "grace"] {
            let page = stage.signed_in(user).await.get("/account").await.assert_status(200);
            assert!(page.text().contains(&format!("You are <strong>{user}</strong>.")), "{}", page.text());
            assert_eq!(page.text().contains("Your roles: admin."), user == "grace");
            assert_eq!(page.header("cache-control"), Some("no-store"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_visitor_is_sent_to_sign_in_and_comes_back_to_the_page() {
    let rows = [
        ("/account", "/login?next=/account"),
        ("/devices", "/login?next=/devices"),
        ("/account?tab=1&x=%2F", "/login?next=/account%3Ftab%3D1%26x%3D%252F"),
    ];
    on_each(async |stage| {
        for (wanted, login) in rows {
            let browser = stage.browser();
            let response = browser.get(wanted).await.assert_status(303);
            assert_eq!(response.header("location"), Some(login), "{wanted}");

            let form = browser.get(login).await.assert_status(200).text();
            let next = between(&form, r#"name="next" value=""#, "\"").unwrap().replace("&amp;", "&");
            let fields = [("next", next.as_str()), ("username", "ada"), ("password", PASSWORD)];
            let response = browser.post_form("/login", &fields).await.assert_status(303);
            assert_eq!(response.header("location"), Some(wanted));
            browser.get(wanted).await.assert_status(200);
        }
    })
    .await;
}

#[tokio::test]
async fn signing_in_never_leads_to_another_site() {
    let rows = [
        ("another site", "https://evil.example/"),
        ("another site, without a scheme", "//evil.example/"),
        ("a slash and a backslash", "/\\evil.example"),
        ("a tab that browsers drop", "/\t/evil.example"),
        ("a line break", "/account\r\nSet-Cookie: a=b"),
        ("a script", "javascript:alert(1)"),
        ("dots before two slashes", "/..//evil.example"),
        ("relative", "evil.example"),
        ("not ASCII", "/\u{ff0f}evil.example"),
        ("empty", ""),
    ];
    on_each(async |stage| {
        for (name, next) in rows {
            let browser = stage.browser();
            let encoded: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let page = browser.get(&format!("/login?next={encoded}")).await.assert_status(400);
            assert!(page.text().contains("not the path of a page of this site"), "{name}: {}", page.text());

            let fields = [("next", next), ("username", "ada"), ("password", PASSWORD)];
            let response = browser.post_form("/login", &fields).await.assert_status(422);
            assert_eq!(response.header("location"), None, "{name}");
            assert_eq!(subject(&browser).await, None, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_401() {
    on_each(async |stage| {
        let browser = stage.browser();
        let mut answers = Vec::new();
        for (username, password) in [("ada", "wrong"), ("nobody", PASSWORD), ("ada", ""), ("", "")] {
            let fields = [("username", username), ("password", password)];
            let response = browser.post_form("/login", &fields).await.assert_status(401);
            assert_eq!(response.header("www-authenticate"), Some(r#"Bearer realm="api""#));
            assert_eq!(response.set_cookies(), [""; 0], "{username}");
            assert!(response.text().contains("Unknown user, or wrong password."), "{}", response.text());
            answers.push(response.text().replace(&format!(r#"value="{username}""#), ""));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "nobody can tell which names exist: {answers:?}");
        assert_eq!(subject(&browser).await, None);

        let script = [("username", "\"><script>"), ("password", "wrong")];
        let page = browser.post_form("/login", &script).await.assert_status(401).text();
        assert!(page.contains("&quot;&gt;&lt;script&gt;") && !page.contains("<script"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_does_not_sign_out_whoever_is_signed_in() {
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        browser.post_form("/login", &[("username", "grace"), ("password", "?")]).await.assert_status(401);
        assert_eq!(subject(&browser).await.as_deref(), Some("ada"));
    })
    .await;
}

#[tokio::test]
async fn a_cookie_replayed_after_logout_is_anonymous() {
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        let thief = thief(&browser);
        assert_eq!(subject(&thief).await.as_deref(), Some("ada"));

        let response = browser.post_form("/logout", &[]).await.assert_status(303);
        assert_eq!(response.header("location"), Some("/"));
        assert_eq!(browser.jar().names(), [""; 0], "the browser has dropped the cookie");

        is_turned_away(&thief).await;
        let stolen = thief.jar().get(COOKIE).unwrap();
        thief.post_form("/note", &[("note", "still here")]).await.assert_status(401);
        thief.post("/counter").await.assert_status(200);
        let fresh = thief.jar().get(COOKIE).unwrap();
        assert_ne!(fresh, stolen, "an id that has ended is never taken up again");
        is_turned_away(&thief).await;
    })
    .await;
}

async fn is_turned_away(browser: &Browser) {
    let response = browser.get("/account").await.assert_status(303);
    assert_eq!(response.header("location"), Some("/login?next=/account"));
    assert_eq!(subject(browser).await, None);
}

#[tokio::test]
async fn signing_in_makes_a_new_session_and_ends_the_one_before() {
    on_each(async |stage| {
        let browser = stage.browser();
        browser.post("/counter").await.assert_status(200);
        let planted = thief(&browser);
        sign_in(&browser, "ada").await.assert_status(303);
        assert_ne!(browser.jar().get(COOKIE), planted.jar().get(COOKIE));
        assert_eq!(subject(&planted).await, None, "who planted the id before is not signed in by it");
        assert_eq!(counter(&browser).await, 0);

        browser.post_form("/note", &[("note", "ada's")]).await.assert_status(303);
        let before = thief(&browser);
        sign_in(&browser, "grace").await.assert_status(303);
        assert_eq!(subject(&before).await, None);
        assert_eq!(subject(&browser).await.as_deref(), Some("grace"));
        assert_eq!(note(&browser).await, None, "grace does not read what ada wrote");
    })
    .await;
}

#[tokio::test]
async fn another_site_cannot_sign_its_visitors_in() {
    let evil = "https://evil.example";
    on_each(async |stage| {
        let post =
            |browser: &Browser| browser.post_form("/login", &[("username", "grace"), ("password", PASSWORD)]);
        for is_signed_in in [false, true] {
            let browser = if is_signed_in { stage.signed_in("ada").await } else { stage.browser() };
            let before = (browser.jar().get(COOKIE), subject(&browser).await);
            let rows = [
                ("another site's form", post(&browser).from_origin(evil)),
                ("another site's script", post(&browser).from_origin(evil).fetch()),
                ("another port of this host", post(&browser).from_origin("http://localhost:4000")),
                ("a sandboxed frame", post(&browser).from_origin("null")),
                (
                    "a browser without Fetch Metadata",
                    post(&browser).from_origin(evil).without_header("sec-fetch-site"),
                ),
            ];
            for (name, request) in rows {
                let response = request.await;
                assert_refused(name, &response);
                assert_eq!((browser.jar().get(COOKIE), subject(&browser).await), before, "{name}");
            }
        }
    })
    .await;
}

fn assert_refused(name: &str, response: &Response) {
    assert_eq!(response.status, 403, "{name}: {}", response.text());
    assert_eq!(response.set_cookies(), [""; 0], "{name}");
}

#[tokio::test]
async fn a_program_without_cookies_signs_in_with_or_without_an_origin() {
    let stage = Stage::in_memory();
    for origin in [None, Some(ORIGIN)] {
        let request = stage.browser().post_form("/login", &[("username", "ada"), ("password", PASSWORD)]);
        let request = request.without_browser();
        let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        assert_eq!(request.await.assert_status(303).set_cookies().len(), 1, "{origin:?}");
    }
}
