//! For whom, since when and until when a session is good.

use std::time::Duration;

use portcullis::session::{
    Lifetime, MemoryBackend, SessionErrorKind as Kind, SessionLayer, SessionLayerBuilder,
};
use portcullis::{Identity, Session};
use portcullis_store::{
    Clock, Key, Locator, ManualClock, Realm, Record, Saved, SessionBackend, StoreErrorKind, Tag,
};
use portcullis_testkit::client::Jar;
use portcullis_testkit::spy::Operation;

use super::handle::{around, around_with};
use crate::support::app::{A, KEPT, World, now, on_each_store};
use crate::support::logs::captured;
use crate::support::store::AnyStore;

const COOKIE: &str = "__Host-id";
const MINUTE: Duration = Duration::from_secs(60);

fn cookie(jar: &Jar) -> String {
    format!("{COOKIE}={}", jar.get(COOKIE).unwrap())
}

fn locator(jar: &Jar) -> Locator {
    Locator::parse(&jar.get(COOKIE).unwrap()[..Locator::LEN]).unwrap()
}

async fn stored(world: &World, locator: Locator) -> Record {
    let realm = Realm::default();
    world.store.load(Key { realm: &realm, locator }).await.unwrap().unwrap()
}

/// Leaves the secret before as a renewal does: good for another minute. Gives the cookie that holds it.
async fn renewed(world: &World, browser: &crate::support::app::Browser) -> String {
    let (before, locator) = (cookie(browser.jar()), locator(browser.jar()));
    let old = stored(world, locator).await.header.secret;
    browser.get("/rotate").await.assert_status(200);
    let mut record = stored(world, locator).await;
    let expected = record.header.tag();
    record.header.tags = record.header.tags_after(Tag([7; 8]));
    record.header.previous = Some((old, world.clock.now().saturating_add(MINUTE)));
    let realm = Realm::default();
    let _ = world.store.save(Key { realm: &realm, locator }, expected, &record).await.unwrap();
    before
}

#[tokio::test]
async fn within_its_grace_the_previous_secret_is_served_and_changes_nothing() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let previous = renewed(&world, &browser).await;
        let current = cookie(browser.jar());
        let me = async |cookies: &str| {
            let response = world.browser().get("/me").header("cookie", cookies).await.assert_status(200);
            assert!(response.set_cookies().is_empty(), "{cookies}");
            response.text()
        };
        world.spy.forget();
        for cookies in
            [&previous, &current, &format!("{previous}; {current}"), &format!("{current}; {previous}")]
        {
            assert_eq!(me(cookies).await, "ada", "one session, whichever of its secrets come along");
        }
        assert_eq!(world.spy.writes(), 0);
        world.clock.advance(MINUTE + Duration::from_millis(1));
        assert_eq!((me(&previous).await.as_str(), me(&current).await.as_str()), ("nobody", "ada"));
    })
    .await;
}

