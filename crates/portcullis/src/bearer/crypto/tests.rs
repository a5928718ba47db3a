//! Both libraries give the same answers, to keys and signatures good and bad.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{aws_lc, rust};
use crate::bearer::Algorithm;

const MESSAGE: &[u8] = b"header.payload";

/// The same key in both libraries, and a signature of the message.
struct Pair {
    name: Algorithm,
    one: aws_lc::PublicKey,
    other: rust::PublicKey,
    signature: Vec<u8>,
}

impl Pair {
    fn on_curve(algorithm: Algorithm, public: &[u8], signature: &[u8]) -> Self {
        let one = aws_lc::PublicKey::on_curve(algorithm, public).unwrap();
        let other = rust::PublicKey::on_curve(algorithm, public).unwrap();
        Self { name: algorithm, one, other, signature: signature.to_vec() }
    }

    fn ec(algorithm: Algorithm, scheme: &'static EcdsaSigningAlgorithm) -> Self {
        let key = EcdsaKeyPair::generate(scheme).unwrap();
        let signature = key.sign(&SystemRandom::new(), MESSAGE).unwrap();
        Self::on_curve(algorithm, key.public_key().as_ref(), signature.as_ref())
    }

    fn ed25519() -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        Self::on_curve(Algorithm::EdDSA, key.public_key().as_ref(), key.sign(MESSAGE).as_ref())
    }

    fn rsa(key: &RsaKeyPair, algorithm: Algorithm, encoding: &'static dyn RsaEncoding) -> Self {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), MESSAGE, &mut signature).unwrap();
        let (n, e) = crate::bearer::rsa_numbers(key.public_key().as_ref()).unwrap();
        let one = aws_lc::PublicKey::rsa(algorithm, n, e).unwrap();
        let other = rust::PublicKey::rsa(algorithm, n, e).unwrap();
        Self { name: algorithm, one, other, signature }
    }

    /// What both say of it.
    #[track_caller]
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let (one, other) = (self.one.verify(message, signature), self.other.verify(message, signature));
        assert_eq!(one, other, "{}: {signature:02x?}", self.name);
        one
    }
}

