//! The end of a session, awaited: whatever ends it, in whatever process; and what does not.

use std::time::Duration;

use portcullis::session::{
    Lifetime, Limit, SessionEnd, SessionErrorKind, SessionLayerBuilder, SessionWatch, User,
};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::redis::{Proxy, RedisServer};
use portcullis_testkit::spy::Operation;
use tokio::time::{Instant, timeout};

use crate::support::app::{Browser, World, now, on_each_store};
use crate::support::store::{AnyStore, PATIENCE};

/// How long something is waited for that must not happen.
const A_WHILE: Duration = Duration::from_millis(150);

/// Far longer than a test: what ends sooner was told, and not looked up.
const HOURS: Duration = Duration::from_secs(7200);

/// Signs in, and has the session watched as a handler does.
async fn watched(world: &World, user: &str) -> (Browser, SessionWatch) {
    let browser = signed_in(world, user).await;
    let watch = world.held_by(&browser).await.watch().unwrap();
    (browser, watch)
}

async fn signed_in(world: &World, user: &str) -> Browser {
    let browser = world.browser();
    browser.get(&format!("/login?user={user}")).await;
    browser
}

async fn end(watch: SessionWatch) -> SessionEnd {
    timeout(PATIENCE, watch).await.expect("the watch ends")
}

async fn goes_on(watch: &mut SessionWatch, why: &str) {
    let ended = timeout(A_WHILE, watch).await;
    assert!(ended.is_err(), "{why}: {ended:?}");
}

fn told_only(layer: SessionLayerBuilder) -> SessionLayerBuilder {
    layer.watch_interval(HOURS)
}

/// Runs `test` with two processes on each kind of store, that look nothing up.
async fn between_processes<F: Future<Output = ()>>(test: impl Fn(World, World) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        let (a, b) = (store.clone(), store.another());
        test(World::with(&a, &clock, told_only), World::with(&b, &clock, told_only)).await;
    }
}

#[tokio::test]
async fn logging_out_in_one_process_ends_the_watch_in_another() {
    between_processes(async |a, b| {
        let (browser, mut watch) = watched(&b, "ada").await;
        let (other, mut others) = watched(&b, "grace").await;
        goes_on(&mut watch, "nothing has happened").await;
        goes_on(&mut others, "nothing has happened").await;
        a.through(&browser).get("/logout").await;
        assert_eq!(end(watch).await, SessionEnd::Revoked);
        goes_on(&mut others, "it was somebody else").await;
        drop(other);
    })
    .await;
}

#[tokio::test]
async fn whatever_destroys_a_session_ends_its_watch() {
    between_processes(async |a, b| {
        for (name, path) in [
            ("a login that takes its place", "/login?user=ada"),
            ("somebody else's login", "/login?user=grace"),
            ("a revocation of all", "/revoke-all"),
        ] {
            let (browser, mut watch) = watched(&b, "ada").await;
            goes_on(&mut watch, name).await;
            a.through(&browser).get(path).await;
            assert_eq!(end(watch).await, SessionEnd::Revoked, "{name}");
        }
        let (_browser, mut watch) = watched(&b, "ada").await;
        goes_on(&mut watch, "before the change of password").await;
        a.sessions.bump(&User::new("ada")).await.unwrap();
        assert_eq!(end(watch).await, SessionEnd::Revoked, "a change of password");

        let (_browser, watch) = watched(&b, "ada").await;
        let (other, _) = watched(&a, "ada").await;
        other.get("/revoke-others").await;
        assert_eq!(end(watch).await, SessionEnd::Revoked, "a revocation of the others");
    })
    .await;
}

#[tokio::test]
async fn what_this_process_ends_ends_its_watches_though_the_store_tells_nobody() {
    let clock = now();
    let ada = User::new("ada");
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, told_only);
        world.spy.tell_nobody();
        for by_steps in [false, true] {
            if by_steps {
                // While there is an order, nothing is done in one step.
                world.spy.on(Operation::BumpCredentialVersion).before(|| async {});
            }
            for path in ["/logout", "/login?user=ada", "/revoke-all"] {
                let (browser, mut watch) = watched(&world, "ada").await;
                goes_on(&mut watch, path).await;
                world.through(&browser).get(path).await.assert_status(200);
                assert_eq!(end(watch).await, SessionEnd::Revoked, "{path} by steps: {by_steps}");
            }
        }
        let (_browser, mut watch) = watched(&world, "ada").await;
        goes_on(&mut watch, "before a durable revocation").await;
        world.sessions.durable_revoke_all(&ada, 0).await.unwrap();
        assert_eq!(end(watch).await, SessionEnd::Revoked, "a durable revocation");
    }
}

