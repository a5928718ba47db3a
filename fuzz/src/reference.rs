//! What a token has to be like, once more and without the layer's code: JSON by values, HMAC of RustCrypto.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// Whose tokens are accepted.
pub(crate) const ISSUER: &str = "https://idp.example";

/// For whom they are meant.
pub(crate) const AUDIENCE: &str = "api";

/// What they are signed with.
pub(crate) const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// A token of this header and payload, whatever they are, with a good signature (RFC 7515, section 5.1).
pub(crate) fn sign(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(&mac(message.as_bytes()).finalize().into_bytes());
    format!("{message}.{signature}")
}

/// The subject of a token that may be accepted; `None` if it must be refused.
pub(crate) fn accepts(token: &str) -> Option<String> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    mac(message.as_bytes()).verify_slice(&decode(signature)?).ok()?;
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    let refused = ["crit", "b64", "enc", "zip"];
    let is_plain = header.as_object()?.keys().all(|name| !refused.contains(&name.as_str()));
    if !is_plain || header.get("alg")? != "HS256" {
        return None;
    }
    subject(&serde_json::from_slice(&decode(payload)?).ok()?)
}

/// The subject of good claims (RFC 7519, section 4.1), but for the time, which passes between two looks at a clock.
fn subject(claims: &Value) -> Option<String> {
    let audience = claims.get("aud")?;
    let for_us =
        audience == AUDIENCE || audience.as_array().is_some_and(|all| all.iter().any(|one| one == AUDIENCE));
    let expires = claims.get("exp")?.as_u64()?;
    // ID tokens, and tokens that are bound to a key, are no access tokens.
    let marks = ["nonce", "at_hash", "c_hash", "events", "cnf"];
    let is_access = marks.iter().all(|name| claims.get(name).is_none());
    // The year 2020: whatever is over since then is refused.
    if !for_us || !is_access || expires <= 1_577_836_800 || claims.get("iss")? != ISSUER {
        return None;
    }
    claims.get("sub")?.as_str().filter(|subject| !subject.is_empty()).map(str::to_owned)
}

fn mac(message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any length is a key");
    mac.update(message);
    mac
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
        let good = br#"{"iss":"https://idp.example","aud":"api","sub":"ada","exp":4102444800}"#;
        assert_eq!(accepts(&sign(br#"{"alg":"HS256"}"#, good)).as_deref(), Some("ada"));
        let bad: [(&[u8], &[u8]); 4] = [
            (br#"{"alg":"none"}"#, good),
            (br#"{"alg":"HS256","crit":[]}"#, good),
            (br#"{"alg":"HS256"}"#, br#"{"iss":"https://idp.example","aud":"api","sub":"ada"}"#),
            (
                br#"{"alg":"HS256"}"#,
                br#"{"iss":"https://idp.example","aud":"other","sub":"ada","exp":4102444800}"#,
            ),
        ];
        assert!(bad.iter().all(|(header, claims)| accepts(&sign(header, claims)).is_none()));
        assert_eq!(accepts(&format!("{}A", sign(br#"{"alg":"HS256"}"#, good))), None);
    }
}
