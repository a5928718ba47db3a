//! A login takes over what the session before holds at its end, or nothing: no write is lost, no value comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::session::{EncryptionKeys, SessionErrorKind, User};
use portcullis::{Identity, Session};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::redis::{Proxy, RedisServer};
use portcullis_testkit::spy::Operation;

use super::handle::around;
use crate::support::app::{Browser, COUNT, KEPT, World, now, on_each_store};
use crate::support::store::{AnyStore, connect};

async fn visit(browser: &Browser, paths: &[&str]) {
    for path in paths {
        browser.get(path).await.assert_status(200);
    }
}

/// Another process sends these with the browser's cookie when a login is about to end the session before, once.
fn meanwhile(world: &World, browser: &Browser, paths: &'static [&str]) {
    let tab = Arc::new(world.another().browser().with_jar(browser.jar().copy()));
    world.spy.on(Operation::DestroyUnchanged).times(1).before(move || {
        let tab = Arc::clone(&tab);
        async move { visit(&tab, paths).await }
    });
}

struct Case {
    name: &'static str,
    before: &'static [&'static str],
    meanwhile: &'static [&'static str],
    login: &'static str,
    after: &'static [(&'static str, &'static str)],
}

const CASES: &[Case] = &[
    Case {
        name: "a set of an anonymous session's marked value",
        before: &["/set/kept/one"],
        meanwhile: &["/set/kept/two", "/set/a/unmarked"],
        login: "/login?user=ada",
        after: &[("/get/kept", "two"), ("/get/a", "none")],
    },
    Case {
        name: "a marked value that was taken",
        before: &["/set/kept/one", "/set/b/x"],
        meanwhile: &["/take/kept"],
        login: "/login?user=ada",
        after: &[("/get/kept", "none")],
    },
    Case {
        name: "writes to the same user's session",
        before: &["/login?user=ada", "/set/b/one", "/set/kept/one", "/count"],
        meanwhile: &["/set/a/new", "/remove/b", "/take/kept", "/count", "/rotate"],
        login: "/login?user=ada",
        after: &[("/get/a", "new"), ("/get/b", "none"), ("/get/kept", "none"), ("/count", "3")],
    },
    Case {
        name: "what the login's own request has recorded comes last",
        before: &["/login?user=ada", "/set/a/old"],
        meanwhile: &["/set/a/theirs", "/set/b/theirs"],
        login: "/login?user=ada&note=mine",
        after: &[("/get/a", "mine"), ("/get/b", "theirs")],
    },
    Case {
        name: "another user gets nothing of it",
        before: &["/login?user=ada", "/set/kept/adas"],
        meanwhile: &["/set/kept/adas-too", "/set/a/adas"],
        login: "/login?user=grace",
        after: &[("/get/kept", "none"), ("/get/a", "none"), ("/me", "grace")],
    },
    Case {
        name: "of a session that was logged out nothing goes along",
        before: &["/set/kept/one"],
        meanwhile: &["/logout"],
        login: "/login?user=ada",
        after: &[("/get/kept", "none"), ("/me", "ada")],
    },
    Case {
        name: "a value that was taken before another ended the session does not come back",
        before: &["/login?user=ada", "/set/a/once"],
        meanwhile: &["/take/a", "/logout"],
        login: "/login?user=ada&note=mine",
        after: &[("/get/a", "mine"), ("/me", "ada")],
    },
    Case {
        name: "of two logins over one session one inherits",
        before: &["/set/kept/one"],
        meanwhile: &["/login?user=ada"],
        login: "/login?user=ada",
        after: &[("/get/kept", "none"), ("/me", "ada")],
    },
];

async fn run(case: &Case, world: &World) {
    let browser = world.browser();
    visit(&browser, case.before).await;
    let old = world.browser().with_jar(browser.jar().copy());
    meanwhile(world, &browser, case.meanwhile);
    visit(&browser, &[case.login]).await;
    for (path, expected) in case.after {
        assert_eq!(browser.get(path).await.text(), *expected, "{}: {path}", case.name);
    }
    assert_eq!(old.get("/me").await.text(), "nobody", "{}: the session before has ended", case.name);
}

#[tokio::test]
async fn a_login_sees_what_others_did_to_the_session_before_until_its_end() {
    on_each_store(|world| async move {
        for case in CASES {
            run(case, &world).await;
        }
    })
    .await;
}

