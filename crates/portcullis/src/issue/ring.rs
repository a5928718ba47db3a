//! [`KeyRing`]: the keys of an issuer, each at its time.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use portcullis_store::{Clock, SystemClock, Timestamp};

use super::document::DocumentService;
use super::error::{BuildError, BuildErrorKind};
use super::key::is_key_id;
use super::published::Published;
use super::schedule::{self, KeyState};
use super::signer::Signer;
use crate::bearer::{Algorithm, KeySet, KeySource};

/// The keys of an issuer: one signs, others are on their way in or out, and all that a good token may be signed with are
/// published.
///
/// * A key is [`Pending`](KeyState::Pending) at first: published, so that verifiers know it before its first token.
/// * Then it is [`Active`](KeyState::Active): it signs. There is always exactly one.
/// * Then [`Retired`](KeyState::Retired): published until its last token is dead, for
///   [`longest_token`](KeyRingBuilder::longest_token) and the largest leeway of a verifier more.
/// * Then it is dropped.
///
/// Which is which follows from the time alone: each key has a moment from which it signs, and signs until the next one
/// does. Processes that are given the same keys with the same moments ([`add_at`](Self::add_at)) so agree without talking
/// to each other.
///
/// It is a [`KeySource`] too, so that the same process verifies what it signs. Clones share the keys.
///
/// ```
/// use portcullis::bearer::Algorithm;
/// use portcullis::issue::{BuildErrorKind, KeyRing, KeyState, SigningKey};
///
/// # fn main() -> Result<(), portcullis::issue::BuildError> {
/// let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?; // or SigningKey::pem(..)
///
/// // Later: the next key is published, and signs when every cache has heard of it.
/// ring.add(SigningKey::generate(Algorithm::ES256)?.named("2027")?)?;
/// assert_eq!(ring.activate("2027").unwrap_err().kind(), BuildErrorKind::NotYetPublished);
/// assert_eq!(ring.keys().last().map(|key| key.state), Some(KeyState::Pending));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<Ring>);

struct Ring {
    state: RwLock<State>,
    clock: Arc<dyn Clock>,
    longest_token: Duration,
    cached_for: Duration,
}

struct State {
    /// By the moment from which they sign.
    entries: Vec<Entry>,
    published: Arc<Published>,
}

/// A key of a ring.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) signer: Arc<dyn Signer>,
    /// When it begins to sign; [`Timestamp::MAX`] while that is not settled.
    pub(super) from: Timestamp,
    /// Since when this ring has published it.
    added: Timestamp,
}

/// Builds a [`KeyRing`].
#[derive(Debug)]
#[must_use]
pub struct KeyRingBuilder {
    first: Arc<dyn Signer>,
    clock: Arc<dyn Clock>,
    longest_token: Duration,
    cached_for: Duration,
}

/// What a [`KeyRing`] says of one of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingKey {
    /// The id.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// What it is there for at this moment.
    pub state: KeyState,
}

/// How many keys verifiers read of a set.
const MAX_KEYS: usize = 100;

impl KeyRing {
    /// A ring of one key, which signs; with the defaults of the [builder](Self::builder).
    ///
    /// # Errors
    /// [`BuildErrorKind::BadKeyId`].
    pub fn new(first: impl Signer) -> Result<Self, BuildError> {
        Self::builder(first).build()
    }

    /// Builds a ring of one key, which signs.
    pub fn builder(first: impl Signer) -> KeyRingBuilder {
        KeyRingBuilder {
            first: Arc::new(first),
            clock: Arc::new(SystemClock),
            longest_token: Duration::from_secs(24 * 3600),
            cached_for: Duration::from_secs(300),
        }
    }

    /// Publishes another key, which signs nothing yet.
    ///
    /// # Errors
    /// [`BuildErrorKind::DuplicateKey`], [`BuildErrorKind::BadKeyId`], or [`BuildErrorKind::MixedKeys`] when it is a shared
    /// secret among key pairs, or the other way round, or there are a hundred already.
    pub fn add(&self, key: impl Signer) -> Result<(), BuildError> {
        self.add_at(key, Timestamp::MAX)
    }

