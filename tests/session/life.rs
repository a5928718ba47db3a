//! How long a session lives, and what its values are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use portcullis::{Identity, Session};
use portcullis_store::Clock;
use portcullis_testkit::client::Client;

use portcullis::session::{
    EncryptionKeys, Lifetime, MemoryBackend, SessionError, SessionLayer, SessionLayerBuilder,
};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_testkit::redis::RedisServer;
use portcullis_testkit::spy::Operation;
use tokio::sync::Notify;

use crate::support::app::{World, eventually, now, on_each_store};
use crate::support::store::AnyStore;

const MINUTE: Duration = Duration::from_secs(60);

fn in_memory(idle: Duration, absolute: Duration) -> World {
    let clock = now();
    let store = AnyStore::Memory(MemoryBackend::with_clock(clock.clone()));
    World::with(&store, &clock, |layer| layer.lifetime(Lifetime { idle, absolute }))
}

#[tokio::test]
async fn idle_time_counts_requests_not_writes() {
    let world = in_memory(30 * MINUTE, 12 * 60 * MINUTE);
    let browser = world.browser();
    browser.get("/login?user=ada").await.assert_status(200);
    for touches in 1..=5 {
        world.clock.advance(20 * MINUTE);
        assert_eq!(browser.get("/me").await.text(), "ada");
        world.spy.called(Operation::Enrol, touches).await;
    }
    assert_eq!(world.spy.count(Operation::Save), 0);
    world.clock.advance(31 * MINUTE);
    assert_eq!(browser.get("/me").await.text(), "nobody");
}

#[tokio::test]
async fn idle_and_absolute_hold_together() {
    let world = in_memory(30 * MINUTE, 60 * MINUTE);
    let browser = world.browser();
    browser.get("/login?user=ada").await.assert_status(200);
    for _ in 0..5 {
        world.clock.advance(11 * MINUTE);
        assert_eq!(browser.get("/me").await.text(), "ada");
        // Touches happen behind the response.
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.clock.advance(6 * MINUTE);
    assert_eq!(browser.get("/me").await.text(), "nobody", "61 minutes, busy all the time");
}

#[tokio::test]
async fn on_redis_a_session_ends_by_its_idle_time_and_a_touch_prolongs_it() {
    use portcullis_store::SystemClock;
    let idle = Duration::from_millis(900);
    let clock = now();
    let world = World::with(&AnyStore::redis(), &clock, |layer| {
        layer.clock(SystemClock).lifetime(Lifetime { idle, absolute: MINUTE })
    });
    let (busy, quiet) = (world.browser(), world.browser());
    busy.get("/login?user=ada").await.assert_status(200);
    quiet.get("/login?user=grace").await.assert_status(200);
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(busy.get("/me").await.text(), "ada");
    }
    assert_eq!(quiet.get("/me").await.text(), "nobody", "1.5 seconds without a request");
}

#[tokio::test]
async fn touches_are_throttled_and_cost_the_request_nothing() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.forget();
        world.clock.advance(4 * MINUTE);
        for _ in 0..10 {
            browser.get("/me").await.assert_status(200);
        }
        assert_eq!(world.spy.writes(), 0, "five minutes have not passed");
        world.clock.advance(2 * MINUTE);
        world.spy.on(Operation::Touch).hang();
        browser.get("/me").await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn removing_and_updating_are_saved() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/set/a/x").await.assert_status(200);
        browser.get("/append/y").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "xy");
        browser.get("/remove/a").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "none");
    })
    .await;
}

#[tokio::test]
async fn a_value_that_no_longer_decodes_fails_alone() {
    on_each_store(|world| async move {
        let browser = world.browser();
        for path in ["/login?user=ada", "/set/a/text", "/set/b/fine"] {
            browser.get(path).await.assert_status(200);
        }
        let answer = browser.get("/as-number").await.assert_status(409);
        assert!(answer.text().starts_with("Value") && !answer.text().contains("text"), "{}", answer.text());
        assert_eq!(browser.get("/get/b").await.text(), "fine");
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn too_much_is_an_error_before_anything_is_sent_and_what_was_there_stays() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/set/a/x").await.assert_status(200);
        world.spy.forget();
        let answer = browser.get("/big/40000").await.assert_status(413);
        assert_eq!(answer.text(), "TooLarge");
        assert_eq!(world.spy.writes(), 0);
        assert_eq!(browser.get("/get/a").await.text(), "x");
        browser.get("/big/30000").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text().len(), 30_000);
    })
    .await;
}

