//! Which keys are used.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::bearer::{
    Algorithm, Audience, BuildErrorKind, HmacKey, HmacKeys, Issuer, KeySet, StaticKeys, verify_compact,
};
use serde_json::{Value, json};

use crate::mint::{ALL, ES256, ISSUER, RSA, SECRET, Signer, ask, b64, claims, jwks, layer, pem};

fn load(keys: &[Value]) -> Result<KeySet, BuildErrorKind> {
    KeySet::jwks(&json!({ "keys": keys }).to_string()).map_err(|error| error.kind())
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

fn without(mut key: Value, name: &str) -> Value {
    key.as_object_mut().unwrap().remove(name);
    key
}

fn signer(algorithm: Algorithm) -> &'static Signer {
    ALL.iter().find(|signer| signer.algorithm == algorithm).unwrap()
}

#[test]
fn a_key_that_cannot_be_used_is_dropped_and_the_others_work() {
    let (ec, rsa, ed) =
        (ES256.jwk("k"), signer(Algorithm::RS256).jwk("k"), signer(Algorithm::EdDSA).jwk("k"));
    let p384 = signer(Algorithm::ES384).jwk("k");
    let off_curve = with(ec.clone(), "y", ec["x"].clone());
    // The same 64 bytes, cut at the wrong place.
    let point = ["x", "y"].map(|name| URL_SAFE_NO_PAD.decode(ec[name].as_str().unwrap()).unwrap()).concat();
    let (x, y) = point.split_at(31);
    let cut_elsewhere = with(with(ec.clone(), "x", json!(b64(x))), "y", json!(b64(y)));
    let long_x = format!("AAAA{}", ec["x"].as_str().unwrap());
    let rows = [
        ("use: enc", with(ec.clone(), "use", json!("enc"))),
        ("use of another type", with(ec.clone(), "use", json!(["sig"]))),
        ("use null", with(ec.clone(), "use", Value::Null)),
        ("key_ops without verify", with(ec.clone(), "key_ops", json!(["encrypt"]))),
        ("key_ops no list", with(ec.clone(), "key_ops", json!("verify"))),
        ("off the curve", off_curve),
        ("cut elsewhere", cut_elsewhere),
        ("the point at zero", with(with(ec.clone(), "x", json!(b64(&[0; 32]))), "y", json!(b64(&[0; 32])))),
        ("x too long", with(ec.clone(), "x", json!(long_x))),
        ("x too short", with(ec.clone(), "x", json!(b64(&[1; 31])))),
        ("x padded", with(ec.clone(), "x", json!(format!("{}=", ec["x"].as_str().unwrap())))),
        ("x a number", with(ec.clone(), "x", json!(1))),
        ("no y", without(ec.clone(), "y")),
        ("P-256 for ES384", with(ec.clone(), "alg", json!("ES384"))),
        ("P-384 for ES256", with(p384.clone(), "alg", json!("ES256"))),
        ("P-384's numbers as P-256", with(without(p384, "alg"), "crv", json!("P-256"))),
        ("P-521", with(ec.clone(), "crv", json!("P-521"))),
        ("secp256k1", with(ec.clone(), "crv", json!("secp256k1"))),
        ("EC for RS256", with(ec.clone(), "alg", json!("RS256"))),
        ("EC for HS256", with(ec.clone(), "alg", json!("HS256"))),
        ("EC for none", with(ec.clone(), "alg", json!("none"))),
        ("alg a list", with(ec.clone(), "alg", json!(["ES256"]))),
        ("kid a number", with(ec.clone(), "kid", json!(1))),
        ("no kty", without(ec.clone(), "kty")),
        ("kty unknown", with(ec.clone(), "kty", json!("AKP"))),
        ("Ed25519 in DER", with(ed.clone(), "x", json!(b64(&signer(Algorithm::EdDSA).public_forms()[1])))),
        ("Ed448", with(ed.clone(), "crv", json!("Ed448"))),
        ("X25519", with(ed.clone(), "crv", json!("X25519"))),
        ("Ed25519 for ES256", with(ed.clone(), "alg", json!("ES256"))),
        ("RSA for ES256", with(rsa.clone(), "alg", json!("ES256"))),
        ("RSA for encryption", with(rsa.clone(), "alg", json!("RSA-OAEP"))),
        ("RSA of 1024 bits", with(rsa.clone(), "n", json!(b64(&[0xc5; 128])))),
        ("RSA, e = 1", with(rsa.clone(), "e", json!("AQ"))),
        ("RSA, e even", with(rsa.clone(), "e", json!("Ag"))),
        ("RSA, no e", without(rsa.clone(), "e")),
        ("RSA, empty n", with(rsa, "n", json!(""))),
        ("a string", json!("key")),
        ("null", Value::Null),
        ("a list", json!([ec])),
    ];
    let good = Signer::new(Algorithm::ES256);
    for (name, key) in rows {
        assert_eq!(load(std::slice::from_ref(&key)).err(), Some(BuildErrorKind::NoUsableKey), "{name}");
        let set = load(&[key, good.jwk("good")]).unwrap();
        let token = good.token_with(&json!({ "alg": "ES256", "kid": "good" }), &claims());
        assert!(verify_compact(&token, &set).is_ok(), "{name}");
    }
}

