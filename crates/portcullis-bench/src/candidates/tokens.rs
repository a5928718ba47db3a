//! Tokens that are verified, by us and by others, beside nothing but their signatures.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "four algorithms are measured, and the last one stands for all others"
)]

mod peers;

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request};
use portcullis::BearerLayer;
use portcullis::bearer::{self, Audience, HmacKeys, Issuer, StaticKeys};
use portcullis_store::{Clock as _, SystemClock};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde_json::{Value, json};
use tower::{Layer as _, service_fn};

pub(crate) use self::peers::{GARBAGE, MISSING, refusals, resource_server};
use super::{browser, ours};
use crate::Failure;
use crate::harness::{Bounds, Candidate, bare};

/// The tokens of one algorithm, and everybody who verifies them.
pub(crate) struct Group {
    /// Verifies a signature, of bytes that are decoded already, and nothing else.
    pub(crate) base: Candidate,
    pub(crate) ours: Candidate,
    pub(crate) peers: Vec<Candidate>,
    /// The most that ours may take, as a multiple of the base.
    pub(crate) aim: f64,
    /// How often it may allocate, if that is bounded.
    pub(crate) allocations: Option<i64>,
}

/// The names of a group's candidates.
#[derive(Clone, Copy)]
struct Names {
    base: &'static str,
    ours: &'static str,
    jsonwebtoken: &'static str,
    jwt_authorizer: &'static str,
    tower_oauth2: &'static str,
    axum_jwt_auth: &'static str,
}

/// A token of one algorithm, and what verifies it.
struct Sample {
    names: Names,
    algorithm: Algorithm,
    issuer: TestIssuer,
    token: String,
    request: Request<()>,
}

/// A key that was parsed before.
enum Key {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// The most that ours may allocate, whatever the algorithm.
const ALLOCATIONS: i64 = 13;

const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "api";

/// For one of the peers it has to be text.
const SECRET: &str = "0123456789abcdef0123456789ABCDEF";

macro_rules! names {
    ($algorithm:literal) => {
        Names {
            base: concat!($algorithm, ": aws-lc-rs, the signature alone"),
            ours: concat!($algorithm, ": BearerLayer"),
            jsonwebtoken: concat!($algorithm, ": jsonwebtoken, decode"),
            jwt_authorizer: concat!($algorithm, ": jwt-authorizer"),
            tower_oauth2: concat!($algorithm, ": tower-oauth2-resource-server"),
            axum_jwt_auth: concat!($algorithm, ": axum-jwt-auth"),
        }
    };
}

pub(crate) fn groups() -> Result<Vec<Group>, Failure> {
    let issuer = issuer();
    let group = |(algorithm, names, aim)| {
        let sample = Sample::new(issuer.clone(), algorithm, names)?;
        Ok(Group {
            base: sample.base()?,
            ours: sample.ours()?,
            peers: peers::candidates(&sample)?,
            aim,
            allocations: Some(ALLOCATIONS),
        })
    };
    [
        (Algorithm::Hs256, names!("HS256"), 2.8),
        (Algorithm::Rs256, names!("RS256"), 1.10),
        (Algorithm::EdDsa, names!("EdDSA"), 1.05),
        (Algorithm::Es256, names!("ES256"), 1.03),
    ]
    .into_iter()
    .map(group)
    .collect()
}

/// Whose tokens the layers accept.
pub(crate) fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER, AUDIENCE)
}

/// Claims such as providers put into tokens, a dozen besides the registered ones.
pub(crate) fn claims() -> Value {
    json!({
        "sub": "auth0|65f1c0a2b7d94e0012ab34cd", "jti": "0123456789abcdef0123456789abcdef",
        "sid": "f3b1c7d2-8a4e-4f0b-9c1d-2e3f4a5b6c7d", "azp": "b2c4d6e8f0a1b3c5d7e9", "gty": "refresh_token",
        "scope": "openid profile email orders:read orders:write", "acr": "urn:example:gold", "amr": ["pwd", "otp"],
        "name": "Ada Lovelace", "email": "ada@example.com",
        // The run takes longer than a token lives as a rule.
        "exp": SystemClock.now().saturating_add(Duration::from_secs(12 * 60 * 60)).as_secs(),
    })
}

/// The layer that accepts these tokens, and nothing but these.
pub(crate) fn layer(issuer: &TestIssuer, algorithm: Algorithm) -> Result<BearerLayer, Failure> {
    let trusted = Issuer::new(ISSUER, Audience::one_of([AUDIENCE]));
    let trusted = if algorithm == Algorithm::Hs256 {
        trusted.keys(HmacKeys::new([SECRET.as_bytes().to_vec()])?)
    } else {
        trusted.keys(StaticKeys::jwks(&issuer.jwks_of(&[algorithm]))?)
    };
    let named = match algorithm {
        Algorithm::Hs256 => bearer::Algorithm::HS256,
        Algorithm::Rs256 => bearer::Algorithm::RS256,
        Algorithm::EdDsa => bearer::Algorithm::EdDSA,
        _ => bearer::Algorithm::ES256,
    };
    Ok(BearerLayer::new([trusted.algorithms([named])])?)
}

/// A request with this in its `Authorization`.
pub(crate) fn authorized(credential: &str) -> Result<Request<()>, Failure> {
    let mut request = browser(Method::GET, None)?;
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::try_from(credential)?);
    Ok(request)
}

impl Sample {
    fn new(issuer: TestIssuer, algorithm: Algorithm, names: Names) -> Result<Self, Failure> {
        let token = issuer.token(claims());
        let token = match algorithm {
            Algorithm::Hs256 => token.hmac(SECRET).to_string(),
            _ => token.algorithm(algorithm).to_string(),
        };
        let request = authorized(&format!("Bearer {token}"))?;
        Ok(Self { names, algorithm, issuer, token, request })
    }

    fn ours(&self) -> Result<Candidate, Failure> {
        let service = layer(&self.issuer, self.algorithm)?.layer(service_fn(bare));
        let label = ours(self.names.ours, None, Bounds::default());
        Ok(Candidate::new(label, self.request.clone(), service))
    }

    fn base(&self) -> Result<Candidate, Failure> {
        let (message, signature) = self.token.rsplit_once('.').ok_or("a token has three parts")?;
        let (message, signature) = (message.to_owned(), BASE64_URL_SAFE_NO_PAD.decode(signature)?);
        let key = self.key()?;
        let service = service_fn(move |request| {
            let is_good = key.verifies(message.as_bytes(), &signature);
            async move { if is_good { bare(request).await } else { Err("a bad signature".into()) } }
        });
        let label = ours(self.names.base, None, Bounds::default());
        Ok(Candidate::new(label, self.request.clone(), service))
    }

    fn key(&self) -> Result<Key, Failure> {
        let how: &'static dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::Hs256 => {
                return Ok(Key::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()))));
            }
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::EdDsa => &ED25519,
            _ => &ECDSA_P256_SHA256_FIXED,
        };
        let pem = self.issuer.public_key_pem(self.algorithm);
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Ok(Key::Public(ParsedPublicKey::new(how, BASE64_STANDARD.decode(base64)?)?))
    }
}

impl Key {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}
