//! Sessions ended so that a failover does not bring them back: what is promised, and what happens if it cannot be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::session::{
    DurablyRevoked, SessionCache, SessionEnd, SessionErrorKind, SessionEvent, SessionLayerBuilder, User,
};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::redis::{Proxy, RedisServer};
use portcullis_testkit::spy::Operation;
use tokio::time::timeout;

use crate::support::app::{Browser, World, eventually, now, on_each_store};
use crate::support::store::{AnyStore, PATIENCE, connect};

async fn signed_in(world: &World, user: &str) -> Browser {
    let browser = world.browser();
    browser.get(&format!("/login?user={user}")).await.assert_status(200);
    world.clock.advance(Duration::from_millis(2));
    browser
}

/// How many sessions and replicas a revocation was about.
fn told(revoked: DurablyRevoked) -> (usize, u32) {
    (revoked.sessions, revoked.replicas)
}

#[tokio::test]
async fn without_replicas_sessions_end_and_nobody_confirms_it() {
    on_each_store(|world| async move {
        let (ada, sessions) = (User::new("ada"), &world.sessions);
        let browsers = [signed_in(&world, "ada").await, signed_in(&world.another(), "ada").await];
        let stranger = signed_in(&world, "grace").await;
        let listed = sessions.list(&ada).await.unwrap();
        for wrong in ["AAAAAAAAAAAAAAAAAAAAAA", "", "x"] {
            let kind = sessions.durable_revoke(&ada, wrong, 0).await.unwrap_err().kind();
            assert_eq!(kind, SessionErrorKind::NotFound, "{wrong}");
        }
        let one = sessions.durable_revoke(&ada, &listed[1].session_ref, 0).await.unwrap();
        assert_eq!(told(one), (1, 0));
        assert_eq!(browsers[0].get("/me").await.text(), "nobody");
        assert_eq!(browsers[1].get("/me").await.text(), "ada");
        assert_eq!(told(sessions.durable_revoke_all(&ada, 0).await.unwrap()), (1, 0));
        assert_eq!(browsers[1].get("/me").await.text(), "nobody");
        assert_eq!(told(sessions.durable_revoke_all(&ada, 0).await.unwrap()), (0, 0), "none is left");
        assert_eq!(stranger.get("/me").await.text(), "grace");
    })
    .await;
}

#[tokio::test]
async fn what_too_few_confirm_has_ended_and_is_found_when_it_is_tried_again() {
    let audit = Arc::new(Mutex::new(Vec::new()));
    let clock = now();
    for store in AnyStore::each(&clock) {
        // In Redis it would take the whole budget to find out that there is no replica.
        let store = match store {
            AnyStore::Redis(..) => AnyStore::at(&RedisServer::shared().url()),
            memory @ AnyStore::Memory(_) => memory,
        };
        let log = Arc::clone(&audit);
        let events = move |event: &SessionEvent<'_>| log.lock().unwrap().push(format!("{:?}", event.kind));
        let world = World::with(&store, &clock, |layer| layer.events(events.clone()));
        let user = User::new("ada-durable");
        let browser = signed_in(&world, "ada-durable").await;
        let name = browser.jar().get("__Host-id").unwrap()[..22].to_owned();
        audit.lock().unwrap().clear();
        for _ in 0..2 {
            let revoked = world.sessions.durable_revoke(&user, &name, 1).await.unwrap();
            assert_eq!(told(revoked), (1, 0), "{store:?}");
            assert_eq!(browser.get("/me").await.text(), "nobody", "{store:?}");
        }
        assert_eq!(told(world.sessions.durable_revoke_all(&user, 1).await.unwrap()), (1, 0), "{store:?}");
        let events = std::mem::take(&mut *audit.lock().unwrap());
        let revoked = events.iter().filter(|event| *event == "Revoked { count: 1 }").count();
        assert_eq!(revoked, 3, "{store:?}: {events:?}");
        assert!(world.sessions.list(&user).await.unwrap().is_empty(), "a list shows who is alive");
        assert_eq!(told(world.sessions.durable_revoke_all(&user, 1).await.unwrap()), (0, 0), "and cleans up");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_an_error_and_nothing_is_taken_out_of_the_index() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let ada = User::new("ada");
        world.spy.on(Operation::DestroyDurably).times(1).fail(StoreErrorKind::Timeout);
        let error = world.sessions.durable_revoke_all(&ada, 0).await.unwrap_err();
        assert_eq!(error.kind(), SessionErrorKind::Store(StoreErrorKind::Timeout));
        assert_eq!(world.spy.count(Operation::Withdraw), 0);
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(told(world.sessions.durable_revoke_all(&ada, 0).await.unwrap()), (1, 0));
        assert_eq!(world.spy.count(Operation::Withdraw), 1);
    })
    .await;
}