#[tokio::test]
async fn a_rotation_ends_the_grace_of_the_secret_before_too() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let previous = renewed(&world, &browser).await;
        browser.get("/rotate").await.assert_status(200);
        assert_eq!(world.browser().get("/me").header("cookie", previous.as_str()).await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn a_rotation_whose_answer_was_lost_stands_however_many_have_saved_since() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let (store, locator) = (world.store.clone(), locator(browser.jar()));
        world.spy.on(Operation::Save).times(1).lose_answer(StoreErrorKind::Timeout);
        world.spy.on(Operation::Save).times(1).before(move || {
            let store = store.clone();
            async move {
                let realm = Realm::default();
                let key = Key { realm: &realm, locator };
                for tag in 1..=5 {
                    let mut record = store.load(key).await.unwrap().unwrap();
                    let expected = record.header.tag();
                    record.header.tags = record.header.tags_after(Tag([tag; 8]));
                    assert_eq!(store.save(key, expected, &record).await.unwrap(), Saved::Done);
                }
            }
        });
        assert_eq!(browser.get("/rotate").await.set_cookies().len(), 1);
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn only_a_new_proof_makes_a_sign_in_fresh() {
    on_each_store(|world| async move {
        let browser = world.browser();
        let signed_in = world.clock.now();
        browser.get("/login?user=ada").await.assert_status(200);
        let age = around(&world, async |me: Identity| me.authenticated_at().unwrap().as_millis().to_string());
        let age = age.with_jar(browser.jar().clone());
        world.clock.advance(MINUTE);
        browser.get("/rotate").await.assert_status(200);
        assert_eq!(age.get("/").await.text(), signed_in.as_millis().to_string());
        assert_eq!(stored(&world, locator(browser.jar())).await.header.secret_since, world.clock.now());
        browser.get("/reauthenticated").await.assert_status(200);
        assert_eq!(age.get("/").await.text(), world.clock.now().as_millis().to_string());

        let later = world.clock.now().saturating_add(MINUTE);
        let boast = async move |session: Session| {
            session.login(Identity::new("ada").authenticated_at(later)).await.unwrap();
            session.identity().and_then(|me| me.authenticated_at()).unwrap().as_millis().to_string()
        };
        let now = world.clock.now().as_millis().to_string();
        assert_eq!(around(&world, boast).get("/").await.text(), now, "nobody gives a proof in the future");

        let visitor = world.browser();
        visitor.get("/set/a/x").await.assert_status(200);
        assert!(visitor.get("/reauthenticated").await.assert_status(401).set_cookies().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_record_past_its_deadline_is_refused_even_where_the_store_still_has_it() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let deadline = world.clock.now().saturating_add(Lifetime::USER.absolute);
        for (late, expected) in [(MINUTE, "ada"), (MINUTE + Duration::from_millis(1), "nobody")] {
            let clock = ManualClock::at(deadline.saturating_add(late));
            let layer = |layer: SessionLayerBuilder| layer.clock(clock);
            let elsewhere = World::with(&world.store.another(), &world.clock, layer);
            let browser = elsewhere.browser().with_jar(browser.jar().clone());
            assert_eq!(browser.get("/me").await.text(), expected, "{late:?} after the deadline");
        }
    })
    .await;
}

#[tokio::test]
async fn an_anonymous_session_ends_after_its_own_shorter_time_however_busy() {
    let clock = now();
    let world = World::new(&AnyStore::Memory(MemoryBackend::with_clock(clock.clone())), &clock);
    let browser = world.browser();
    browser.get("/set/a/x").await.assert_status(200);
    for minutes in [20, 9] {
        clock.advance(minutes * MINUTE);
        assert_eq!(browser.get("/get/a").await.text(), "x");
        // A touch behind the response would prolong it.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    clock.advance(2 * MINUTE);
    assert_eq!(browser.get("/get/a").await.text(), "none");
}

#[tokio::test]
async fn a_new_session_never_takes_the_place_of_a_record_that_is_there() {
    on_each_store(|world| async move {
        let ada = world.browser();
        ada.get("/login?user=ada").await.assert_status(200);
        let record = stored(&world, locator(ada.jar())).await;
        for (operation, path) in
            [(Operation::Create, "/set/a/x"), (Operation::CreateEnrolled, "/login?user=grace")]
        {
            let (spy, store, record) = (world.spy.clone(), world.store.clone(), record.clone());
            world.spy.on(operation).times(1).before(move || {
                let (spy, store, record) = (spy.clone(), store.clone(), record.clone());
                async move {
                    let (realm, locator) = (Realm::default(), spy.calls().last().unwrap().locators[0]);
                    let _ = store.create(Key { realm: &realm, locator }, &record).await.unwrap();
                }
            });
            let response = world.browser().get(path).await.assert_status(503);
            assert!(response.set_cookies().is_empty(), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_namesake_of_another_issuer_gets_neither_data_nor_devices() {
    on_each_store(|world| async move {
        let handler = async |session: Session| {
            session.login(Identity::new("7").issuer("https://a.example")).await.unwrap();
            session.set(&A, &"private".to_owned()).unwrap();
            session.set(&KEPT, &"private".to_owned()).unwrap();
            session.login(Identity::new("7").issuer("https://b.example")).await.unwrap();
            assert_eq!((session.get(&A).unwrap(), session.get(&KEPT).unwrap()), (None, None));
        };
        around(&world, handler).get("/").await.assert_status(200);
        let devices = async |session: Session| {
            session.login(Identity::new("7").issuer("https://a.example")).await.unwrap();
            assert_eq!(session.devices().list().await.unwrap().len(), 1);
        };
        around(&world, devices).get("/").await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn a_session_keeps_everything_that_was_said_of_its_user() {
    on_each_store(|world| async move {
        let (proved, ends) =
            (world.clock.now().saturating_sub(MINUTE), world.clock.now().saturating_add(MINUTE));
        for issuer in [None, Some("https://app.example")] {
            let handler = async move |session: Session| {
                if session.identity().is_none() {
                    let ada =
                        Identity::new("ada").acr("gold").amr(["pwd", "otp"]).scope("read").role("admin");
                    let ada = ada.claim("org", "x").unwrap().authenticated_at(proved).expires_at(ends);
                    session.login(ada).await.unwrap();
                }
                let me = session.identity().unwrap();
                let claims: serde_json::Value = me.claims().unwrap();
                assert_eq!(
                    (me.subject(), me.acr(), claims["org"].as_str()),
                    ("ada", Some("gold"), Some("x"))
                );
                assert!(me.amr().eq(["pwd", "otp"]) && me.scopes().eq(["read"]) && me.roles().eq(["admin"]));
                assert_eq!((me.authenticated_at(), me.expires_at()), (Some(proved), Some(ends)));
                me.issuer().unwrap_or("none").to_owned()
            };
            let layer = |layer: SessionLayerBuilder| match issuer {
                Some(issuer) => layer.issuer(issuer),
                None => layer,
            };
            let browser = around_with(&world, layer, handler);
            for request in ["login", "after it"] {
                assert_eq!(browser.get("/").await.text(), issuer.unwrap_or("none"), "{request}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_device_list_says_which_one_is_this_one() {
    on_each_store(|world| async move {
        world.browser().get("/login?user=ada").await.assert_status(200);
        let handler = async |session: Session| {
            session.login(Identity::new("ada")).await.unwrap();
            let devices = session.devices().list().await.unwrap();
            let current: Vec<_> = devices.iter().filter(|device| device.current).collect();
            assert_eq!((devices.len(), current.len()), (2, 1));
            assert_eq!(Some(&current[0].session_ref), session.session_ref().as_ref());
        };
        around(&world, handler).get("/").await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn nobody_was_seen_before_they_signed_in() {
    on_each_store(|world| async move {
        let soon = world.clock.now().saturating_add(10 * MINUTE);
        let handler = async move |session: Session| {
            session.login(Identity::new("ada").expires_at(soon)).await.unwrap();
            let device = session.devices().list().await.unwrap().remove(0);
            assert_eq!((device.last_seen, device.expires), (device.created, soon));
        };
        around(&world, handler).get("/").await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_503_and_leaves_nobody_signed_in() {
    on_each_store(|world| async move {
        for (operation, path) in
            [(Operation::Create, "/set/a/x"), (Operation::CreateEnrolled, "/login?user=ada")]
        {
            let browser = world.browser();
            world.spy.on(operation).times(1).lose_answer(StoreErrorKind::Timeout);
            assert!(browser.get(path).await.assert_status(503).set_cookies().is_empty(), "{path}");
            assert_eq!(browser.get("/me").await.text(), "nobody");
        }
    })
    .await;
}

#[tokio::test]
async fn insecure_dev_drops_secure_and_the_prefix_that_needs_it_and_warns() {
    let build = async { SessionLayer::builder(MemoryBackend::new()).insecure_dev().build().unwrap() };
    let (layer, logs) = captured(build).await;
    assert!(logs.contains("WARN") && logs.contains("insecure_dev"), "{logs}");
    let handler = async |session: Session| {
        session.login(Identity::new("ada")).await.map_err(|error| error.kind() == Kind::Sealed).unwrap()
    };
    let app = axum::Router::new().route("/", axum::routing::get(handler)).layer(layer);
    let client = portcullis_testkit::client::Client::<axum::Router>::new(app).base("http://localhost:3000");
    let response = client.get("/").await.assert_status(200);
    let [cookie] = response.set_cookies()[..] else { panic!("one cookie") };
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("id="), "{pair}");
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Path=/");
}
