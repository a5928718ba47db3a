//! Nothing is lost under concurrency, and nothing is applied twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis::Session;
use portcullis::session::{SessionErrorKind, SessionKey};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::redis::{Proxy, RedisServer};
use portcullis_testkit::spy::Operation;

use super::handle::around;
use crate::support::app::{A, B, Browser, COUNT, KEPT, World, now, on_each_store};
use crate::support::store::{AnyStore, PATIENCE};

async fn signed_in(world: &World, user: &str) -> Browser {
    let browser = world.browser();
    browser.get(&format!("/login?user={user}")).await.assert_status(200);
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_that_write_different_keys_at_once_both_survive() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let slow = tokio::spawn(browser.get("/slow/one").send());
        world.gate.reached.notified().await;
        browser.get("/set/b/two").await.assert_status(200);
        world.gate.open.notify_one();
        slow.await.unwrap().assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "one");
        assert_eq!(browser.get("/get/b").await.text(), "two");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_value_does_not_come_back_with_an_older_request() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        browser.get("/set/b/two").await.assert_status(200);
        let slow = tokio::spawn(browser.get("/slow/one").send());
        world.gate.reached.notified().await;
        browser.get("/remove/b").await.assert_status(200);
        world.gate.open.notify_one();
        slow.await.unwrap().assert_status(200);
        assert_eq!(browser.get("/get/b").await.text(), "none");
        assert_eq!(browser.get("/get/a").await.text(), "one");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cleared_is_all_that_was_saved_before_and_nobody_is_signed_out_by_it() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        browser.get("/set/kept/x").await.assert_status(200);
        let gate = Arc::clone(&world.gate);
        let slowly = around(&world, move |session: Session| async move {
            session.set(&A, &"before".to_owned()).unwrap();
            session.clear().unwrap();
            assert_eq!((session.get(&A).unwrap(), session.get(&KEPT).unwrap()), (None, None));
            session.set(&B, &"after".to_owned()).unwrap();
            gate.reached.notify_one();
            gate.open.notified().await;
        });
        let clearing = slowly.with_jar(browser.jar().clone());
        let clearing = tokio::spawn(clearing.get("/").send());
        world.gate.reached.notified().await;
        browser.get("/set/a/meanwhile").await.assert_status(200);
        world.gate.open.notify_one();
        clearing.await.unwrap().assert_status(200);
        let held = async |key: &str| browser.get(&format!("/get/{key}")).await.text();
        assert_eq!([held("a").await, held("b").await, held("kept").await], ["none", "after", "none"]);
        assert_eq!(browser.get("/me").await.text(), "ada");

        browser.get("/set/a/later").await.assert_status(200);
        world.spy.forget();
        browser.get("/clear").await.assert_status(200);
        assert_eq!(world.spy.count(Operation::Save), 1);
        browser.get("/clear").await.assert_status(200);
        assert_eq!(world.spy.count(Operation::Save), 1, "there was nothing left");
        let visitor = world.browser();
        visitor.get("/clear").await.assert_status(200);
        assert!(visitor.jar().get("__Host-id").is_none(), "no session is made to be empty");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_increments_from_several_processes_all_count_and_each_sees_its_own_number() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let processes: Vec<World> = (0..4).map(|_| world.another()).collect();
        let requests = (0..64).map(|n| {
            let tab = processes[n % 4].browser().with_jar(browser.jar().clone());
            tokio::spawn(tab.get("/count").send())
        });
        let mut seen = BTreeSet::new();
        for request in requests.collect::<Vec<_>>() {
            seen.insert(request.await.unwrap().assert_status(200).text().parse::<u64>().unwrap());
        }
        assert_eq!(seen, (1..=64).collect());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_updates_are_all_applied() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let requests: Vec<_> = (0..16).map(|_| tokio::spawn(browser.get("/append/x").send())).collect();
        for request in requests {
            request.await.unwrap().assert_status(200);
        }
        assert_eq!(browser.get("/get/a").await.text(), "x".repeat(16));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_takes_exactly_one_gets_the_value() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        browser.get("/set/a/state").await.assert_status(200);
        let requests: Vec<_> = (0..16).map(|_| tokio::spawn(browser.get("/take/a").send())).collect();
        let mut got = 0;
        for request in requests {
            got += usize::from(request.await.unwrap().assert_status(200).text() == "state");
        }
        assert_eq!(got, 1);
    })
    .await;
}

