//! Requests whose client goes away, at each point at which they wait.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use portcullis::Session;
use portcullis::session::User;
use tokio::sync::Notify;

use super::handle::around;
use crate::support::app::{Browser, World, eventually, on_each_store};

/// Drops the request when it has been polled so often. Whether it was there by then.
async fn polled(browser: &Browser, path: &str, polls: usize) -> bool {
    let mut request = pin!(browser.get(path).send());
    let mut polled = 0;
    let response = std::future::poll_fn(|cx| match request.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending if polled == polls => Poll::Ready(None),
        Poll::Pending => {
            polled += 1;
            Poll::Pending
        }
    });
    response.await.is_some()
}

/// What is left of a session that was asked for `path` and left alone, for each number of polls until it answers.
async fn at_each_point<F: Future<Output = ()>>(
    world: &World,
    before: &[&str],
    path: &str,
    check: impl Fn(Browser, bool, usize) -> F,
) {
    for polls in 0..100 {
        let browser = world.browser();
        for path in before {
            browser.get(path).await.assert_status(200);
        }
        let finished = polled(&browser, path, polls).await;
        check(browser, finished, polls).await;
        if finished {
            return;
        }
    }
    panic!("{path} never ends");
}

const USER: &[&str] = &["/login?user=ada", "/set/a/x"];

#[tokio::test]
async fn a_dropped_login_has_no_holder_and_leaves_no_session() {
    on_each_store(|world| async move {
        let world = &world;
        for before in [&[][..], &["/set/kept/x"], &["/login?user=grace"], &["/login?user=ada"]] {
            at_each_point(world, before, "/login?user=ada", |browser, finished, polls| async move {
                let ada = User::new("ada");
                let is_ada = browser.get("/me").await.text() == "ada";
                assert!(is_ada || !finished, "{before:?} {polls}");
                let expected = usize::from(is_ada);
                eventually("what nobody holds has ended", || async {
                    world.sessions.list(&ada).await.unwrap().len() == expected
                })
                .await;
                world.sessions.revoke_all(&ada).await.unwrap();
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_dropped_after_a_rotation_ends_no_session() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let rotated = Arc::new(Notify::new());
        let told = Arc::clone(&rotated);
        let handler = async move |session: Session| {
            session.rotate().await.unwrap();
            told.notify_one();
            pending::<()>().await
        };
        let request = around(&world, handler).with_jar(browser.jar().clone()).get("/").send();
        let request = tokio::spawn(request);
        rotated.notified().await;
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        // What goes on behind a response would be done by then.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(world.sessions.list(&User::new("ada")).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_logout_is_one_or_none() {
    on_each_store(|world| async move {
        let world = &world;
        at_each_point(world, USER, "/logout", |browser, finished, polls| async move {
            let me = browser.get("/me").await.text();
            assert!(me == "nobody" || me == "ada" && !finished, "{me} {polls}");
            let listed = world.sessions.list(&User::new("ada")).await.unwrap().len();
            assert_eq!(listed, usize::from(me == "ada"));
            world.sessions.revoke_all(&User::new("ada")).await.unwrap();
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn dropped_writes_are_applied_once_or_not_at_all() {
    on_each_store(|world| async move {
        let world = &world;
        for path in ["/count", "/count-stubbornly", "/append/y", "/take/a"] {
            at_each_point(world, USER, path, |browser, finished, polls| async move {
                assert_eq!(browser.get("/me").await.text(), "ada", "{path} {polls}");
                let a = browser.get("/get/a").await.text();
                let count: i64 = browser.get("/count").await.text().parse().unwrap();
                match path {
                    "/append/y" => assert!(a == "xy" || a == "x" && !finished, "{a}"),
                    "/take/a" => assert!(a == "none" || a == "x" && !finished, "{a}"),
                    "/count" | "/count-stubbornly" => {
                        assert!(count == 2 || count == 1 && !finished, "{count}")
                    }
                    _ => {}
                }
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_dropped_revocation_lists_what_is_alive() {
    on_each_store(|world| async move {
        for path in ["/revoke-all", "/revoke-others"] {
            for polls in 0..100 {
                let (browser, other) = (world.browser(), world.browser());
                browser.get("/login?user=ada").await.assert_status(200);
                other.get("/login?user=ada").await.assert_status(200);
                let finished = polled(&browser, path, polls).await;
                let mut alive = 0;
                for browser in [&browser, &other] {
                    alive += usize::from(browser.get("/me").await.text() == "ada");
                }
                let listed = world.sessions.list(&User::new("ada")).await.unwrap().len();
                assert_eq!(listed, alive, "{path} {polls}");
                world.sessions.revoke_all(&User::new("ada")).await.unwrap();
                if finished {
                    assert_eq!(alive, usize::from(path == "/revoke-others"));
                    break;
                }
            }
        }
    })
    .await;
}