fn pairs() -> Vec<Pair> {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    vec![
        Pair::ec(Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        Pair::ec(Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        Pair::ed25519(),
        Pair::rsa(&rsa, Algorithm::RS256, &signature::RSA_PKCS1_SHA256),
        Pair::rsa(&rsa, Algorithm::RS384, &signature::RSA_PKCS1_SHA384),
        Pair::rsa(&rsa, Algorithm::RS512, &signature::RSA_PKCS1_SHA512),
        Pair::rsa(&rsa, Algorithm::PS256, &signature::RSA_PSS_SHA256),
        Pair::rsa(&rsa, Algorithm::PS384, &signature::RSA_PSS_SHA384),
        Pair::rsa(&rsa, Algorithm::PS512, &signature::RSA_PSS_SHA512),
    ]
}

#[test]
fn a_signature_is_good_to_both_and_with_any_bit_flipped_to_neither() {
    for pair in pairs() {
        let good = &pair.signature;
        assert!(pair.verify(MESSAGE, good), "{}", pair.name);
        assert!(!pair.verify(b"header.payloae", good), "{}", pair.name);
        // Bits over the whole length, at every place of a byte.
        for bit in (0..good.len() * 8).step_by(good.len() / 4 - 1) {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!pair.verify(MESSAGE, &flipped), "{} bit {bit}", pair.name);
        }
    }
}

#[test]
fn a_long_key_is_one_to_both() {
    let long = RsaKeyPair::generate(KeySize::Rsa4096).unwrap();
    for pair in [
        Pair::rsa(&long, Algorithm::RS256, &signature::RSA_PKCS1_SHA256),
        Pair::rsa(&long, Algorithm::PS512, &signature::RSA_PSS_SHA512),
    ] {
        assert!(pair.verify(MESSAGE, &pair.signature), "{}", pair.name);
        assert!(!pair.verify(b"header.payloae", &pair.signature), "{}", pair.name);
    }
}

#[test]
fn a_key_is_told_from_others_by_its_bytes() {
    let (n, m, e) = ([0xc5; 256], [0xc7; 256], [1, 0, 1]);
    let rsa = |n: &[u8], e: &[u8]| {
        let one = aws_lc::PublicKey::rsa(Algorithm::RS256, n, e).unwrap();
        let other = rust::PublicKey::rsa(Algorithm::RS256, n, e).unwrap();
        (one.as_bytes().to_vec(), other.as_bytes().to_vec())
    };
    let known = rsa(&n, &e);
    assert_eq!(rsa(&n, &e), known);
    for (another, e) in [(&m, &e[..]), (&n, &[3][..])] {
        let other = rsa(another, e);
        assert!(other.0 != known.0 && other.1 != known.1, "{e:?}");
    }
    let ed = || Pair::ed25519();
    let (one, two) = (ed(), ed());
    assert!(one.one.as_bytes() != two.one.as_bytes() && one.other.as_bytes() != two.other.as_bytes());
}

#[test]
fn what_is_no_signature_is_none_to_both() {
    for pair in pairs() {
        let good = &pair.signature;
        let len = good.len();
        for other in [
            vec![],
            vec![0; len],
            vec![0xff; len],
            good[..len - 1].to_vec(),
            good[1..].to_vec(),
            [&[0], &good[..]].concat(),
            [&good[..], &[0]].concat(),
            [&good[..], good].concat(),
            [&vec![0; len / 2][..], &good[len / 2..]].concat(),
            [&good[..len / 2], &vec![0; len / 2]].concat(),
            [&vec![0xff; len / 2][..], &good[len / 2..]].concat(),
            [&good[..len / 2], &vec![0xff; len / 2]].concat(),
        ] {
            assert!(!pair.verify(MESSAGE, &other), "{}", pair.name);
        }
    }
}

/// A point in its encodings: uncompressed, compressed, hybrid, cut and so on.
fn encodings(point: &[u8]) -> Vec<(&'static str, Vec<u8>, bool)> {
    let len = (point.len() - 1) / 2;
    let (x, y) = point[1..].split_at(len);
    let parity = y[len - 1] & 1;
    let mut off = point.to_vec();
    off[2 * len] ^= 1;
    vec![
        ("uncompressed", point.to_vec(), true),
        ("compressed", [&[2 | parity], x].concat(), true),
        ("off the curve", off, false),
        ("at infinity", vec![0], false),
        ("zeros", [&[4][..], &vec![0; 2 * len]].concat(), false),
        ("over the field", [&[4][..], &vec![0xff; 2 * len]].concat(), false),
        ("cut short", point[..2 * len].to_vec(), false),
        ("longer", [point, &[0]].concat(), false),
        ("bare", point[1..].to_vec(), false),
        ("empty", vec![], false),
    ]
}

#[test]
fn a_point_is_one_to_both_or_to_neither() {
    for (algorithm, scheme) in [
        (Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        (Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
    ] {
        let key = EcdsaKeyPair::generate(scheme).unwrap();
        for (name, bytes, expected) in encodings(key.public_key().as_ref()) {
            let one = aws_lc::PublicKey::on_curve(algorithm, &bytes).is_some();
            let other = rust::PublicKey::on_curve(algorithm, &bytes).is_some();
            assert_eq!((one, other), (expected, expected), "{algorithm} {name}");
        }
        let other_curve = if algorithm == Algorithm::ES256 { Algorithm::ES384 } else { Algorithm::ES256 };
        assert!(aws_lc::PublicKey::on_curve(other_curve, key.public_key().as_ref()).is_none());
        assert!(rust::PublicKey::on_curve(other_curve, key.public_key().as_ref()).is_none());
    }
}

#[test]
fn no_key_of_small_order_signs_for_anybody() {
    // The identity, and the point of order two: with them R = identity and s = 0 verify every message by the equation
    // alone (RFC 8032, section 5.1.7).
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    let signature = [identity, [0; 32]].concat();
    for key in [identity, order_two] {
        let key = rust::PublicKey::on_curve(Algorithm::EdDSA, &key);
        assert!(key.is_none_or(|key| !key.verify(MESSAGE, &signature)));
    }
}

#[test]
fn an_algorithm_takes_keys_of_its_own_kind_only() {
    use Algorithm::*;
    let (n, e) = (vec![0xc5; 256], [1, 0, 1]);
    for algorithm in [ES256, ES384, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA, HS256, HS384, HS512] {
        let is_rsa = Algorithm::RSA.contains(&algorithm);
        let is_mac = Algorithm::HMAC.contains(&algorithm);
        assert_eq!(aws_lc::PublicKey::rsa(algorithm, &n, &e).is_some(), is_rsa, "{algorithm}");
        assert_eq!(rust::PublicKey::rsa(algorithm, &n, &e).is_some(), is_rsa, "{algorithm}");
        assert_eq!(aws_lc::SecretKey::new(algorithm, &n).is_some(), is_mac, "{algorithm}");
        assert_eq!(rust::SecretKey::new(algorithm, &n).is_some(), is_mac, "{algorithm}");
        if is_rsa || is_mac {
            assert!(aws_lc::PublicKey::on_curve(algorithm, &[9; 32]).is_none(), "{algorithm}");
            assert!(rust::PublicKey::on_curve(algorithm, &[9; 32]).is_none(), "{algorithm}");
        }
    }
}

#[test]
fn both_have_the_same_macs() {
    // RFC 7515, appendix A.1.
    let secret = URL_SAFE_NO_PAD
        .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        .unwrap();
    for (algorithm, scheme) in [
        (Algorithm::HS256, aws_lc_rs::hmac::HMAC_SHA256),
        (Algorithm::HS384, aws_lc_rs::hmac::HMAC_SHA384),
        (Algorithm::HS512, aws_lc_rs::hmac::HMAC_SHA512),
    ] {
        let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(scheme, &secret), MESSAGE);
        let tag = tag.as_ref();
        let one = aws_lc::SecretKey::new(algorithm, &secret).unwrap();
        let other = rust::SecretKey::new(algorithm, &secret).unwrap();
        for (name, tag, expected) in [
            ("the tag", tag.to_vec(), true),
            ("cut", tag[..tag.len() - 1].to_vec(), false),
            ("longer", [tag, &[0]].concat(), false),
            ("half", tag[..tag.len() / 2].to_vec(), false),
            ("empty", vec![], false),
            ("zeros", vec![0; tag.len()], false),
        ] {
            assert_eq!(
                (one.verify(MESSAGE, &tag), other.verify(MESSAGE, &tag)),
                (expected, expected),
                "{algorithm} {name}"
            );
        }
    }
}

#[test]
fn bytes_are_compared_whole() {
    for (one, other, expected) in
        [("", "", true), ("a", "a", true), ("a", "b", false), ("a", "ab", false), ("ab", "ba", false)]
    {
        let (one, other) = (one.as_bytes(), other.as_bytes());
        assert_eq!((aws_lc::same_bytes(one, other), rust::same_bytes(one, other)), (expected, expected));
    }
}
