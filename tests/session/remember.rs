//! Sessions of users who asked to stay signed in.

use std::time::Duration;

use portcullis::session::{Lifetime, SessionLayerBuilder};
use portcullis_store::{Clock, Key, Locator, Realm, Record, SessionBackend, Timestamp};
use portcullis_testkit::spy::Operation;

use crate::support::app::{Browser, World, eventually, now, on_each_store};
use crate::support::store::AnyStore;

const COOKIE: &str = "__Host-id";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The record of the browser's session, as it is stored.
async fn record(world: &World, browser: &Browser) -> Record {
    let cookie = browser.jar().get(COOKIE).unwrap();
    let locator = Locator::parse(&cookie[..Locator::LEN]).unwrap();
    world.store.load(Key { realm: &Realm::default(), locator }).await.unwrap().unwrap()
}

#[track_caller]
fn max_age(set_cookies: &[&str]) -> Option<u64> {
    let [cookie] = set_cookies else { panic!("one cookie, not {set_cookies:?}") };
    cookie
        .split("; ")
        .find_map(|attribute| attribute.strip_prefix("Max-Age="))
        .map(|age| age.parse().unwrap())
}

#[tokio::test]
async fn a_remember_me_lifetime_survives_later_writes() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada&remember=true").await.assert_status(200);
        let created = record(&world, &browser).await.header;
        assert_eq!(created.idle, Lifetime::REMEMBERED.idle);
        for path in ["/set/a/x", "/count", "/append/y", "/rotate", "/reauthenticated", "/remove/a", "/take/a"]
        {
            browser.get(path).await.assert_status(200);
            let header = record(&world, &browser).await.header;
            assert_eq!(
                (header.idle, header.absolute_deadline, header.idle_deadline, header.flags),
                (created.idle, created.absolute_deadline, created.idle_deadline, created.flags),
                "{path}"
            );
        }
        world.clock.advance(Duration::from_secs(360));
        browser.get("/me").await.assert_status(200);
        world.spy.called(Operation::Enrol, 1).await;
        assert_eq!(record(&world, &browser).await.header.idle, created.idle, "a touch");
    })
    .await;
}

#[tokio::test]
async fn a_remembered_session_outlives_idle_days_and_a_closed_browser_and_others_do_not() {
    let clock = now();
    let store = AnyStore::Memory(portcullis::session::MemoryBackend::with_clock(clock.clone()));
    let world = World::new(&store, &clock);
    let (remembered, plain) = (world.browser(), world.browser());
    remembered.get("/login?user=ada&remember=true").await.assert_status(200);
    plain.get("/login?user=grace").await.assert_status(200);
    for browser in [&remembered, &plain] {
        browser.get("/set/a/x").await.assert_status(200);
    }
    clock.advance(31 * Duration::from_secs(60));
    assert_eq!(plain.get("/me").await.text(), "nobody");
    for visits in 1..=6 {
        remembered.jar().close();
        clock.advance(13 * DAY);
        assert_eq!(remembered.get("/me").await.text(), "ada", "visit {visits}");
        let soon = clock.now().saturating_add(2 * DAY);
        eventually("it was touched", || async {
            record(&world, &remembered).await.header.idle_deadline > soon
        })
        .await;
    }
    clock.advance(13 * DAY);
    assert_eq!(remembered.get("/me").await.text(), "nobody", "after 91 days");
}

#[tokio::test]
async fn the_cookie_is_persistent_until_the_absolute_deadline_and_only_if_remembered() {
    on_each_store(|world| async move {
        let browser = world.browser();
        let response = browser.get("/login?user=ada&remember=true").await.assert_status(200);
        assert_eq!(max_age(&response.set_cookies()), Some(90 * 24 * 3600));
        world.clock.advance(10 * DAY);
        let response = browser.get("/rotate").await.assert_status(200);
        assert_eq!(max_age(&response.set_cookies()), Some(80 * 24 * 3600));
        let response = browser.get("/logout").await.assert_status(200);
        assert_eq!(max_age(&response.set_cookies()), Some(0));

        for path in ["/set/a/x", "/login?user=ada", "/rotate"] {
            let response = browser.get(path).await.assert_status(200);
            assert_eq!(max_age(&response.set_cookies()), None, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn signing_in_again_without_being_remembered_ends_it() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada&remember=true").await.assert_status(200);
        let response = browser.get("/login?user=ada").await.assert_status(200);
        assert_eq!(max_age(&response.set_cookies()), None);
        assert_eq!(record(&world, &browser).await.header.idle, Lifetime::USER.idle);
    })
    .await;
}

/// So that nothing but the cookie is about to expire.
fn busy(layer: SessionLayerBuilder) -> SessionLayerBuilder {
    let lifetime = Lifetime { idle: 90 * DAY, absolute: 90 * DAY };
    layer.remembered_lifetime(lifetime).lifetime(lifetime)
}

#[tokio::test]
async fn a_persistent_cookie_goes_out_again_past_half_its_life_and_only_then() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        let clock = now();
        let store = match store {
            AnyStore::Memory(_) => {
                AnyStore::Memory(portcullis::session::MemoryBackend::with_clock(clock.clone()))
            }
            redis @ AnyStore::Redis(..) => redis,
        };
        let world = World::with(&store, &clock, busy);
        let (browser, plain) = (world.browser(), world.browser());
        browser.get("/login?user=ada&remember=true").await.assert_status(200);
        plain.get("/login?user=ada").await.assert_status(200);
        let first = browser.jar().get(COOKIE).unwrap();

        clock.advance(44 * DAY);
        for path in ["/me", "/set/a/x", "/count"] {
            assert!(browser.get(path).await.assert_status(200).set_cookies().is_empty(), "{path}");
        }
        clock.advance(2 * DAY);
        let response = browser.get("/me").await.assert_status(200);
        assert_eq!(max_age(&response.set_cookies()), Some(44 * 24 * 3600));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_ne!(browser.jar().get(COOKIE).unwrap(), first, "with a new secret");
        for path in ["/me", "/get/a", "/me"] {
            let again = browser.get(path).await.assert_status(200);
            assert!(again.set_cookies().is_empty(), "{path}, once is enough");
        }
        assert_eq!(browser.get("/get/a").await.text(), "x");
        for _ in 0..2 {
            let never = plain.get("/me").await.assert_status(200);
            assert_eq!((never.text().as_str(), never.set_cookies().len()), ("ada", 0), "not remembered");
        }
        eventually("the new secret is known to have arrived", || async {
            record(&world, &browser).await.header.previous.is_some_and(|(_, until)| until < Timestamp::MAX)
        })
        .await;
        clock.advance(23 * DAY);
        let response = browser.get("/me").await.assert_status(200);
        assert_eq!(max_age(&response.set_cookies()), Some(21 * 24 * 3600), "past half of what was left");
    }
}
