//! Keys: what is loaded, what is refused, and what is published of them.

use portcullis::bearer::Algorithm;
use portcullis::issue::{BuildErrorKind, KeyRing, PublicKey, Signer, SigningKey};
use serde_json::{Value, json};

use crate::common::{ASYMMETRIC, SYMMETRIC, key};

/// The JWK of RFC 8037, section A.1.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// The JWK of RFC 7515, section A.3.1.
const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

/// The JWK of RFC 7515, section A.2.1.
const RSA: &str = concat!(
    r#"{"kty":"RSA","alg":"RS256","kid":"a2","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB","#,
    r#""d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ","#,
    r#""p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc","q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc","#,
    r#""dp":"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0","dq":"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU","qi":"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"}"#,
);

fn published(key: SigningKey) -> Value {
    let set: Value = serde_json::from_str(&KeyRing::new(key).unwrap().jwks()).unwrap();
    set["keys"][0].clone()
}

fn kind(loaded: Result<SigningKey, portcullis::issue::BuildError>) -> BuildErrorKind {
    loaded.unwrap_err().kind()
}

#[test]
fn a_key_that_was_written_is_the_same_when_it_is_read() {
    for algorithm in ASYMMETRIC {
        let key = key(algorithm);
        let read = SigningKey::pem(&key.to_private_pem().unwrap(), algorithm).unwrap();
        assert_eq!(read.kid(), key.kid(), "{algorithm}");
        assert_eq!(published(read), published(key), "{algorithm}");
    }
}