    /// Publishes another key, which signs from that moment on. That should be later by at least
    /// [`cached_for`](KeyRingBuilder::cached_for) than every process has it; a moment that is past is for processes that
    /// start after a rotation.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_at(&self, key: impl Signer, from: Timestamp) -> Result<(), BuildError> {
        let added = self.0.clock.now();
        let entry = Entry { signer: Arc::new(key), from, added };
        self.change(|entries| {
            if entries.iter().any(|other| other.signer.kid() == entry.signer.kid()) {
                return Err(BuildErrorKind::DuplicateKey.into());
            }
            let shared = |entry: &Entry| entry.signer.algorithm().is_symmetric();
            if entries.len() >= MAX_KEYS || entries.iter().any(|other| shared(other) != shared(&entry)) {
                return Err(BuildErrorKind::MixedKeys.into());
            }
            check(&*entry.signer)?;
            entries.push(entry);
            Ok(())
        })
    }

    /// A pending key signs from now on, and the one before is retired.
    ///
    /// # Errors
    /// [`BuildErrorKind::UnknownKey`]; [`BuildErrorKind::NotYetPublished`] until this ring has published it for
    /// [`cached_for`](KeyRingBuilder::cached_for).
    pub fn activate(&self, kid: &str) -> Result<(), BuildError> {
        self.begin(kid, self.0.cached_for)
    }

    /// The same, whether caches know the key or not: after a leak. Until they do, tokens may be refused elsewhere.
    ///
    /// # Errors
    /// [`BuildErrorKind::UnknownKey`].
    pub fn activate_at_once(&self, kid: &str) -> Result<(), BuildError> {
        self.begin(kid, Duration::ZERO)
    }

    /// Drops a key at once: after a leak. What it has signed is good nowhere from then on, caches aside.
    ///
    /// # Errors
    /// [`BuildErrorKind::UnknownKey`]; [`BuildErrorKind::ActiveKey`] when no other key signs in its place.
    pub fn remove(&self, kid: &str) -> Result<(), BuildError> {
        let active = self.published().active.kid() == kid;
        self.change(|entries| {
            let at = entries.iter().position(|entry| entry.signer.kid() == kid);
            let at = at.ok_or(BuildErrorKind::UnknownKey)?;
            if active {
                return Err(BuildErrorKind::ActiveKey.into());
            }
            entries.remove(at);
            Ok(())
        })
    }

    /// The keys and their states, in the order in which they sign.
    #[must_use]
    pub fn keys(&self) -> Vec<RingKey> {
        let now = self.0.clock.now();
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        let states = schedule::states(&moments(&state.entries), now, self.0.kept());
        let with_state = state.entries.iter().zip(states);
        let key = |(entry, state): (&Entry, Option<KeyState>)| {
            let (kid, algorithm) = (entry.signer.kid().to_owned(), entry.signer.algorithm());
            state.map(|state| RingKey { kid, algorithm, state })
        };
        with_state.filter_map(key).collect()
    }

    /// The public keys as a JWK set (RFC 7517, section 5). Shared secrets are not in it.
    #[must_use]
    pub fn jwks(&self) -> String {
        String::from_utf8_lossy(self.published().document.body()).into_owned()
    }

    /// A service that answers GET and HEAD with the [set](Self::jwks) as it is at that moment, with `ETag` and
    /// `Cache-Control`. `B` is the response's body: `axum::body::Body`, `http_body_util::Full<Bytes>`.
    ///
    /// It is mounted at the `jwks_uri` of the [metadata](super::Metadata), often `/.well-known/jwks.json`.
    pub fn jwks_service<B: From<Bytes>>(&self) -> DocumentService<B> {
        let ring = self.clone();
        DocumentService::new(move || Arc::clone(&ring.published().document))
    }

    /// The longest that a token may live that its keys sign.
    pub(super) fn longest_token(&self) -> Duration {
        self.0.longest_token
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// What is to be signed with, and what is told of it, at this moment.
    pub(super) fn published(&self) -> Arc<Published> {
        let now = self.0.clock.now();
        {
            let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
            if now < state.published.until {
                return Arc::clone(&state.published);
            }
        }
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        self.0.publish(&mut state, now);
        Arc::clone(&state.published)
    }

    fn begin(&self, kid: &str, after: Duration) -> Result<(), BuildError> {
        let now = self.0.clock.now();
        self.change(|entries| {
            let at = entries.iter().position(|entry| entry.signer.kid() == kid && entry.from > now);
            let at = at.ok_or(BuildErrorKind::UnknownKey)?;
            if entries.get(at).is_some_and(|entry| now < entry.added.saturating_add(after)) {
                return Err(BuildErrorKind::NotYetPublished.into());
            }
            // Put last, so that of two that begin at the same moment it is the one that signs.
            let entry = entries.remove(at);
            entries.push(Entry { from: now, ..entry });
            Ok(())
        })
    }

    /// Changes the keys, or leaves them as they are.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Entry>) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let now = self.0.clock.now();
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.entries)?;
        // A stable sort: of two that begin at the same moment the one that was put last signs.
        state.entries.sort_by_key(|entry| entry.from);
        self.0.publish(&mut state, now);
        Ok(())
    }
}