#[tokio::test]
async fn a_save_whose_answer_was_lost_is_applied_once() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        world.spy.on(Operation::Save).times(1).lose_answer(StoreErrorKind::Timeout);
        assert_eq!(browser.get("/count-stubbornly").await.assert_status(200).text(), "1");
        assert_eq!(browser.get("/count").await.text(), "2");
    })
    .await;
}

/// The next commit loses its answer, and before it is sent again another process counts `times` times.
fn lose_an_answer_and_count(world: &World, browser: &Browser, times: usize) {
    let tab = Arc::new(world.another().browser().with_jar(browser.jar().clone()));
    world.spy.on(Operation::Save).times(1).lose_answer(StoreErrorKind::Timeout);
    world.spy.on(Operation::Save).times(1).before(move || {
        let tab = Arc::clone(&tab);
        async move {
            for _ in 0..times {
                tab.get("/count").await.assert_status(200);
            }
        }
    });
}

#[tokio::test]
async fn a_lost_answer_followed_by_another_requests_save_is_not_applied_again() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        lose_an_answer_and_count(&world, &browser, 1);
        browser.get("/count-stubbornly").await.assert_status(200);
        assert_eq!(browser.get("/count").await.text(), "3", "one lost, one in between, one now");
    })
    .await;
}

#[tokio::test]
async fn when_the_history_no_longer_tells_it_is_an_error_and_nothing_is_applied_again() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        lose_an_answer_and_count(&world, &browser, 5);
        browser.get("/count-stubbornly-and-carelessly").await.assert_status(503);
        assert_eq!(browser.get("/count").await.text(), "7", "one lost, five in between, one now");
    })
    .await;
}

#[tokio::test]
async fn a_handlers_failed_commit_is_not_waited_for_again_and_never_passes_for_success() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        for path in ["/count", "/count-carelessly"] {
            world.spy.forget();
            world.spy.on(Operation::Save).fail(StoreErrorKind::Unavailable);
            browser.get(path).await.assert_status(503);
            assert_eq!(world.spy.count(Operation::Save), 1, "{path}");
            world.spy.obey_no_more();
        }
        assert_eq!(browser.get("/count").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_request_applies_nothing() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let slow = tokio::spawn(browser.get("/slow/one").send());
        world.gate.reached.notified().await;
        slow.abort();
        assert!(slow.await.unwrap_err().is_cancelled());
        assert_eq!(browser.get("/get/a").await.text(), "none");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handlers_save_does_not_shorten_a_deadline_that_a_touch_has_moved() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let slow = tokio::spawn(browser.get("/slow/one").send());
        world.gate.reached.notified().await;

        // Six minutes later another request touches the session.
        world.clock.advance(Duration::from_secs(6 * 60));
        browser.get("/").await.assert_status(200);
        world.spy.called(Operation::Enrol, 1).await;
        world.gate.open.notify_one();
        slow.await.unwrap().assert_status(200);

        // On memory, 30 minutes after the touch but not after the load, it lives; on Redis the stored deadline tells.
        let last_seen = |world: &World| {
            let browser = world.browser().with_jar(browser.jar().clone());
            async move { browser.get("/last-seen").await.text().parse::<u64>().unwrap() }
        };
        let touched = last_seen(&world).await;
        assert!(touched > 0);
        assert_eq!(
            last_seen(&world.another()).await,
            touched,
            "the save left the deadline as the touch had set it"
        );
    })
    .await;
}

#[tokio::test]
async fn an_uncontended_request_costs_one_read_and_one_write() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        world.spy.forget();
        browser.get("/get/a").await.assert_status(200);
        assert_eq!(world.spy.calls().len(), 1, "a read");
        world.spy.forget();
        browser.get("/set/a/one").await.assert_status(200);
        assert_eq!((world.spy.count(Operation::Load), world.spy.count(Operation::Save)), (1, 1));
        assert_eq!(world.spy.calls().len(), 2, "a write");
        world.spy.forget();
        browser.get("/set/a/one").await.assert_status(200);
        assert_eq!(world.spy.calls().len(), 1, "what changes nothing is not written");
    })
    .await;
}

