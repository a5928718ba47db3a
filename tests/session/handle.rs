//! What a handler's hold on its session does within its request, and after it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::handler::Handler;
use axum::routing::get;
use http::StatusCode;
use portcullis::session::{OnUnavailable, SessionErrorKind as Kind, SessionLayer, SessionLayerBuilder, User};
use portcullis::{Identity, Session};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::Operation;

use crate::support::app::{A, B, Browser, COUNT, KEPT, World, eventually, on_each_store};
use crate::support::store::PATIENCE;

/// The world's layer around one handler, at `/`.
pub fn around<H: Handler<T, ()>, T: 'static>(world: &World, handler: H) -> Browser {
    around_with(world, |layer| layer.budget(PATIENCE), handler)
}

/// The same, configured.
pub fn around_with<H: Handler<T, ()>, T: 'static>(
    world: &World,
    configure: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
    handler: H,
) -> Browser {
    let builder = SessionLayer::builder(world.spy.clone()).clock(world.clock.clone());
    let app = Router::new().route("/", get(handler)).layer(configure(builder).build().unwrap());
    Client::new(app).clock(world.clock.clone())
}

async fn signed_in(world: &World, user: &str) -> Browser {
    let browser = world.browser();
    browser.get(&format!("/login?user={user}")).await.assert_status(200);
    browser
}

fn text(len: usize) -> String {
    "x".repeat(len)
}

