//! A user's sessions on all devices.

use portcullis::session::{EncryptionKeys, User};
use portcullis_store::{Key, Locator, Realm, SessionBackend};
use portcullis_testkit::spy::Operation;

use crate::support::app::{Browser, World, now, on_each_store};
use crate::support::logs::captured;
use crate::support::store::AnyStore;

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

async fn networks(browser: &Browser) -> Vec<Option<String>> {
    browser.get("/networks").await.assert_status(200).json()
}

/// What the store holds of the browser's session.
async fn stored(world: &World, browser: &Browser) -> Vec<u8> {
    let locator = Locator::parse(&browser.jar().get("__Host-id").unwrap()[..22]).unwrap();
    let key = Key { realm: &Realm::default(), locator };
    world.store.load(key).await.unwrap().unwrap().encode()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_sign_in_remembers_its_network_if_it_is_told_and_the_address_is_nowhere() {
    let rows: [(&str, &str, &str, &[u8]); 3] = [
        ("203.0.113.77", "203.0.113.0", "/24", &[203, 0, 113, 77]),
        ("::ffff:203.0.113.77", "203.0.113.0", "/24", &[203, 0, 113, 77]),
        ("2001:db8:1:2345::6", "2001:db8:1::", "/48", &[0x20, 0x01, 0x0d, 0xb8, 0, 1, 0x23, 0x45]),
    ];
    on_each_store(|world| async move {
        for (address, network, len, octets) in rows {
            let browser = world.browser();
            let ((), logs) = captured(async {
                browser.get(&format!("/login?user=ada&network={address}")).await.assert_status(200);
                browser.get("/count").await.assert_status(200);
                assert_eq!(networks(&browser).await, [Some(format!("{network}{len}"))], "{address}");
                browser.get("/logout").await.assert_status(200);
            })
            .await;
            browser.get(&format!("/login?user=ada&network={address}")).await.assert_status(200);
            let record = stored(&world, &browser).await;
            assert!(holds(&record, network.as_bytes()) && !holds(&record, octets), "{address}");
            let debug = format!("{:?} {:?}", world.app, world.spy.calls());
            for text in [record.as_slice(), logs.as_bytes(), debug.as_bytes()] {
                for whole in ["203.0.113.77", "2001:db8:1:2345"] {
                    assert!(!holds(text, whole.as_bytes()), "{address}: {}", String::from_utf8_lossy(text));
                }
            }
            browser.get("/revoke-all").await.assert_status(200);
        }
        let untold = world.browser();
        untold.get("/login?user=ada&device=Phone").await.assert_status(200);
        assert_eq!(networks(&untold).await, [None]);
    })
    .await;
}

#[tokio::test]
async fn a_network_stays_with_the_user_and_goes_with_the_user() {
    on_each_store(|world| async move {
        let browser = world.browser();
        let there = [Some("203.0.113.0/24".to_owned())];
        browser.get("/login?user=ada&device=Phone&network=203.0.113.77").await.assert_status(200);
        assert_eq!(networks(&browser).await, there);
        browser.get("/rotate").await.assert_status(200);
        world.sessions.update_identity(&User::new("ada"), |me| me.role("admin")).await.unwrap();
        assert_eq!(networks(&browser).await, there, "roles are no networks");

        browser.get("/login?user=ada").await.assert_status(200);
        assert_eq!(networks(&browser).await, there, "signed in again");
        browser.get("/login?user=ada&network=2001:db8::1").await.assert_status(200);
        assert_eq!(networks(&browser).await, [Some("2001:db8::/48".to_owned())], "from elsewhere");
        let labels = browser.get("/labels").await.json::<Vec<Option<String>>>();
        assert_eq!(labels, [Some("Phone".to_owned())], "beside the label");
        browser.get("/login?user=grace").await.assert_status(200);
        assert_eq!(networks(&browser).await, [None], "somebody else's is nobody's business");
    })
    .await;
}

#[tokio::test]
async fn a_network_goes_along_past_a_write_that_comes_in_between() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada&network=203.0.113.77").await.assert_status(200);
        let writer = world.through(&browser);
        world.spy.on(Operation::DestroyUnchanged).times(1).before(move || {
            let write = writer.get("/set/a/late").send();
            async move { drop(write.await.assert_status(200)) }
        });
        browser.get("/login?user=ada").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "late", "it came in between");
        assert_eq!(networks(&browser).await, [Some("203.0.113.0/24".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn encryption_hides_the_network_too() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, |layer| layer.encrypt(EncryptionKeys::new(&[1; 32])));
        let browser = world.browser();
        browser.get("/login?user=ada&network=203.0.113.77").await.assert_status(200);
        assert_eq!(networks(&browser).await, [Some("203.0.113.0/24".to_owned())]);
        assert!(!holds(&stored(&world, &browser).await, b"203.0.113"));
    }
}
