//! What a stream writes to its session after the response's head: saved when it says so, as exactly as a request's.

use portcullis::session::{SessionEnd, SessionErrorKind};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::spy::Operation;

use crate::support::app::{A, B, Browser, COUNT, World, on_each_store};

async fn signed_in(world: &World) -> Browser {
    let browser = world.browser();
    browser.get("/login?user=ada").await.assert_status(200);
    browser
}

#[tokio::test]
async fn after_the_head_only_a_detached_handle_writes_and_only_by_a_commit() {
    on_each_store(async |world| {
        let browser = signed_in(&world).await;
        let session = world.held_by(&browser).await;
        let refused = session.set(&A, &"x".to_owned()).unwrap_err();
        assert_eq!(refused.kind(), SessionErrorKind::Sealed);

        let detached = session.detach().unwrap();
        assert_eq!(detached.identity().unwrap().subject(), "ada");
        assert_eq!(detached.session_ref(), session.session_ref());
        world.spy.forget();
        detached.set(&A, &"x".to_owned()).unwrap();
        detached.clone().increment(&COUNT, 2).unwrap();
        assert_eq!(detached.get(&COUNT).unwrap(), Some(2));
        assert_eq!(world.spy.calls(), [], "nothing is saved of its own accord");
        detached.commit().await.unwrap();
        assert_eq!(world.spy.count(Operation::Save), 1);
        assert_eq!(browser.get("/get/a").await.text(), "x");

        detached.clear().unwrap();
        detached.set(&B, &"y".to_owned()).unwrap();
        detached.commit().await.unwrap();
        assert_eq!(browser.get("/get/a").await.text(), "none");
        assert_eq!(browser.get("/get/b").await.text(), "y");
        browser.get("/set/a/x").await.assert_status(200);

        detached.remove(&A).unwrap();
        drop(detached);
        assert_eq!(browser.get("/get/a").await.text(), "x", "it was never committed");
    })
    .await;
}

#[tokio::test]
async fn streams_and_requests_that_count_at_once_lose_nothing() {
    on_each_store(async |world| {
        let browser = signed_in(&world).await;
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let detached = world.held_by(&browser).await.detach().unwrap();
            streams.spawn(async move {
                for _ in 0..8 {
                    detached.increment(&COUNT, 1).unwrap();
                    detached.commit().await.unwrap();
                }
            });
        }
        for _ in 0..8 {
            browser.get("/count").await.assert_status(200);
        }
        streams.join_all().await;
        assert_eq!(browser.get("/count").await.text(), "41");
    })
    .await;
}

#[tokio::test]
async fn a_stream_never_brings_an_ended_session_back() {
    on_each_store(async |world| {
        let browser = signed_in(&world).await;
        let detached = world.held_by(&browser).await.detach().unwrap();
        detached.set(&A, &"late".to_owned()).unwrap();
        browser.get("/logout").await.assert_status(200);
        let kind = |done: Result<(), portcullis::session::SessionError>| done.unwrap_err().kind();
        assert_eq!(kind(detached.commit().await), SessionErrorKind::Ended);
        assert_eq!(kind(detached.set(&A, &"later".to_owned())), SessionErrorKind::Ended);
        assert_eq!(kind(detached.refresh().await), SessionErrorKind::Ended);
        assert_eq!(detached.session_ref(), None);
        assert_eq!(world.spy.count(Operation::Create), 0);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_finds_its_session_ended_shows_nobody_and_writes_nothing() {
    on_each_store(async |world| {
        let browser = signed_in(&world).await;
        let detached = world.held_by(&browser).await.detach().unwrap();
        detached.set(&A, &"late".to_owned()).unwrap();
        browser.get("/logout").await.assert_status(200);
        assert_eq!(detached.refresh().await.unwrap_err().kind(), SessionErrorKind::Ended);
        assert!(detached.session_ref().is_none() && detached.identity().is_none());
        assert_eq!(detached.get(&A).unwrap(), None);
        assert_eq!(detached.set(&A, &"later".to_owned()).unwrap_err().kind(), SessionErrorKind::Ended);
        assert_eq!(detached.watch().unwrap().await, SessionEnd::Revoked);
        assert_eq!(world.spy.count(Operation::Save), 0);
    })
    .await;
}

#[tokio::test]
async fn a_stream_does_not_undo_a_rotation() {
    on_each_store(async |world| {
        let browser = signed_in(&world).await;
        let detached = world.held_by(&browser).await.detach().unwrap();
        let thief = world.browser().with_jar(browser.jar().copy());
        browser.get("/rotate").await.assert_status(200);
        detached.set(&A, &"x".to_owned()).unwrap();
        detached.commit().await.unwrap();
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(browser.get("/get/a").await.text(), "x");
        assert_eq!(thief.get("/me").await.text(), "nobody", "the old secret stays refused");
    })
    .await;
}

#[tokio::test]
async fn a_stream_sees_what_has_become_of_its_session_when_it_asks() {
    on_each_store(async |world| {
        let browser = signed_in(&world).await;
        let detached = world.held_by(&browser).await.detach().unwrap();
        browser.get("/set/a/new").await.assert_status(200);
        let user = portcullis::session::User::new("ada");
        world.sessions.update_identity(&user, |ada| ada.role("admin")).await.unwrap();
        detached.set(&B, &"mine".to_owned()).unwrap();
        assert_eq!(detached.get(&A).unwrap(), None, "as the request found it");
        detached.refresh().await.unwrap();
        assert_eq!(detached.get(&A).unwrap().as_deref(), Some("new"));
        assert_eq!(detached.get(&B).unwrap().as_deref(), Some("mine"), "what is recorded stays so");
        assert!(detached.identity().unwrap().has_role("admin"));
        detached.commit().await.unwrap();
        assert_eq!(browser.get("/get/b").await.text(), "mine");

        world.spy.on(Operation::Load).times(1).fail(StoreErrorKind::Unavailable);
        let failed = detached.refresh().await.unwrap_err().kind();
        assert_eq!(failed, SessionErrorKind::Store(StoreErrorKind::Unavailable));
        assert_eq!(detached.get(&A).unwrap().as_deref(), Some("new"), "an outage takes nothing away");
    })
    .await;
}

#[tokio::test]
async fn what_a_stream_sets_last_wins_although_it_once_saw_it_so() {
    on_each_store(async |world| {
        let browser = signed_in(&world).await;
        browser.get("/set/a/one").await.assert_status(200);
        let detached = world.held_by(&browser).await.detach().unwrap();
        browser.get("/set/a/two").await.assert_status(200);
        detached.set(&A, &"one".to_owned()).unwrap();
        detached.commit().await.unwrap();
        assert_eq!(browser.get("/get/a").await.text(), "one");
    })
    .await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_applied_once() {
    on_each_store(async |world| {
        let browser = signed_in(&world).await;
        let detached = world.held_by(&browser).await.detach().unwrap();
        detached.increment(&COUNT, 1).unwrap();
        world.spy.on(Operation::Save).times(1).lose_answer(StoreErrorKind::Timeout);
        assert!(detached.commit().await.is_err());
        detached.refresh().await.unwrap();
        detached.commit().await.unwrap();
        assert_eq!(detached.get(&COUNT).unwrap(), Some(1));
        assert_eq!(browser.get("/count").await.text(), "2");
    })
    .await;
}

#[tokio::test]
async fn without_a_stored_session_there_is_nothing_to_detach() {
    on_each_store(async |world| {
        let browser = world.browser();
        let refused = world.held_by(&browser).await.detach().unwrap_err();
        assert_eq!(refused.kind(), SessionErrorKind::NotStored);
    })
    .await;
}