#[tokio::test]
async fn a_session_from_when_more_was_allowed_lives_on_and_may_shrink() {
    on_each_store(|before| async move {
        let browser = before.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        browser.get("/big/20000").await.assert_status(200);
        let world = World::with(&before.store.another(), &before.clock, |layer| layer.max_len(4096));
        let browser = world.through(&browser);
        for path in ["/rotate", "/reauthenticated", "/login?user=ada"] {
            assert_eq!(browser.get(path).await.assert_status(200).set_cookies().len(), 1, "{path}");
        }
        assert_eq!(browser.get("/get/a").await.text().len(), 20_000);
        browser.get("/big/20001").await.assert_status(413);
        browser.get("/big/10000").await.assert_status(200);
        browser.get("/big/20000").await.assert_status(413);
        browser.get("/remove/a").await.assert_status(200);
        browser.get("/set/a/x").await.assert_status(200);
        browser.get("/big/5000").await.assert_status(413);
    })
    .await;
}

/// To the byte, encrypted or not: that it is too large is said where it is written, and not by a 503 on the way out.
#[tokio::test]
async fn a_session_is_no_larger_than_its_store_takes() {
    let configurations: [fn(SessionLayerBuilder) -> SessionLayerBuilder; 2] =
        [|layer| layer, |layer| layer.encrypt(EncryptionKeys::new(&[7; 32]))];
    for (at, configure) in configurations.into_iter().enumerate() {
        let prefix = format!("small{at}");
        let config = RedisConfig::standalone(RedisServer::shared().url()).unwrap();
        let config = config.key_prefix(&prefix).max_record_len(4096).budget(MINUTE).attempt_timeout(MINUTE);
        let store = AnyStore::Redis(RedisBackend::connect(config).unwrap(), prefix);
        let world = World::with(&store, &now(), |layer| configure(layer).max_len(100_000));
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let mut len = 4096;
        while browser.get(&format!("/big/{len}")).await.status != 200 {
            browser.get(&format!("/big/{len}")).await.assert_status(413);
            len -= 1;
        }
        assert!(len > 3500, "{len}");
        assert_eq!(browser.get("/get/a").await.text().len(), len);
        browser.get("/rotate").await.assert_status(200);
        assert_eq!(browser.get("/me").await.text(), "ada");
    }
}

