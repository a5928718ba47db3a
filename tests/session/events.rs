//! What an audit log is told, and what is counted: a table of stories, each with its events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use portcullis::session::{
    KeyRing, Lifetime, Limit, SessionEvent, SessionEventKind, SessionLayerBuilder, StoreOperation,
};
use portcullis_store::{Clock, ManualClock, StoreErrorKind};
use portcullis_testkit::spy::Operation;

use crate::support::app::{Browser, World, eventually, now};
use crate::support::store::AnyStore;

const HOUR: Duration = Duration::from_secs(3600);

/// What was told, a line each: what, whose, and whether it names a session.
#[derive(Clone, Default)]
struct Audit(Arc<Mutex<Vec<String>>>);

impl Audit {
    fn layer(&self, layer: SessionLayerBuilder) -> SessionLayerBuilder {
        let told = self.clone();
        layer.events(move |event: &SessionEvent<'_>| {
            let user = event.user.map_or("nobody", |user| user.subject);
            let named = if event.session_ref.is_some() { "" } else { " unnamed" };
            told.0.lock().unwrap().push(format!("{:?} {user}{named}", event.kind));
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn told_world(store: &AnyStore, clock: &ManualClock) -> (Audit, World) {
    configured(store, clock, |layer| layer)
}

fn configured(
    store: &AnyStore,
    clock: &ManualClock,
    configure: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
) -> (Audit, World) {
    let audit = Audit::default();
    let world = World::with(store, clock, |layer| configure(audit.layer(layer)));
    (audit, world)
}

/// Runs `test` on each kind of store.
async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(AnyStore, ManualClock) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        test(store, clock.clone()).await;
    }
}

#[tokio::test]
async fn each_story_raises_its_events_and_no_others() {
    const LOGIN: &str = "/login?user=ada";
    let rows: [(&str, &[&str], &[&str]); 12] = [
        ("nobody", &["/", "/me", "/get/a", "/logout", "/rotate"], &[]),
        ("a visitor writes", &["/set/a/x", "/get/a", "/set/a/y"], &["Created nobody"]),
        ("a login", &[LOGIN, "/me", "/set/a/x", "/get/a"], &["SignedIn ada"]),
        (
            "a login over a visitor's session",
            &["/set/a/x", LOGIN],
            &["Created nobody", "Destroyed(Login) nobody", "SignedIn ada"],
        ),
        (
            "a login over another user's",
            &[LOGIN, "/login?user=grace"],
            &["SignedIn ada", "Destroyed(Login) ada", "SignedIn grace"],
        ),
        ("a rotation", &[LOGIN, "/rotate"], &["SignedIn ada", "Rotated ada"]),
        ("a visitor's rotation", &["/set/a/x", "/rotate"], &["Created nobody", "Rotated nobody"]),
        ("a proof", &[LOGIN, "/reauthenticated"], &["SignedIn ada", "Rotated ada"]),
        ("a logout", &[LOGIN, "/logout", "/me"], &["SignedIn ada", "Destroyed(Logout) ada"]),
        ("nothing to revoke", &[LOGIN, "/revoke-others", "/devices"], &["SignedIn ada"]),
        ("all are revoked", &[LOGIN, "/revoke-all"], &["SignedIn ada", "Destroyed(Logout) ada"]),
        ("a failed response", &["/login?user=ada&status=500"], &["SignedIn ada"]),
    ];
    for (name, paths, expected) in rows {
        on_each_store(|store, clock| async move {
            let (audit, world) = told_world(&store, &clock);
            let browser = world.browser();
            for path in paths {
                browser.get(path).await;
            }
            assert_eq!(audit.take(), expected, "{name}");
        })
        .await;
    }
}

#[tokio::test]
async fn revocations_say_how_many_and_whose_and_which_if_it_is_one() {
    on_each_store(|store, clock| async move {
        let (audit, world) = told_world(&store, &clock);
        let [here, one, two, three] = [0; 4].map(|_| world.browser());
        for browser in [&here, &one, &two, &three] {
            browser.get("/login?user=eve-of-events").await.assert_status(200);
        }
        audit.take();
        let name = &one.jar().get("__Host-id").unwrap()[..22];
        here.get(&format!("/revoke/{name}")).await.assert_status(200);
        assert_eq!(audit.take(), ["Revoked { count: 1 } eve-of-events"]);
        here.get("/revoke-others").await.assert_status(200);
        assert_eq!(audit.take(), ["Revoked { count: 2 } eve-of-events unnamed"]);
        here.get(&format!("/revoke/{name}")).await.assert_status(404);
        assert_eq!(audit.take(), [""; 0], "there was none any more");
    })
    .await;
}

#[tokio::test]
async fn each_rejection_has_its_reason() {
    on_each_store(|store, clock| async move {
        let (audit, world) = told_world(&store, &clock);
        let [ada, grace] = [signed_in(&world, "ada").await, signed_in(&world, "grace").await];
        let cookie = |browser: &Browser| browser.jar().get("__Host-id").unwrap();
        let (good, other) = (cookie(&ada), cookie(&grace));
        let wrong_secret = format!("{}{}", &good[..22], &other[22..]);
        let unknown = format!("{}{}", "A".repeat(22), &good[22..]);
        let (signing_audit, signing) = configured(&store, &clock, |layer| layer.keys(KeyRing::new([7; 32])));
        let ahead = ManualClock::at(clock.now().saturating_add(13 * HOUR));
        let (late_audit, late) = configured(&store, &ahead, |layer| layer);
        audit.take();

        let many = vec!["x".to_owned(); 9];
        let rows = [
            ("malformed", (&audit, &world), many, 200, "Rejected(Malformed) nobody unnamed"),
            ("not signed", (&signing_audit, &signing), vec![good.clone()], 200, "Rejected(Mac) nobody"),
            ("not there", (&audit, &world), vec![unknown], 200, "Rejected(Unknown) nobody"),
            ("a wrong secret", (&audit, &world), vec![wrong_secret], 200, "Rejected(Secret) nobody"),
            ("too old", (&late_audit, &late), vec![good.clone()], 200, "Rejected(Expired) nobody"),
            ("two good", (&audit, &world), vec![good, other], 400, "Rejected(Ambiguous) nobody unnamed"),
        ];
        for (name, (audit, world), cookies, status, expected) in rows {
            let cookies: Vec<String> = cookies.iter().map(|it| format!("__Host-id={it}")).collect();
            let answer = world.browser().get("/me").header("cookie", cookies.join("; ")).await;
            assert_eq!(answer.status, status, "{name}");
            assert_eq!(audit.take(), [expected], "{name}");
        }
    })
    .await;
}

async fn signed_in(world: &World, user: &str) -> Browser {
    let browser = world.browser();
    browser.get(&format!("/login?user={user}")).await.assert_status(200);
    browser
}

#[tokio::test]
async fn conflicts_late_writes_and_the_previous_secret_are_told() {
    on_each_store(|store, clock| async move {
        let long = Lifetime { idle: 10 * HOUR, absolute: 20 * HOUR };
        let (audit, world) = configured(&store, &clock, |layer| layer.renew_every(HOUR).lifetime(long));
        let browser = signed_in(&world, "ada").await;
        audit.take();

        let slow = async |path: &'static str| {
            let tab = browser.clone();
            let answer = tokio::spawn(async move { tab.get(path).await });
            world.gate.reached.notified().await;
            [answer]
        };
        let [under_way] = slow("/slow/one").await;
        browser.get("/set/b/first").await.assert_status(200);
        world.gate.open.notify_one();
        under_way.await.unwrap().assert_status(200);
        assert_eq!(audit.take(), ["ConflictRetried ada"]);

        clock.advance(HOUR);
        let before = world.browser().with_jar(browser.jar().copy());
        browser.get("/me").await.assert_status(200);
        assert_eq!(audit.take(), ["Rotated ada"], "a renewal");
        before.get("/me").await.assert_status(200);
        assert_eq!(audit.take(), ["PreviousSecretUsed ada"]);

        let [under_way] = slow("/slow/two").await;
        browser.get("/logout").await.assert_status(200);
        world.gate.open.notify_one();
        under_way.await.unwrap().assert_status(200);
        assert_eq!(audit.take(), ["Destroyed(Logout) ada", "LateWriteDropped ada"]);

        let browser = signed_in(&world, "ada").await;
        let tab = browser.clone();
        clock.advance(HOUR);
        world.spy.on(Operation::Save).times(1).before(move || {
            let ending = tab.get("/logout").send();
            async move { _ = ending.await }
        });
        audit.take();
        browser.get("/me").await.assert_status(200);
        assert_eq!(audit.take(), ["Destroyed(Logout) ada"], "a renewal that comes late is no write");
    })
    .await;
}