#[tokio::test]
async fn what_a_commit_found_to_change_nothing_is_not_applied_by_a_later_one() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        browser.get("/set/a/one").await.assert_status(200);
        let other = browser.clone();
        let handler = async move |session: Session| {
            session.set(&A, &"one".to_owned()).unwrap();
            session.commit().await.unwrap();
            other.get("/set/a/two").await.assert_status(200);
            session.increment(&COUNT, 1).unwrap();
            session.commit().await.unwrap();
            assert_eq!(session.get(&A).unwrap().as_deref(), Some("two"));
        };
        around(&world, handler).with_jar(browser.jar().clone()).get("/").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "two");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_two_commits_of_one_request_are_not_mistaken_for_each_other() {
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let gate = Arc::clone(&world.gate);
        world.spy.on(Operation::Save).times(1).before(move || {
            let gate = Arc::clone(&gate);
            async move {
                gate.reached.notify_one();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        browser.get("/commit-in-a-task-and-write").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "one");
        assert_eq!(browser.get("/get/b").await.text(), "two");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_the_store_itself_sent_again_is_not_applied_again_on_top_of_others() {
    let proxy = Arc::new(Proxy::start(RedisServer::shared()).await);
    let quick = World::new(&AnyStore::redis(), &now());
    let AnyStore::Redis(_, prefix) = &quick.store else { panic!("a redis store") };
    let config = RedisConfig::standalone(proxy.url()).unwrap().key_prefix(prefix.as_str());
    let config = config.budget(PATIENCE).attempt_timeout(Duration::from_secs(1));
    let slow =
        World::new(&AnyStore::Redis(RedisBackend::connect(config).unwrap(), prefix.clone()), &quick.clock);
    let browser = signed_in(&quick, "ada").await;
    browser.get("/count").await.assert_status(200);
    let stored = around(&quick, async |session: Session| session.get(&COUNT).unwrap().unwrap().to_string());
    let (other, stored) = (browser.clone(), stored.with_jar(browser.jar().clone()));
    let handler = async move |session: Session| {
        session.increment(&COUNT, 1).unwrap();
        proxy.swallow_next_reply();
        // Once it is applied, and before it is sent again, others save so often that the history does not tell.
        let overtake = async {
            while stored.get("/").await.text() != "2" {
                tokio::task::yield_now().await;
            }
            for _ in 0..4 {
                other.get("/count").await.assert_status(200);
            }
        };
        let (committed, ()) = tokio::join!(session.commit(), overtake);
        assert_eq!(committed.unwrap_err().kind(), SessionErrorKind::Uncertain);
        session.commit().await.unwrap();
    };
    around(&slow, handler).with_jar(browser.jar().clone()).get("/").await.assert_status(200);
    assert_eq!(browser.get("/count").await.text(), "7", "one, one lost, four in between, one now");
}

#[tokio::test]
async fn what_cannot_be_applied_to_another_requests_data_is_an_error_and_the_handle_goes_on() {
    const COUNT_AS_TEXT: SessionKey<String> = SessionKey::new("count");
    on_each_store(|world| async move {
        let browser = signed_in(&world, "ada").await;
        let text = async |session: Session| session.set(&COUNT_AS_TEXT, &"many".to_owned());
        let (text, other) = (around(&world, text).with_jar(browser.jar().clone()), browser.clone());
        let handler = async move |session: Session| {
            session.increment(&COUNT, 1).unwrap();
            text.get("/").await.assert_status(200);
            assert_eq!(session.commit().await.unwrap_err().kind(), SessionErrorKind::Value);
            session.set(&A, &"still".to_owned()).unwrap();
            other.get("/set/b/meanwhile").await.assert_status(200);
            session.commit().await.unwrap();
            assert_eq!(session.get(&COUNT_AS_TEXT).unwrap().as_deref(), Some("many"));
        };
        around(&world, handler).with_jar(browser.jar().clone()).get("/").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "still");
    })
    .await;
}
