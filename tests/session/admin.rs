//! Users' sessions outside any request: listed, ended, changed; and passwords that are changed.

use std::sync::Arc;
use std::time::Duration;

use portcullis::session::{CredentialVersion, MemoryBackend, SessionErrorKind, User};
use portcullis::{Identity, Session};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::redis::RedisServer;
use portcullis_testkit::spy::Operation;

use crate::support::app::{Browser, World, now, on_each_store};
use crate::support::store::AnyStore;

async fn signed_in(world: &World, query: &str) -> Browser {
    let browser = world.browser();
    browser.get(&format!("/login?{query}")).await.assert_status(200);
    world.clock.advance(Duration::from_millis(2));
    browser
}

#[tokio::test]
async fn an_administrator_sees_and_ends_the_sessions_of_one_user_and_no_others() {
    on_each_store(|world| async move {
        let phone = signed_in(&world, "user=ada&device=Phone").await;
        let laptop = signed_in(&world.another(), "user=ada").await;
        let stranger = signed_in(&world, "user=grace").await;
        let (ada, sessions) = (User::new("ada"), &world.sessions);

        let mine = sessions.list(&ada).await.unwrap();
        let labels: Vec<_> = mine.iter().map(|device| device.label.as_deref()).collect();
        assert_eq!(labels, [None, Some("Phone")], "the newest first");
        assert!(mine.iter().all(|device| !device.current));
        let theirs = sessions.list(&User::new("grace")).await.unwrap();
        for wrong in [theirs[0].session_ref.as_str(), "AAAAAAAAAAAAAAAAAAAAAA", "", "x"] {
            let kind = sessions.revoke(&ada, wrong).await.unwrap_err().kind();
            assert_eq!(kind, SessionErrorKind::NotFound, "{wrong}");
        }
        sessions.revoke(&ada, &mine[1].session_ref).await.unwrap();
        assert_eq!(phone.get("/me").await.text(), "nobody");
        assert_eq!(laptop.get("/me").await.text(), "ada");

        signed_in(&world, "user=ada").await;
        let elsewhere = User::new("ada").issuer("https://elsewhere.example");
        assert_eq!(sessions.revoke_all(&elsewhere).await.unwrap(), 0, "another ada");
        assert_eq!(sessions.revoke_all(&ada).await.unwrap(), 2);
        assert_eq!(laptop.get("/me").await.text(), "nobody");
        assert_eq!(stranger.get("/me").await.text(), "grace");
        assert!(sessions.list(&ada).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_change_that_did_not_reach_every_session_says_so_and_has_reached_the_others() {
    on_each_store(|world| async move {
        let browsers = [signed_in(&world, "user=ada").await, signed_in(&world, "user=ada").await];
        world.spy.on(Operation::Save).times(1).fail(StoreErrorKind::Timeout);
        let changed = world.sessions.update_identity(&User::new("ada"), |ada| ada.role("admin")).await;
        assert_eq!(changed.unwrap_err().kind(), SessionErrorKind::Store(StoreErrorKind::Timeout));
        let mut reached = 0;
        for browser in browsers {
            reached += usize::from(browser.get("/me").await.text() == "ada admin");
        }
        assert_eq!(reached, 1);
    })
    .await;
}

#[tokio::test]
async fn a_user_is_the_one_of_the_layers_issuer_unless_another_is_named() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, |layer| layer.issuer("https://id.example"));
        let browser = signed_in(&world, "user=ada").await;
        let named = User::from(&Identity::new("ada").issuer("https://id.example").build());
        for (user, sessions) in [(User::new("ada"), 1), (named, 1), (User::new("ada").issuer("other"), 0)] {
            assert_eq!(world.sessions.list(&user).await.unwrap().len(), sessions, "{user:?}");
        }
        world.sessions.bump(&User::new("ada")).await.unwrap();
        assert_eq!(browser.get("/me").await.text(), "nobody");
    }
}

#[tokio::test]
async fn a_label_stays_with_the_user_and_goes_with_the_user() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "user=ada&device=Firefox%20on%20Linux").await;
        let label = async || browser.get("/labels").await.json::<Vec<Option<String>>>();
        assert_eq!(label().await, [Some("Firefox on Linux".to_owned())]);
        browser.get("/set/a/x").await.assert_status(200);
        browser.get("/login?user=ada").await.assert_status(200);
        assert_eq!(label().await, [Some("Firefox on Linux".to_owned())], "signed in again");
        browser.get("/login?user=grace").await.assert_status(200);
        assert_eq!(label().await, [None], "somebody else's is nobody's business");
    })
    .await;
}

