//! [`FakeIdp`]: an identity provider on a loopback socket, which publishes keys, rotates them, hangs and lies.
//!
//! * It serves a key set and the metadata that lead to it (OpenID Connect Discovery 1.0, RFC 8414), over HTTP/1.1.
//! * Its [`issuer`](FakeIdp::issuer) mints tokens by the keys of the moment.
//! * It mints [opaque tokens](FakeIdp::opaque_token), and answers its [client](FakeIdp::CLIENT) about them (RFC 7662).
//! * What it [answers](FakeIdp::answer) can be changed at any time; a request that hangs is answered when it is.
//! * It counts the requests, and [waits](FakeIdp::fetched) for them.
//!
//! ```
//! use portcullis_testkit::idp::{Answer, FakeIdp};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let idp = FakeIdp::start("api").await;
//! let url = idp.jwks_url(); // for the service under test, with `insecure_http`
//! let old = idp.token(json!({ "sub": "ada" }));
//!
//! idp.rotate("-2"); // `old` is good no more
//! let new = idp.token(json!({ "sub": "ada" }));
//! idp.answer(Answer::Status(500)); // and now nobody can know
//! assert_eq!(idp.fetches(), 0);
//! # drop((url, old, new)); }
//! ```

mod server;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::jwt::{Algorithm, TestIssuer};

/// An identity provider on a loopback socket. It ends when it is dropped.
#[derive(Debug)]
pub struct FakeIdp {
    stage: Arc<Stage>,
    server: Mutex<Option<JoinHandle<()>>>,
}

/// What comes of asking for a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The document, with an `ETag`; 304 to whoever has it.
    Document,
    /// Nothing, until the answer is another one.
    Hang,
    /// The connection is closed without an answer.
    HangUp,
    /// This status, with the document for a body.
    Status(u16),
    /// 200, and a page of HTML.
    Html,
    /// The document with this many bytes more, in a member that means nothing, without a `Content-Length`.
    Huge(usize),
    /// The document by the name of this media type.
    As(String),
    /// 302 to this address.
    Redirect(String),
    /// 200, and this text as JSON.
    Text(String),
}

/// A request that came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Asked {
    /// Method, target and version, as they came.
    pub line: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, if it is a text.
    pub body: String,
}

/// What the provider plays, and what it has seen.
struct Stage {
    address: SocketAddr,
    path: String,
    audience: String,
    play: watch::Sender<Play>,
    asked: watch::Sender<Vec<Asked>>,
}

/// What is answered at the moment.
#[derive(Clone)]
struct Play {
    issuer: TestIssuer,
    jwks: String,
    answer: Answer,
    metadata_answer: Answer,
    introspection_answer: Answer,
    /// What is said of the opaque tokens that are active.
    opaque: HashMap<String, String>,
    is_oauth: bool,
    cache_control: Option<String>,
}

impl FakeIdp {
    /// The id and the secret of the client that may ask about opaque tokens.
    pub const CLIENT: (&'static str, &'static str) = ("the api", "s3cret: 100% & more");