#[test]
fn okp_keys_of_every_length_load_without_a_panic_and_only_32_bytes_are_used() {
    let other = Signer::new(Algorithm::EdDSA).public_forms().swap_remove(0);
    let set = |len: usize| {
        // Of a key, and what follows it: not any 32 bytes are a point.
        let x: Vec<u8> = other.iter().copied().cycle().take(len).collect();
        load(&[json!({ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(&x) })])
    };
    for len in 0..=64 {
        let loaded = set(len);
        assert_eq!(loaded.is_ok(), len == 32, "{len}");
        if let Ok(set) = loaded {
            let token = signer(Algorithm::EdDSA).token(&claims());
            assert!(verify_compact(&token, &set).is_err());
        }
    }
}

#[test]
fn what_keys_say_beside_themselves_does_not_matter() {
    let ec = ES256.jwk("k");
    let rows = [
        ("use: sig", with(ec.clone(), "use", json!("sig"))),
        ("key_ops with verify", with(ec.clone(), "key_ops", json!(["sign", "verify"]))),
        ("no alg", without(ec.clone(), "alg")),
        ("no kid", without(ec.clone(), "kid")),
        ("x5c of another type", with(ec.clone(), "x5c", json!(1))),
        ("unknown members", with(ec, "nbf", json!({ "a": [1] }))),
    ];
    for (name, key) in rows {
        assert!(verify_compact(&ES256.token(&claims()), &load(&[key]).unwrap()).is_ok(), "{name}");
    }
}

