//! No secret and no data in a log, a `Debug` or the store.

use std::sync::{Arc, Mutex};

use http::request::Parts;
use portcullis::session::{EncryptionKeys, KeyRing, SessionEvent, SessionLayer, SessionLayerBuilder};
use portcullis::{Identity, Session};
use portcullis_store::{Key, Locator, Saved, SessionBackend, Tag};
use portcullis_testkit::spy::Spy;

use super::handle::{around, around_with};
use crate::support::app::{A, A_NUMBER, B, World, now, on_each_store};
use crate::support::logs::captured;
use crate::support::store::AnyStore;

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
async fn neither_events_nor_logs_nor_debug_show_a_secret_a_key_or_data_when_things_go_wrong() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let told = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&told);
        let (encryption, signing) =
            (*b"the-key-that-encrypts-sessions..", "the-key-that-signs-session-tokens");
        let layer = |spy: &Spy<AnyStore>| {
            let heard = Arc::clone(&heard);
            SessionLayer::builder(spy.clone())
                .keys(KeyRing::new(signing))
                .encrypt(EncryptionKeys::new(&encryption))
                .events(move |event: &SessionEvent<'_>| {
                    heard.lock().unwrap().push_str(&format!("{event:?}\n"));
                })
        };
        let world = World::with(&store, &clock, |_| layer(&Spy::new(store.clone())).clock(clock.clone()));
        let browser = world.browser();
        let (cookies, logs) = captured(async {
            browser.get("/login?user=ada&role=very-private-role").await.assert_status(200);
            browser.get(&format!("/set/a/{DATA}")).await.assert_status(200);
            let before = browser.jar().get("__Host-id").unwrap();
            browser.get("/rotate").await.assert_status(200);
            let after = browser.jar().get("__Host-id").unwrap();
            let forged = after.replacen(&after[23..27], "AAAA", 1);
            for cookie in [&before, &forged, &"malformed-but-private".to_owned()] {
                browser.get("/me").header("cookie", format!("__Host-id={cookie}").as_str()).await;
            }
            browser.get("/as-number").await.assert_status(409);
            corrupt(&store, &after[..22]).await;
            browser.get("/me").await.assert_status(503);
            [before, after]
        })
        .await;
        let built = layer(&world.spy).build().unwrap();
        let debug = format!("{built:?} {:?} {}", layer(&world.spy), built.describe());
        let told = told.lock().unwrap().clone();
        for event in ["SignedIn", "Rotated", "Secret", "Mac", "Malformed", "Corrupt"] {
            assert!(told.contains(event), "{event}: {told}");
        }
        for text in [&told, &logs, &debug] {
            for secret in
                [&cookies[0][23..], &cookies[1][23..], DATA, "very-private-role", "but-private", signing]
            {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
            assert!(!text.contains("the-key-that") && !text.contains("116, 104, 101"), "{text}");
        }
    }
}

/// Breaks what is stored of this session.
async fn corrupt(store: &AnyStore, session_ref: &str) {
    let (realm, locator) = ("default".parse().unwrap(), Locator::parse(session_ref).unwrap());
    let key = Key { realm: &realm, locator };
    let mut record = store.load(key).await.unwrap().unwrap();
    let expected = record.header.tag();
    record.header.tags = record.header.tags_after(Tag([0xee; 8]));
    record.payload = record.payload.iter().map(|byte| byte ^ 1).collect();
    assert_eq!(store.save(key, expected, &record).await.unwrap(), Saved::Done);
}

#[tokio::test]
async fn what_is_stored_does_not_hold_the_secret() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let cookie = browser.jar().get("__Host-id").unwrap();
        let realm = "default".parse().unwrap();
        let locator = Locator::parse(&cookie[..22]).unwrap();
        let record = world.store.load(Key { realm: &realm, locator }).await.unwrap().unwrap();
        let bytes = record.encode();
        for piece in cookie.as_bytes()[23..].windows(8) {
            assert!(!bytes.windows(piece.len()).any(|window| window == piece));
        }
        assert!(!format!("{record:?}").contains("ada"));
    })
    .await;
}

#[tokio::test]
async fn whatever_a_handler_holds_shows_neither_secret_nor_data() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let secret = browser.jar().get("__Host-id").unwrap()[23..].to_owned();
        let handler = async |session: Session, parts: Parts| {
            session.set(&A, &DATA.to_owned()).unwrap();
            session.rotate().await.unwrap();
            session.set(&B, &DATA.to_owned()).unwrap();
            let error = session.get(&A_NUMBER).unwrap_err();
            let ada = Identity::new("ada").claim("card", DATA).unwrap();
            let shown = format!("{session:?} {:?} {error:?} {error} {parts:?} {ada:?}", session.devices());
            session.login(ada).await.unwrap();
            format!("{shown} {session:?} {:?} {:?}", session.identity(), session.devices().list().await)
        };
        let app = around(&world, handler).with_jar(browser.jar().clone());
        let shown = app.get("/").await.assert_status(200).text();
        let new = browser.jar().get("__Host-id").unwrap();
        assert!(shown.contains(&new[..22]), "the locator is what is shown: {shown}");
        for hidden in [DATA, &secret, &new[23..]] {
            assert!(!shown.contains(hidden), "{hidden} in {shown}");
        }
    })
    .await;
}

/// Most requests that are logged are logged whole.
#[tokio::test]
async fn the_cookie_is_not_shown_with_the_request_that_brought_it() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let cookie = format!("__Host-id={}", browser.jar().get("__Host-id").unwrap());
        let shown = async |me: Identity, parts: Parts| format!("{} {:?}", me.subject(), parts.headers);
        for read_only in [false, true] {
            let configure = |layer: SessionLayerBuilder| if read_only { layer.read_only() } else { layer };
            let request = around_with(&world, configure, shown).get("/").without_cookies();
            let request = request.header("cookie", "theme=dark").header("cookie", &*cookie);
            let shown = request.await.assert_status(200).text();
            assert!(shown.starts_with("ada ") && shown.contains("Sensitive"), "{shown}");
            assert!(!shown.contains(&cookie[32..]), "{shown}");
        }
    })
    .await;
}
