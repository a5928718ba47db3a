//! Tokens and key sets of implementations that the layer does not use: `jsonwebtoken`, which signs here and now, and PyJWT
//! and `jose`, whose tokens are recorded beside the programs that made them.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm as Theirs, EncodingKey, Header, encode};
use portcullis::bearer::{Algorithm, Audience, HmacKeys, Issuer, StaticKeys};
use serde_json::{Value, json};

use crate::mint::{ALL, ISSUER, RSA, SECRET, ask, claims, jwks, layer, offer};

fn asymmetric() -> Vec<(Algorithm, Theirs, EncodingKey)> {
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let rsa = jsonwebtoken_rsa(&RSA);
    vec![
        (Algorithm::ES256, Theirs::ES256, EncodingKey::from_ec_der(p256.to_pkcs8v1().unwrap().as_ref())),
        (Algorithm::ES384, Theirs::ES384, EncodingKey::from_ec_der(p384.to_pkcs8v1().unwrap().as_ref())),
        (Algorithm::EdDSA, Theirs::EdDSA, EncodingKey::from_ed_der(ed.to_pkcs8v1().unwrap().as_ref())),
        (Algorithm::RS256, Theirs::RS256, rsa.clone()),
        (Algorithm::RS384, Theirs::RS384, rsa.clone()),
        (Algorithm::RS512, Theirs::RS512, rsa.clone()),
        (Algorithm::PS256, Theirs::PS256, rsa.clone()),
        (Algorithm::PS384, Theirs::PS384, rsa.clone()),
        (Algorithm::PS512, Theirs::PS512, rsa),
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
    for (algorithm, theirs) in [
        (Algorithm::HS256, Theirs::HS256),
        (Algorithm::HS384, Theirs::HS384),
        (Algorithm::HS512, Theirs::HS512),
    ] {
        let issuer = Issuer::new(ISSUER, Audience::one_of(["api"]))
            .keys(HmacKeys::new([SECRET.to_vec()]).unwrap())
            .algorithms([algorithm]);
        let token = encode(&Header::new(theirs), &claims(), &EncodingKey::from_secret(SECRET)).unwrap();
        assert_eq!(ask(&layer([issuer]), &token).unwrap().subject(), "ada", "{algorithm}");
    }
}

/// A token that was recorded, under which name of its algorithm, and an issuer that trusts its key alone.
struct Recorded {
    by: String,
    name: String,
    token: String,
    issuer: Issuer,
}

fn recorded() -> Vec<Recorded> {
    let files = [include_str!("recorded/pyjwt.json"), include_str!("recorded/jose.json")];
    let files = files.map(|file| serde_json::from_str::<Value>(file).unwrap());
    files
        .iter()
        .flat_map(|file| file["tokens"].as_array().unwrap().iter().map(|token| of(file, token)))
        .collect()
}

fn of(file: &Value, token: &Value) -> Recorded {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = text(&token["alg"]);
    let algorithm = if name == "Ed25519" {
        Algorithm::EdDSA
    } else {
        ALL.iter().map(|signer| signer.algorithm).find(|it| it.name() == name).unwrap()
    };
    let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).algorithms([algorithm]);
    let issuer = match token.get("key") {
        Some(key) => {
            let mut key = key.clone();
            key["kid"] = json!("k");
            issuer.keys(jwks([key]))
        }
        None => issuer.keys(HmacKeys::new([*SECRET]).unwrap()),
    };
    Recorded { by: text(&file["by"]), name, token: text(&token["token"]), issuer }
}

#[test]
fn tokens_of_other_languages_are_accepted_and_not_with_a_byte_changed() {
    let recorded = recorded();
    assert_eq!(recorded.len(), 12 + 13, "every algorithm by both, and Ed25519 by its new name");
    for Recorded { by, name, token, issuer } in recorded {
        let layer = layer([issuer]);
        let me = ask(&layer, &token).unwrap_or_else(|error| panic!("{name} of {by}: {error}"));
        assert_eq!((me.subject(), me.issuer()), ("ada", Some(ISSUER)), "{name} of {by}");
        for at in (0..token.len()).step_by(7) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(!offer(&layer, &changed), "{name} of {by}, byte {at}");
        }
    }
}

#[test]
fn of_two_tokens_by_other_libraries_each_is_good_with_its_own_key_only() {
    let recorded = recorded();
    let layers: Vec<_> = recorded.iter().map(|it| layer([it.issuer.clone()])).collect();
    for (at, token) in recorded.iter().enumerate() {
        for (other, layer) in layers.iter().enumerate() {
            // PyJWT's RSA tokens have one key, and the shared secret is one for all; then the algorithm decides.
            let shared = token.name.starts_with("HS") && token.name == recorded[other].name;
            let expected = at == other || shared;
            let (of, by) = (&token.name, &recorded[other].name);
            assert_eq!(
                ask(layer, &token.token).is_ok(),
                expected,
                "{of} of {} by {by} of {}",
                token.by,
                recorded[other].by
            );
        }
    }
}

#[test]
fn a_pss_signature_has_a_salt_as_long_as_its_hash() {
    let file: Value = serde_json::from_str(include_str!("recorded/pss.json")).unwrap();
    let tokens = file["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 3 * 6);
    for token in tokens {
        let algorithm =
            ALL.iter().map(|signer| signer.algorithm).find(|it| it.name() == token["alg"]).unwrap();
        let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).algorithms([algorithm]);
        let layer = layer([issuer.keys(jwks([file["key"].clone()]))]);
        let (salt, token) = (token["salt"].as_str().unwrap(), token["token"].as_str().unwrap());
        assert_eq!(ask(&layer, token).is_ok(), salt == "as long as the hash", "{algorithm}, {salt}");
    }
}
