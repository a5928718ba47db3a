//! Realms beside bearer tokens and CSRF: credentials are combined within a realm, and any realm's cookie is ambient.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use portcullis::bearer::{Audience, BearerLayer, Issuer, StaticKeys};
use portcullis::identity::Authentication;
use portcullis::realm::DefaultRealm;
use portcullis::session::{Login, SessionLayer, Sessions, User};
use portcullis::{CsrfLayer, Identity, RequireLayer, Session};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde_json::json;

use crate::support::app::{Browser, now};
use crate::support::realms::{CUSTOMERS_COOKIE, STAFF_COOKIE, Staff, routes};
use crate::support::store::{AnyStore, PATIENCE};

const ISSUER: &str = "https://app.example";

fn customers(store: &AnyStore) -> SessionLayer {
    SessionLayer::builder(store.clone()).clock(now()).issuer(ISSUER).budget(PATIENCE).build().unwrap()
}

fn staff(store: &AnyStore) -> SessionLayer<Staff> {
    let builder = SessionLayer::builder(store.clone()).clock(now()).issuer(ISSUER).budget(PATIENCE);
    builder.realm::<Staff>().build().unwrap()
}

fn bearer(issuer: &TestIssuer) -> BearerLayer {
    let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256])).unwrap();
    BearerLayer::new([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys)]).unwrap()
}

fn app() -> Router {
    routes::<DefaultRealm>().nest("/staff", routes::<Staff>())
}

#[tokio::test]
async fn a_staff_session_does_not_clash_with_a_customers_token() {
    for store in AnyStore::each(&now()) {
        let issuer = TestIssuer::new(ISSUER, "api");
        let app = app().layer(bearer(&issuer)).layer(customers(&store)).layer(staff(&store));
        let browser = Browser::new(app);
        browser.get("/staff/login/grace").await.assert_status(200);
        let token = |user: &str| issuer.token(json!({ "sub": user })).to_string();
        for (path, expected) in [("/me", "ada"), ("/staff/me", "grace")] {
            let response = browser.get(path).bearer(token("ada")).await;
            assert_eq!(response.assert_status(200).text(), expected, "{path}");
        }
        browser.get("/login/alan").await.assert_status(200);
        browser.get("/me").bearer(token("ada")).await.assert_status(400);
        browser.get("/staff/me").bearer(token("grace")).await.assert_status(400);
        assert_eq!(browser.get("/me").await.text(), "alan");
    }
}

#[tokio::test]
async fn a_token_for_staff_is_combined_with_the_staffs_session_and_no_other() {
    for store in AnyStore::each(&now()) {
        let issuer = TestIssuer::new(ISSUER, "api");
        let guarded = |app: Router| {
            let guard = RequireLayer::authenticated().realm::<Staff>().scope("write");
            app.route("/staff/write", get(async |me: Identity<Staff>| me.subject().to_owned()).layer(guard))
        };
        let bearer = bearer(&issuer).realm::<Staff>();
        let app = guarded(app()).layer(bearer).layer(customers(&store)).layer(staff(&store));
        let browser = Browser::new(app);
        browser.get("/login/ada").await.assert_status(200);
        let token = |user: &str| issuer.token(json!({ "sub": user, "scope": "write" })).to_string();
        assert_eq!(browser.get("/staff/write").bearer(token("grace")).await.text(), "grace");
        assert_eq!(browser.get("/me").bearer(token("grace")).await.text(), "ada");
        browser.get("/staff/write").await.assert_status(401);

        browser.get("/staff/login/grace").await.assert_status(200);
        browser.get("/staff/write").await.assert_status(403);
        assert_eq!(browser.get("/staff/write").bearer(token("grace")).await.text(), "grace");
        browser.get("/staff/write").bearer(token("alan")).await.assert_status(400);
    }
}

