//! The cache of loaded sessions: what it saves, how old its answers may be, and what it never answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
use portcullis::identity::{Authentication, Carrier};
use portcullis::session::{
    Lifetime, SessionCache, SessionLayer, SessionLayerBuilder, StrongSessionLayer, User,
};
use portcullis::{Identity, RequireLayer};
use portcullis_store::{ManualClock, StoreErrorKind};
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::{Operation, Spy};
use tokio::time::{Instant, sleep};
use tower::ServiceBuilder;

use crate::support::app::{Browser, World, now};
use crate::support::store::{AnyStore, PATIENCE};

/// Longer than a test takes between two requests, and the longest there is.
const LONG: Duration = SessionCache::LONGEST;

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(300);

fn caching(max_stale: Duration) -> impl Fn(SessionLayerBuilder) -> SessionLayerBuilder {
    move |layer| layer.cache(SessionCache::new(max_stale))
}

/// Runs `test` with a process that caches and one that does not, on each kind of store.
async fn beside_another<F: Future<Output = ()>>(max_stale: Duration, test: impl Fn(World, World) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        let world = World::with(&store, &clock, caching(max_stale));
        slow_down(&world.spy);
        test(world, World::new(&store.another(), &clock)).await;
    }
}

/// What answers at once is not cached.
fn slow_down(spy: &Spy<AnyStore>) {
    spy.on(Operation::Load).before(|| async {});
}

async fn signed_in(world: &World) -> Browser {
    let browser = world.browser();
    browser.get("/login?user=ada").await.assert_status(200);
    assert_eq!(browser.get("/me").await.text(), "ada", "and cached");
    browser
}

#[tokio::test]
async fn requests_in_a_row_ask_the_store_once() {
    beside_another(LONG, async |world, _| {
        let browser = signed_in(&world).await;
        world.spy.forget();
        for _ in 0..5 {
            assert_eq!(browser.get("/me").await.text(), "ada");
        }
        assert_eq!(world.spy.calls(), []);
    })
    .await;
}