#[tokio::test]
async fn what_did_not_fit_is_not_there_within_the_request_either() {
    on_each_store(|world| async move {
        let handler = async |session: Session| {
            assert_eq!(session.set(&A, &text(40_000)).unwrap_err().kind(), Kind::TooLarge);
            assert_eq!(session.get(&A).unwrap(), None);
            session.set(&B, &"fits".to_owned()).unwrap();
            assert_eq!(session.set(&A, &text(40_000)).unwrap_err().kind(), Kind::TooLarge);
            assert_eq!(session.get(&A).unwrap(), None);
            assert_eq!(session.get(&B).unwrap().as_deref(), Some("fits"));
        };
        around(&world, handler).get("/").await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn an_identity_that_does_not_fit_is_an_error_before_anything_is_sent() {
    on_each_store(|world| async move {
        let handler = async |session: Session| {
            let huge = Identity::new("ada").claim("x", &text(40_000)).unwrap();
            assert_eq!(session.login(huge).await.unwrap_err().kind(), Kind::TooLarge);
        };
        let response = around(&world, handler).get("/").await.assert_status(200);
        assert!(response.set_cookies().is_empty());
        assert_eq!(world.spy.calls(), []);
    })
    .await;
}

#[tokio::test]
async fn what_no_longer_fits_beside_another_requests_data_is_an_error_and_the_handle_goes_on() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let other = browser.clone();
        let handler = async move |session: Session| {
            session.set(&B, &text(20_000)).unwrap();
            other.get("/big/20000").await.assert_status(200);
            assert_eq!(session.commit().await.unwrap_err().kind(), Kind::TooLarge);
            assert_eq!(session.get(&B).unwrap(), None);
            assert_eq!(session.get(&A).unwrap().map(|other| other.len()), Some(20_000));
            session.set(&KEPT, &"fits".to_owned()).unwrap();
            session.commit().await.unwrap();
        };
        around(&world, handler).with_jar(browser.jar().clone()).get("/").await.assert_status(200);
        for (key, len) in [("a", 20_000), ("b", "none".len()), ("kept", "fits".len())] {
            assert_eq!(browser.get(&format!("/get/{key}")).await.text().len(), len, "{key}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_commit_with_nothing_left_to_store_makes_good_for_one_that_failed() {
    on_each_store(|world| async move {
        world.spy.on(Operation::Create).times(1).fail(StoreErrorKind::Unavailable);
        let handler = async |session: Session| {
            session.set(&A, &"x".to_owned()).unwrap();
            session.commit().await.unwrap_err();
            session.remove(&A).unwrap();
            session.commit().await.unwrap();
        };
        assert!(around(&world, handler).get("/").await.assert_status(200).set_cookies().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_new_secret_of_a_session_that_has_ended_meanwhile_is_not_handed_out() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let sessions = world.sessions.clone();
        let handler = async move |session: Session| {
            session.rotate().await.unwrap();
            sessions.revoke_all(&User::new("ada")).await.unwrap();
            session.set(&A, &"late".to_owned()).unwrap();
            assert_eq!(session.commit().await.unwrap_err().kind(), Kind::Ended);
        };
        let response = around(&world, handler).with_jar(browser.jar().clone()).get("/").await;
        assert!(response.assert_status(200).set_cookies().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_count_neither_wraps_nor_replaces_what_is_no_number() {
    on_each_store(|world| async move {
        let handler = async |session: Session| {
            session.set(&COUNT, &i64::MAX).unwrap();
            assert_eq!(session.increment(&COUNT, 1).unwrap_err().kind(), Kind::Value);
            assert_eq!(session.get(&COUNT).unwrap(), Some(i64::MAX));
            const TEXT: portcullis::session::SessionKey<String> =
                portcullis::session::SessionKey::new("count");
            session.set(&TEXT, &"seven".to_owned()).unwrap();
            assert_eq!(session.increment(&COUNT, 1).unwrap_err().kind(), Kind::Value);
            assert_eq!(session.get(&TEXT).unwrap().as_deref(), Some("seven"));
        };
        around(&world, handler).get("/").await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn a_handler_is_told_that_its_session_was_ended_meanwhile_and_writes_nothing_more() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let other = world.browser().with_jar(browser.jar().copy());
        let handler = async move |session: Session| {
            session.set(&A, &"late".to_owned()).unwrap();
            other.get("/logout").await.assert_status(200);
            assert_eq!(session.commit().await.unwrap_err().kind(), Kind::Ended);
            assert_eq!((session.session_ref(), session.identity().is_none()), (None, true));
            assert_eq!(session.set(&A, &"again".to_owned()).unwrap_err().kind(), Kind::Ended);
            session.logout().await.unwrap();
        };
        let late = around(&world, handler).with_jar(browser.jar().clone());
        let response = late.get("/").await.assert_status(200);
        assert!(response.set_cookies().is_empty(), "a removal would take a new login's cookie away");
        assert_eq!(world.spy.count(Operation::Create), 0);
    })
    .await;
}

#[tokio::test]
async fn while_it_cannot_be_told_who_it_is_nothing_is_read_written_or_ended() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let handler = async |session: Session| {
            let away = Kind::Store(StoreErrorKind::Unavailable);
            assert_eq!(session.get(&A).unwrap_err().kind(), away);
            assert_eq!(session.set(&A, &"x".to_owned()).unwrap_err().kind(), away);
            assert_eq!(session.increment(&COUNT, 1).unwrap_err().kind(), away);
            assert_eq!(session.login(Identity::new("grace")).await.unwrap_err().kind(), away);
            assert_eq!(session.logout().await.unwrap_err().kind(), away);
            assert_eq!(session.devices().revoke_all().await.unwrap_err().kind(), away);
        };
        let page = around_with(&world, |layer| layer.on_unavailable(OnUnavailable::Anonymous), handler);
        world.spy.forget();
        world.spy.on(Operation::Load).times(1).fail(StoreErrorKind::Unavailable);
        let response = page.with_jar(browser.jar().clone()).get("/").await.assert_status(200);
        assert!(response.set_cookies().is_empty());
        assert_eq!(world.spy.writes(), 0);
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn once_the_response_has_begun_the_handle_is_sealed() {
    on_each_store(|world| async move {
        let kept: Arc<Mutex<Option<Session>>> = Arc::default();
        let slot = Arc::clone(&kept);
        let browser = around(&world, async move |session: Session| {
            session.set(&A, &"in time".to_owned()).unwrap();
            *slot.lock().unwrap() = Some(session);
        });
        browser.get("/").await.assert_status(200);
        let session = kept.lock().unwrap().take().unwrap();
        world.spy.forget();
        assert_eq!(session.set(&A, &"late".to_owned()).unwrap_err().kind(), Kind::Sealed);
        assert_eq!(session.rotate().await.unwrap_err().kind(), Kind::Sealed);
        assert_eq!(session.login(Identity::new("ada")).await.unwrap_err().kind(), Kind::Sealed);
        assert_eq!(session.get(&A).unwrap().as_deref(), Some("in time"));
        assert_eq!(world.spy.calls(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_response_overtook_leaves_the_session_before_as_the_only_one() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        world.spy.forget();
        let gate = Arc::clone(&world.gate);
        world.spy.on(Operation::CreateEnrolled).times(1).before(move || {
            let gate = Arc::clone(&gate);
            async move { gate.open.notified().await }
        });
        let login: Arc<Mutex<Option<tokio::task::JoinHandle<_>>>> = Arc::default();
        let (slot, spy) = (Arc::clone(&login), world.spy.clone());
        let handler = async move |session: Session| {
            let task = tokio::spawn(async move { session.login(Identity::new("ada")).await });
            *slot.lock().unwrap() = Some(task);
            spy.called(Operation::CreateEnrolled, 1).await;
        };
        let overtaken = around(&world, handler).with_jar(browser.jar().clone());
        assert!(overtaken.get("/").await.assert_status(200).set_cookies().is_empty());
        world.gate.open.notify_one();
        let login = login.lock().unwrap().take().unwrap();
        assert_eq!(login.await.unwrap().unwrap_err().kind(), Kind::Sealed);
        assert_eq!(browser.get("/me").await.text(), "ada");
        eventually("the new session is ended", || async {
            browser.get("/devices").await.json::<Vec<String>>().len() == 1
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_one_request_does_at_once_is_done_in_turn() {
    on_each_store(|world| async move {
        for slow in [Operation::Create, Operation::CreateEnrolled] {
            world.spy.on(slow).before(tokio::task::yield_now);
        }
        let commits = async |session: Session| {
            session.set(&A, &"x".to_owned()).unwrap();
            let (one, other) = tokio::join!(session.commit(), session.commit());
            assert!(one.is_ok() && other.is_ok());
        };
        around(&world, commits).get("/").await.assert_status(200);
        assert_eq!(world.spy.count(Operation::Create), 1, "two commits make one session");

        let logins = async |session: Session| {
            let (one, other) =
                tokio::join!(session.login(Identity::new("ada")), session.login(Identity::new("ada")));
            assert!(one.is_ok() && other.is_ok());
            assert_eq!(session.devices().list().await.unwrap().len(), 1, "two logins leave one session");
        };
        around(&world, logins).get("/").await.assert_status(200);

        let login_and_logout = async |session: Session| {
            let (login, logout) = tokio::join!(session.login(Identity::new("grace")), session.logout());
            assert!(login.is_ok() && logout.is_ok());
            assert_eq!(session.session_ref(), None, "a logout ends what a login before it has begun");
        };
        around(&world, login_and_logout).get("/").await.assert_status(200);

        // Of two saves that are sent at once, one answer would be taken for the other's.
        let browser = signed_in(&world, "ada").await;
        let other = Arc::new(world.another().browser().with_jar(browser.jar().copy()));
        world.spy.on(Operation::Save).times(2).before(tokio::task::yield_now);
        world.spy.on(Operation::Save).times(1).before(move || {
            let other = Arc::clone(&other);
            async move { _ = other.get("/count").await.assert_status(200) }
        });
        let commit_and_rotate = async |session: Session| {
            session.set(&A, &"x".to_owned()).unwrap();
            let (commit, rotate) = tokio::join!(session.commit(), session.rotate());
            assert!(commit.is_ok() && rotate.is_ok());
        };
        around(&world, commit_and_rotate).with_jar(browser.jar().clone()).get("/").await.assert_status(200);
        assert_eq!(
            browser.get("/me").await.text(),
            "ada",
            "the secret that was handed out is the stored one"
        );

        let login_and_write = async |session: Session| {
            let write = async { session.set(&A, &"x".to_owned()) };
            let (login, written) = tokio::join!(session.login(Identity::new("ada")), write);
            assert!(login.is_ok() && written.is_ok());
            assert_eq!(
                session.get(&A).unwrap().as_deref(),
                Some("x"),
                "what a login does not know of is kept"
            );
        };
        around(&world, login_and_write).get("/").await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn what_a_failed_handler_wrote_is_kept_unless_the_layer_is_told_to_discard_it() {
    let rows =
        [(500, false, "x"), (500, true, "none"), (503, true, "none"), (400, true, "x"), (200, true, "x")];
    on_each_store(|world| async move {
        for (status, discard, expected) in rows {
            let browser = signed_in(&world, "ada").await;
            let handler = async move |session: Session| {
                session.set(&A, &"x".to_owned()).unwrap();
                StatusCode::from_u16(status).unwrap()
            };
            let configure = |layer: SessionLayerBuilder| if discard { layer.discard_on_5xx() } else { layer };
            let failing = around_with(&world, configure, handler).with_jar(browser.jar().clone());
            failing.get("/").await.assert_status(status);
            assert_eq!(browser.get("/get/a").await.text(), expected, "{status}, discard: {discard}");
        }
    })
    .await;
}

#[tokio::test]
async fn discarding_forgets_no_secret_that_may_have_been_replaced() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        world.spy.on(Operation::Save).times(1).lose_answer(StoreErrorKind::Timeout);
        let handler = async |session: Session| {
            session.rotate().await.unwrap_err();
            session.set(&A, &"dropped".to_owned()).unwrap();
            StatusCode::INTERNAL_SERVER_ERROR
        };
        let failing = around_with(&world, SessionLayerBuilder::discard_on_5xx, handler);
        let response = failing.with_jar(browser.jar().clone()).get("/").await.assert_status(500);
        assert_eq!(response.set_cookies().len(), 1);
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(browser.get("/get/a").await.text(), "none");
    })
    .await;
}

#[tokio::test]
async fn a_login_that_stands_hands_out_its_cookie_whatever_fails_after_it() {
    on_each_store(|world| async move {
        let handler = async |session: Session| {
            session.login(Identity::new("ada")).await.unwrap();
            session.set(&A, &"lost".to_owned()).unwrap();
        };
        world.spy.on(Operation::Save).times(1).fail(StoreErrorKind::Unavailable);
        let browser = around(&world, handler);
        let response = browser.get("/").await.assert_status(503);
        assert_eq!(response.set_cookies().len(), 1);
        let app = world.browser().with_jar(browser.jar().clone());
        assert_eq!(app.get("/me").await.text(), "ada");
        assert_eq!(app.get("/get/a").await.text(), "none");
    })
    .await;
}

#[tokio::test]
async fn a_login_after_a_failed_commit_owes_nothing_to_the_session_before() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let handler = async |session: Session| {
            session.set(&A, &"lost".to_owned()).unwrap();
            session.commit().await.unwrap_err();
            session.login(Identity::new("grace")).await.unwrap();
            session.set(&B, &"kept".to_owned()).unwrap();
        };
        world.spy.on(Operation::Save).times(1).fail(StoreErrorKind::Unavailable);
        around(&world, handler).with_jar(browser.jar().clone()).get("/").await.assert_status(200);
        assert_eq!(browser.get("/me").await.text(), "grace");
        assert_eq!(browser.get("/get/a").await.text(), "none");
        assert_eq!(browser.get("/get/b").await.text(), "kept");
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_reports_a_failed_commit_is_heard_and_one_that_does_not_is_overruled() {
    on_each_store(|world| async move {
        for (status, seen) in [(502, 502), (404, 503), (200, 503)] {
            let browser = signed_in(&world, "ada").await;
            let handler = async move |session: Session| {
                session.set(&A, &"lost".to_owned()).unwrap();
                session.commit().await.unwrap_err();
                StatusCode::from_u16(status).unwrap()
            };
            world.spy.on(Operation::Save).times(1).fail(StoreErrorKind::Unavailable);
            around(&world, handler).with_jar(browser.jar().clone()).get("/").await.assert_status(seen);
        }
    })
    .await;
}