#[test]
fn the_keys_of_the_standards_are_read() {
    for (jwk, algorithm, public) in [
        (ED25519, "EdDSA", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        (P256, "ES256", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
    ] {
        let published = published(SigningKey::jwk(jwk).unwrap());
        assert_eq!((&published["alg"], &published["x"]), (&json!(algorithm), &json!(public)));
    }
    let published = published(SigningKey::jwk(RSA).unwrap());
    assert_eq!(
        (&published["kid"], &published["e"], &published["use"]),
        (&json!("a2"), &json!("AQAB"), &json!("sig"))
    );
}

/// RFC 7515, sections A.2.1 and RFC 8037, section A.4: these algorithms give one signature for one message.
#[test]
fn signatures_are_those_of_the_standards() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use portcullis::issue::Signing;
    let rsa = concat!(
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn",
        "VlfQ"
    );
    let ed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    for (jwk, message, beginning) in [
        (RSA, rsa, "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"),
        (
            ED25519,
            ed,
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let key = SigningKey::jwk(jwk).unwrap();
        let Signing::Ready(Ok(signature)) = key.sign(message.as_bytes()) else { panic!("it signs at once") };
        assert!(URL_SAFE_NO_PAD.encode(signature).starts_with(beginning), "{message}");
    }
}

#[test]
fn weak_keys_and_keys_of_another_kind_are_refused() {
    use BuildErrorKind::*;
    let pem = |algorithm| key(algorithm).to_private_pem().unwrap();
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----";
    let edit = |jwk: &str, name: &str, value: Value| {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        jwk[name] = value;
        jwk.to_string()
    };
    for (name, loaded, expected) in [
        ("a curve's key for RSA", SigningKey::pem(&pem(Algorithm::ES256), Algorithm::RS256), MalformedKey),
        ("another curve's", SigningKey::pem(&pem(Algorithm::ES384), Algorithm::ES256), MalformedKey),
        ("RSA for a curve", SigningKey::pem(&pem(Algorithm::RS256), Algorithm::EdDSA), MalformedKey),
        ("PEM for HMAC", SigningKey::pem(&pem(Algorithm::ES256), Algorithm::HS256), WrongAlgorithm),
        ("a public key", SigningKey::pem(public, Algorithm::EdDSA), MalformedKey),
        ("no PEM", SigningKey::pem("key", Algorithm::ES256), MalformedKey),
        ("a short secret", SigningKey::hmac(&[7; 31], Algorithm::HS256), WeakKey),
        ("a secret for a shorter hash", SigningKey::hmac(&[7; 32], Algorithm::HS384), WeakKey),
        ("a public key as a secret", SigningKey::hmac(public.as_bytes(), Algorithm::HS256), WeakKey),
        ("a secret for ES256", SigningKey::hmac(&[7; 64], Algorithm::ES256), WrongAlgorithm),
        ("a public JWK", SigningKey::jwk(&edit(ED25519, "d", json!(""))), MalformedKey),
        (
            "a JWK of two keys",
            SigningKey::jwk(&edit(P256, "d", json!("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LA"))),
            MalformedKey,
        ),
        ("a JWK for encryption", SigningKey::jwk(&edit(P256, "use", json!("enc"))), MalformedKey),
        ("a JWK of another algorithm", SigningKey::jwk(&edit(P256, "alg", json!("ES384"))), WrongAlgorithm),
        ("an unknown algorithm", SigningKey::jwk(&edit(P256, "alg", json!("none"))), WrongAlgorithm),
        ("RSA without an algorithm", SigningKey::jwk(&RSA.replace(r#""alg":"RS256","#, "")), WrongAlgorithm),
        ("RSA for HMAC", SigningKey::jwk(&edit(RSA, "alg", json!("HS256"))), WrongAlgorithm),
        ("RSA for a curve's algorithm", SigningKey::jwk(&edit(RSA, "alg", json!("ES256"))), WrongAlgorithm),
        ("RSA of 17 bits", SigningKey::jwk(&edit(RSA, "n", json!("AQAB"))), WeakKey),
        ("an unknown curve", SigningKey::jwk(&edit(P256, "crv", json!("secp256k1"))), WrongAlgorithm),
        ("a short secret as a JWK", SigningKey::jwk(r#"{"kty":"oct","alg":"HS256","k":"AAAA"}"#), WeakKey),
        ("a member twice", SigningKey::jwk(&ED25519.replace("{", r#"{"kty":"OKP","#)), MalformedKey),
        ("no JSON", SigningKey::jwk("{"), MalformedKey),
        ("an empty id", key(Algorithm::ES256).named(""), BadKeyId),
        ("an id that breaks lines", key(Algorithm::ES256).named("a\nb"), BadKeyId),
        ("a long id", key(Algorithm::ES256).named("k".repeat(257)), BadKeyId),
    ] {
        assert_eq!(kind(loaded), expected, "{name}");
    }
}

/// 1024 bits, made by OpenSSL.
#[test]
fn rsa_under_2048_bits_is_refused_in_every_form() {
    const SHORT: &str = include_str!("rsa1024.pem");
    assert_eq!(kind(SigningKey::pem(SHORT, Algorithm::RS256)), BuildErrorKind::WeakKey);
    const PUBLIC: &str = include_str!("rsa1024.pub.pem");
    assert_eq!(PublicKey::pem(PUBLIC, Algorithm::RS256).unwrap_err().kind(), BuildErrorKind::WeakKey);
}

#[test]
fn a_shared_secret_has_an_id_that_tells_nothing_of_it_and_is_published_nowhere() {
    for algorithm in SYMMETRIC {
        let secret = [7; 64];
        let key = SigningKey::hmac(&secret, algorithm).unwrap();
        assert_eq!(key.kid(), SigningKey::hmac(&secret, algorithm).unwrap().kid());
        assert!(key.to_private_pem().is_err());
        assert_eq!(KeyRing::new(key).unwrap().jwks(), r#"{"keys":[]}"#);
    }
}

#[test]
fn neither_debug_nor_what_is_published_has_a_private_member() {
    for jwk in [ED25519, P256, RSA] {
        let private: Value = serde_json::from_str(jwk).unwrap();
        let ring = KeyRing::new(SigningKey::jwk(jwk).unwrap()).unwrap();
        let said =
            [ring.jwks(), format!("{ring:?}"), format!("{:?}", SigningKey::jwk(jwk).unwrap())].concat();
        for name in ["d", "p", "q", "dp", "dq", "qi"] {
            let secret = private[name].as_str().unwrap_or("no such member");
            assert!(!said.contains(secret), "{name}");
        }
    }
    let key = SigningKey::hmac(b"0123456789abcdef0123456789abcdef", Algorithm::HS256).unwrap();
    assert!(!format!("{key:?} {:?}", key.verification_key()).contains("0123"));
}

#[test]
fn a_public_key_is_read_from_pem_as_services_give_it() {
    use portcullis_testkit::jwt;
    let issuer = jwt::TestIssuer::new("i", "a");
    for (theirs, ours, kty) in [
        (jwt::Algorithm::Es256, Algorithm::ES256, "EC"),
        (jwt::Algorithm::EdDsa, Algorithm::EdDSA, "OKP"),
        (jwt::Algorithm::Rs256, Algorithm::RS256, "RSA"),
        (jwt::Algorithm::Ps256, Algorithm::PS256, "RSA"),
    ] {
        let key = PublicKey::pem(&issuer.public_key_pem(theirs), ours).unwrap();
        let set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
        let jwk = set["keys"].as_array().unwrap().iter().find(|key| key["kty"] == kty).unwrap();
        assert_eq!(key.thumbprint(), PublicKey::jwk(&jwk.to_string(), ours).unwrap().thumbprint(), "{ours}");
    }
    assert!(PublicKey::pem(&key(Algorithm::ES256).to_private_pem().unwrap(), Algorithm::ES256).is_err());
}
