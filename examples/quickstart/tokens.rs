//! [`Tokens`]: mints tokens for the other examples, good ones and such as no issuer would: any claim can be put in.

use std::error::Error;
use std::time::Duration;

use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::bearer::{Audience, Issuer, Profile, StaticKeys};
use portcullis_store::{Clock, SystemClock};
use serde_json::{Value, json};

type BoxError = Box<dyn Error + Send + Sync>;

/// Mints tokens of one issuer for one audience, signed with ES256.
pub(crate) struct Tokens {
    key: EcdsaKeyPair,
    issuer: &'static str,
    audience: &'static str,
}

/// How long a token is good for.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);

impl Tokens {
    /// Makes a new key.
    pub(crate) fn new(issuer: &'static str, audience: &'static str) -> Result<Self, BoxError> {
        Ok(Self { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?, issuer, audience })
    }

    /// What `BearerLayer` has to know to accept these tokens, and no others.
    pub(crate) fn issuer(&self) -> Result<Issuer, BoxError> {
        let keys = StaticKeys::jwks(&json!({ "keys": [self.jwk()] }).to_string())?;
        let audience = Audience::one_of([self.audience]);
        Ok(Issuer::new(self.issuer, audience).profile(Profile::AccessToken).keys(keys))
    }

    /// A token for `subject` with these claims besides, such as `roles` or `scope`.
    pub(crate) fn mint(&self, subject: &str, more: &[(&str, Value)]) -> Result<String, BoxError> {
        let mut id = [0; 16];
        rand::fill(&mut id)?;
        let now = SystemClock.now().as_secs();
        let mut claims = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "client_id": subject,
            "iat": now,
            "exp": now + LIFETIME.as_secs(),
            "jti": base64url(id),
        });
        if let Value::Object(claims) = &mut claims {
            claims.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        }
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "1" });
        let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes())?;
        Ok(format!("{message}.{}", base64url(signature)))
    }

    /// The public key (RFC 7518, section 6.2.1), from its uncompressed point: a byte 4, then x, then y.
    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "1", "x": base64url(x), "y": base64url(y) })
    }
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