#[tokio::test]
async fn two_layers_say_once_that_a_response_varies_by_cookies() {
    async fn varied(
        Path(said): Path<String>,
        _: Identity,
        _: Identity<Staff>,
    ) -> [(&'static str, String); 1] {
        [("vary", said)]
    }
    for store in AnyStore::each(&now()) {
        let app = app().route("/varied/{said}", get(varied));
        let browser = Browser::new(app.layer(customers(&store)).layer(staff(&store)));
        browser.get("/login/ada").await.assert_status(200);
        browser.get("/staff/login/grace").await.assert_status(200);
        for (path, expected) in [
            ("/me", &["cookie"][..]),
            ("/staff/me", &["cookie"]),
            ("/varied/accept", &["accept", "cookie"]),
            ("/varied/Accept,Cookie", &["Accept,Cookie"]),
            ("/varied/*", &["*"]),
        ] {
            let response = browser.get(path).await.assert_status(200);
            let said: Vec<_> = response.headers.get_all("vary").iter().collect();
            assert_eq!(said, expected, "{path}");
        }
    }
}

#[tokio::test]
async fn any_realms_cookie_needs_proof_of_origin_wherever_its_layer_stands() {
    for store in AnyStore::each(&now()) {
        let stacks: [(&str, Router); 3] = [
            ("inside both", app().layer(CsrfLayer::new()).layer(customers(&store)).layer(staff(&store))),
            ("inside staff", app().layer(customers(&store)).layer(CsrfLayer::new()).layer(staff(&store))),
            ("inside customers", app().layer(staff(&store)).layer(CsrfLayer::new()).layer(customers(&store))),
        ];
        for (name, app) in stacks {
            for (prefix, cookie) in [("", CUSTOMERS_COOKIE), ("/staff", STAFF_COOKIE)] {
                let browser = Browser::new(app.clone());
                browser.get(&format!("{prefix}/login/grace")).await.assert_status(200);
                assert_eq!(browser.jar().names(), [cookie]);
                let (forge, read) = (format!("{prefix}/note/forged"), format!("{prefix}/note"));
                let with_cookie = format!("{cookie}={}", browser.jar().get(cookie).unwrap());
                let forged = browser.post(&forge).from_origin("https://evil.example");
                forged.header("cookie", with_cookie.as_str()).await.assert_status(403);
                let unsaid = browser.post(&forge).without_browser();
                unsaid.header("cookie", with_cookie.as_str()).await.assert_status(403);
                assert_eq!(browser.get(&read).await.text(), "none", "{name}, {cookie}");

                browser.post(&forge).await.assert_status(200);
                assert_eq!(browser.get(&read).await.text(), "forged", "{name}, {cookie}: one's own");
            }
            // A stranger's cookie is nobody's credential, and a webhook has none.
            let stranger = Browser::new(app).post("/note/x").without_browser();
            stranger.header("cookie", "theme=dark").await.assert_status(200);
        }
    }
}

#[tokio::test]
async fn an_exemption_holds_for_what_is_found_further_in() {
    for store in AnyStore::each(&now()) {
        let exempt = CsrfLayer::new().exempt_if(|head| head.uri.path() == "/staff/note/hook");
        let browser = Browser::new(app().layer(staff(&store)).layer(exempt).layer(customers(&store)));
        browser.get("/staff/login/grace").await.assert_status(200);
        let cookie = format!("{STAFF_COOKIE}={}", browser.jar().get(STAFF_COOKIE).unwrap());
        for (path, status) in [("/staff/note/hook", 200), ("/staff/note/other", 403)] {
            let unsaid = browser.post(path).without_browser().header("cookie", cookie.as_str());
            unsaid.await.assert_status(status);
        }
    }
}

#[tokio::test]
async fn administrators_see_one_realms_sessions() {
    for store in AnyStore::each(&now()) {
        let (customers, staff) = (customers(&store), staff(&store));
        let (of_customers, of_staff): (Sessions, Sessions<Staff>) =
            (Sessions::of(&customers), Sessions::of(&staff));
        let browser = Browser::new(app().layer(customers).layer(staff));
        browser.get("/login/ada").await.assert_status(200);
        browser.get("/staff/login/ada").await.assert_status(200);
        let ada = User::new("ada");
        assert_eq!(of_staff.revoke_all(&ada).await.unwrap(), 1);
        assert_eq!(browser.get("/staff/me").await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(of_customers.list(&ada).await.unwrap().len(), 1);
    }
}

/// Every extractor, and what a handler does with it, in a realm of its own.
#[tokio::test]
async fn each_extractor_gives_what_is_of_its_realm() {
    async fn swap(session: Session<Staff>, me: Identity<Staff>, all: Authentication<Staff>) -> String {
        assert_eq!(all.identity().map(Identity::session_ref), Some(me.session_ref()));
        assert!(me.is_same_user(&session.identity().unwrap()));
        session.login(Login::new(me.clone()).device("desk")).await.unwrap();
        let now = session.identity().unwrap();
        assert_ne!(now.session_ref(), me.session_ref());
        format!("{me:?}")
    }
    for store in AnyStore::each(&now()) {
        let app = app().route("/swap", get(swap)).layer(customers(&store)).layer(staff(&store));
        let browser = Browser::new(app);
        browser.get("/login/ada").await.assert_status(200);
        browser.get("/swap").await.assert_status(401);
        browser.get("/staff/login/grace").await.assert_status(200);
        let text = browser.get("/swap").await.assert_status(200).text();
        assert!(text.contains("staff") && text.contains("grace"), "{text}");
        assert_eq!(browser.get("/me").await.text(), "ada");
    }
}
