//! No secret and no data in a log, a `Debug` or the store.

use portcullis_store::{Key, SessionBackend};

use crate::support::app::on_each_store;
use crate::support::logs::captured;

const DATA: &str = "very-private-value";

#[tokio::test]
async fn neither_logs_nor_debug_show_a_secret_or_data() {
    on_each_store(|world| async move {
        let browser = world.browser();
        let work = async {
            browser.get("/login?user=ada").await.assert_status(200);
            browser.get(&format!("/set/a/{DATA}")).await.assert_status(200);
            let before = browser.jar().get("__Host-id").unwrap();
            browser.get("/rotate").await.assert_status(200);
            browser.get("/count").await.assert_status(200);
            browser.get("/me").header("cookie", format!("__Host-id={before}").as_str()).await;
            browser.get("/as-number").await.assert_status(409);
            before
        };
        let (before, logs) = captured(work).await;
        let after = browser.jar().get("__Host-id").unwrap();
        assert!(logs.contains(&after[..22]), "the locator is what logs show: {logs}");
        let debug = format!("{:?} {:?} {:?}", world.app, world.spy, world.spy.calls());
        for secret in [&before[23..], &after[23..], DATA] {
            assert!(!logs.contains(secret) && !debug.contains(secret), "{secret}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_does_not_hold_the_secret() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let cookie = browser.jar().get("__Host-id").unwrap();
        let realm = "default".parse().unwrap();
        let locator = portcullis_store::Locator::parse(&cookie[..22]).unwrap();
        let record = world.store.load(Key { realm: &realm, locator }).await.unwrap().unwrap();
        let bytes = record.encode();
        for piece in cookie.as_bytes()[23..].windows(8) {
            assert!(!bytes.windows(piece.len()).any(|window| window == piece));
        }
        assert!(!format!("{record:?}").contains("ada"));
    })
    .await;
}
