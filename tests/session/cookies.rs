//! The cookie: what is set when, what is found, what is refused.

use portcullis_testkit::client::Jar;

use crate::support::app::{now, on_each_store};
use crate::support::store::AnyStore;

const COOKIE: &str = "__Host-id";

#[tokio::test]
async fn the_default_cookie_is_host_only_secure_and_http_only() {
    on_each_store(|world| async move {
        let response = world.browser().get("/login?user=ada").await.assert_status(200);
        let [cookie] = response.set_cookies()[..] else { panic!("one cookie") };
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-id="));
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");
        assert_eq!(response.header("cache-control"), Some("no-store"));
    })
    .await;
}

#[tokio::test]
async fn a_cookie_is_set_only_when_something_changed() {
    on_each_store(|world| async move {
        let browser = world.browser();
        for (path, cookies) in [
            ("/", 0),
            ("/me", 0),
            ("/get/a", 0),
            ("/remove/a", 0),
            ("/take/a", 0),
            ("/rotate", 0),
            ("/logout", 0),
            ("/set/a/x", 1),
            ("/set/a/y", 0),
            ("/get/a", 0),
            ("/login?user=ada", 1),
            ("/me", 0),
            ("/count", 0),
            ("/rotate", 1),
            ("/logout", 1),
            ("/logout", 0),
        ] {
            let response = browser.get(path).await.assert_status(200);
            assert_eq!(response.set_cookies().len(), cookies, "{path}");
            assert_eq!(response.header("cache-control").is_some(), cookies > 0, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_response_varies_by_cookie_when_the_session_or_the_identity_was_read() {
    on_each_store(|world| async move {
        for (path, varies) in [("/", false), ("/me", true), ("/get/a", true), ("/set/a/x", true)] {
            let response = world.browser().get(path).await.assert_status(200);
            assert_eq!(response.header("vary").is_some_and(|vary| vary.contains("cookie")), varies, "{path}");
        }
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        assert_eq!(browser.get("/").await.header("vary"), Some("cookie"), "a cookie came along");
    })
    .await;
}

#[tokio::test]
async fn however_a_handler_learns_who_is_calling_the_response_varies() {
    use axum::extract::Request;
    use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
    use portcullis::guard::Head;
    use portcullis::identity::{Authentication, IdentityExt};
    use portcullis::require::{AuthorizeLayer, Decision};
    use portcullis::{Identity, RequireLayer};

    /// Stands inside, and knows nobody.
    struct KnowsNobody;
    impl Authenticator for KnowsNobody {
        type Visit = ();

        fn open<B>(&self, _: &mut http::Request<B>) -> Opening<()> {
            Opening::anonymous(())
        }
    }
    let extensions = async |request: Request| _ = request.extensions().identity();
    let authorize = AuthorizeLayer::new(|_: &Identity, _: Head<'_>| async { Decision::Allow });
    let app = axum::Router::new()
        .route("/request", axum::routing::get(async |request: Request| _ = request.identity()))
        .route("/extensions", axum::routing::get(extensions))
        .route("/behind-another", axum::routing::get(extensions).layer(AuthenticateLayer::new(KnowsNobody)))
        .route("/found", axum::routing::get(async |found: Authentication| _ = found.identity()))
        .route("/outcome", axum::routing::get(async |found: Authentication| _ = found.outcome().clone()))
        .route("/neither", axum::routing::get(async |_: Request| ()))
        .route("/required", axum::routing::get(async || ()).layer(RequireLayer::authenticated()))
        .route("/authorized", axum::routing::get(async || ()).layer(authorize))
        .layer(portcullis::session::SessionLayer::new(portcullis::session::MemoryBackend::new()));
    let visitor = portcullis_testkit::client::Client::<axum::Router>::new(app);
    for path in ["/request", "/extensions", "/behind-another", "/found", "/outcome", "/neither"] {
        let response = visitor.get(path).await.assert_status(200);
        assert_eq!(response.header("vary"), (path != "/neither").then_some("cookie"), "{path}");
    }
    for path in ["/required", "/authorized"] {
        assert_eq!(visitor.get(path).await.assert_status(401).header("vary"), Some("cookie"), "{path}");
    }
}

#[tokio::test]
async fn anonymous_requests_touch_no_store() {
    on_each_store(|world| async move {
        let browser = world.browser();
        for path in ["/", "/me", "/get/a", "/remove/a", "/take/a", "/logout", "/rotate"] {
            browser.get(path).await.assert_status(200);
        }
        let garbage =
            ["x", "", "__Host-id", &"A".repeat(66), &format!("{}.{}", "A".repeat(22), "é".repeat(21))];
        for value in garbage {
            browser
                .get("/me")
                .header("cookie", format!("__Host-id={value}").as_bytes())
                .await
                .assert_status(200);
        }
        assert_eq!(world.spy.calls(), []);
    })
    .await;
}

#[tokio::test]
async fn an_id_that_was_never_issued_is_never_adopted() {
    on_each_store(|world| async move {
        let browser = world.browser();
        let fixed = format!("__Host-id={}.{}; Secure; Path=/", "A".repeat(22), "B".repeat(43));
        browser.jar().add("https://app.example/", &fixed);
        assert_eq!(browser.get("/get/a").await.text(), "none");
        let response = browser.get("/set/a/x").await.assert_status(200);
        assert_eq!(response.set_cookies().len(), 1);
        let cookie = browser.jar().get(COOKIE).unwrap();
        assert!(!cookie.starts_with(&"A".repeat(22)) && !cookie.ends_with(&"B".repeat(43)), "{cookie}");
    })
    .await;
}

#[tokio::test]
async fn a_right_locator_with_a_wrong_secret_is_refused_and_the_session_untouched() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let cookie = browser.jar().get(COOKIE).unwrap();
        let forged = format!("__Host-id={}.{}", &cookie[..22], "B".repeat(43));
        world.spy.forget();
        let response = world.browser().get("/me").header("cookie", forged.as_str()).await.assert_status(200);
        assert_eq!(response.text(), "nobody");
        assert!(response.set_cookies().is_empty());
        assert_eq!(world.spy.writes(), 0);
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn a_removal_cookie_is_never_sent_for_a_session_that_is_not_known() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let gone = browser.jar().copy();
        browser.get("/logout").await.assert_status(200);
        let late = world.browser().with_jar(gone);
        for path in ["/me", "/logout", "/"] {
            assert!(late.get(path).await.assert_status(200).set_cookies().is_empty(), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn duplicate_cookies_do_not_shadow_the_real_one() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let real = format!("__Host-id={}", browser.jar().get(COOKIE).unwrap());
        let junk = format!("__Host-id={}.{}", "A".repeat(22), "B".repeat(43));
        for cookies in [
            format!("{real}; {junk}"),
            format!("{junk}; {real}"),
            format!("__Host-id=short; {real}; {junk}"),
            format!("{real}; {real}"),
        ] {
            let response =
                world.browser().get("/me").header("cookie", cookies.as_str()).await.assert_status(200);
            assert_eq!(response.text(), "ada", "{cookies}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_hundred_cookies_of_the_name_cost_one_round_trip_and_two_good_ones_are_refused() {
    on_each_store(|world| async move {
        let good = |jar: &Jar| format!("__Host-id={}", jar.get(COOKIE).unwrap());
        let (one, two) = (world.browser(), world.browser());
        one.get("/login?user=ada").await.assert_status(200);
        two.get("/login?user=grace").await.assert_status(200);

        let junk = |n: usize| format!("__Host-id={n:0>21}A.{}", "B".repeat(43));
        let hundred: Vec<String> = (0..100).map(junk).collect();
        world.spy.forget();
        world.browser().get("/me").header("cookie", hundred.join("; ").as_str()).await.assert_status(200);
        assert_eq!(world.spy.calls().len(), 1);
        assert_eq!(world.spy.calls()[0].locators.len(), 4);

        let both = format!("{}; {}", good(one.jar()), good(two.jar()));
        let refused = world.browser().get("/me").header("cookie", both.as_str()).await.assert_status(400);
        assert!(refused.set_cookies().is_empty());
        assert_eq!(one.get("/me").await.text(), "ada");
    })
    .await;
}

async fn sign_in(
    session: portcullis::Session,
    axum::extract::Path(user): axum::extract::Path<String>,
) -> Result<(), portcullis::session::SessionError> {
    session.login(portcullis::Identity::new(user).role("admin")).await
}

#[tokio::test]
async fn two_copies_of_one_layer_are_as_good_as_one() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let spy = portcullis_testkit::spy::Spy::new(store);
        let layer = portcullis::session::SessionLayer::new(spy.clone());
        let app = axum::Router::new()
            .route("/login/{user}", axum::routing::get(sign_in))
            .route("/me", axum::routing::get(async |me: portcullis::Identity| me.subject().to_owned()))
            .layer(layer.clone())
            .layer(layer);
        let browser = portcullis_testkit::client::Client::<axum::Router>::new(app);
        assert_eq!(browser.get("/login/ada").await.assert_status(200).set_cookies().len(), 1);
        spy.forget();
        assert_eq!(browser.get("/me").await.assert_status(200).text(), "ada");
        assert_eq!(spy.calls().len(), 1, "loaded once");
    }
}

#[tokio::test]
async fn between_two_copies_of_one_layer_a_session_is_written_on_the_way_out_too() {
    use axum::middleware::{Next, from_fn};
    use portcullis::session::{MemoryBackend, SessionLayer};

    let write = async |session: portcullis::Session, request: axum::extract::Request, next: Next| {
        let response = next.run(request).await;
        session.set(&crate::support::app::A, &"written".to_owned()).map(|()| response)
    };
    let layer = SessionLayer::new(MemoryBackend::new());
    let app = axum::Router::new()
        .route("/", axum::routing::get(async |_: portcullis::Session| ()))
        .layer(layer.clone())
        .layer(from_fn(write))
        .layer(layer);
    let browser = portcullis_testkit::client::Client::<axum::Router>::new(app);
    assert_eq!(browser.get("/").await.assert_status(200).set_cookies().len(), 1);
}
