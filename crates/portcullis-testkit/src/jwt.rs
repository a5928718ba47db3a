//! [`TestIssuer`]: mints JSON Web Tokens, good ones and every kind of bad one.
//!
//! * Keys are generated when first used; two issuers have different keys under the same key ids.
//! * A [`Token`] has sensible claims, all of which can be changed, and everything else can be broken: the header, the
//!   payload, the algorithm, the signature.
//! * It shares no code with the verifiers it tests.
//!
//! ```
//! use portcullis_testkit::jwt::{Algorithm, TestIssuer};
//! use serde_json::json;
//!
//! let issuer = TestIssuer::new("https://idp.example", "api");
//! let keys = issuer.jwks(); // for the verifier
//! assert!(keys.contains("Ed25519"));
//!
//! let good = issuer.token(json!({ "sub": "ada", "scope": "read" })).to_string();
//! assert_eq!(good.split('.').count(), 3);
//!
//! let late = issuer.token(json!({ "exp": 0 }));
//! let confused = issuer.token(json!({})).hmac(issuer.public_key_pem(Algorithm::Rs256));
//! let stripped = issuer.token(json!({})).unsecured();
//! assert!(stripped.to_string().ends_with('.'));
//! # let _ = (late, confused);
//! ```

mod key;
mod token;

pub use token::Token;

use std::fmt;
use std::sync::Arc;

use portcullis_store::{Clock, SystemClock};
use serde_json::{Value, json};

use self::key::Keys;

/// Somebody who issues tokens, with a key of each algorithm. A clone has the same keys.
#[derive(Clone)]
pub struct TestIssuer {
    name: String,
    audience: String,
    clock: Arc<dyn Clock>,
    key_suffix: String,
    keys: Arc<Keys>,
}

/// How a token is signed (RFC 7518, section 3.1; RFC 8037, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits. Generating the key takes a noticeable time.
    Rs256,
    /// RSASSA-PSS with SHA-256, with the key of [`Rs256`](Self::Rs256).
    Ps256,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// The value of `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }
}

impl TestIssuer {
    /// An issuer of this name (`iss`), for tokens to this audience (`aud`), with keys of its own.
    #[must_use]
    pub fn new(name: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            audience: audience.into(),
            clock: Arc::new(SystemClock),
            key_suffix: String::new(),
            keys: Arc::default(),
        }
    }

    /// The clock that `iat` and `exp` are told by. The operating system's by default.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The same issuer with new keys, whose ids end in `suffix`: `rotated("-2")`.
    #[must_use]
    pub fn rotated(&self, suffix: impl Into<String>) -> Self {
        Self { key_suffix: suffix.into(), keys: Arc::default(), ..self.clone() }
    }

    /// A token with `iss`, `aud`, `iat`, `exp` ten minutes ahead and `sub` `"ada"`, over which `claims` go, signed
    /// with ES256.
    ///
    /// # Panics
    /// When `claims` is not an object.
    #[track_caller]
    pub fn token(&self, claims: Value) -> Token<'_> {
        let now = self.clock.now().as_secs();
        let mut all =
            json!({ "iss": self.name, "aud": self.audience, "sub": "ada", "iat": now, "exp": now + 600 });
        let Value::Object(claims) = claims else { panic!("claims are an object, not {claims}") };
        all.as_object_mut().expect("an object").extend(claims);
        Token::new(self, all)
    }

    /// The public keys as a JWK set (RFC 7517, section 5): one for each of ES256, RS256 and EdDSA.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.jwks_of(&[Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa])
    }

    /// The public keys of some algorithms as a JWK set. Without RSA it is made in no time.
    ///
    /// # Panics
    /// For HS256, whose key is not public.
    #[must_use]
    pub fn jwks_of(&self, algorithms: &[Algorithm]) -> String {
        let keys: Vec<Value> = algorithms.iter().map(|algorithm| self.jwk(*algorithm)).collect();
        json!({ "keys": keys }).to_string()
    }

    /// One public key as a JWK, with `kid`, `use` and `alg`.
    ///
    /// # Panics
    /// For HS256, whose key is not public.
    #[must_use]
    pub fn jwk(&self, algorithm: Algorithm) -> Value {
        let mut jwk = self.keys.jwk(algorithm);
        let rest = json!({ "kid": self.key_id(algorithm), "use": "sig", "alg": algorithm.name() });
        let rest = rest.as_object().cloned().unwrap_or_default();
        jwk.as_object_mut().expect("a key is an object").extend(rest);
        jwk
    }

    /// One public key as PEM of a `SubjectPublicKeyInfo` (RFC 7468, section 13).
    ///
    /// # Panics
    /// For HS256, whose key is not public.
    #[must_use]
    pub fn public_key_pem(&self, algorithm: Algorithm) -> String {
        self.keys.pem(algorithm)
    }

    /// The 32 bytes that HS256 is keyed with.
    #[must_use]
    pub fn hmac_secret(&self) -> &[u8] {
        self.keys.secret()
    }

    /// The `kid` of a key: the algorithm's name in lower case, and the suffix of [`rotated`](Self::rotated).
    #[must_use]
    pub fn key_id(&self, algorithm: Algorithm) -> String {
        format!("{}{}", algorithm.name().to_ascii_lowercase(), self.key_suffix)
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("name", &self.name).finish_non_exhaustive()
    }
}
