//! [`Keys`]: a key of each algorithm, generated when first used.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::Algorithm;

#[derive(Default)]
pub(super) struct Keys {
    ec: OnceLock<EcdsaKeyPair>,
    rsa: OnceLock<RsaKeyPair>,
    ed: OnceLock<Ed25519KeyPair>,
    secret: OnceLock<[u8; 32]>,
}

impl Keys {
    fn ec(&self) -> &EcdsaKeyPair {
        self.ec.get_or_init(|| {
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key can be generated")
        })
    }

    fn rsa(&self) -> &RsaKeyPair {
        self.rsa.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key can be generated"))
    }

    fn ed(&self) -> &Ed25519KeyPair {
        self.ed.get_or_init(|| Ed25519KeyPair::generate().expect("an Ed25519 key can be generated"))
    }

    pub(super) fn secret(&self) -> &[u8] {
        self.secret.get_or_init(|| {
            let mut secret = [0; 32];
            rand::fill(&mut secret).expect("the operating system has random bytes");
            secret
        })
    }

    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        match algorithm {
            Algorithm::Es256 => {
                self.ec().sign(&SystemRandom::new(), message).expect("ECDSA signs").as_ref().to_vec()
            }
            Algorithm::Rs256 => self.sign_rsa(&signature::RSA_PKCS1_SHA256, message),
            Algorithm::Ps256 => self.sign_rsa(&signature::RSA_PSS_SHA256, message),
            Algorithm::EdDsa => self.ed().sign(message).as_ref().to_vec(),
            Algorithm::Hs256 => mac(self.secret(), message),
        }
    }

    fn sign_rsa(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa().public_modulus_len()];
        self.rsa().sign(encoding, &SystemRandom::new(), message, &mut signature).expect("RSA signs");
        signature
    }

    /// The members that make up the public key (RFC 7518, section 6; RFC 8037, section 2).
    #[track_caller]
    pub(super) fn jwk(&self, algorithm: Algorithm) -> Value {
        match algorithm {
            Algorithm::Es256 => {
                // An uncompressed point: 4, then both coordinates.
                let point = self.ec().public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": part(point, 1, 32), "y": part(point, 33, 32) })
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                // RSAPublicKey of 2048 bits in DER: SEQUENCE and INTEGER with their lengths, a zero, the modulus; then
                // INTEGER, its length, and the exponent.
                let der = self.rsa().public_key().as_ref();
                json!({ "kty": "RSA", "n": part(der, 9, 256), "e": part(der, 267, 3) })
            }
            Algorithm::EdDsa => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": part(self.ed().public_key().as_ref(), 0, 32) })
            }
            Algorithm::Hs256 => panic!("the key of HS256 is not public"),
        }
    }

    #[track_caller]
    pub(super) fn pem(&self, algorithm: Algorithm) -> String {
        let der: PublicKeyX509Der<'_> = match algorithm {
            Algorithm::Es256 => self.ec().public_key().as_der(),
            Algorithm::Rs256 | Algorithm::Ps256 => self.rsa().public_key().as_der(),
            Algorithm::EdDsa => self.ed().public_key().as_der(),
            Algorithm::Hs256 => panic!("the key of HS256 is not public"),
        }
        .expect("a public key can be encoded");
        let text = BASE64_STANDARD.encode(der.as_ref());
        let lines: Vec<String> =
            text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

pub(super) fn mac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn part(bytes: &[u8], start: usize, len: usize) -> String {
    base64url(bytes.get(start..start + len).expect("a public key of this kind has a fixed form"))
}
