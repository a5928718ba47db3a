//! Signed tokens: what nobody was ever given dies before the store, and keys can be changed.

use portcullis::session::{KeyRing, SessionLayer, SessionLayerBuilder};

use crate::support::app::{Browser, World, now};
use crate::support::realms::{STAFF_COOKIE, Staff, routes};
use crate::support::store::AnyStore;

const COOKIE: &str = "__Host-id";
const ONE: [u8; 32] = [1; 32];
const TWO: [u8; 32] = [2; 32];

fn signed_by(ring: KeyRing) -> impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder {
    move |layer| layer.keys(ring)
}

/// Runs `test` on each kind of store, with a function that makes worlds on it.
async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(AnyStore) -> F) {
    for store in AnyStore::each(&now()) {
        println!("on {store:?}");
        test(store).await;
    }
}

async fn signed_in(world: &World) -> Browser {
    let browser = world.browser();
    browser.get("/login?user=ada").await.assert_status(200);
    browser
}

/// Who the cookie of this browser is to another service.
async fn who(world: &World, browser: &Browser) -> String {
    world.browser().with_jar(browser.jar().copy()).get("/me").await.assert_status(200).text()
}

#[tokio::test]
async fn with_keys_a_forged_cookie_costs_no_round_trip() {
    on_each_store(|store| async move {
        let clock = now();
        let world = World::with(&store, &clock, signed_by(KeyRing::new(ONE)));
        let elsewhere = World::with(&store, &clock, signed_by(KeyRing::new(TWO)));
        let staff = SessionLayer::builder(store.clone()).clock(clock.clone()).keys(KeyRing::new(ONE));
        let staff = Browser::new(routes::<Staff>().layer(staff.realm::<Staff>().build().unwrap()));
        staff.get("/login/ada").await.assert_status(200);
        let real = signed_in(&world).await.jar().get(COOKIE).unwrap();
        let other = signed_in(&world).await.jar().get(COOKIE).unwrap();
        let by_another_key = signed_in(&elsewhere).await.jar().get(COOKIE).unwrap();
        let of_another_realm = staff.jar().get(STAFF_COOKIE).unwrap();
        let (token, signature) = real.rsplit_once('.').unwrap();
        let (locator, _) = token.split_once('.').unwrap();
        let (_, other_signature) = other.rsplit_once('.').unwrap();

        let rows = [
            ("without a signature", token.to_owned()),
            ("with an empty one", format!("{token}.")),
            ("with a guessed one", format!("{token}.{}", "A".repeat(22))),
            ("with another session's", format!("{token}.{other_signature}")),
            ("another secret", format!("{locator}.{}.{signature}", "B".repeat(43))),
            ("another locator", format!("{}{}", "A".repeat(22), &real[22..])),
            ("another key's", by_another_key),
            ("another realm's", of_another_realm),
            ("longer", format!("{real}A")),
        ];
        world.spy.forget();
        for (name, forged) in rows {
            let cookie = format!("{COOKIE}={forged}");
            let response = world.browser().get("/me").header("cookie", cookie.as_str()).await;
            assert_eq!(response.assert_status(200).text(), "nobody", "{name}");
            assert_eq!(world.spy.calls(), [], "{name}");
        }
        let cookie = format!("{COOKIE}={real}");
        let response = world.browser().get("/me").header("cookie", cookie.as_str()).await;
        assert_eq!(response.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn a_hundred_forged_cookies_do_not_shadow_the_real_one() {
    on_each_store(|store| async move {
        let world = World::with(&store, &now(), signed_by(KeyRing::new(ONE)));
        let browser = signed_in(&world).await;
        let forged = |n: usize| format!("{COOKIE}={n:0>21}A.{}.{}", "B".repeat(43), "C".repeat(22));
        let mut cookies: Vec<String> = (0..100).map(forged).collect();
        cookies.push(format!("{COOKIE}={}", browser.jar().get(COOKIE).unwrap()));
        world.spy.forget();
        let response = world.browser().get("/me").header("cookie", cookies.join("; ").as_str()).await;
        assert_eq!(response.assert_status(200).text(), "ada");
        assert_eq!(world.spy.calls().len(), 1);
        assert_eq!(world.spy.calls()[0].locators.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_new_key_signs_in_front_and_the_one_before_still_verifies() {
    on_each_store(|store| async move {
        let clock = now();
        let old = World::with(&store, &clock, signed_by(KeyRing::new(ONE)));
        let both = World::with(&store, &clock, signed_by(KeyRing::new(TWO).add_key(ONE)));
        let new = World::with(&store, &clock, signed_by(KeyRing::new(TWO)));

        let before = signed_in(&old).await;
        assert_eq!(who(&both, &before).await, "ada");
        assert_eq!(who(&new, &before).await, "nobody", "the key was taken out");

        let rotated = both.browser().with_jar(before.jar().copy());
        rotated.get("/rotate").await.assert_status(200);
        assert_eq!(who(&new, &rotated).await, "ada", "signed by the one in front");
        assert_eq!(who(&old, &rotated).await, "nobody");
    })
    .await;
}

#[tokio::test]
async fn keys_can_be_introduced_without_signing_anybody_out() {
    on_each_store(|store| async move {
        let clock = now();
        let plain = World::new(&store, &clock);
        let strict = World::with(&store, &clock, signed_by(KeyRing::new(ONE)));
        let between =
            World::with(&store, &clock, |layer| layer.keys(KeyRing::new(ONE)).insecure_accept_unsigned());

        let browser = signed_in(&plain).await;
        assert_eq!(who(&strict, &browser).await, "nobody");
        let browser = between.browser().with_jar(browser.jar().copy());
        assert_eq!(browser.get("/me").await.text(), "ada");
        let forged = format!("{COOKIE}={}.{}", browser.jar().get(COOKIE).unwrap(), "A".repeat(22));
        let response = between.browser().get("/me").header("cookie", forged.as_str()).await;
        assert_eq!(response.text(), "nobody", "a bad signature is not a missing one");

        browser.get("/rotate").await.assert_status(200);
        assert_eq!(who(&strict, &browser).await, "ada", "what is handed out is signed");
    })
    .await;
}

/// A rolling deployment: some processes have the keys already, or still, and a visitor is served by any of them.
#[tokio::test]
async fn processes_with_and_without_keys_serve_the_same_sessions() {
    on_each_store(|store| async move {
        let clock = now();
        let plain = World::new(&store, &clock);
        let signing =
            World::with(&store, &clock, |layer| layer.keys(KeyRing::new(ONE)).insecure_accept_unsigned());

        for (begun_by, other) in [(&plain, &signing), (&signing, &plain)] {
            let browser = signed_in(begun_by).await;
            for world in [other, begun_by, other] {
                let here = world.browser().with_jar(browser.jar().clone());
                assert_eq!(here.get("/me").await.text(), "ada");
                here.get("/rotate").await.assert_status(200);
                here.get("/set/a/1").await.assert_status(200);
            }
            assert_eq!(who(begun_by, &browser).await, "ada");
        }
    })
    .await;
}