#[test]
fn ed25519_is_a_name_for_eddsa() {
    let ed = signer(Algorithm::EdDSA);
    let layer = layer([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(jwks([with(
        ed.jwk("k"),
        "alg",
        json!("Ed25519"),
    )]))]);
    for name in ["EdDSA", "Ed25519"] {
        assert!(
            ask(&layer, &ed.token_with(&json!({ "alg": name, "kid": "k" }), &claims())).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn two_keys_of_one_id_and_algorithm_are_both_dropped() {
    let (one, two) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let (a, b) = (one.jwk("k"), two.jwk("k"));
    let bad_twin = with(b.clone(), "x", json!("AA"));
    let rows = [
        ("twins", vec![a.clone(), b.clone()], false),
        ("one without alg", vec![a.clone(), without(b.clone(), "alg")], false),
        ("the other without alg", vec![without(a.clone(), "alg"), b.clone()], false),
        ("one of them unusable", vec![a.clone(), bad_twin], false),
        ("the same key twice", vec![a.clone(), a.clone()], true),
        ("other ids", vec![a.clone(), with(b.clone(), "kid", json!("l"))], true),
        ("other algorithms", vec![a.clone(), signer(Algorithm::RS256).jwk("k")], true),
        (
            "other types",
            vec![without(a.clone(), "alg"), without(signer(Algorithm::RS256).jwk("k"), "alg")],
            true,
        ),
        ("no ids", vec![without(a, "kid"), without(b, "kid")], true),
    ];
    for (name, keys, expected) in rows {
        let set = load(&[&keys[..], &[ES256.jwk("other")]].concat()).unwrap();
        assert_eq!(verify_compact(&one.token(&claims()), &set).is_ok(), expected, "{name}");
        assert!(
            verify_compact(&ES256.token_with(&json!({ "alg": "ES256", "kid": "other" }), &claims()), &set)
                .is_ok()
        );
    }
    let one_key = [Algorithm::RS256, Algorithm::PS256].map(signer);
    let set = load(&one_key.map(|signer| signer.jwk("k"))).unwrap();
    assert!(one_key.iter().all(|signer| verify_compact(&signer.token(&claims()), &set).is_ok()));
}

#[test]
fn without_a_kid_at_most_four_keys_are_tried() {
    let signers: Vec<_> = (0..5).map(|_| Signer::new(Algorithm::ES256)).collect();
    let jwks = |count: usize| -> Vec<Value> {
        signers.iter().enumerate().take(count).map(|(n, signer)| signer.jwk(&n.to_string())).collect()
    };
    let anonymous = json!({ "alg": "ES256" });
    for (count, expected) in [(1, true), (4, true), (5, false)] {
        let set = load(&jwks(count)).unwrap();
        for (n, signer) in signers.iter().enumerate().take(count) {
            let token = signer.token_with(&anonymous, &claims());
            assert_eq!(verify_compact(&token, &set).is_ok(), expected, "{count} keys");
            let named = signer.token_with(&json!({ "alg": "ES256", "kid": n.to_string() }), &claims());
            assert!(verify_compact(&named, &set).is_ok());
        }
    }
}

#[test]
fn a_set_is_a_set_of_public_keys_and_of_bounded_size() {
    let oct = json!({ "kty": "oct", "k": b64(SECRET), "alg": "HS256", "kid": "k" });
    let many = |count: usize| (0..count).map(|n| ES256.jwk(&n.to_string())).collect::<Vec<_>>();
    assert_eq!(load(std::slice::from_ref(&oct)).err(), Some(BuildErrorKind::NoUsableKey));
    assert_eq!(load(&[oct, ES256.jwk("l")]).err(), Some(BuildErrorKind::MixedKeys));
    assert_eq!(load(&[]).err(), Some(BuildErrorKind::NoUsableKey));
    assert_eq!(load(&many(101)).err(), Some(BuildErrorKind::TooManyKeys));
    assert!(load(&many(100)).is_ok());
    for text in ["", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[]", "<html>"] {
        assert_eq!(KeySet::jwks(text).err().map(|e| e.kind()), Some(BuildErrorKind::MalformedKeys), "{text}");
    }
}

#[test]
fn pem_holds_public_keys_of_every_kind() {
    for signer in ALL.iter().filter(|signer| !signer.algorithm.name().starts_with("HS")) {
        let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).algorithms([signer.algorithm]);
        let text = format!("a comment\n{}", signer.pem());
        let layer = layer([issuer.keys(StaticKeys::pem(&text).unwrap())]);
        assert!(ask(&layer, &signer.token(&claims())).is_ok(), "{}", signer.algorithm);
    }
    use aws_lc_rs::signature::KeyPair;
    let pkcs1 = pem("RSA PUBLIC KEY", RSA.public_key().as_ref());
    let two = format!("{pkcs1}{}", ES256.pem());
    let layer = layer([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(StaticKeys::pem(&two).unwrap())]);
    for signer in [signer(Algorithm::RS256), &ES256] {
        assert!(ask(&layer, &signer.token(&claims())).is_ok(), "{}", signer.algorithm);
    }
}

#[test]
fn pem_that_is_no_public_key_is_refused() {
    use BuildErrorKind::*;
    let forms = ES256.public_forms();
    let rows = [
        ("nothing", String::new(), NoUsableKey),
        ("a private key", pem("PRIVATE KEY", &forms[1]), NotAPublicKey),
        ("a private RSA key", pem("RSA PRIVATE KEY", &forms[1]), NotAPublicKey),
        ("a certificate", pem("CERTIFICATE", &forms[1]), NotAPublicKey),
        ("a bare point", pem("PUBLIC KEY", &forms[0]), NoUsableKey),
        ("bare Ed25519", pem("PUBLIC KEY", &[0x30; 32]), NoUsableKey),
        ("garbage", pem("PUBLIC KEY", &[0x30; 90]), NoUsableKey),
        ("empty", pem("PUBLIC KEY", &[]), NoUsableKey),
        ("no end", "-----BEGIN PUBLIC KEY-----\nAAAA".to_owned(), MalformedKeys),
        ("another end", ES256.pem().replace("END PUBLIC", "END OTHER"), MalformedKeys),
        ("not base64", ES256.pem().replace('\n', "\n!"), MalformedKeys),
        ("a good key and a bad one", format!("{}{}", ES256.pem(), pem("PUBLIC KEY", &[1])), NoUsableKey),
    ];
    for (name, text, expected) in rows {
        assert_eq!(StaticKeys::pem(&text).err().map(|error| error.kind()), Some(expected), "{name}");
    }
}

#[test]
fn a_shared_secret_is_long_and_no_public_key() {
    let rows: [(&str, Vec<u8>, bool); 6] = [
        ("nothing", vec![], false),
        ("31 bytes", vec![7; 31], false),
        ("32 bytes", vec![7; 32], true),
        ("a public key", ES256.pem().into_bytes(), false),
        ("a public key behind a space", format!("\n {}", ES256.pem()).into_bytes(), false),
        ("64 bytes", SECRET.to_vec(), true),
    ];
    for (name, secret, good) in rows {
        let expected = (!good).then_some(BuildErrorKind::WeakSecret);
        assert_eq!(HmacKeys::new([secret]).err().map(|error| error.kind()), expected, "{name}");
    }
    let none: [HmacKey; 0] = [];
    assert_eq!(HmacKeys::new(none).err().map(|error| error.kind()), Some(BuildErrorKind::NoUsableKey));
}

#[test]
fn shared_secrets_rotate_by_their_ids() {
    let old = HmacKey::new([7; 64]).kid("old");
    let keys = HmacKeys::new([old, HmacKey::new(*SECRET).kid("new")]).unwrap();
    let layer = layer([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys)]);
    let hs256 = signer(Algorithm::HS256);
    for (kid, expected) in [("new", true), ("old", false), ("other", false)] {
        let token = hs256.token_with(&json!({ "alg": "HS256", "kid": kid }), &claims());
        assert_eq!(ask(&layer, &token).is_ok(), expected, "{kid}");
    }
}
