//! A credential of your own: API keys, each with a role, by an [`Authenticator`].
//!
//! ```sh
//! cargo run --example custom_authenticator          # PORT, or 3002; it makes two keys and prints them
//! curl -i localhost:3002/                           # 401, WWW-Authenticate: ApiKey
//! curl -i localhost:3002/ -H "X-Api-Key: $READER"   # 200
//! curl -i localhost:3002/rebuild -X POST -H "X-Api-Key: $READER"     # 403
//! curl -i localhost:3002/rebuild -X POST -H "X-Api-Key: $DEPLOYER"   # 200
//! curl -i localhost:3002/ -H 'X-Api-Key: guess'     # 401: a bad key never counts as none
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::collections::HashMap;
use std::error::Error;

use aws_lc_rs::rand;
use axum::Router;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, Request};
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
use portcullis::identity::{AuthMethod, Carrier};
use portcullis::rejection::{Challenge, Rejection};
use portcullis::{Identity, RequireLayer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

/// The keys that are good, by their ids. A key is `id.secret`; what is kept cannot be presented.
///
/// The id is no secret: it finds the entry, and may stand in logs. The secret has 256 random bits, so that a plain hash
/// of it is enough; passwords need argon2.
pub(crate) struct ApiKeys {
    owners: HashMap<String, Owner>,
}

/// Whose key it is.
struct Owner {
    name: &'static str,
    role: &'static str,
    secret_hash: [u8; 32],
}

const HEADER: HeaderName = HeaderName::from_static("x-api-key");

impl ApiKeys {
    pub(crate) fn new() -> Self {
        Self { owners: HashMap::new() }
    }

    /// Makes a key, and returns it: it can be shown only now.
    pub(crate) fn issue(&mut self, name: &'static str, role: &'static str) -> Result<String, BoxError> {
        let (id, secret) = (random_text(6)?, random_text(32)?);
        self.owners.insert(id.clone(), Owner { name, role, secret_hash: hash(&secret) });
        Ok(format!("{id}.{secret}"))
    }

    /// The hashes are compared in constant time, so that nothing can be learnt from how long it takes.
    fn owner(&self, key: &str) -> Option<&Owner> {
        let (id, secret) = key.split_once('.')?;
        let owner = self.owners.get(id)?;
        bool::from(owner.secret_hash.ct_eq(&hash(secret))).then_some(owner)
    }
}

impl Authenticator for ApiKeys {
    type Visit = ();

    fn challenge(&self) -> Option<Challenge> {
        Some(Challenge::new("ApiKey"))
    }

    /// Absent, accepted, or refused. To ask a database, return [`Opening::pending`].
    fn open<B>(&self, request: &mut Request<B>) -> Opening<()> {
        let mut values = request.headers().get_all(HEADER).iter();
        let key = match (values.next(), values.next()) {
            (None, _) => return Opening::anonymous(()),
            (Some(value), None) => value.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        match key.and_then(|key| self.owner(key)) {
            Some(owner) => Opening::authenticated(identity(owner), ()),
            None => Opening::refused(Rejection::invalid_credential(Challenge::new("ApiKey"), "no such key")),
        }
    }
}

/// `Explicit`: no browser sends this header by itself, so that no request needs protection from forgery.
fn identity(owner: &Owner) -> Identity {
    Identity::new(owner.name)
        .role(owner.role)
        .method(AuthMethod::Custom("api-key"))
        .carrier(Carrier::Explicit)
        .build()
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn random_text(bytes: usize) -> Result<String, BoxError> {
    let mut random = vec![0; bytes];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

pub(crate) fn app(keys: ApiKeys) -> Router {
    Router::new()
        .route("/rebuild", post(async |me: Identity| format!("{} rebuilds\n", me.subject())))
        .route_layer(RequireLayer::authenticated().role("deployer"))
        .route("/", get(async |me: Identity| format!("hello, {}\n", me.subject())))
        .layer(AuthenticateLayer::new(keys))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = listen(3002).await?;
    println!("Listening on http://localhost:{}/. Two keys:", listener.local_addr()?.port());
    let mut keys = ApiKeys::new();
    println!("READER={}", keys.issue("reporting", "reader")?);
    println!("DEPLOYER={}", keys.issue("ci", "deployer")?);
    axum::serve(listener, app(keys)).await?;
    Ok(())
}
