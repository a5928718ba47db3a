//! [`Token`]: one token in the making.

use std::fmt;

use serde_json::{Map, Value, json};

use super::key::{base64url, mac};
use super::{Algorithm, TestIssuer};

/// A token in the making; its `Display` is the signed token.
///
/// ```
/// use portcullis_testkit::jwt::{Algorithm, TestIssuer};
/// use serde_json::json;
///
/// let issuer = TestIssuer::new("https://idp.example", "api");
/// let token = issuer
///     .token(json!({ "scope": "read" }))
///     .algorithm(Algorithm::EdDsa)
///     .header("typ", "at+jwt")
///     .without_claim("aud");
/// let tampered = issuer.token(json!({ "sub": "root" })).tampered();
/// assert_ne!(token.to_string(), tampered.to_string());
/// ```
#[derive(Clone, Debug)]
#[must_use = "a token does nothing until it is sent"]
pub struct Token<'a> {
    issuer: &'a TestIssuer,
    algorithm: Algorithm,
    header: Map<String, Value>,
    without_header: Vec<String>,
    claims: Value,
    raw_header: Option<Vec<u8>>,
    raw_payload: Option<Vec<u8>>,
    signature: Signature,
}

/// What stands in the third part.
#[derive(Clone, Debug)]
enum Signature {
    /// What the algorithm gives with the issuer's key.
    Good,
    /// The same with one bit changed.
    Tampered,
    /// What the algorithm gives with somebody else's key.
    By(TestIssuer),
    /// HMAC-SHA-256 with this secret.
    Hmac(Vec<u8>),
    Bytes(Vec<u8>),
}

impl<'a> Token<'a> {
    pub(super) fn new(issuer: &'a TestIssuer, claims: Value) -> Self {
        Self {
            issuer,
            algorithm: Algorithm::Es256,
            header: Map::new(),
            without_header: Vec::new(),
            claims,
            raw_header: None,
            raw_payload: None,
            signature: Signature::Good,
        }
    }

    /// What it says, of which no token is made.
    pub(crate) fn into_claims(self) -> Value {
        self.claims
    }

    /// Signs with this algorithm and says so in `alg` and `kid`. To lie, add a [`header`](Self::header).
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// A member of the header, in place of the default `alg`, `kid`, `typ` (`JWT`), or besides them.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a member of the header out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.without_header.push(name.to_owned());
        self
    }

    /// A claim, in place of the one there was.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Some(claims) = self.claims.as_object_mut() {
            claims.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Leaves a claim out.
    pub fn without_claim(mut self, name: &str) -> Self {
        if let Some(claims) = self.claims.as_object_mut() {
            claims.remove(name);
        }
        self
    }

    /// The bytes of the header, JSON or not. They are signed as they are.
    pub fn raw_header(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_header = Some(bytes.into());
        self
    }

    /// The bytes of the payload, JSON or not. They are signed as they are.
    pub fn raw_payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_payload = Some(bytes.into());
        self
    }

    /// Signs with another issuer's key of the same algorithm; the header still names this issuer's.
    pub fn signed_by(mut self, other: &TestIssuer) -> Self {
        self.signature = Signature::By(other.clone());
        self
    }

    /// Signs with HMAC-SHA-256 and this secret, with `alg` `HS256`; the header still names this issuer's key. With a
    /// public key as the secret it is the algorithm confusion of RFC 8725, section 2.1.
    pub fn hmac(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.signature = Signature::Hmac(secret.into());
        self.header("alg", Algorithm::Hs256.name())
    }

    /// Changes one bit of the good signature.
    pub fn tampered(mut self) -> Self {
        self.signature = Signature::Tampered;
        self
    }

    /// These bytes for a signature.
    pub fn signature(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.signature = Signature::Bytes(bytes.into());
        self
    }

    /// `alg` `none`, and an empty signature (RFC 7519, section 6).
    pub fn unsecured(self) -> Self {
        self.header("alg", "none").without_header("kid").signature([])
    }

    fn header_bytes(&self) -> Vec<u8> {
        if let Some(bytes) = &self.raw_header {
            return bytes.clone();
        }
        let kid = self.issuer.key_id(self.algorithm);
        let mut header = json!({ "alg": self.algorithm.name(), "kid": kid, "typ": "JWT" });
        let members = header.as_object_mut().expect("an object");
        members.extend(self.header.clone());
        members.retain(|name, _| !self.without_header.contains(name));
        header.to_string().into_bytes()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.signature {
            Signature::Good => self.issuer.keys.sign(self.algorithm, message),
            Signature::Tampered => {
                let mut signature = self.issuer.keys.sign(self.algorithm, message);
                // A bit in the middle: the last ones may be padding of base64url.
                let middle = signature.len() / 2;
                if let Some(byte) = signature.get_mut(middle) {
                    *byte ^= 1;
                }
                signature
            }
            Signature::By(other) => other.keys.sign(self.algorithm, message),
            Signature::Hmac(secret) => mac(secret, message),
            Signature::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.raw_payload.clone().unwrap_or_else(|| self.claims.to_string().into_bytes());
        let message = format!("{}.{}", base64url(&self.header_bytes()), base64url(&payload));
        let signature = base64url(&self.sign(message.as_bytes()));
        write!(f, "{message}.{signature}")
    }
}
