//! Tokens and key sets that `jsonwebtoken` makes, an implementation that the layer does not use.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm as Theirs, EncodingKey, Header, encode};
use portcullis::bearer::{Algorithm, Audience, HmacKeys, Issuer, StaticKeys};

use crate::mint::{ISSUER, SECRET, ask, claims, layer};

fn asymmetric() -> [(Algorithm, Theirs, EncodingKey); 3] {
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let rsa = jsonwebtoken_rsa(&rsa);
    [
        (Algorithm::ES256, Theirs::ES256, EncodingKey::from_ec_der(ec.to_pkcs8v1().unwrap().as_ref())),
        (Algorithm::EdDSA, Theirs::EdDSA, EncodingKey::from_ed_der(ed.to_pkcs8v1().unwrap().as_ref())),
        (Algorithm::RS256, Theirs::RS256, rsa),
    ]
}

/// It wants an RSA key as PEM, from which it takes what it needs.
fn jsonwebtoken_rsa(key: &rsa::KeyPair) -> EncodingKey {
    let pem = crate::mint::pem("PRIVATE KEY", key.as_der().unwrap().as_ref());
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
}

#[test]
fn what_it_signs_is_accepted_with_the_keys_that_it_publishes() {
    for (algorithm, theirs, key) in asymmetric() {
        let mut jwk = Jwk::from_encoding_key(&key, theirs).unwrap();
        jwk.common.key_id = Some("k".to_owned());
        let keys = serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap();
        let issuer = Issuer::new(ISSUER, Audience::one_of(["api"]))
            .keys(StaticKeys::jwks(&keys).unwrap())
            .algorithms([algorithm]);
        let header = Header { kid: Some("k".to_owned()), ..Header::new(theirs) };
        let token = encode(&header, &claims(), &key).unwrap();
        assert_eq!(ask(&layer([issuer]), &token).unwrap().subject(), "ada", "{algorithm}");
    }
}

#[test]
fn what_it_signs_with_a_shared_secret_is_accepted() {
    let issuer = Issuer::new(ISSUER, Audience::one_of(["api"]))
        .keys(HmacKeys::new([SECRET.to_vec()]).unwrap())
        .algorithms([Algorithm::HS256]);
    let token = encode(&Header::new(Theirs::HS256), &claims(), &EncodingKey::from_secret(SECRET)).unwrap();
    assert_eq!(ask(&layer([issuer]), &token).unwrap().subject(), "ada");
}
