//! Realms: customers and staff of one application, side by side, and never one for the other.

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis::realm::DefaultRealm;
use portcullis::session::SessionLayer;
use portcullis::{Realm, RequireLayer};
use portcullis_store::ManualClock;
use portcullis_testkit::spy::{Operation, Spy};

use crate::support::app::{Browser, now};
use crate::support::realms::{CUSTOMERS_COOKIE, STAFF_COOKIE, Staff, routes};
use crate::support::store::{AnyStore, PATIENCE};

/// A shop: customers at `/`, staff at `/staff`, and a page for admins of each; both kinds of sessions in one store.
struct Shop {
    spy: Spy<AnyStore>,
    app: Router,
}

impl Shop {
    fn new(store: &AnyStore, clock: &ManualClock) -> Self {
        let spy = Spy::new(store.clone());
        let builder = || SessionLayer::builder(spy.clone()).clock(clock.clone()).budget(PATIENCE);
        let admins = RequireLayer::authenticated().role("admin");
        let app = routes::<DefaultRealm>()
            .route("/admin", get(async || "customer").layer(admins.clone()))
            .nest("/staff", routes::<Staff>())
            .route("/staff/admin", get(async || "staff").layer(admins.realm::<Staff>()))
            .layer(builder().build().unwrap())
            .layer(builder().realm::<Staff>().build().unwrap());
        Self { spy, app }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.app.clone())
    }
}

/// Runs `test` on each kind of store.
async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(Shop) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        test(Shop::new(&store, &clock)).await;
    }
}

#[tokio::test]
async fn two_realms_in_one_app_do_not_shadow_each_other() {
    on_each_store(|shop| async move {
        let browser = shop.browser();
        browser.get("/login/ada").await.assert_status(200);
        assert_eq!(browser.get("/staff/me").await.text(), "nobody");
        browser.get("/staff/login/grace").await.assert_status(200);
        assert_eq!(browser.jar().names(), [CUSTOMERS_COOKIE, STAFF_COOKIE], "one cookie each");
        browser.get("/note/customer").await.assert_status(200);
        browser.get("/staff/note/staff").await.assert_status(200);
        for (path, expected) in
            [("/me", "ada"), ("/staff/me", "grace"), ("/note", "customer"), ("/staff/note", "staff")]
        {
            assert_eq!(browser.get(path).await.text(), expected, "{path}");
        }

        let response = browser.get("/staff/logout").await.assert_status(200);
        let set_cookies = response.set_cookies();
        assert_eq!(set_cookies.len(), 1, "{set_cookies:?}");
        assert!(set_cookies[0].starts_with("__Host-staff-id=;"), "{set_cookies:?}");
        assert_eq!(browser.get("/staff/me").await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(browser.get("/note").await.text(), "customer");
    })
    .await;
}

#[tokio::test]
async fn one_realms_cookie_value_under_the_other_realms_name_is_nothing() {
    on_each_store(|shop| async move {
        let customer = shop.browser();
        customer.get("/login/ada").await.assert_status(200);
        customer.get("/note/mine").await.assert_status(200);
        let value = customer.jar().get(CUSTOMERS_COOKIE).unwrap();
        let forged = format!("{STAFF_COOKIE}={value}");

        let nobody = shop.browser();
        shop.spy.forget();
        assert_eq!(nobody.get("/staff/me").header("cookie", forged.as_str()).await.text(), "nobody");
        nobody.get("/staff/admin").header("cookie", forged.as_str()).await.assert_status(401);
        assert_eq!(nobody.get("/me").header("cookie", forged.as_str()).await.text(), "nobody");
        let calls = shop.spy.calls();
        assert_eq!(calls.len(), 3);
        for call in calls {
            let realm = call.realm.as_ref().map(|realm| realm.as_str());
            assert_eq!(
                (call.operation, realm),
                (Operation::Load, Some("staff")),
                "looked up where it is not"
            );
        }
        // Whoever logs out with it, and writes with it, does nothing to the customer's session.
        nobody.get("/staff/note/theirs").header("cookie", forged.as_str()).await.assert_status(200);
        nobody.get("/staff/logout").header("cookie", forged.as_str()).await.assert_status(200);
        assert_eq!(customer.get("/me").await.text(), "ada");
        assert_eq!(customer.get("/note").await.text(), "mine");
    })
    .await;
}

#[tokio::test]
async fn roles_of_one_realm_satisfy_no_guard_of_the_other() {
    on_each_store(|shop| async move {
        let (customer, clerk) = (shop.browser(), shop.browser());
        customer.get("/login/ada").await.assert_status(200);
        clerk.get("/staff/login/grace").await.assert_status(200);
        let rows = [
            ("customer", &customer, "/admin", 200),
            ("customer at the staff's", &customer, "/staff/admin", 401),
            ("clerk", &clerk, "/staff/admin", 200),
            ("clerk at the customers'", &clerk, "/admin", 401),
        ];
        for (name, browser, path, status) in rows {
            let response = browser.get(path).await;
            assert_eq!(response.status, StatusCode::from_u16(status).unwrap(), "{name}");
        }
        let challenge = customer.get("/staff/admin").await;
        let challenge = challenge.header("www-authenticate").unwrap();
        assert!(challenge.contains(STAFF_COOKIE), "what would do there: {challenge}");
    })
    .await;
}

#[tokio::test]
async fn a_namesake_in_another_realm_is_somebody_else() {
    on_each_store(|shop| async move {
        let (customer, clerk) = (shop.browser(), shop.browser());
        customer.get("/login/ada").await.assert_status(200);
        clerk.get("/staff/login/ada").await.assert_status(200);
        assert_eq!(customer.get("/devices").await.json::<usize>(), 1);
        customer.get("/revoke-all").await.assert_status(200);
        assert_eq!(customer.get("/me").await.text(), "nobody");
        assert_eq!(clerk.get("/staff/me").await.text(), "ada");
        assert_eq!(clerk.get("/staff/devices").await.json::<usize>(), 1);
    })
    .await;
}

#[test]
fn a_realm_has_a_name_of_its_own_that_fits_every_store() {
    enum Empty {}
    enum Loud {}
    enum Long {}
    enum Taken {}
    impl Realm for Empty {
        const NAME: &'static str = "";
    }
    impl Realm for Loud {
        const NAME: &'static str = "Staff";
    }
    impl Realm for Long {
        const NAME: &'static str = "a-name-of-thirty-three-characters";
    }
    impl Realm for Taken {
        const NAME: &'static str = "default";
    }
    fn is_built<M: Realm>() -> bool {
        let builder = SessionLayer::builder(portcullis::session::MemoryBackend::new());
        builder.realm::<M>().build().is_ok()
    }
    assert!(is_built::<Staff>() && is_built::<DefaultRealm>());
    assert_eq!(
        [is_built::<Empty>(), is_built::<Loud>(), is_built::<Long>(), is_built::<Taken>()],
        [false; 4]
    );
}