#[tokio::test]
async fn encrypted_sessions_are_taken_over_alike() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, |layer| layer.encrypt(EncryptionKeys::new(&[1; 32])));
        let browser = world.browser();
        visit(&browser, &["/set/kept/one"]).await;
        let tab = World::with(&store.another(), &clock, |layer| layer.encrypt(EncryptionKeys::new(&[1; 32])));
        let tab = Arc::new(tab.browser().with_jar(browser.jar().copy()));
        world.spy.on(Operation::DestroyUnchanged).times(1).before(move || {
            let tab = Arc::clone(&tab);
            async move { visit(&tab, &["/set/kept/two"]).await }
        });
        visit(&browser, &["/login?user=ada"]).await;
        assert_eq!(browser.get("/get/kept").await.text(), "two");
    }
}

#[tokio::test]
async fn a_login_that_nobody_disturbs_costs_no_more_than_before() {
    on_each_store(|world| async move {
        let browser = world.browser();
        visit(&browser, &["/set/kept/one"]).await;
        world.spy.forget();
        visit(&browser, &["/login?user=ada"]).await;
        let calls: Vec<_> = world.spy.calls().iter().map(|call| call.operation).collect();
        let expected: &[_] = match world.store {
            AnyStore::Memory(_) => &[Operation::Load, Operation::CreateEnrolled, Operation::DestroyUnchanged],
            AnyStore::Redis(..) => &[Operation::Load, Operation::Supersede],
        };
        assert_eq!(calls, expected);

        // A renewal of the secret changes the session, and nothing that goes along.
        meanwhile(&world, &browser, &["/rotate"]);
        world.spy.forget();
        visit(&browser, &["/login?user=ada"]).await;
        assert_eq!(world.spy.count(Operation::Save), 0, "what goes along is what was there");
    })
    .await;
}