    /// Starts one whose issuer is the root of its address, for tokens to this audience.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(audience: &str) -> Self {
        Self::start_at("", audience).await
    }

    /// The same, with an issuer that has a path, such as `/tenant`.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start_at(path: &str, audience: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback interface");
        let address = listener.local_addr().expect("a listener has an address");
        let issuer = TestIssuer::new(format!("http://{address}{path}"), audience);
        let play = Play {
            jwks: published(&[&issuer]),
            issuer,
            answer: Answer::Document,
            metadata_answer: Answer::Document,
            introspection_answer: Answer::Document,
            opaque: HashMap::new(),
            is_oauth: false,
            cache_control: None,
        };
        let stage = Arc::new(Stage {
            address,
            path: path.to_owned(),
            audience: audience.to_owned(),
            play: watch::Sender::new(play),
            asked: watch::Sender::new(Vec::new()),
        });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&stage)));
        Self { stage, server: Mutex::new(Some(server)) }
    }

    /// The issuer's name, which is its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.stage.address, self.stage.path)
    }

    /// Where the key set is.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.url())
    }

    /// Where it is asked about opaque tokens (RFC 7662).
    #[must_use]
    pub fn introspection_url(&self) -> String {
        format!("{}/introspect", self.url())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.stage.address
    }

    /// Who mints tokens at the moment, by the keys that were published last.
    #[must_use]
    pub fn issuer(&self) -> TestIssuer {
        self.stage.play.borrow().issuer.clone()
    }

    /// A token of the [`issuer`](Self::issuer), as [`TestIssuer::token`] makes it.
    ///
    /// # Panics
    /// When `claims` is not an object.
    #[must_use]
    #[track_caller]
    pub fn token(&self, claims: Value) -> String {
        self.issuer().token(claims).to_string()
    }

    /// A new opaque token, of which it says these claims, and those that a [`token`](Self::token) has unless they are given.
    ///
    /// # Panics
    /// When `claims` is not an object.
    #[must_use]
    #[track_caller]
    pub fn opaque_token(&self, claims: Value) -> String {
        let mut answer = self.issuer().token(claims).into_claims();
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("active".to_owned(), Value::Bool(true));
        }
        // With characters that a form escapes.
        let token = format!("opaque+{:016x}/=", RandomState::new().hash_one(0));
        self.says_of(&token, answer.to_string());
        token
    }

    /// What it says of an opaque token, whatever that is.
    pub fn says_of(&self, token: &str, answer: impl Into<String>) {
        self.change(|play| _ = play.opaque.insert(token.to_owned(), answer.into()));
    }

    /// An opaque token is not active any more.
    pub fn withdraw(&self, token: &str) {
        self.change(|play| _ = play.opaque.remove(token));
    }

    /// New keys, whose ids end in `suffix`, take the place of those before.
    pub fn rotate(&self, suffix: &str) {
        self.change(|play| {
            play.issuer = play.issuer.rotated(suffix);
            play.jwks = published(&[&play.issuer]);
        });
    }

    /// New keys, whose ids end in `suffix`, are published beside those before, and sign from now on.
    pub fn rotate_beside(&self, suffix: &str) {
        self.change(|play| {
            let next = play.issuer.rotated(suffix);
            play.jwks = published(&[&play.issuer, &next]);
            play.issuer = next;
        });
    }

    /// Publishes another key set than the issuer's.
    pub fn publish(&self, jwks: impl Into<String>) {
        self.change(|play| play.jwks = jwks.into());
    }

    /// What comes of asking for the key set. Default: [`Answer::Document`].
    pub fn answer(&self, answer: Answer) {
        self.change(|play| play.answer = answer);
    }

    /// What comes of asking for the metadata. Default: [`Answer::Document`].
    pub fn answer_metadata(&self, answer: Answer) {
        self.change(|play| play.metadata_answer = answer);
    }

    /// What comes of asking about an opaque token. Default: [`Answer::Document`], to its [client](Self::CLIENT); to others 401.
    pub fn answer_introspection(&self, answer: Answer) {
        self.change(|play| play.introspection_answer = answer);
    }

    /// Has its metadata where RFC 8414 has them, and none of OpenID Connect.
    pub fn oauth_only(&self) {
        self.change(|play| play.is_oauth = true);
    }

    /// The `Cache-Control` of its documents. Default: none.
    pub fn cache_control(&self, value: &str) {
        self.change(|play| play.cache_control = Some(value.to_owned()));
    }

    /// Listens no more: connections are refused, and those that there are break.
    pub async fn stop(&self) {
        let server = self.server().take();
        if let Some(server) = server {
            server.abort();
            let _ = server.await;
        }
    }

    /// Listens again, at the same address.
    ///
    /// # Panics
    /// When somebody else has taken it.
    pub async fn start_again(&self) {
        self.stop().await;
        let listener = TcpListener::bind(self.stage.address).await.expect("the address is still free");
        *self.server() = Some(tokio::spawn(server::serve(listener, Arc::clone(&self.stage))));
    }

    /// How often the key set was asked for.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.stage.fetches(&self.stage.asked.borrow())
    }

    /// How often it was asked about opaque tokens.
    #[must_use]
    pub fn introspections(&self) -> usize {
        let line = format!("POST {} HTTP/1.1", self.stage.introspection_path());
        self.stage.asked.borrow().iter().filter(|asked| asked.line == line).count()
    }

    /// Waits until the key set has been asked for this often.
    pub async fn fetched(&self, times: usize) {
        let mut asked = self.stage.asked.subscribe();
        let enough = asked.wait_for(|asked| self.stage.fetches(asked) >= times).await;
        drop(enough.expect("the provider is there"));
    }

    /// All requests, in the order in which they came.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.stage.asked.borrow().clone()
    }

    fn change(&self, change: impl FnOnce(&mut Play)) {
        self.stage.play.send_modify(change);
    }

    fn server(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys of elliptic curves: one of RSA takes a noticeable time to make.
fn published(issuers: &[&TestIssuer]) -> String {
    let keys = issuers.iter().flat_map(|issuer| [issuer.jwk(Algorithm::Es256), issuer.jwk(Algorithm::EdDsa)]);
    json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

impl Stage {
    fn jwks_path(&self) -> String {
        format!("{}/jwks", self.path)
    }

    fn introspection_path(&self) -> String {
        format!("{}/introspect", self.path)
    }

    fn fetches(&self, asked: &[Asked]) -> usize {
        let line = format!("GET {} HTTP/1.1", self.jwks_path());
        asked.iter().filter(|asked| asked.line == line).count()
    }
}

impl Drop for FakeIdp {
    fn drop(&mut self) {
        if let Some(server) = self.server().take() {
            server.abort();
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("address", &self.address)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