/// What a failover loses, and does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_replica_has_confirmed_as_ended_does_not_come_back_with_it() {
    let server = || RedisServer::builder().tcp().start();
    let (master, replica) = (server(), server());
    let between = Proxy::start(&master).await;
    let (ip, port) = (between.address().ip().to_string(), between.address().port().to_string());
    replica.command(&["REPLICAOF", &ip, &port]);
    let clock = now();
    let world = World::new(&AnyStore::Redis(connect(&master.url(), "own"), "own".to_owned()), &clock);
    let [confirmed, lost] = [signed_in(&world, "ada").await, signed_in(&world, "grace").await];
    let keys = |server: &RedisServer| tokio::task::block_in_place(|| server.command(&["DBSIZE"]));
    assert_eq!(keys(&master), "4", "two sessions, two indexes");
    eventually("the replica has them", async || keys(&replica) == "4").await;

    let revoked = world.sessions.durable_revoke_all(&User::new("ada"), 1).await.unwrap();
    assert_eq!(told(revoked), (1, 1));
    between.black_hole();
    // By the default budget, because it waits in vain.
    let hasty = World::new(&AnyStore::at(&master.url()), &clock);
    let revoked = hasty.sessions.durable_revoke_all(&User::new("grace"), 1).await.unwrap();
    assert_eq!(told(revoked), (1, 0));
    for browser in [&confirmed, &lost] {
        assert_eq!(browser.get("/me").await.text(), "nobody");
    }

    // The master is lost with what the replica has not got.
    master.kill();
    replica.promote();
    let after = World::new(&AnyStore::Redis(connect(&replica.url(), "own"), "own".to_owned()), &clock);
    assert_eq!(after.through(&confirmed).get("/me").await.text(), "nobody");
    assert_eq!(after.through(&lost).get("/me").await.text(), "grace", "nobody has said that this would hold");
    let again = after.sessions.revoke_all(&User::new("grace")).await.unwrap();
    assert_eq!(
        (again, after.through(&lost).get("/me").await.text()),
        (1, "nobody".into()),
        "still in the index"
    );
}

#[tokio::test]
async fn a_stream_ends_and_a_cached_session_is_dropped_as_with_any_revocation() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        // Neither time nor a look ends anything here.
        let told_only = |layer: SessionLayerBuilder| {
            layer.watch_interval(Duration::from_secs(3600)).cache(SessionCache::new(SessionCache::LONGEST))
        };
        let world = World::with(&store, &clock, told_only);
        let browser = signed_in(&world, "ada-watched").await;
        assert_eq!(browser.get("/me").await.text(), "ada-watched");
        let watch = world.held_by(&browser).await.watch().unwrap();
        let revoked = world.sessions.durable_revoke_all(&User::new("ada-watched"), 0).await.unwrap();
        assert_eq!(told(revoked), (1, 0));
        assert_eq!(timeout(PATIENCE, watch).await.unwrap(), SessionEnd::Revoked, "{store:?}");
        assert_eq!(browser.get("/me").await.text(), "nobody", "{store:?}");
    }
}