#[tokio::test]
async fn a_login_after_a_commit_without_an_answer_applies_nothing_twice() {
    for (what, lost) in [("applied", true), ("not applied", false)] {
        on_each_store(|world| async move {
            let browser = world.browser();
            visit(&browser, &["/login?user=ada", "/count"]).await;
            let order = world.spy.on(Operation::Save).times(1);
            match lost {
                true => order.lose_answer(StoreErrorKind::Timeout),
                false => order.fail(StoreErrorKind::Timeout),
            }
            let handler = async |session: Session| {
                session.increment(&COUNT, 1).unwrap();
                assert!(session.commit().await.is_err());
                session.login(Identity::new("ada")).await.unwrap();
            };
            around(&world, handler).with_jar(browser.jar().clone()).get("/").await.assert_status(200);
            assert_eq!(browser.get("/count").await.text(), "3", "{what}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_login_that_cannot_tell_what_to_take_along_signs_nobody_in() {
    on_each_store(|world| async move {
        let browser = world.browser();
        visit(&browser, &["/login?user=ada", "/count"]).await;
        let tab = world.another().browser().with_jar(browser.jar().copy());
        world.spy.on(Operation::Save).times(1).lose_answer(StoreErrorKind::Timeout);
        let handler = async move |session: Session| {
            session.increment(&COUNT, 1).unwrap();
            assert!(session.commit().await.is_err());
            visit(&tab, &["/count"; 5]).await;
            let refused = session.login(Identity::new("ada")).await.unwrap_err();
            assert_eq!(refused.kind(), SessionErrorKind::Uncertain);
        };
        around(&world, handler).with_jar(browser.jar().clone()).get("/").await;
        assert_eq!(browser.get("/count").await.text(), "8", "the session before goes on");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_go_along_fails_the_login_and_the_session_before_goes_on() {
    on_each_store(|world| async move {
        let browser = world.browser();
        visit(&browser, &["/login?user=ada"]).await;
        meanwhile(&world, &browser, &["/set/b/theirs", "/big/32000"]);
        let handler = async |session: Session| {
            session.set(&KEPT, &"x".repeat(700)).unwrap();
            let refused = session.login(Identity::new("ada")).await.unwrap_err();
            assert_eq!(refused.kind(), SessionErrorKind::TooLarge);
        };
        around(&world, handler).with_jar(browser.jar().clone()).get("/").await;
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(browser.get("/get/b").await.text(), "theirs");
    })
    .await;
}

#[tokio::test]
async fn roles_that_change_during_a_login_are_not_undone_by_what_goes_along() {
    on_each_store(|world| async move {
        let browser = world.browser();
        visit(&browser, &["/login?user=ada"]).await;
        let tab = Arc::new(world.another().browser().with_jar(browser.jar().copy()));
        let sessions = world.sessions.clone();
        world.spy.on(Operation::DestroyUnchanged).times(1).before(move || {
            let (tab, sessions) = (Arc::clone(&tab), sessions.clone());
            async move {
                let changed = sessions.update_identity(&User::new("ada"), |me| me.role("admin")).await;
                assert_eq!(changed.unwrap(), 2, "the session before, and the new one");
                visit(&tab, &["/set/a/new"]).await;
            }
        });
        visit(&browser, &["/login?user=ada"]).await;
        assert_eq!(browser.get("/me").await.text(), "ada admin");
        assert_eq!(browser.get("/get/a").await.text(), "new");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_revoked_before_it_has_what_goes_along_is_none_and_the_one_before_goes_on() {
    on_each_store(|world| async move {
        let browser = world.browser();
        visit(&browser, &["/set/kept/one"]).await;
        let tab = Arc::new(world.another().browser().with_jar(browser.jar().copy()));
        let sessions = world.sessions.clone();
        world.spy.on(Operation::DestroyUnchanged).times(1).before(move || {
            let (tab, sessions) = (Arc::clone(&tab), sessions.clone());
            async move {
                visit(&tab, &["/set/kept/two"]).await;
                sessions.revoke_all(&User::new("ada")).await.unwrap();
            }
        });
        let refused = browser.get("/login?user=ada").await.assert_status(401);
        assert!(refused.set_cookies().is_empty());
        assert_eq!(browser.get("/me").await.text(), "nobody");
        assert_eq!(browser.get("/get/kept").await.text(), "two");
    })
    .await;
}

#[tokio::test]
async fn a_deletion_that_was_sent_twice_loses_nothing() {
    let quick = World::new(&AnyStore::redis(), &now());
    let AnyStore::Redis(_, prefix) = &quick.store else { panic!("a redis store") };
    let proxy = Arc::new(Proxy::start(RedisServer::shared()).await);
    let backend = connect(&proxy.url(), prefix);
    let slow = World::new(&AnyStore::Redis(backend, prefix.clone()), &quick.clock);
    let browser = slow.browser();
    visit(&browser, &["/login?user=ada", "/login?user=ada", "/set/a/data"]).await;
    let cut = Arc::clone(&proxy);
    slow.spy.on(Operation::DestroyUnchanged).times(1).before(move || {
        cut.cut_next_reply();
        async {}
    });
    visit(&browser, &["/login?user=ada"]).await;
    assert_eq!(proxy.connections(), 2, "an answer was lost");
    assert_eq!(browser.get("/get/a").await.text(), "data");
}

/// Tabs count and take, over connections of their own, while the user signs in again.
async fn race(world: &World, tabs: &[World], round: usize) {
    let browser = world.browser();
    visit(&browser, &["/login?user=ada", "/set/a/ticket"]).await;
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..6)
        .map(|n| {
            let tab = tabs[n % tabs.len()].browser().with_jar(browser.jar().copy());
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let (mut counted, mut taken) = (0, 0);
                while !over.load(Ordering::Relaxed) {
                    taken += usize::from(n == 0 && tab.get("/take/a").await.text() == "ticket");
                    let response = tab.get("/count").await;
                    if !response.set_cookies().is_empty() {
                        break; // The session has ended, and this is a new one.
                    }
                    counted += usize::from(response.status == 200);
                }
                (counted, taken)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(u64::try_from(round % 5).unwrap())).await;
    visit(&browser, &["/login?user=ada"]).await;
    over.store(true, Ordering::Relaxed);
    let (mut counted, mut taken) = (0, 0);
    for task in tasks {
        let (by_one, tickets) = task.await.unwrap();
        (counted, taken) = (counted + by_one, taken + tickets);
    }
    let after = browser.get("/count").await.text();
    assert_eq!(after, (counted + 1).to_string(), "round {round}: acknowledged, and this one");
    taken += usize::from(browser.get("/get/a").await.text() == "ticket");
    assert_eq!(taken, 1, "round {round}: a ticket is taken, or there, and never both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn increments_and_takes_that_race_a_login_are_neither_lost_nor_undone() {
    on_each_store(|world| async move {
        let tabs: Vec<World> = (0..3).map(|_| world.another()).collect();
        for round in 0..8 {
            race(&world, &tabs, round).await;
        }
    })
    .await;
}
