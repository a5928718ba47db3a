//! [`Holder`]: somebody who holds a key and proves it (RFC 9449), by `jsonwebtoken`, an implementation that the layer does not
//! use. [`Replays`]: a store of used proofs that can be made to wait, to fail and to hang.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use http::{HeaderValue, Request};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm as Theirs, EncodingKey, Header, encode};
use portcullis::bearer::{Dpop, MemoryReplayBackend};
use portcullis_store::{Claimed, Clock, Locator, ManualClock, Realm, ReplayBackend, StoreError};
use serde_json::{Value, json};

use crate::mint::{ES256, b64, claims_with};
use crate::store::Mood;

pub(crate) const ADDRESS: &str = "https://api.example";

/// Somebody who holds a key.
pub(crate) struct Holder {
    pub(crate) algorithm: Theirs,
    key: EncodingKey,
    pub(crate) jwk: Jwk,
}

pub(crate) static ADA: LazyLock<Holder> = LazyLock::new(Holder::ec);
pub(crate) static EVE: LazyLock<Holder> = LazyLock::new(Holder::ec);

impl Holder {
    pub(crate) fn ec() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::new(Theirs::ES256, EncodingKey::from_ec_der(key.to_pkcs8v1().unwrap().as_ref()))
    }

    pub(crate) fn ed() -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        Self::new(Theirs::EdDSA, EncodingKey::from_ed_der(key.to_pkcs8v1().unwrap().as_ref()))
    }

    pub(crate) fn rsa(algorithm: Theirs) -> Self {
        use aws_lc_rs::encoding::AsDer;
        let pem = crate::mint::pem("PRIVATE KEY", AsDer::as_der(&*crate::mint::RSA).unwrap().as_ref());
        Self::new(algorithm, EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap())
    }

    fn new(algorithm: Theirs, key: EncodingKey) -> Self {
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_algorithm = None;
        Self { algorithm, key, jwk }
    }

    pub(crate) fn jkt(&self) -> String {
        self.jwk.thumbprint(ThumbprintHash::SHA256).unwrap()
    }

    /// A token that is bound to the key.
    pub(crate) fn token(&self) -> String {
        ES256.token(&claims_with("cnf", json!({ "jkt": self.jkt() })))
    }

    /// A good proof of a `GET` of `/`.
    pub(crate) fn proof(&self, token: &str) -> String {
        self.sign(&self.header(), &Self::claims(token))
    }

    /// The same, with one claim set, or taken away.
    pub(crate) fn proof_with(&self, token: &str, name: &str, value: Option<Value>) -> String {
        let mut claims = Self::claims(token);
        match value {
            Some(value) => claims[name] = value,
            None => _ = claims.as_object_mut().unwrap().remove(name),
        }
        self.sign(&self.header(), &claims)
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            typ: Some("dpop+jwt".to_owned()),
            jwk: Some(self.jwk.clone()),
            ..Header::new(self.algorithm)
        }
    }

    pub(crate) fn claims(token: &str) -> Value {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        json!({
            "jti": format!("proof-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            "htm": "GET",
            "htu": format!("{ADDRESS}/"),
            "iat": ManualClock::default().now().as_secs(),
            "ath": b64(digest(&SHA256, token.as_bytes()).as_ref()),
        })
    }

    pub(crate) fn sign(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key).unwrap()
    }
}

/// A request with this `Authorization` and these proofs.
pub(crate) fn request(authorization: &str, proofs: &[&str]) -> Request<String> {
    let mut request = Request::new(String::new());
    request.headers_mut().insert("authorization", authorization.parse().unwrap());
    for proof in proofs {
        request.headers_mut().append("dpop", HeaderValue::from_str(proof).unwrap());
    }
    request
}

/// A store of used proofs.
#[derive(Clone)]
pub(crate) struct Replays {
    inner: MemoryReplayBackend,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicUsize>,
}

impl Replays {
    pub(crate) fn new(mood: Mood) -> Self {
        Self {
            inner: MemoryReplayBackend::with_clock(ManualClock::default()),
            mood: Arc::new(Mutex::new(mood)),
            asked: Arc::default(),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How often it was asked since this was called last.
    pub(crate) fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn dpop(&self) -> Dpop {
        Dpop::new(ADDRESS, self.clone())
    }
}

impl ReplayBackend for Replays {
    async fn claim(&self, realm: &Realm, name: Locator, keep: Duration) -> Result<Claimed, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::AtOnce => {}
            Mood::Waits => tokio::task::yield_now().await,
            Mood::Fails(kind) => return Err(kind.into()),
            Mood::Hangs => std::future::pending().await,
        }
        self.inner.claim(realm, name, keep).await
    }

    fn claim_now(&self, realm: &Realm, name: Locator, keep: Duration) -> Option<Result<Claimed, StoreError>> {
        let at_once = *self.mood.lock().unwrap() == Mood::AtOnce;
        at_once.then(|| {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.inner.claim_now(realm, name, keep)
        })?
    }
}
