//! Another codec for applications' values: a compact format that does not describe itself.

use portcullis::session::{Codec, CodecError, CodecSlot, CodecValue};
use portcullis_store::{Key, Locator, Realm, SessionBackend};
use serde::de::DeserializeSeed;

use crate::support::app::{World, now};
use crate::support::store::AnyStore;

struct Postcard;

impl Codec for Postcard {
    fn encode(&self, value: CodecValue<'_>) -> Result<Vec<u8>, CodecError> {
        Ok(postcard::to_allocvec(&value)?)
    }

    fn decode(&self, bytes: &[u8], slot: CodecSlot<'_>) -> Result<(), CodecError> {
        Ok(slot.deserialize(&mut postcard::Deserializer::from_bytes(bytes))?)
    }
}

#[tokio::test]
async fn every_operation_goes_through_the_layers_codec() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, |layer| layer.codec(Postcard));
        let browser = world.browser();
        browser.get("/set/a/xy").await.assert_status(200);
        browser.get("/append/z").await.assert_status(200);
        assert_eq!(browser.get("/get/a").await.text(), "xyz");
        browser.get("/count").await.assert_status(200);
        assert_eq!(browser.get("/count").await.text(), "2");
        let locator = Locator::parse(&browser.jar().get("__Host-id").unwrap()[..22]).unwrap();
        let record = store.load(Key { realm: &Realm::default(), locator }).await.unwrap().unwrap();
        let holds = |bytes: &[u8]| record.payload.windows(bytes.len()).any(|window| window == bytes);
        assert!(holds(b"a\x03xyz") && !holds(b"\"xyz\""), "the length in front, no quotes");
        assert_eq!(browser.get("/take/a").await.text(), "xyz");
        assert_eq!(browser.get("/get/a").await.text(), "none");
    }
}

#[tokio::test]
async fn a_value_of_another_codec_fails_alone_and_who_is_signed_in_does_not_depend_on_it() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let json = World::new(&store, &clock);
        let world = World::with(&store, &clock, |layer| layer.codec(Postcard));
        let browser = json.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        browser.get("/set/a/xyz").await.assert_status(200);
        let browser = world.browser().with_jar(browser.jar().clone());
        assert_eq!(browser.get("/me").await.text(), "ada");
        let answer = browser.get("/as-number").await;
        assert!(!answer.text().contains("xyz"), "{}", answer.text());
        browser.get("/set/b/new").await.assert_status(200);
        assert_eq!(browser.get("/get/b").await.text(), "new");
        assert_eq!(json.browser().with_jar(browser.jar().clone()).get("/get/a").await.text(), "xyz");
    }
}
