//! A user's sessions on all devices.

use crate::support::app::on_each_store;

#[tokio::test]
async fn a_user_sees_and_ends_the_own_sessions_only() {
    on_each_store(|world| async move {
        let [laptop, phone, stranger] = [world.browser(), world.browser(), world.browser()];
        laptop.get("/login?user=ada").await.assert_status(200);
        world.clock.advance(std::time::Duration::from_millis(5));
        phone.get("/login?user=ada").await.assert_status(200);
        stranger.get("/login?user=grace").await.assert_status(200);

        let mine = laptop.get("/devices").await.json::<Vec<String>>();
        assert_eq!(mine.len(), 2);
        let strangers = stranger.get("/devices").await.json::<Vec<String>>();
        assert!(!mine.contains(&strangers[0]));

        for wrong in [strangers[0].as_str(), "AAAAAAAAAAAAAAAAAAAAAA", "x", "%00"] {
            let answer = laptop.get(&format!("/revoke/{wrong}")).await.assert_status(404);
            assert_eq!(answer.text(), "NotFound", "{wrong}");
        }
        assert_eq!(stranger.get("/me").await.text(), "grace");

        laptop.get(&format!("/revoke/{}", mine[0])).await.assert_status(200);
        assert_eq!(phone.get("/me").await.text(), "nobody", "the newest stood first");
        assert_eq!(laptop.get("/devices").await.json::<Vec<String>>(), mine[1..]);
    })
    .await;
}

#[tokio::test]
async fn ending_the_current_one_is_a_logout() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let mine = browser.get("/devices").await.json::<Vec<String>>();
        let response = browser.get(&format!("/revoke/{}", mine[0])).await.assert_status(200);
        assert!(response.set_cookies()[0].contains("Max-Age=0"));
        assert_eq!(browser.get("/me").await.text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn revoking_the_others_leaves_this_one_and_revoking_all_leaves_none() {
    on_each_store(|world| async move {
        let here = world.browser();
        let others = [world.browser(), world.another().browser(), world.another().browser()];
        for browser in others.iter().chain([&here]) {
            browser.get("/login?user=ada").await.assert_status(200);
        }
        here.get("/revoke-others").await.assert_status(200);
        assert_eq!(here.get("/me").await.text(), "ada");
        for other in &others {
            assert_eq!(other.get("/me").await.text(), "nobody");
            other.get("/login?user=ada").await.assert_status(200);
        }
        here.get("/revoke-all").await.assert_status(200);
        for browser in others.iter().chain([&here]) {
            assert_eq!(browser.get("/me").await.text(), "nobody");
        }
    })
    .await;
}

#[tokio::test]
async fn somebody_who_is_not_signed_in_has_no_devices() {
    on_each_store(|world| async move {
        for path in ["/devices", "/revoke-others", "/revoke-all"] {
            world.browser().get(path).await.assert_status(401);
        }
        assert_eq!(world.spy.calls(), []);
    })
    .await;
}
