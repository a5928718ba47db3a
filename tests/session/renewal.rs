//! Periodic renewal of a session's secret: nobody is signed out by it.

use std::time::Duration;

use portcullis_testkit::spy::Operation;

use crate::support::app::{Browser, World, eventually, now};
use crate::support::store::AnyStore;

const HOUR: Duration = Duration::from_secs(3600);

async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(World, Browser) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        let long = portcullis::session::Lifetime { idle: 100 * HOUR, absolute: 1000 * HOUR };
        let world = World::with(&store, &clock, |layer| layer.renew_every(HOUR).lifetime(long));
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        test(world, browser).await;
    }
}

#[tokio::test]
async fn an_old_secret_is_replaced_and_the_one_before_ends_soon_after_the_new_one_arrives() {
    on_each_store(|world, browser| async move {
        let old = world.browser().with_jar(browser.jar().copy());
        world.clock.advance(HOUR);
        assert_eq!(browser.get("/me").await.assert_status(200).set_cookies().len(), 1);
        for _ in 0..2 {
            let parallel = old.get("/set/a/parallel").await.assert_status(200);
            assert!(parallel.set_cookies().is_empty(), "served, no second rotation, no cookie");
        }
        world.spy.forget();
        assert_eq!(browser.get("/get/a").await.text(), "parallel");
        world.spy.called(Operation::Save, 1).await;
        eventually("that the new one arrived is noted", || async {
            world.spy.forget();
            browser.get("/me").await;
            world.spy.count(Operation::Save) == 0
        })
        .await;
        assert_eq!(old.get("/me").await.text(), "ada", "a request that was under way");
        world.clock.advance(Duration::from_secs(11));
        assert_eq!(old.get("/me").await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}

#[tokio::test]
async fn a_lost_renewal_response_logs_nobody_out() {
    on_each_store(|world, browser| async move {
        let lost = world.browser().with_jar(browser.jar().copy());
        world.clock.advance(HOUR);
        assert_eq!(lost.get("/me").await.set_cookies().len(), 1, "the browser never sees this cookie");
        assert!(browser.get("/me").await.set_cookies().is_empty(), "it may still arrive");
        world.clock.advance(10 * HOUR);
        let again = browser.get("/me").await;
        assert_eq!((again.text().as_str(), again.set_cookies().len()), ("ada", 1), "another one is sent");
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(lost.get("/me").await.text(), "nobody", "the lost one is forgotten");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_requests_one_renews() {
    on_each_store(|world, browser| async move {
        world.clock.advance(HOUR);
        let requests: Vec<_> = (0..16)
            .map(|_| tokio::spawn(browser.another().with_jar(browser.jar().copy()).get("/me").send()))
            .collect();
        let mut cookies = 0;
        for request in requests {
            let response = request.await.unwrap().assert_status(200);
            assert_eq!(response.text(), "ada");
            cookies += response.set_cookies().len();
        }
        assert_eq!(cookies, 1);
    })
    .await;
}

#[tokio::test]
async fn a_renewal_that_cannot_be_saved_is_no_ones_loss() {
    on_each_store(|world, browser| async move {
        world.clock.advance(HOUR);
        world.spy.on(Operation::Save).times(1).fail(portcullis_store::StoreErrorKind::Full);
        let response = browser.get("/me").await.assert_status(200);
        assert_eq!((response.text().as_str(), response.set_cookies().len()), ("ada", 0));
        assert_eq!(
            browser.get("/me").await.assert_status(200).set_cookies().len(),
            1,
            "the next one tries again"
        );
    })
    .await;
}

#[tokio::test]
async fn an_explicit_rotation_ends_every_secret_before_it() {
    on_each_store(|world, browser| async move {
        let old = world.browser().with_jar(browser.jar().copy());
        world.clock.advance(HOUR);
        browser.get("/me").await.assert_status(200);
        browser.get("/rotate").await.assert_status(200);
        assert_eq!(old.get("/me").await.text(), "nobody");
        assert_eq!(browser.get("/me").await.text(), "ada");
    })
    .await;
}