#[tokio::test]
async fn what_this_process_does_is_seen_at_once() {
    beside_another(LONG, async |world, _| {
        let browser = signed_in(&world).await;
        for value in ["one", "two", "three"] {
            browser.get(&format!("/set/a/{value}")).await.assert_status(200);
            assert_eq!(browser.get("/get/a").await.text(), value);
        }
        for count in 1..4 {
            assert_eq!(browser.get("/count").await.text(), count.to_string());
        }
        let ada = User::new("ada");
        world.sessions.update_identity(&ada, |ada| ada.role("admin")).await.unwrap();
        assert_eq!(browser.get("/me").await.text(), "ada admin");

        let old = world.browser().with_jar(browser.jar().copy());
        browser.get("/rotate").await.assert_status(200);
        assert_eq!(old.get("/me").await.text(), "nobody", "the old secret");
        assert_eq!(browser.get("/me").await.text(), "ada admin", "the new one");

        let copy = world.browser().with_jar(browser.jar().copy());
        browser.get("/logout").await.assert_status(200);
        assert_eq!(copy.get("/me").await.text(), "nobody");

        let browser = signed_in(&world).await;
        world.sessions.revoke_all(&ada).await.unwrap();
        assert_eq!(browser.get("/me").await.text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn what_this_process_ends_is_seen_at_once_though_the_store_tells_nobody() {
    beside_another(LONG, async |world, _| {
        world.spy.tell_nobody();
        for by_steps in [true, false] {
            for path in ["/logout", "/login?user=ada", "/revoke-all"] {
                let browser = signed_in(&world).await;
                let copy = world.browser().with_jar(browser.jar().copy());
                if !by_steps {
                    // While there is an order, nothing is done in one step.
                    world.spy.obey_no_more();
                }
                browser.get(path).await.assert_status(200);
                assert_eq!(copy.get("/me").await.text(), "nobody", "{path} by steps: {by_steps}");
                slow_down(&world.spy);
            }
        }
        let browser = signed_in(&world).await;
        world.sessions.durable_revoke_all(&User::new("ada"), 0).await.unwrap();
        assert_eq!(browser.get("/me").await.text(), "nobody", "a durable revocation");
    })
    .await;
}

#[tokio::test]
async fn a_logout_in_another_process_is_seen_when_it_is_told() {
    beside_another(LONG, async |world, other| {
        let browser = signed_in(&world).await;
        let copy = world.browser().with_jar(browser.jar().copy());
        // The subscription may still be under way.
        sleep(Duration::from_millis(200)).await;
        assert_eq!(copy.get("/me").await.text(), "ada");
        let start = Instant::now();
        other.through(&browser).get("/logout").await.assert_status(200);
        while copy.get("/me").await.text() == "ada" {
            assert!(start.elapsed() < LONG / 2, "that long it would be without being told");
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_being_told_the_bound_holds() {
    beside_another(SHORT, async |world, other| {
        world.spy.tell_nobody();
        let browser = signed_in(&world).await;
        let copy = world.browser().with_jar(browser.jar().copy());
        other.through(&browser).get("/logout").await.assert_status(200);
        assert_eq!(copy.get("/me").await.text(), "ada", "from the cache");
        sleep(SHORT).await;
        assert_eq!(copy.get("/me").await.text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn being_asked_again_makes_nothing_younger() {
    beside_another(SHORT, async |world, other| {
        world.spy.tell_nobody();
        let browser = signed_in(&world).await;
        let copy = world.browser().with_jar(browser.jar().copy());
        other.through(&browser).get("/logout").await.assert_status(200);
        let start = Instant::now();
        while copy.get("/me").await.text() == "ada" {
            assert!(start.elapsed() < SHORT * 2);
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_rotation_in_another_process_signs_nobody_out() {
    beside_another(LONG, async |world, other| {
        let browser = signed_in(&world).await;
        other.through(&browser).get("/rotate").await.assert_status(200);
        assert_eq!(browser.get("/me").await.text(), "ada", "by the new secret, which is not the cached one");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_secret_is_refused_cached_or_not() {
    beside_another(LONG, async |world, _| {
        let browser = signed_in(&world).await;
        let token = browser.jar().get("__Host-id").unwrap();
        let (locator, secret) = token.split_once('.').unwrap();
        let forged: String = secret.chars().rev().collect();
        let thief = world.browser();
        thief.jar().add("https://app.example/", &format!("__Host-id={locator}.{forged}; Path=/; Secure"));
        assert_eq!(thief.get("/me").await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn neither_absence_nor_an_error_is_cached() {
    beside_another(LONG, async |world, _| {
        let browser = signed_in(&world).await;
        let copy = world.browser().with_jar(browser.jar().copy());
        browser.get("/logout").await.assert_status(200);
        world.spy.forget();
        for asked in 1..4 {
            assert_eq!(copy.get("/me").await.text(), "nobody");
            assert_eq!(world.spy.count(Operation::Load), asked);
        }
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.obey_no_more();
        world.spy.on(Operation::Load).times(1).fail(StoreErrorKind::Unavailable);
        slow_down(&world.spy);
        browser.get("/me").await.assert_status(503);
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_503_when_the_cache_is_too_old() {
    beside_another(SHORT, async |world, _| {
        let browser = signed_in(&world).await;
        world.spy.obey_no_more();
        world.spy.fail_with(StoreErrorKind::Unavailable);
        assert_eq!(browser.get("/me").await.text(), "ada");
        sleep(SHORT).await;
        browser.get("/me").await.assert_status(503);
        browser.get("/me").await.assert_status(503);
    })
    .await;
}

#[tokio::test]
async fn a_cached_session_does_not_outlive_its_deadlines() {
    for (name, life) in [("idle", Lifetime::USER.idle), ("absolute", Lifetime::USER.absolute)] {
        beside_another(LONG, async |world, _| {
            let browser = signed_in(&world).await;
            world.spy.forget();
            world.clock.advance(life);
            browser.get("/me").await;
            assert_eq!(world.spy.count(Operation::Load), 1, "{name}: that is for the store to say");
        })
        .await;
    }
}

#[tokio::test]
async fn writes_on_top_of_an_old_session_are_exact() {
    beside_another(LONG, async |world, other| {
        let browser = signed_in(&world).await;
        let elsewhere = other.through(&browser);
        for sum in [2, 4, 6] {
            elsewhere.get("/count").await.assert_status(200);
            assert_eq!(browser.get("/count").await.text(), sum.to_string());
            browser.get("/me").await;
        }
        browser.get("/set/a/one").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "one");
        elsewhere.get("/set/a/two").await.assert_status(200);
        browser.get("/set/a/one").await.assert_status(200);
        assert_eq!(
            elsewhere.get("/get/a").await.text(),
            "one",
            "the last one wins, though it changes nothing here"
        );

        assert_eq!(browser.get("/get/b").await.text(), "none");
        elsewhere.get("/set/b/state").await.assert_status(200);
        assert_eq!(
            browser.get("/take/b").await.text(),
            "state",
            "what is not in the cache may be in the store"
        );
        assert_eq!(elsewhere.get("/take/b").await.text(), "none");

        let [late, copy] = [world.browser(), other.browser()].map(|it| it.with_jar(browser.jar().copy()));
        elsewhere.get("/logout").await.assert_status(200);
        late.get("/set/a/late").await;
        assert_eq!(copy.get("/me").await.text(), "nobody", "it does not come back");
    })
    .await;
}

#[tokio::test]
async fn what_was_loaded_before_a_write_is_not_kept_after_it() {
    beside_another(LONG, async |world, _| {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let writer = Arc::new(world.through(&browser));
        world.spy.obey_no_more();
        // Between the store's answer and its arrival another request writes.
        world.spy.on(Operation::Load).times(1).after(move || {
            let writer = Arc::clone(&writer);
            async move {
                writer.get("/set/a/new").await.assert_status(200);
            }
        });
        slow_down(&world.spy);
        assert_eq!(browser.get("/get/a").await.text(), "none");
        assert_eq!(browser.get("/get/a").await.text(), "new");
    })
    .await;
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_leaves_nothing_old_behind() {
    beside_another(LONG, async |world, _| {
        let browser = signed_in(&world).await;
        world.spy.on(Operation::Save).times(1).lose_answer(StoreErrorKind::Timeout);
        browser.get("/set/a/new").await.assert_status(503);
        assert_eq!(browser.get("/get/a").await.text(), "new");
    })
    .await;
}

#[test]
fn a_cache_that_may_be_too_old_is_refused() {
    let memory = portcullis::session::MemoryBackend::new;
    let cases = [
        ("the longest", SessionCache::new(SessionCache::LONGEST), true),
        ("longer", SessionCache::new(SessionCache::LONGEST + Duration::from_millis(1)), false),
        ("no time", SessionCache::new(Duration::ZERO), false),
        ("no room", SessionCache::new(LONG).max_sessions(0), false),
    ];
    for (name, cache, is_built) in cases {
        assert_eq!(SessionLayer::builder(memory()).cache(cache).build().is_ok(), is_built, "{name}");
    }
    let layer = SessionLayer::builder(memory()).cache(SessionCache::new(LONG)).build().unwrap();
    assert!(layer.describe().to_string().contains("cached: 10000 sessions, for 2 s"));
}

/// Two routes that say who is there: one from the cache, one from the store; and one for admins.
fn routes(store: &AnyStore, clock: &ManualClock) -> (Router, Spy<AnyStore>) {
    async fn me(me: Option<Identity>) -> String {
        me.map_or("nobody".to_owned(), |me| format!("{} {:?}", me.subject(), me.has_role("admin")))
    }
    let spy = Spy::new(store.clone());
    slow_down(&spy);
    spy.tell_nobody();
    let layer = SessionLayer::builder(spy.clone()).clock(clock.clone()).budget(PATIENCE);
    let admins = ServiceBuilder::new()
        .layer(StrongSessionLayer::new())
        .layer(RequireLayer::authenticated().role("admin"));
    let app = Router::new()
        .route("/weak", get(me))
        .route("/strong", get(me).layer(StrongSessionLayer::new()))
        .route("/admin", get(me).layer(admins))
        .layer(caching(LONG)(layer).build().unwrap());
    (app, spy)
}

#[tokio::test]
async fn a_strong_route_asks_the_store() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let (app, spy) = routes(&store, &clock);
        let other = World::new(&store.another(), &clock);
        let browser = other.browser();
        browser.get("/login?user=ada&role=admin").await.assert_status(200);
        let here = Client::new(app).clock(clock.clone()).with_jar(browser.jar().copy());
        assert_eq!(here.get("/strong").await.text(), "ada true");
        assert_eq!(spy.count(Operation::Load), 1, "what was not cached is not asked for again");
        assert_eq!(here.get("/weak").await.text(), "ada true");
        assert_eq!(spy.count(Operation::Load), 1);
        here.get("/admin").await.assert_status(200);
        assert_eq!(spy.count(Operation::Load), 2);

        let ada = User::new("ada");
        other.sessions.update_identity(&ada, |ada| ada.retain_roles(|_| false)).await.unwrap();
        assert_eq!(here.get("/weak").await.text(), "ada true", "not yet");
        assert_eq!(here.get("/strong").await.text(), "ada false");
        here.get("/admin").await.assert_status(403);

        spy.obey_no_more();
        spy.on(Operation::Load).fail(StoreErrorKind::Unavailable);
        here.get("/strong").await.assert_status(503);
        assert!(here.get("/weak").await.text().starts_with("ada"));
        spy.obey_no_more();
        slow_down(&spy);

        browser.get("/rotate").await.assert_status(200);
        assert!(here.get("/weak").await.text().starts_with("ada"), "the old secret, not yet");
        assert_eq!(here.get("/strong").await.text(), "nobody", "the old secret");
        browser.get("/logout").await.assert_status(200);
        assert!(here.get("/weak").await.text().starts_with("ada"), "not yet");
        assert_eq!(here.get("/strong").await.text(), "nobody");
        here.get("/admin").await.assert_status(401);
    }
}

/// Whose key it is, by a header.
struct ByKey;

impl Authenticator for ByKey {
    type Visit = ();

    fn open<B>(&self, request: &mut http::Request<B>) -> Opening<()> {
        let key = request.headers().contains_key("x-api-key");
        let ada = || Identity::new("ada").scope("read").carrier(Carrier::Explicit).build();
        let found = if key { Authentication::authenticated(ada()) } else { Authentication::anonymous() };
        Opening::Ready(Ok((found, ())))
    }
}

#[tokio::test]
async fn a_strong_route_leaves_alone_who_came_by_another_credential() {
    async fn scopes(me: Option<Identity>) -> String {
        me.map_or("nobody".to_owned(), |me| me.scopes().collect())
    }
    let clock = now();
    for store in AnyStore::each(&clock) {
        let spy = Spy::new(store.clone());
        slow_down(&spy);
        spy.tell_nobody();
        let layer = SessionLayer::builder(spy.clone()).clock(clock.clone()).budget(PATIENCE);
        let app = Router::new()
            .route("/", get(scopes).layer(StrongSessionLayer::new()))
            .layer(AuthenticateLayer::new(ByKey))
            .layer(caching(LONG)(layer).build().unwrap());
        let browser = World::new(&store.another(), &clock).browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let here = Client::new(app).clock(clock.clone()).with_jar(browser.jar().copy());
        assert_eq!(here.get("/").await.text(), "", "the session's, and cached");
        assert_eq!(here.get("/").header("x-api-key", "x").await.text(), "read");
        browser.get("/logout").await.assert_status(200);
        assert_eq!(here.get("/").header("x-api-key", "x").await.text(), "read", "the session has ended");
        assert_eq!(here.get("/").await.text(), "nobody");
    }
}

#[tokio::test]
async fn a_strong_route_lets_in_who_has_not_got_the_renewed_secret_yet() {
    const HOUR: Duration = Duration::from_secs(3600);
    let clock = now();
    for store in AnyStore::each(&clock) {
        let (app, _) = routes(&store, &clock);
        let life = Lifetime { idle: 10 * HOUR, absolute: 20 * HOUR };
        let other = World::with(&store.another(), &clock, |layer| layer.renew_every(HOUR).lifetime(life));
        let browser = other.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let here = Client::new(app).clock(clock.clone()).with_jar(browser.jar().copy());
        assert_eq!(here.get("/weak").await.text(), "ada false");
        clock.advance(HOUR);
        assert_eq!(browser.get("/me").await.assert_status(200).set_cookies().len(), 1, "a new secret");
        assert_eq!(here.get("/strong").await.text(), "ada false");
    }
}

#[tokio::test]
async fn a_strong_route_without_a_session_layer_is_misassembled() {
    let app: Router = Router::new().route("/", get(async || "in").layer(StrongSessionLayer::new()));
    Client::new(app).get("/").await.assert_status(500);
}
