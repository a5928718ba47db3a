//! [`Clients`]: who may call, and how a client proves to be it (RFC 6749, section 2.3).

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use portcullis_store::StoreError;
use zeroize::Zeroizing;

use super::answer::{Answer, Fault};
use super::form::{Form, decode};
use crate::secret;

/// Knows the clients: [`StaticClients`], or a place of the application's own, such as its database.
pub trait Clients: Send + Sync + 'static {
    /// Which kind of client this is, if it is one and its secret is right; without a secret only public ones are.
    fn check<'a>(&'a self, client_id: &'a str, secret: Option<&'a str>) -> Checking<'a>;
}

/// What [`Clients::check`] comes to: an answer, or the future of one. `None` is nobody.
#[must_use]
pub enum Checking<'a> {
    /// Nothing had to be waited for.
    Ready(Option<ClientKind>),
    /// Somebody is being asked, within a budget. An error is 503.
    Pending(Pin<Box<dyn Future<Output = Result<Option<ClientKind>, StoreError>> + Send + 'a>>),
}

/// Whether a client can keep a secret (RFC 6749, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientKind {
    /// It cannot: an application in a browser or on a device.
    Public,
    /// It can, and has proved to know it.
    Confidential,
}

/// Clients that the application brings along.
///
/// Of their secrets, which are random and at least 16 bytes long, it keeps hashes.
///
/// ```
/// use portcullis::issue::StaticClients;
///
/// # let secret = "of-at-least-sixteen-bytes";
/// let clients = StaticClients::new().public("web").confidential("reports", secret);
/// # drop(clients);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct StaticClients {
    /// The hash of its secret, or that it is public.
    clients: BTreeMap<String, Option<[u8; 32]>>,
}

/// A client that was recognised.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) kind: ClientKind,
}

/// What a request says of its client.
struct Credentials {
    id: String,
    secret: Option<Zeroizing<String>>,
    by_header: bool,
}

impl StaticClients {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that cannot keep a secret. It must not send one.
    pub fn public(mut self, client_id: impl Into<String>) -> Self {
        self.clients.insert(client_id.into(), None);
        self
    }

    /// One that knows this secret. With a secret under 16 bytes it is never recognised.
    pub fn confidential(mut self, client_id: impl Into<String>, secret: impl AsRef<[u8]>) -> Self {
        // Nothing has a hash of zeros.
        let secret = secret.as_ref();
        let hash = if secret.len() < 16 { [0; 32] } else { hash(secret) };
        self.clients.insert(client_id.into(), Some(hash));
        self
    }
}

impl Clients for StaticClients {
    fn check<'a>(&'a self, client_id: &'a str, secret: Option<&'a str>) -> Checking<'a> {
        Checking::Ready(match (self.clients.get(client_id), secret) {
            (Some(None), None) => Some(ClientKind::Public),
            (Some(Some(known)), Some(secret)) => {
                let is_right = secret::constant_time_eq(&hash(secret.as_bytes()), known);
                is_right.then_some(ClientKind::Confidential)
            }
            _ => None,
        })
    }
}

fn hash(secret: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, secret);
    hash.as_ref().first_chunk().copied().unwrap_or([0; 32])
}

impl Client {
    /// Who calls.
    pub(super) async fn of(clients: &dyn Clients, headers: &HeaderMap, form: &Form) -> Result<Self, Answer> {
        let Credentials { id, secret, by_header } = Credentials::of(headers, form)?;
        let checked = match clients.check(&id, secret.as_deref().map(String::as_str)) {
            Checking::Ready(checked) => checked,
            Checking::Pending(checking) => checking.await.map_err(|_| Answer::Unavailable)?,
        };
        match checked {
            Some(kind) => Ok(Self { id, kind }),
            None => {
                tracing::debug!("a client is not recognised");
                Err(Answer::InvalidClient { challenged: by_header })
            }
        }
    }
}

impl Credentials {
    /// From the header or from the form, not from both.
    fn of(headers: &HeaderMap, form: &Form) -> Result<Self, Answer> {
        let invalid = Answer::Refused(Fault::InvalidRequest);
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            let id = form.get("client_id").ok_or(Answer::InvalidClient { challenged: false })?.to_owned();
            let secret = form.get("client_secret").map(|secret| Zeroizing::new(secret.to_owned()));
            return Ok(Self { id, secret, by_header: false });
        };
        if values.next().is_some() || form.get("client_secret").is_some() {
            return Err(invalid);
        }
        let basic = value.to_str().ok().and_then(basic).ok_or(Answer::InvalidClient { challenged: true })?;
        // Named twice, it must be the same.
        match form.get("client_id") {
            Some(id) if id != basic.id => Err(invalid),
            _ => Ok(basic),
        }
    }
}

/// `Basic`, with both halves encoded like values of a form (RFC 6749, section 2.3.1).
fn basic(value: &str) -> Option<Credentials> {
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(credentials.trim()).ok()?);
    let (id, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some(Credentials { id: decode(id)?.to_string(), secret: Some(decode(secret)?), by_header: true })
}

impl fmt::Debug for StaticClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.clients.keys()).finish()
    }
}

impl fmt::Debug for Checking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(kind) => f.debug_tuple("Ready").field(kind).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}