#[tokio::test]
async fn a_read_only_layer_gives_the_identity_and_no_handle() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::new(&store, &clock);
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let reader = World::with(&store.another(), &clock, SessionLayerBuilder::read_only);
        let browser = reader.browser().with_jar(browser.jar().clone());
        let response = browser.get("/me").await;
        assert_eq!((response.text().as_str(), response.header("vary")), ("ada", Some("cookie")));
        browser.get("/get/a").await.assert_status(500);
        clock.advance(6 * MINUTE);
        reader.spy.forget();
        assert_eq!(browser.get("/me").await.text(), "ada");
        tokio::time::timeout(MINUTE, reader.spy.called(Operation::Touch, 1)).await.expect("it is activity");

        let life = Lifetime { idle: 120 * MINUTE, absolute: 600 * MINUTE };
        let renewing = World::with(&store, &clock, |layer| layer.renew_every(60 * MINUTE).lifetime(life));
        let browser = renewing.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let old = renewing.browser().with_jar(browser.jar().copy());
        clock.advance(60 * MINUTE);
        assert_eq!(browser.get("/me").await.assert_status(200).set_cookies().len(), 1, "a new secret");
        renewing.spy.called(Operation::Enrol, 1).await;
        reader.spy.forget();
        assert_eq!(reader.through(&browser).get("/me").await.text(), "ada");
        tokio::time::timeout(MINUTE, reader.spy.called(Operation::Save, 1)).await.expect("it has arrived");
        clock.advance(MINUTE);
        eventually("the secret before ends soon", || async {
            reader.through(&old).get("/me").await.text() == "nobody"
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_outlives_neither_its_credential_nor_claims_a_later_proof() {
    let (clock, auth_time) = (now(), now().now());
    let layer =
        SessionLayer::builder(MemoryBackend::with_clock(clock.clone())).clock(clock.clone()).build().unwrap();
    let expires = auth_time.saturating_add(10 * MINUTE);
    let app = Router::new()
        .route(
            "/login",
            get(async move |session: Session| {
                let from_token = Identity::new("ada").authenticated_at(auth_time).expires_at(expires);
                session.login(from_token).await
            }),
        )
        .route("/me", get(async |me: Identity| me.authenticated_at().unwrap().as_millis().to_string()))
        .layer(layer);
    clock.advance(5 * MINUTE);
    let browser = Client::<Router>::new(app);
    browser.get("/login").await.assert_status(200);
    assert_eq!(browser.get("/me").await.assert_status(200).text(), auth_time.as_millis().to_string());
    clock.advance(6 * MINUTE);
    browser.get("/me").await.assert_status(401);
}

#[tokio::test]
async fn an_update_runs_once_when_nobody_else_writes() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let app = Router::new()
        .route(
            "/",
            get(async move |session: Session| {
                session.update(&crate::support::app::A, move |held| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    Some(held.unwrap_or_default() + "x")
                })
            }),
        )
        .layer(SessionLayer::new(MemoryBackend::new()));
    Client::<Router>::new(app).get("/").await.assert_status(200);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

/// The first run of `update`'s closure panics in a task of the handler's; what was set before is committed all the same.
#[tokio::test]
async fn an_update_that_panics_takes_no_earlier_write_along() {
    use crate::support::app::{A, COUNT};
    let app = Router::new()
        .route(
            "/",
            get(async |session: Session| {
                session.set(&A, &"kept".to_owned())?;
                let panics = async move { session.update(&COUNT, |_| panic!("a handler's mistake")) };
                assert!(tokio::spawn(panics).await.is_err());
                Ok::<_, SessionError>(())
            }),
        )
        .route("/seen", get(async |session: Session| session.get(&A).map(Option::unwrap_or_default)))
        .layer(SessionLayer::new(MemoryBackend::new()));
    let browser = Client::<Router>::new(app);
    browser.get("/").await.assert_status(200);
    assert_eq!(browser.get("/seen").await.text(), "kept");
}

/// The second run of the closure, over what another request wrote meanwhile, panics in a task of the handler's: nothing of
/// the session as it was before is written over the other's value or the other's new secret.
#[tokio::test]
async fn an_update_that_panics_when_it_is_applied_again_writes_nothing_old() {
    use crate::support::app::{A, COUNT};
    let (reached, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, gate) = (Arc::clone(&reached), Arc::clone(&open));
    let app = Router::new()
        .route("/begin", get(async |session: Session| session.set(&COUNT, &1)))
        .route(
            "/slow",
            get(async move |session: Session| {
                session.update(&COUNT, |held| Some(held.expect("it is there") + 1))?;
                told.notify_one();
                gate.notified().await;
                assert!(tokio::spawn(async move { session.commit().await }).await.is_err());
                Ok::<_, SessionError>(())
            }),
        )
        .route(
            "/other",
            get(async |session: Session| {
                session.remove(&COUNT)?;
                session.set(&A, &"theirs".to_owned())?;
                session.rotate().await
            }),
        )
        .route("/seen", get(async |session: Session| session.get(&A).map(Option::unwrap_or_default)))
        .layer(SessionLayer::new(MemoryBackend::new()));
    let browser = Client::<Router>::new(app);
    browser.get("/begin").await.assert_status(200);
    let slow = tokio::spawn(browser.get("/slow").send());
    reached.notified().await;
    browser.get("/other").await.assert_status(200);
    open.notify_one();
    slow.await.unwrap().assert_status(200);
    assert_eq!(browser.get("/seen").await.text(), "theirs");
}

#[test]
fn what_can_never_work_is_found_when_the_layer_is_built() {
    let builder = || SessionLayer::builder(MemoryBackend::new());
    let life = |idle, absolute| Lifetime { idle, absolute };
    let rows = [
        ("the defaults", builder(), true),
        ("no budget", builder().budget(Duration::ZERO), false),
        ("no idle time", builder().lifetime(life(Duration::ZERO, MINUTE)), false),
        ("idle over absolute", builder().lifetime(life(2 * MINUTE, MINUTE)), false),
        ("for ever", builder().lifetime(life(MINUTE, Duration::MAX)), false),
        ("anonymous for ever", builder().anonymous_lifetime(life(MINUTE, Duration::MAX)), false),
        ("no room", builder().max_len(100), false),
        ("a __Host- cookie with a domain", builder().domain("example.com"), false),
    ];
    for (name, builder, sound) in rows {
        assert_eq!(builder.build().is_ok(), sound, "{name}");
    }
}
