//! Signing in and out: new ids, nothing carried over that must not be, nothing that comes back.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis::session::{SessionError, SessionLayer, User};
use portcullis::{Identity, Session};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::Operation;
use tower_http::timeout::TimeoutLayer;

use crate::support::app::{A, eventually, on_each_store};

const COOKIE: &str = "__Host-id";

#[tokio::test(flavor = "multi_thread")]
async fn a_late_save_after_logout_brings_nothing_back_and_leaves_a_new_logins_cookie_alone() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let stolen = browser.jar().copy();
        let slow = tokio::spawn(browser.get("/slow/late").send());
        world.gate.reached.notified().await;

        browser.get("/logout").await.assert_status(200);
        browser.get("/login?user=grace").await.assert_status(200);
        let cookie = browser.jar().get(COOKIE);
        world.gate.open.notify_one();
        let late = slow.await.unwrap().assert_status(200);

        assert!(late.set_cookies().is_empty());
        assert_eq!(browser.jar().get(COOKIE), cookie);
        assert_eq!(browser.get("/me").await.text(), "grace");
        assert_eq!(browser.get("/get/a").await.text(), "none");
        let thief = world.browser().with_jar(stolen);
        assert_eq!(thief.get("/me").await.text(), "nobody");
    })
    .await;
}

/// As no token with an empty `sub` is accepted.
#[tokio::test]
async fn nobody_signs_in_without_a_subject() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.forget();
        let nameless = async |session: Session| {
            let refused = session.login(Identity::new("").issuer("https://idp.example")).await.unwrap_err();
            format!("{:?}", refused.kind())
        };
        let app = super::handle::around(&world, nameless).with_jar(browser.jar().clone());
        let response = app.get("/").await.assert_status(200);
        assert_eq!((response.text().as_str(), response.set_cookies().len()), ("NoSubject", 0));
        browser.get("/login?user=").await.assert_status(500);
        assert_eq!(world.spy.writes(), 0);
        assert_eq!(browser.get("/me").await.text(), "ada", "the session before goes on");
    })
    .await;
}

#[tokio::test]
async fn a_logged_out_session_never_comes_back() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let replay = world.browser().with_jar(browser.jar().copy());
        let response = browser.get("/logout").await.assert_status(200);
        assert_eq!(response.set_cookies(), ["__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"]);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(browser.jar().names(), [""; 0]);
        for path in ["/me", "/set/a/x", "/count", "/me"] {
            let answer = replay.get(path).await.assert_status(200);
            assert!(path != "/me" || answer.text() == "nobody");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cleared_session_that_is_written_again_gets_a_new_id() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let before = browser.jar().get(COOKIE);
        browser.get("/clear-and-write").await.assert_status(200);
        let after = browser.jar().get(COOKIE);
        assert!(after.is_some() && after != before);
        assert_eq!(browser.get("/get/a").await.text(), "again");
        assert_eq!(browser.get("/me").await.text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn a_login_followed_by_a_5xx_keeps_session_and_cookie_right() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/set/a/x").await.assert_status(200);
        browser.get("/login?user=ada&status=500").await.assert_status(500);
        assert_eq!(browser.get("/me").await.text(), "ada");
        browser.get("/login?user=grace&status=500").await.assert_status(500);
        assert_eq!(browser.get("/me").await.text(), "grace");
    })
    .await;
}

#[tokio::test]
async fn signing_in_takes_along_only_what_may_go_along() {
    on_each_store(|world| async move {
        let browser = world.browser();
        for path in ["/set/a/anonymous", "/set/kept/cart", "/login?user=ada&note=same-request"] {
            browser.get(path).await.assert_status(200);
        }
        assert_eq!(
            browser.get("/get/a").await.text(),
            "none",
            "an anonymous value is dropped, a recorded one too"
        );
        assert_eq!(browser.get("/get/kept").await.text(), "cart", "a value marked keep_on_login goes along");

        let before = browser.jar().get(COOKIE);
        browser.get("/set/a/adas").await.assert_status(200);
        browser.get("/login?user=ada").await.assert_status(200);
        assert_ne!(browser.jar().get(COOKIE), before, "the same user gets a new id");
        assert_eq!(browser.get("/get/a").await.text(), "adas", "and keeps the data");
    })
    .await;
}