#[tokio::test]
async fn a_limit_that_ends_the_oldest_session_ends_its_watch() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let limited = |layer: SessionLayerBuilder| told_only(layer).limit(Limit::evict_oldest(1));
        let (a, b) = (World::with(&store, &clock, limited), World::with(&store.another(), &clock, limited));
        let (_browser, mut watch) = watched(&b, "ada").await;
        goes_on(&mut watch, "it is the only one").await;
        signed_in(&a, "ada").await;
        assert_eq!(end(watch).await, SessionEnd::Revoked);
    }
}

#[tokio::test]
async fn a_rotation_closes_nothing() {
    between_processes(async |a, b| {
        let (browser, mut watch) = watched(&b, "ada").await;
        for path in ["/rotate", "/reauthenticated", "/set/a/x", "/count"] {
            a.through(&browser).get(path).await;
            goes_on(&mut watch, path).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_ended_before_the_watch_was_polled_ends_it_at_once() {
    between_processes(async |a, b| {
        for tells in [true, false] {
            if !tells {
                b.spy.tell_nobody();
            }
            let (browser, watch) = watched(&b, "ada").await;
            a.through(&browser).get("/logout").await;
            assert_eq!(end(watch).await, SessionEnd::Revoked, "a store that tells: {tells}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_watch_may_be_awaited_again() {
    on_each_store(async |world| {
        let (browser, mut watch) = watched(&world, "ada").await;
        browser.get("/logout").await;
        assert_eq!((&mut watch).await, SessionEnd::Revoked);
        assert_eq!(watch.await, SessionEnd::Revoked);
    })
    .await;
}

#[tokio::test]
async fn without_a_session_there_is_nothing_to_watch() {
    on_each_store(async |world| {
        let browser = world.browser();
        let refused = world.held_by(&browser).await.watch();
        assert_eq!(refused.err().map(|error| error.kind()), Some(SessionErrorKind::NotStored));

        browser.get("/set/a/x").await;
        let mut watch = world.held_by(&browser).await.watch().unwrap();
        goes_on(&mut watch, "an anonymous session that is stored").await;
        browser.get("/logout").await;
        assert_eq!(end(watch).await, SessionEnd::Revoked);
    })
    .await;
}

/// A second idle, so that the store's own clock may do it.
fn short_lived(layer: SessionLayerBuilder) -> SessionLayerBuilder {
    let life = Lifetime { idle: Duration::from_secs(1), absolute: Duration::from_secs(2) };
    layer.watch_interval(HOURS).lifetime(life).clock(portcullis_store::SystemClock)
}

#[tokio::test]
async fn a_stream_is_no_activity_unless_the_application_says_so() {
    for store in AnyStore::each_in_real_time() {
        let world = World::with(&store, &now(), short_lived);
        let (_browser, watch) = watched(&world, "ada").await;
        let start = Instant::now();
        assert_eq!(end(watch).await, SessionEnd::Expired);
        let idle = start.elapsed();
        assert!(idle < Duration::from_millis(1900), "idle: {idle:?}");

        let (_browser, watch) = watched(&world, "ada").await;
        let start = Instant::now();
        assert_eq!(end(watch.counts_as_activity()).await, SessionEnd::Expired);
        let active = start.elapsed();
        assert!(active > Duration::from_millis(1900), "active, until the absolute deadline: {active:?}");
    }
}

#[tokio::test]
async fn other_requests_prolong_a_watched_session() {
    for store in AnyStore::each_in_real_time() {
        let world = World::with(&store, &now(), short_lived);
        let (browser, mut watch) = watched(&world, "ada").await;
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(500), &mut watch).await.is_err());
            browser.get("/me").await;
        }
        assert_eq!(end(watch).await, SessionEnd::Expired);
    }
}

fn impatient(layer: SessionLayerBuilder) -> SessionLayerBuilder {
    layer.watch_interval(Duration::from_millis(20)).budget(Duration::from_millis(100))
}

#[tokio::test]
async fn an_outage_ends_no_watch_and_what_ended_in_it_does() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, impatient);
        world.spy.tell_nobody();
        let (browser, mut watch) = watched(&world, "ada").await;
        for outage in [StoreErrorKind::Unavailable, StoreErrorKind::Timeout, StoreErrorKind::Corrupt] {
            world.spy.forget();
            world.spy.on(Operation::Load).fail(outage);
            goes_on(&mut watch, outage.label()).await;
            assert!(world.spy.count(Operation::Load) > 1, "it keeps trying");
            world.spy.obey_no_more();
        }
        world.spy.on(Operation::Load).hang();
        goes_on(&mut watch, "a store that hangs").await;
        let elsewhere = World::with(&store.another(), &clock, impatient);
        elsewhere.through(&browser).get("/logout").await;
        goes_on(&mut watch, "nobody can tell yet").await;
        world.spy.obey_no_more();
        assert_eq!(end(watch).await, SessionEnd::Revoked);
    }
}

#[tokio::test]
async fn the_absolute_deadline_holds_without_the_store() {
    on_each_store_impatiently(async |world| {
        let (_browser, mut watch) = watched(&world, "ada").await;
        world.spy.on(Operation::Load).fail(StoreErrorKind::Unavailable);
        world.clock.advance(Lifetime::USER.idle * 2);
        goes_on(&mut watch, "whether it is idle only the store can tell").await;
        world.clock.advance(Lifetime::USER.absolute);
        assert_eq!(end(watch).await, SessionEnd::Expired);
    })
    .await;
}

async fn on_each_store_impatiently<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        test(World::with(&store, &clock, impatient)).await;
    }
}