#[tokio::test]
async fn a_login_over_a_session_that_has_ended_meanwhile_does_not_tell_of_its_end_again() {
    on_each_store(|store, clock| async move {
        let (audit, world) = told_world(&store, &clock);
        let browser = signed_in(&world, "ada").await;
        let tab = browser.clone();
        world.spy.on(Operation::DestroyUnchanged).times(1).before(move || {
            let ending = tab.get("/logout").send();
            async move { _ = ending.await.assert_status(200) }
        });
        browser.get("/login?user=ada").await.assert_status(200);
        assert_eq!(audit.take(), ["SignedIn ada", "Destroyed(Logout) ada", "SignedIn ada"]);
    })
    .await;
}

#[tokio::test]
async fn a_login_at_the_limit_is_told_and_who_gives_way() {
    on_each_store(|store, clock| async move {
        let (audit, strict) = configured(&store, &clock, |layer| layer.limit(Limit::reject(1)));
        signed_in(&strict, "ada").await;
        strict.browser().get("/login?user=ada").await;
        assert_eq!(audit.take(), ["SignedIn ada", "LimitReached(Refused) ada unnamed"]);

        let (audit, lenient) = configured(&store, &clock, |layer| layer.limit(Limit::evict_oldest(1)));
        signed_in(&lenient, "ada").await;
        assert_eq!(audit.take(), ["LimitReached(Evicted) ada", "SignedIn ada"]);
    })
    .await;
}

