//! Sessions that are encrypted in the store: nobody else reads them, and what is not right is an outage, never empty.

use std::time::Duration;

use portcullis::session::{EncryptionKeys, MemoryBackend, SessionLayer, SessionLayerBuilder};
use portcullis_store::{
    Clock, Key, Locator, ManualClock, Realm, Record, Saved, SessionBackend, Tag, Timestamp,
};

use crate::support::app::{Browser, World, now};
use crate::support::store::AnyStore;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
const HOUR: Duration = Duration::from_secs(3600);

fn keys() -> EncryptionKeys {
    EncryptionKeys::new(&NEW)
}

fn by(keys: EncryptionKeys) -> impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder {
    move |layer| layer.encrypt(keys)
}

/// Runs `test` on each kind of store.
async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(AnyStore, ManualClock) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        test(store, clock.clone()).await;
    }
}

async fn signed_in(world: &World, user: &str) -> Browser {
    let browser = world.browser();
    browser.get(&format!("/login?user={user}&role=very-private-role")).await.assert_status(200);
    browser.get("/set/a/very-private-value").await.assert_status(200);
    browser
}

fn locator(browser: &Browser) -> Locator {
    Locator::parse(&browser.jar().get("__Host-id").unwrap()[..22]).unwrap()
}

async fn stored(world: &World, locator: Locator) -> Record {
    world.store.load(Key { realm: &Realm::default(), locator }).await.unwrap().unwrap()
}

/// What somebody does who can write to the store. Gives the record as it then is.
async fn tamper(world: &World, locator: Locator, change: impl FnOnce(&mut Record)) -> Record {
    static WRITES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let mut record = stored(world, locator).await;
    let expected = record.header.tag();
    change(&mut record);
    let tag = WRITES.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes();
    record.header.tags = record.header.tags_after(Tag(tag));
    let key = Key { realm: &Realm::default(), locator };
    assert_eq!(world.store.save(key, expected, &record).await.unwrap(), Saved::Done);
    stored(world, locator).await
}

/// The request is a 503 whatever it wants, leaves the cookie, and the record.
async fn assert_refused(world: &World, browser: &Browser, record: &Record, name: &str) {
    for path in ["/me", "/set/a/x", "/count", "/login?user=grace", "/rotate", "/logout"] {
        let response = browser.get(path).await.assert_status(503);
        assert!(response.set_cookies().is_empty(), "{name} {path}");
    }
    assert!(stored(world, locator(browser)).await == *record, "{name}");
}

