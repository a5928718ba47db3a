//! Which key verifies which signature.

use aws_lc_rs::hmac;
use portcullis::bearer::{Algorithm, Audience, Issuer, KeySet, verify_compact};
use serde_json::json;

use crate::mint::{ALL, ES256, ISSUER, Signer, ask, b64, claims, jwks, layer, offer};

fn asymmetric() -> impl Iterator<Item = &'static Signer> {
    ALL.iter().filter(|signer| !is_hmac(signer.algorithm))
}

fn is_hmac(algorithm: Algorithm) -> bool {
    algorithm.name().starts_with("HS")
}

/// As lenient as a configuration can be: every algorithm of the key's kind is allowed.
fn lenient(signer: &Signer) -> Issuer {
    let kind = is_hmac(signer.algorithm);
    let all = ALL.iter().map(|other| other.algorithm).filter(move |&other| is_hmac(other) == kind);
    signer.issuer().algorithms(all)
}

#[test]
fn every_pair_of_key_and_token_algorithm_but_the_right_one_is_refused() {
    let layers: Vec<_> = ALL.iter().map(|key| (key, layer([lenient(key)]))).collect();
    for signer in ALL.iter() {
        for named in ALL.iter() {
            let token = signer.token_with(&named.header(), &claims());
            for (key, layer) in &layers {
                // A shared secret is one key for all of HMAC, so there the token's own algorithm decides.
                let right =
                    key.algorithm == named.algorithm || is_hmac(key.algorithm) && is_hmac(named.algorithm);
                let expected = right && signer.algorithm == named.algorithm;
                let case =
                    format!("key {}, alg {}, signed {}", key.algorithm, named.algorithm, signer.algorithm);
                assert_eq!(ask(layer, &token).is_ok(), expected, "{case}");
            }
        }
    }
}

#[test]
fn an_rsa_key_that_names_no_algorithm_verifies_rsa_only() {
    let rsa = ALL.iter().find(|signer| signer.algorithm == Algorithm::PS384).unwrap();
    let mut jwk = rsa.jwk("k");
    jwk.as_object_mut().unwrap().remove("alg");
    let everything = asymmetric().map(|signer| signer.algorithm);
    let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).keys(jwks([jwk])).algorithms(everything);
    let layer = layer([issuer]);
    for signer in ALL.iter() {
        let expected = matches!(signer.algorithm.name().get(..2), Some("RS" | "PS"));
        assert_eq!(ask(&layer, &signer.token(&claims())).is_ok(), expected, "{}", signer.algorithm);
    }
}

#[test]
fn an_algorithm_that_is_not_allowed_is_refused_although_the_key_fits() {
    let rsa = ALL.iter().find(|signer| signer.algorithm == Algorithm::RS256).unwrap();
    let mut jwk = rsa.jwk("k");
    jwk.as_object_mut().unwrap().remove("alg");
    let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).keys(jwks([jwk]));
    let layer = layer([issuer]);
    for (algorithm, expected) in [
        (Algorithm::RS256, None),
        (Algorithm::PS256, None),
        (Algorithm::RS384, Some("the signature algorithm is not accepted")),
        (Algorithm::RS512, Some("the signature algorithm is not accepted")),
        (Algorithm::PS512, Some("the signature algorithm is not accepted")),
    ] {
        let signer = ALL.iter().find(|signer| signer.algorithm == algorithm).unwrap();
        assert_eq!(ask(&layer, &signer.token(&claims())).err(), expected, "{algorithm}");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    for key in asymmetric() {
        let set = KeySet::jwks(&json!({ "keys": [key.jwk("k")] }).to_string()).unwrap();
        let layer = layer([lenient(key)]);
        let forms = key.public_forms().into_iter().chain([key.jwk("k").to_string().into_bytes()]);
        for (form, secret) in forms.enumerate() {
            for (name, algorithm) in
                [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
            {
                let header = json!({ "alg": name, "kid": "k" }).to_string();
                let message = format!("{}.{}", b64(header.as_bytes()), b64(claims().to_string().as_bytes()));
                let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), message.as_bytes());
                let token = format!("{message}.{}", b64(tag.as_ref()));
                assert!(ask(&layer, &token).is_err(), "{} {name} {form}", key.algorithm);
                assert!(verify_compact(&token, &set).is_err(), "{} {name} {form}", key.algorithm);
            }
        }
    }
}

#[test]
fn none_is_refused_in_any_spelling() {
    let layer = layer([ES256.issuer()]);
    let spellings = [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!("nOnE"),
        json!("none "),
        json!("n\u{f6}ne"),
        json!(""),
        json!(null),
        json!(["none"]),
        json!(0),
    ];
    let headers = spellings.map(|alg| json!({ "alg": alg, "kid": "k" })).into_iter().chain([json!({})]);
    for header in headers {
        let unsigned =
            format!("{}.{}.", b64(header.to_string().as_bytes()), b64(claims().to_string().as_bytes()));
        assert!(ask(&layer, &unsigned).is_err(), "unsigned {header}");
        assert!(ask(&layer, &ES256.token_with(&header, &claims())).is_err(), "signed {header}");
    }
    let unsigned = ES256.token(&claims());
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    assert!(ask(&layer, &format!("{unsigned}.")).is_err());
}

#[test]
fn any_flipped_bit_in_any_part_is_refused() {
    for signer in ALL.iter() {
        let layer = layer([signer.issuer()]);
        let token = signer.token(&claims());
        assert!(offer(&layer, token.as_bytes()));
        for at in 0..token.len() {
            for bit in 0..8 {
                let mut flipped = token.clone().into_bytes();
                flipped[at] ^= 1 << bit;
                assert!(!offer(&layer, &flipped), "{} byte {at} bit {bit}", signer.algorithm);
            }
        }
    }
}

#[test]
fn a_signature_of_another_length_is_refused() {
    for signer in ALL.iter() {
        let layer = layer([signer.issuer()]);
        let token = signer.token(&claims());
        let (message, _) = token.rsplit_once('.').unwrap();
        let good = signer.sign(message.as_bytes());
        for (name, signature) in [
            ("cut short", good[..good.len() - 1].to_vec()),
            ("cut in half", good[..good.len() / 2].to_vec()),
            ("with a zero behind", [&good[..], &[0]].concat()),
            ("with a zero in front", [&[0], &good[..]].concat()),
            ("twice", [&good[..], &good].concat()),
            ("zeros", vec![0; good.len()]),
            ("ones", vec![0xff; good.len()]),
            ("a kibibyte", vec![1; 1024]),
            ("longer than any", vec![1; 1025]),
        ] {
            let token = format!("{message}.{}", b64(&signature));
            assert!(ask(&layer, &token).is_err(), "{} {name}", signer.algorithm);
        }
    }
}