#[tokio::test]
async fn a_store_that_tells_is_seldom_asked() {
    between_processes(async |_, b| {
        let (_browser, mut watch) = watched(&b, "ada").await;
        goes_on(&mut watch, "once to begin with").await;
        b.spy.forget();
        goes_on(&mut watch, "and then not").await;
        assert_eq!(b.spy.count(Operation::Load), 0);
    })
    .await;
}

#[tokio::test]
async fn where_the_store_tells_the_interval_is_a_longer_one() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, |layer| layer.watch_interval(A_WHILE / 6));
        let (_browser, mut watch) = watched(&world, "ada").await;
        goes_on(&mut watch, "it begins to hear").await;
        world.spy.forget();
        goes_on(&mut watch, "it hears").await;
        assert!(world.spy.count(Operation::Load) < 2, "{}", world.spy.count(Operation::Load));
    }
}

/// A server with a user for each of two processes; the second may be made deaf.
fn two_users() -> (RedisServer, [String; 2]) {
    let server = RedisServer::builder().tcp().start();
    for user in ["speaker", "listener"] {
        server.command(&["ACL", "SETUSER", user, "on", ">pw", "~*", "+@all", "allchannels"]);
    }
    let port = server.port().unwrap();
    let urls = ["speaker", "listener"].map(|user| format!("redis://{user}:pw@127.0.0.1:{port}"));
    (server, urls)
}

/// Waits until as many listen at the server.
async fn listeners(server: &RedisServer, count: &str) {
    for _ in 0..500 {
        let heard = server.command(&["PUBSUB", "NUMSUB", "own:default:ended"]);
        if heard.lines().last() == Some(count) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not {count} listeners");
}

/// Its subscription is cut, and cannot be renewed.
fn deafen(server: &RedisServer) {
    server.command(&["ACL", "SETUSER", "listener", "resetchannels"]);
}

#[tokio::test]
async fn a_process_that_cannot_hear_looks_now_and_then() {
    let (server, [speaker, listener]) = two_users();
    let clock = now();
    let speaks = World::new(&AnyStore::at(&speaker), &clock);
    let looks = |layer: SessionLayerBuilder| layer.watch_interval(Duration::from_millis(50));
    let listens = World::with(&AnyStore::at(&listener), &clock, looks);
    let (browser, mut watch) = watched(&listens, "ada").await;
    goes_on(&mut watch, "it hears").await;
    deafen(&server);
    listeners(&server, "0").await;
    goes_on(&mut watch, "it cannot hear, and nothing has happened").await;
    speaks.through(&browser).get("/logout").await;
    assert_eq!(end(watch).await, SessionEnd::Revoked);
}

#[tokio::test]
async fn what_a_process_has_not_heard_it_looks_for_as_soon_as_it_hears_again() {
    let (server, [speaker, listener]) = two_users();
    let clock = now();
    let speaks = World::new(&AnyStore::at(&speaker), &clock);
    let listens = World::with(&AnyStore::at(&listener), &clock, told_only);
    let (browser, mut watch) = watched(&listens, "ada").await;
    let (_other, mut others) = watched(&listens, "grace").await;
    goes_on(&mut watch, "it hears").await;
    goes_on(&mut others, "it hears").await;
    deafen(&server);
    listeners(&server, "0").await;
    // The look that being deaf gives rise to is over.
    goes_on(&mut watch, "it cannot hear, and nothing has happened").await;
    speaks.through(&browser).get("/logout").await;
    goes_on(&mut watch, "it has not heard").await;
    server.command(&["ACL", "SETUSER", "listener", "allchannels"]);
    assert_eq!(end(watch).await, SessionEnd::Revoked);
    goes_on(&mut others, "it was somebody else").await;
}

#[tokio::test]
async fn a_network_that_swallows_everything_for_a_while_ends_nothing() {
    let server = RedisServer::builder().tcp().start();
    let proxy = Proxy::start(&server).await;
    let clock = now();
    let world = World::with(&AnyStore::at(&proxy.url()), &clock, impatient);
    let (browser, mut watch) = watched(&world, "ada").await;
    goes_on(&mut watch, "all is well").await;
    proxy.black_hole();
    goes_on(&mut watch, "nobody answers").await;
    proxy.close_all();
    goes_on(&mut watch, "connections break").await;
    proxy.forward();
    goes_on(&mut watch, "and come back").await;
    browser.get("/logout").await;
    assert_eq!(end(watch).await, SessionEnd::Revoked);
}