impl KeyRingBuilder {
    /// The clock. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The longest that a token lives, and so how long a retired key is published. An issuer that would mint longer tokens
    /// is refused. Default: a day.
    pub fn longest_token(mut self, longest: Duration) -> Self {
        self.longest_token = longest;
        self
    }

    /// How long caches may keep the published set (`max-age`), and so how long a key must be pending at least. Default: five
    /// minutes.
    pub fn cached_for(mut self, age: Duration) -> Self {
        self.cached_for = age;
        self
    }

    /// The ring.
    ///
    /// # Errors
    /// [`BuildErrorKind::BadKeyId`]; [`BuildErrorKind::BadLifetime`] when the longest token lives for nothing.
    pub fn build(self) -> Result<KeyRing, BuildError> {
        let Self { first, clock, longest_token, cached_for } = self;
        if longest_token.is_zero() {
            return Err(BuildErrorKind::BadLifetime.into());
        }
        check(&*first)?;
        let entries = vec![Entry { signer: first, from: Timestamp::EPOCH, added: Timestamp::EPOCH }];
        let published = Published::new(&entries, 0, None, (Timestamp::EPOCH, cached_for))?;
        let state = RwLock::new(State { entries, published: Arc::new(published) });
        Ok(KeyRing(Arc::new(Ring { state, clock, longest_token, cached_for })))
    }
}

impl Ring {
    /// How long a key is published after it has signed its last token.
    fn kept(&self) -> Duration {
        self.longest_token.saturating_add(crate::bearer::MAX_LEEWAY).saturating_add(Duration::from_secs(1))
    }

    /// Drops what is over, and publishes what is left.
    fn publish(&self, state: &mut State, now: Timestamp) {
        let mut states = schedule::states(&moments(&state.entries), now, self.kept()).into_iter();
        state.entries.retain(|_| states.next().flatten().is_some());
        let moments = moments(&state.entries);
        let active = schedule::active(&moments, now);
        let until = schedule::next_change(&moments, now, self.kept());
        let before = Some(&*state.published);
        // What cannot be published was refused when it was added; the set before it stays.
        if let Ok(published) = Published::new(&state.entries, active, before, (until, self.cached_for)) {
            state.published = Arc::new(published);
        }
    }
}

fn moments(entries: &[Entry]) -> Vec<Timestamp> {
    entries.iter().map(|entry| entry.from).collect()
}

/// Whether verifiers can use it.
fn check(signer: &dyn Signer) -> Result<(), BuildError> {
    if !is_key_id(signer.kid()) {
        return Err(BuildErrorKind::BadKeyId.into());
    }
    Published::check(signer)
}

impl KeySource for KeyRing {
    fn snapshot(&self) -> Arc<KeySet> {
        Arc::clone(&self.published().set)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}