#[tokio::test]
async fn a_password_change_between_check_and_login_refuses_the_login() {
    on_each_store(|world| async move {
        let (ada, other) = (User::new("ada"), world.another());
        let checked = world.sessions.credential_version(&ada).await.unwrap();
        let before = signed_in(&world, &format!("user=ada&version={}", checked.0)).await;
        // The password is checked against the old one here, while another process changes it.
        other.sessions.bump(&ada).await.unwrap();

        let late = world.browser();
        let refused = late.get(&format!("/login?user=ada&version={}", checked.0)).await.assert_status(401);
        assert!(refused.set_cookies().is_empty());
        assert_eq!(late.get("/me").await.text(), "nobody");
        assert_eq!(before.get("/me").await.text(), "nobody", "signed in with the old password");
        assert!(world.sessions.list(&ada).await.unwrap().is_empty());

        let current = world.sessions.credential_version(&ada).await.unwrap();
        assert_ne!(current, checked);
        let good = signed_in(&world, &format!("user=ada&version={}", current.0)).await;
        assert_eq!(good.get("/me").await.text(), "ada");
        signed_in(&world, "user=grace&version=0").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_races_a_password_change_is_refused_or_ended() {
    on_each_store(|world| async move {
        let other = Arc::new(world.another());
        for round in 0..200 {
            let name = format!("ada{round}");
            let path = format!("/login?user={name}&version=0");
            let logins: Vec<_> = [&world, &*other, &world, &*other]
                .map(|world| {
                    let browser = world.browser();
                    let sent = browser.get(&path).send();
                    (browser, tokio::spawn(sent))
                })
                .into_iter()
                .collect();
            let bump = {
                let (sessions, user) = (other.sessions.clone(), User::new(&*name));
                tokio::spawn(async move { sessions.bump(&user).await })
            };
            bump.await.unwrap().unwrap();
            for (browser, login) in logins {
                let status = login.await.unwrap().status.as_u16();
                assert!([200, 401].contains(&status), "{status}");
                assert_eq!(browser.get("/me").await.text(), "nobody", "round {round}, {status}");
            }
            assert!(world.sessions.list(&User::new(&*name)).await.unwrap().is_empty(), "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_that_slips_in_before_the_version_changes_or_while_sessions_are_ended_is_none() {
    for moment in [Operation::BumpCredentialVersion, Operation::Destroy, Operation::Withdraw] {
        on_each_store(|world| async move {
            let first = signed_in(&world, "user=ada&version=0").await;
            let late = Arc::new(world.another().browser());
            let hook = Arc::clone(&late);
            world.spy.on(moment).times(1).before(move || {
                let late = Arc::clone(&hook);
                async move {
                    let expected = if moment == Operation::BumpCredentialVersion { 200 } else { 401 };
                    late.get("/login?user=ada&version=0").await.assert_status(expected);
                }
            });
            world.sessions.bump(&User::new("ada")).await.unwrap();
            for browser in [&first, &*late] {
                assert_eq!(browser.get("/me").await.text(), "nobody", "{moment:?}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_password_change_ends_everything_in_a_store_that_is_full() {
    let clock = now();
    let server = RedisServer::start();
    let redis = RedisBackend::connect(RedisConfig::standalone(server.url()).unwrap()).unwrap();
    let stores = [
        AnyStore::Memory(MemoryBackend::with_clock(clock.clone()).max_sessions(2)),
        AnyStore::Redis(redis, "full".to_owned()),
    ];
    for store in stores {
        let world = World::new(&store, &clock);
        let browsers = [signed_in(&world, "user=ada").await, signed_in(&world, "user=ada").await];
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        world.browser().get("/login?user=ada").await.assert_status(503);
        world.sessions.bump(&User::new("ada")).await.unwrap();
        for browser in browsers {
            assert_eq!(browser.get("/me").await.text(), "nobody", "{store:?}");
        }
        let version = world.sessions.credential_version(&User::new("ada")).await.unwrap();
        assert_eq!(version, CredentialVersion(1), "{store:?}");
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    }
}

#[tokio::test]
async fn sessions_are_ended_although_the_version_cannot_be_changed_and_that_is_said() {
    use portcullis_store::StoreErrorKind::Full;
    on_each_store(|world| async move {
        let browser = signed_in(&world, "user=ada").await;
        world.spy.on(Operation::BumpCredentialVersion).times(1).fail(Full);
        let error = world.sessions.bump(&User::new("ada")).await.unwrap_err();
        assert_eq!(error.kind(), SessionErrorKind::Store(Full));
        assert_eq!(browser.get("/me").await.text(), "nobody");
        world.sessions.bump(&User::new("ada")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_role_change_is_seen_by_the_next_request_of_every_session() {
    on_each_store(|world| async move {
        let other = world.another();
        let browsers = [
            signed_in(&world, "user=ada&role=reader").await,
            signed_in(&world, "user=ada&role=editor").await,
            signed_in(&other, "user=ada").await,
        ];
        browsers[0].get("/set/a/kept").await.assert_status(200);
        let grace = signed_in(&world, "user=grace&role=editor").await;
        let ada = User::new("ada");
        let promoted = other
            .sessions
            .update_identity(&ada, |identity| identity.retain_roles(|role| role != "editor").role("admin"));
        assert_eq!(promoted.await.unwrap(), 3);
        let roles = ["ada reader,admin", "ada admin", "ada admin"];
        for (browser, expected) in browsers.iter().zip(roles) {
            assert_eq!(browser.get("/me").await.text(), expected);
        }
        assert_eq!(grace.get("/me").await.text(), "grace editor");
        assert_eq!(browsers[0].get("/get/a").await.text(), "kept");
        assert_eq!(other.sessions.update_identity(&ada, |same| same).await.unwrap(), 0, "nothing to write");

        let taken_over =
            other.sessions.update_identity(&ada, |_| Identity::new("grace").issuer("x").role("r"));
        assert_eq!(taken_over.await.unwrap(), 3);
        assert_eq!(browsers[2].get("/me").await.text(), "ada r", "the user stays");
        assert_eq!(world.sessions.list(&ada).await.unwrap().len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn role_changes_and_requests_that_write_do_not_undo_each_other() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "user=ada").await;
        let others = [world.another(), world.another()];
        let changes: Vec<_> = (0..8)
            .map(|number| {
                let sessions = others[number % 2].sessions.clone();
                let change = move |identity: portcullis::identity::IdentityBuilder| {
                    identity.role(format!("r{number}"))
                };
                tokio::spawn(async move { sessions.update_identity(&User::new("ada"), change).await })
            })
            .collect();
        let counts: Vec<_> = (0..32).map(|_| tokio::spawn(browser.get("/count").send())).collect();
        for change in changes {
            assert_eq!(change.await.unwrap().unwrap(), 1);
        }
        for count in counts {
            count.await.unwrap().assert_status(200);
        }
        assert_eq!(browser.get("/count").await.text(), "33");
        let me = browser.get("/me").await.text().to_owned();
        let mut roles: Vec<_> = me.trim_start_matches("ada ").split(',').collect();
        roles.sort_unstable();
        assert_eq!(roles, ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_has_loaded_before_a_role_change_does_not_write_the_old_roles_back() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "user=ada&role=admin").await;
        let slow = tokio::spawn(browser.get("/slow/late").send());
        world.gate.reached.notified().await;
        let ada = User::new("ada");
        let demoted = world.sessions.update_identity(&ada, |it| it.retain_roles(|_| false));
        assert_eq!(demoted.await.unwrap(), 1);
        world.gate.open.notify_one();
        slow.await.unwrap().assert_status(200);
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(browser.get("/get/a").await.text(), "late");
    })
    .await;
}

#[tokio::test]
async fn a_role_change_reaches_a_session_that_begins_meanwhile_and_raises_none_that_ends() {
    on_each_store(|world| async move {
        let ending = signed_in(&world, "user=ada&role=admin").await;
        let beginning = Arc::new(world.another().browser());
        let hook =
            (Arc::new(world.another().browser().with_jar(ending.jar().copy())), Arc::clone(&beginning));
        world.spy.on(Operation::Save).times(1).before(move || {
            let (ending, beginning) = hook.clone();
            async move {
                ending.get("/logout").await.assert_status(200);
                beginning.get("/login?user=ada&role=admin").await.assert_status(200);
            }
        });
        let ada = User::new("ada");
        let demoted = world.sessions.update_identity(&ada, |it| it.retain_roles(|_| false));
        assert_eq!(demoted.await.unwrap(), 1, "the one that has begun");
        assert_eq!(beginning.get("/me").await.text(), "ada");
        assert_eq!(ending.get("/me").await.text(), "nobody");
    })
    .await;
}

/// A handler's future has to be `Send`; it is enough that this compiles.
#[expect(dead_code, reason = "compiled, not run")]
fn usable_in_handlers(world: &World) {
    let sessions = world.sessions.clone();
    let handler = async move |session: Session| {
        let me = session.identity().map(|me| User::from(&me));
        let Some(me) = me else { return };
        let _ = sessions.update_identity(&me, |identity| identity.role("admin")).await;
        let _ = sessions.bump(&me).await;
    };
    let _: axum::Router = axum::Router::new().route("/", axum::routing::get(handler));
}
