//! What a DPoP proof has to be like (RFC 9449, section 4.3), once more and without the layer's code: JSON by values, addresses
//! by the WHATWG, signatures by RustCrypto.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

/// The key that the token is bound to.
const KEY: [u8; 32] = *b"the key of whoever has the token";

/// When every request comes, in seconds.
pub(crate) const NOW: u64 = 1_700_000_000;

/// Where every request goes.
pub(crate) const ORIGIN: &str = "https://api.example";
pub(crate) const PATH: &str = "/a/b";

/// A proof of this header and payload, whatever they are, with a good signature.
pub(crate) fn sign(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(&key().sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

/// A good header.
pub(crate) fn header() -> Vec<u8> {
    json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk() }).to_string().into_bytes()
}

/// Good claims for a request with this token.
pub(crate) fn claims(token: &str) -> Vec<u8> {
    let htu = format!("{ORIGIN}{PATH}");
    let claims = json!({ "jti": "1", "htm": "GET", "htu": htu, "iat": NOW, "ath": hash(token.as_bytes()) });
    claims.to_string().into_bytes()
}

/// The thumbprint of the key (RFC 8037, appendix A.3).
pub(crate) fn thumbprint() -> String {
    thumbprint_of(&encode(key().verifying_key().as_bytes()))
}

/// Whether a proof may be taken for one of the key's holder, for a GET with this token.
pub(crate) fn proves(proof: &str, token: &str) -> bool {
    try_prove(proof, token).unwrap_or(false)
}

fn try_prove(proof: &str, token: &str) -> Option<bool> {
    let (message, signature) = proof.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    let claims: Value = serde_json::from_slice(&decode(payload)?).ok()?;
    let signature = Signature::from_slice(&decode(signature)?).ok()?;
    let key = key_of(&header)?;
    let is_signed = key.verify_strict(message.as_bytes(), &signature).is_ok();
    Some(is_signed && is_proof(&header) && is_for(&claims, token)?)
}

fn is_proof(header: &Value) -> bool {
    let refused = ["crit", "b64", "enc", "zip"];
    let is_plain = header.as_object().is_some_and(|all| !all.keys().any(|it| refused.contains(&it.as_str())));
    let typ = header.get("typ").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    is_plain && typ.strip_prefix("application/").unwrap_or(&typ) == "dpop+jwt"
}

/// The key in the header, if it is the one that the token is bound to, and nothing of it is secret.
fn key_of(header: &Value) -> Option<VerifyingKey> {
    let names = header.get("alg")?.as_str()?;
    let jwk = header.get("jwk")?;
    let is_public = jwk.get("d").is_none() && jwk.get("k").is_none();
    let is_ours =
        matches!(names, "EdDSA" | "Ed25519") && jwk.get("kty")? == "OKP" && jwk.get("crv")? == "Ed25519";
    let x = jwk.get("x")?.as_str()?;
    let is_bound = thumbprint_of(x) == thumbprint();
    let bytes: [u8; 32] = decode(x)?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok().filter(|_| is_public && is_ours && is_bound)
}

fn is_for(claims: &Value, token: &str) -> Option<bool> {
    let text = |name: &str| claims.get(name)?.as_str().filter(|text| !text.is_empty());
    let second = |name: &str| claims.get(name).map(|at| at.as_f64().unwrap_or(f64::NAN));
    let (now, leeway, max_age) = (NOW as f64, 6.0, 60.0);
    let iat = second("iat")?;
    let is_fresh = iat <= now + leeway && iat + max_age + leeway >= now;
    // What does not say when is good at any time.
    let has_begun = second("nbf").is_none_or(|nbf| nbf <= now + leeway);
    let has_not_ended = second("exp").is_none_or(|exp| exp + leeway > now);
    text("jti")?;
    let is_meant =
        text("htm")? == "GET" && is_target(text("htu")?)? && text("ath")? == hash(token.as_bytes());
    Some(is_fresh && has_begun && has_not_ended && is_meant)
}

/// Escapes may be used for anything here: that none is used to go elsewhere is what counts.
fn is_target(htu: &str) -> Option<bool> {
    let url = Url::parse(htu).ok()?;
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    Some(is_anonymous && url.origin().ascii_serialization() == ORIGIN && unescaped(url.path()) == PATH)
}

fn unescaped(path: &str) -> String {
    let mut parts = path.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, part.get(2..)) {
            (Some(byte), Some(rest)) => text.extend([char::from(byte).to_string().as_str(), rest]),
            _ => text.extend(["%", part]),
        }
    }
    text
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&KEY)
}

fn jwk() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key().verifying_key().as_bytes()) })
}

fn thumbprint_of(x: &str) -> String {
    hash(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes())
}

fn hash(bytes: &[u8]) -> String {
    encode(&Sha256::digest(bytes))
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_tells_good_from_bad() {
        let (header, claims) = (header(), claims("token"));
        assert!(proves(&sign(&header, &claims), "token"));
        assert!(!proves(&sign(&header, &claims), "another"));
        assert!(!proves(&format!("{}A", sign(&header, &claims)), "token"));
        let text = String::from_utf8(claims.clone()).unwrap();
        for (from, to) in [
            ("GET", "POST"),
            ("api.example", "api.example.evil"),
            ("api.example", "ada@api.example"),
            ("/a/b", "/a/c"),
            ("1700000000", "1699999900"),
            ("1700000000", "1700000010"),
            ("1700000000", "null"),
            ("jti", "jtj"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(!proves(&sign(&header, text.replace(from, to).as_bytes()), "token"), "{from} {to}");
        }
        assert!(proves(&sign(&header, text.replace("/a/b", "/c/../%61/b?q").as_bytes()), "token"));
        let text = String::from_utf8(header).unwrap();
        for (from, to) in [
            ("dpop+jwt", "JWT"),
            ("EdDSA", "ES256"),
            (r#""x":"#, r#""d":"AA","x":"#),
            (r#""typ""#, r#""crit":[],"typ""#),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(!proves(&sign(text.replace(from, to).as_bytes(), &claims), "token"), "{from} {to}");
        }
    }
}