#[tokio::test]
async fn signing_in_as_b_over_a_makes_a_new_session_and_drops_as_data() {
    on_each_store(|world| async move {
        let browser = world.browser();
        for path in ["/login?user=ada", "/set/a/secret", "/set/kept/secret"] {
            browser.get(path).await.assert_status(200);
        }
        let old = world.browser().with_jar(browser.jar().copy());
        browser.get("/login?user=grace").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "none");
        assert_eq!(browser.get("/get/kept").await.text(), "none");
        assert_eq!(old.get("/me").await.text(), "nobody", "the session before is destroyed");
        let ada = world.browser();
        ada.get("/login?user=ada").await.assert_status(200);
        assert_eq!(
            ada.get("/devices").await.json::<Vec<String>>().len(),
            1,
            "and gone from its user's index"
        );
    })
    .await;
}

#[tokio::test]
async fn a_login_whose_old_session_cannot_be_destroyed_fails_and_leaves_no_one_signed_in_anew() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.on(Operation::DestroyUnchanged).times(1).fail(StoreErrorKind::Unavailable);
        let refused = browser.get("/login?user=grace").await.assert_status(503);
        assert!(refused.set_cookies().is_empty());
        assert_eq!(browser.get("/me").await.text(), "ada");
        // The new session, which nobody holds, is ended behind the response.
        let grace = world.browser();
        grace.get("/login?user=grace").await.assert_status(200);
        eventually("grace has one session", || async {
            grace.get("/devices").await.json::<Vec<String>>().len() == 1
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_login_leaves_nothing_usable() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.forget();
        world.spy.on(Operation::DestroyUnchanged).times(1).hang();
        let login = tokio::spawn(browser.get("/login?user=ada").send());
        world.spy.called(Operation::DestroyUnchanged, 1).await;
        login.abort();
        assert!(login.await.unwrap_err().is_cancelled());
        assert_eq!(browser.get("/me").await.text(), "ada", "the session before is still good");
        eventually("the new session is gone", || async {
            browser.get("/devices").await.json::<Vec<String>>().len() == 1
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_inside_hands_out_the_cookie_of_a_login_and_one_outside_undoes_it() {
    on_each_store(|world| async move {
        let endless = async |session: Session| -> Result<(), SessionError> {
            session.login(Identity::new("ada")).await?;
            session.set(&A, &"half-way".to_owned())?;
            std::future::pending().await
        };
        let app = Router::new().route("/", get(endless));
        let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(300));
        let layer = SessionLayer::builder(world.spy.clone()).clock(world.clock.clone()).build().unwrap();

        let outside = Client::<Router>::new(app.clone().layer(layer.clone()).layer(timeout));
        assert!(outside.get("/").await.assert_status(504).set_cookies().is_empty());
        eventually("nobody is signed in", || async {
            world.sessions.list(&User::new("ada")).await.unwrap().is_empty()
        })
        .await;

        let inside = Client::<Router>::new(app.layer(timeout).layer(layer));
        assert_eq!(inside.get("/").await.assert_status(504).set_cookies().len(), 1);
        let browser = world.browser().with_jar(inside.jar().clone());
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(browser.get("/get/a").await.text(), "half-way");
    })
    .await;
}

#[tokio::test]
async fn a_resend_of_any_step_of_a_login_leaves_no_live_session_outside_the_index() {
    for step in [Operation::CreateEnrolled, Operation::DestroyUnchanged, Operation::Withdraw] {
        on_each_store(|world| async move {
            let browser = world.browser();
            browser.get("/login?user=ada").await.assert_status(200);
            world.spy.on(step).times(1).lose_answer(StoreErrorKind::Timeout);
            let _ = browser.get("/login?user=ada").await;
            // Whatever became of it, after revoking all through the index nothing is alive.
            let other = world.browser();
            other.get("/login?user=ada").await.assert_status(200);
            other.get("/revoke-all").await.assert_status(200);
            assert_eq!(browser.get("/me").await.text(), "nobody", "{step:?}");
            assert_eq!(other.get("/me").await.text(), "nobody", "{step:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_logout_that_the_store_did_not_answer_keeps_the_cookie_and_says_so() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.on(Operation::Destroy).times(1).fail(StoreErrorKind::Timeout);
        let refused = browser.get("/logout").await.assert_status(503);
        assert!(refused.set_cookies().is_empty());
        assert_eq!(browser.get("/me").await.text(), "ada");
        browser.get("/logout").await.assert_status(200);
        assert_eq!(browser.get("/me").await.text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn logout_and_login_are_seen_by_other_processes_with_the_next_request() {
    on_each_store(|world| async move {
        let other = world.another();
        let here = world.browser();
        let there = other.browser().with_jar(here.jar().clone());
        here.get("/login?user=ada&role=admin").await.assert_status(200);
        assert_eq!(there.get("/me").await.text(), "ada admin");
        let replay = world.browser().with_jar(here.jar().copy());
        there.get("/logout").await.assert_status(200);
        assert_eq!(replay.get("/me").await.text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn rotation_keeps_the_session_and_refuses_the_old_secret() {
    on_each_store(|world| async move {
        let browser = world.browser();
        for path in ["/login?user=ada", "/set/a/data"] {
            browser.get(path).await.assert_status(200);
        }
        for path in ["/rotate", "/reauthenticated"] {
            let old = world.browser().with_jar(browser.jar().copy());
            let response = browser.get(path).await.assert_status(200);
            assert_eq!(response.set_cookies().len(), 1, "{path}");
            assert_eq!(browser.get("/me").await.text(), "ada", "{path}");
            assert_eq!(browser.get("/get/a").await.text(), "data", "{path}");
            assert_eq!(old.get("/me").await.text(), "nobody", "{path}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_in_flight_does_not_restore_the_secret_before_a_rotation() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let old = world.browser().with_jar(browser.jar().copy());
        let slow = tokio::spawn(browser.get("/slow/late").send());
        world.gate.reached.notified().await;
        browser.get("/rotate").await.assert_status(200);
        world.gate.open.notify_one();
        slow.await.unwrap().assert_status(200);
        assert_eq!(old.get("/me").await.text(), "nobody");
        assert_eq!(browser.get("/get/a").await.text(), "late");
    })
    .await;
}

#[tokio::test]
async fn a_rotation_whose_answer_was_lost_does_not_sign_the_user_out() {
    on_each_store(|world| async move {
        for path in ["/rotate", "/reauthenticated", "/rotate-and-say-how-it-went"] {
            let browser = world.browser();
            browser.get("/login?user=ada").await.assert_status(200);
            world.spy.on(Operation::Save).times(1).lose_answer(StoreErrorKind::Timeout);
            let response = browser.get(path).await;
            assert_eq!(response.set_cookies().len(), 1, "{path}: {}", response.status);
            assert_eq!(browser.get("/me").await.text(), "ada", "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn logging_out_keeps_nothing_that_was_written_before() {
    on_each_store(|world| async move {
        let visitor = world.browser();
        let response = visitor.get("/set-then-logout").await.assert_status(200);
        assert!(response.set_cookies().is_empty());
        assert_eq!(world.spy.calls(), []);
        visitor.get("/login?user=ada").await.assert_status(200);
        visitor.get("/set-then-logout").await.assert_status(200);
        assert_eq!(visitor.get("/get/a").await.text(), "none");
    })
    .await;
}

#[tokio::test]
async fn a_login_after_a_failed_commit_is_the_handlers_success() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.on(Operation::Save).times(1).fail(StoreErrorKind::Unavailable);
        assert_eq!(browser.get("/fail-then-login").await.assert_status(200).text(), "signed in");
        assert_eq!(browser.get("/me").await.text(), "grace");
        assert_eq!(browser.get("/get/a").await.text(), "none");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_needs_no_session_that_still_lives() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let slow = tokio::spawn(browser.get("/slow-commit-then-login").send());
        world.gate.reached.notified().await;
        browser.clone().get("/logout").await.assert_status(200);
        world.gate.open.notify_one();
        assert_eq!(slow.await.unwrap().assert_status(200).text(), "Err(Ended)");
        assert_eq!(browser.get("/me").await.text(), "grace");
    })
    .await;
}

#[tokio::test]
async fn a_proof_that_was_just_given_shows_in_the_handle() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(browser.get("/fresh").await.text(), "true");
    })
    .await;
}