#[tokio::test]
async fn what_the_store_cannot_do_is_told_once_with_what_it_was() {
    use StoreErrorKind::{Full, Unavailable};
    let failed = |operation, kind| SessionEventKind::StoreFailed { operation, kind };
    let rows = [
        ("/me", None, Unavailable, failed(StoreOperation::Load, Unavailable), "nobody unnamed"),
        ("/set/a/x", Some(Operation::Save), Full, failed(StoreOperation::Save, Full), "nobody"),
        ("/count", Some(Operation::Save), Full, failed(StoreOperation::Save, Full), "nobody"),
        (
            "/logout",
            Some(Operation::Destroy),
            Unavailable,
            failed(StoreOperation::Logout, Unavailable),
            "nobody",
        ),
        (
            "/devices",
            Some(Operation::Members),
            Unavailable,
            failed(StoreOperation::List, Unavailable),
            "nobody",
        ),
        (
            "/revoke-all",
            Some(Operation::Members),
            Unavailable,
            failed(StoreOperation::Revoke, Unavailable),
            "nobody",
        ),
    ];
    on_each_store(|store, clock| async move {
        for (path, operation, kind, expected, whose) in rows {
            let (audit, world) = told_world(&store, &clock);
            let browser = signed_in(&world, "ada").await;
            audit.take();
            match operation {
                Some(operation) => world.spy.on(operation).times(1).fail(kind),
                None => world.spy.fail_with(kind),
            }
            browser.get(path).await.assert_status(503);
            assert_eq!(audit.take(), [format!("{expected:?} {whose}")], "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_that_failed_half_way_tells_that_its_session_is_gone() {
    on_each_store(|store, clock| async move {
        let (audit, world) = told_world(&store, &clock);
        let browser = signed_in(&world, "ada").await;
        audit.take();
        world.spy.on(Operation::DestroyUnchanged).times(1).fail(StoreErrorKind::Timeout);
        browser.get("/login?user=grace").await.assert_status(503);
        eventually("the new session is destroyed", || async {
            let told = audit.0.lock().unwrap().clone();
            let failed = SessionEventKind::StoreFailed {
                operation: StoreOperation::Login,
                kind: StoreErrorKind::Timeout,
            };
            told == [format!("{failed:?} nobody"), "Destroyed(Abandoned) nobody".to_owned()]
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn events_are_counted_under_documented_names_without_anybody_listening() {
    on_each_store(|store, clock| async move {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _here = metrics::set_default_local_recorder(&recorder);
        let world = World::with(&store, &clock, |layer| layer.limit(Limit::evict_oldest(3)));

        let browser = world.browser();
        browser.get("/me").await.assert_status(200);
        assert_eq!(counted(&snapshotter), BTreeMap::new(), "who brings no session is not counted");
        browser.get("/set/a/x").await.assert_status(200);
        browser.get("/login?user=cato").await.assert_status(200);
        browser.get("/rotate").await.assert_status(200);
        signed_in(&world, "cato").await;
        signed_in(&world, "cato").await;
        counted(&snapshotter);
        browser.get("/me").await.assert_status(200);
        assert_eq!(counted(&snapshotter), BTreeMap::new(), "nor who brings a good one");
        signed_in(&world, "cato").await;
        let other = signed_in(&world, "cato").await;
        other.get("/revoke-others").await.assert_status(200);
        world.browser().get("/me").header("cookie", "__Host-id=x").await.assert_status(200);
        world.spy.on(Operation::Load).times(1).fail(StoreErrorKind::Timeout);
        other.get("/me").await.assert_status(503);
        other.get("/logout").await.assert_status(200);

        let expected = [
            ("created_total{realm=default}", 0),
            ("destroyed_total{realm=default,reason=login}", 0),
            ("destroyed_total{realm=default,reason=logout}", 1),
            ("limit_reached_total{realm=default,outcome=evicted}", 2),
            ("rejected_total{realm=default,reason=malformed}", 1),
            ("revoked_total{realm=default}", 2),
            ("rotated_total{realm=default}", 0),
            ("signed_in_total{realm=default}", 2),
            ("store_failed_total{realm=default,operation=load,kind=timeout}", 1),
        ];
        let expected = expected.iter().filter(|(_, count)| *count > 0);
        let mut expected: BTreeMap<String, u64> =
            expected.map(|(name, count)| (format!("portcullis_session_{name}"), *count)).collect();
        // What came of the outage, by whatever layer.
        expected.insert("portcullis_refused_total{reason=unavailable}".to_owned(), 1);
        assert_eq!(counted(&snapshotter), expected);
    })
    .await;
}

/// What was counted since the last time.
fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let counters = snapshotter.snapshot().into_vec().into_iter();
    counters
        .filter_map(|(key, _, _, value)| {
            let labels: Vec<String> =
                key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = format!("{}{{{}}}", key.key().name(), labels.join(","));
            match value {
                DebugValue::Counter(0) => None,
                DebugValue::Counter(count) => Some((name, count)),
                DebugValue::Gauge(_) | DebugValue::Histogram(_) => panic!("{name} is a counter"),
            }
        })
        .collect()
}