fn holds(record: &Record, text: &str) -> bool {
    record.encode().windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn what_is_stored_shows_neither_identity_nor_values() {
    on_each_store(|store, clock| async move {
        let (plain, encrypted) = (World::new(&store, &clock), World::with(&store, &clock, by(keys())));
        for (world, legible) in [(plain, true), (encrypted, false)] {
            let browser = signed_in(&world, "ada-of-the-engines").await;
            let record = stored(&world, locator(&browser)).await;
            for text in ["ada-of-the-engines", "very-private-role", "very-private-value"] {
                assert_eq!(holds(&record, text), legible, "{text}");
            }
            assert_eq!(browser.get("/me").await.text(), "ada-of-the-engines very-private-role");
            assert_eq!(browser.get("/get/a").await.text(), "very-private-value");
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_writes_to_the_store_can_neither_move_nor_forge_nor_steal_a_session() {
    on_each_store(|store, clock| async move {
        let world = World::with(&store, &clock, by(keys()));
        let elsewhere = World::new(&store, &clock);
        let victim = stored(&world, locator(&signed_in(&world, "victim").await)).await;
        let forged = stored(&elsewhere, locator(&signed_in(&elsewhere, "victim").await)).await;

        type Change<'a> = Box<dyn FnOnce(&mut Record) + 'a>;
        let rows: Vec<(&str, Change<'_>)> = vec![
            ("the victim's payload", Box::new(|it| it.payload = victim.payload.clone())),
            ("a plain payload", Box::new(|it| it.payload = forged.payload.clone())),
            ("a flipped bit", Box::new(|it| it.payload = flipped(it))),
            ("an empty payload", Box::new(|it| it.payload = [].into())),
            (
                "a longer life",
                Box::new(|it| {
                    it.header.absolute_deadline = it.header.absolute_deadline.saturating_add(HOUR);
                }),
            ),
        ];
        for (name, change) in rows {
            let mallory = signed_in(&world, "mallory").await;
            let record = tamper(&world, locator(&mallory), change).await;
            assert_refused(&world, &mallory, &record, name).await;
        }

        let (mallory, theirs) = (signed_in(&world, "mallory").await, signed_in(&world, "victim").await);
        let own = stored(&world, locator(&mallory)).await.header.secret;
        let record = tamper(&world, locator(&theirs), |it| it.header.secret = own).await;
        let secret = mallory.jar().get("__Host-id").unwrap()[22..].to_owned();
        let stolen = format!("__Host-id={}{secret}", locator(&theirs));
        world.browser().get("/me").header("cookie", stolen.as_str()).await.assert_status(503);
        assert!(stored(&world, locator(&theirs)).await == record);
    })
    .await;
}

fn flipped(record: &Record) -> Box<[u8]> {
    let mut bytes = record.payload.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes.into()
}

#[tokio::test]
async fn a_key_is_changed_without_ending_sessions_and_what_is_written_is_written_with_the_new_one() {
    on_each_store(|store, clock| async move {
        let old = World::with(&store, &clock, by(EncryptionKeys::new(&OLD)));
        let both = World::with(&store, &clock, by(keys().add_decrypting(&OLD)));
        let new = World::with(&store, &clock, by(keys()));
        let [read, written] = [signed_in(&old, "ada").await, signed_in(&old, "ada").await];
        for browser in [&read, &written] {
            let here = both.browser().with_jar(browser.jar().clone());
            assert_eq!(here.get("/get/a").await.text(), "very-private-value");
        }
        both.browser().with_jar(written.jar().clone()).get("/set/b/x").await.assert_status(200);

        let reads = async |world: &World, browser: &Browser| {
            world.browser().with_jar(browser.jar().clone()).get("/get/a").await.status
        };
        assert_eq!(reads(&new, &written).await, 200);
        assert_eq!(reads(&old, &written).await, 503);
        assert_eq!(reads(&old, &read).await, 200);
        let record = stored(&new, locator(&read)).await;
        assert_refused(&new, &new.browser().with_jar(read.jar().clone()), &record, "a dropped key").await;
    })
    .await;
}

#[tokio::test]
async fn turning_encryption_on_reads_old_sessions_until_the_moment_that_was_said() {
    on_each_store(|store, clock| async move {
        let plain = World::new(&store, &clock);
        let until = clock.now().saturating_add(HOUR);
        let turning = World::with(&store, &clock, by(keys().insecure_accept_plaintext_until(until)));
        let strict = World::with(&store, &clock, by(keys()));

        let old = signed_in(&plain, "ada").await;
        let record = stored(&plain, locator(&old)).await;
        assert_refused(&strict, &strict.browser().with_jar(old.jar().clone()), &record, "by default").await;

        let here = turning.browser().with_jar(old.jar().clone());
        assert_eq!(here.get("/get/a").await.text(), "very-private-value");
        assert!(holds(&stored(&plain, locator(&old)).await, "very-private-value"), "not written yet");
        here.get("/set/b/x").await.assert_status(200);
        assert!(!holds(&stored(&plain, locator(&old)).await, "very-private-value"));
        strict.browser().with_jar(old.jar().clone()).get("/me").await.assert_status(200);
        plain.browser().with_jar(old.jar().clone()).get("/me").await.assert_status(503);

        let late = ManualClock::at(until);
        let after = World::with(&store, &late, by(keys().insecure_accept_plaintext_until(until)));
        let another = signed_in(&plain, "ada").await;
        let another = after.browser().with_jar(another.jar().clone());
        another.get("/me").await.assert_status(503);
    })
    .await;
}

/// A rolling deployment: some processes have no keys yet, and a visitor is served by any of them.
#[tokio::test]
async fn while_processes_without_keys_are_there_plain_sessions_are_written_for_them() {
    on_each_store(|store, clock| async move {
        let roll_out = Duration::from_secs(10 * 60);
        let deployed = clock.now().saturating_add(roll_out);
        let read_until = deployed.saturating_add(HOUR);
        let rolling = keys().insecure_accept_plaintext_until(read_until);
        let turning = World::with(&store, &clock, by(rolling.insecure_write_plaintext_until(deployed)));
        let plain = World::new(&store, &clock);

        let browser = signed_in(&turning, "ada").await;
        for (value, world) in [("1", &plain), ("2", &turning), ("3", &plain)] {
            let here = world.browser().with_jar(browser.jar().clone());
            assert_eq!(here.get("/get/a").await.text(), "very-private-value");
            here.get(&format!("/set/b/{value}")).await.assert_status(200);
            assert!(holds(&stored(&plain, locator(&browser)).await, "very-private-value"), "not encrypted");
        }

        clock.advance(roll_out);
        let before = signed_in(&plain, "grace").await;
        for browser in [browser, before] {
            let here = turning.browser().with_jar(browser.jar().clone());
            here.get("/set/b/4").await.assert_status(200);
            assert_eq!(here.get("/get/a").await.text(), "very-private-value");
            assert!(!holds(&stored(&plain, locator(&browser)).await, "very-private-value"), "encrypted");
        }
    })
    .await;
}

#[test]
fn a_layer_that_would_not_read_what_it_writes_is_not_built() {
    let [early, late] = [5, 6].map(Timestamp::from_millis);
    let rows = [
        ("written, never read", keys().insecure_write_plaintext_until(early), false),
        ("written for longer", reading(early).insecure_write_plaintext_until(late), false),
        ("written for as long", reading(early).insecure_write_plaintext_until(early), true),
        ("read for longer", reading(late).insecure_write_plaintext_until(early), true),
        ("read only", reading(early), true),
    ];
    for (name, keys, sound) in rows {
        let layer = SessionLayer::builder(MemoryBackend::new()).encrypt(keys).build();
        assert_eq!(layer.is_ok(), sound, "{name}");
    }
}

fn reading(until: Timestamp) -> EncryptionKeys {
    keys().insecure_accept_plaintext_until(until)
}

#[tokio::test]
async fn the_limit_of_size_counts_what_is_stored() {
    on_each_store(|store, clock| async move {
        let plain = World::with(&store, &clock, |layer| layer.max_len(1024));
        let encrypted = World::with(&store, &clock, |layer| layer.max_len(1024).encrypt(keys()));
        let mut largest = Vec::new();
        for world in [plain, encrypted] {
            let mut len = 1024;
            let browser = loop {
                let browser = world.browser();
                match browser.get(&format!("/big/{len}")).await.status.as_u16() {
                    200 => break browser,
                    status => assert_eq!(status, 413),
                }
                len -= 1;
            };
            assert_eq!(stored(&world, locator(&browser)).await.encode().len(), 1024);
            largest.push(len);
        }
        assert_eq!(largest[0] - largest[1], 42);
    })
    .await;
}

#[tokio::test]
async fn concurrent_writes_of_an_encrypted_session_all_count() {
    on_each_store(|store, clock| async move {
        let world = World::with(&store, &clock, by(keys()));
        let browser = signed_in(&world, "ada").await;
        let mut counting = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let tab = browser.clone();
            counting.spawn(async move { tab.get("/count").await.assert_status(200) });
        }
        counting.join_all().await;
        assert_eq!(browser.get("/count").await.text(), "17");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_does_not_decrypt_can_still_be_listed_and_revoked() {
    on_each_store(|store, clock| async move {
        let world = World::with(&store, &clock, by(keys()));
        let [good, bad] = [signed_in(&world, "ada").await, signed_in(&world, "ada").await];
        tamper(&world, locator(&bad), |it| it.payload = flipped(it)).await;
        let listed: Vec<String> = good.get("/devices").await.json();
        assert_eq!(listed.len(), 2);
        good.get(&format!("/revoke/{}", locator(&bad))).await.assert_status(200);
        assert_eq!(bad.get("/me").await.assert_status(200).text(), "nobody");
    })
    .await;
}
