//! [`KeySource`]: where the keys of an issuer come from. The contract is open for sources of the application's own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{HmacKeys, KeySet, StaticKeys};
use crate::bearer::Algorithm;

/// Where the keys of an issuer come from: [`StaticKeys`], [`HmacKeys`], `RemoteJwks` of the crate `portcullis-jwks`, or
/// a source of the application's own.
///
/// * [`snapshot`](Self::snapshot) is called for every token, and answers from memory.
/// * A set is never changed: a source that has new keys hands out another `Arc`. What was learned about the set before
///   (which keys it lacks, which tokens it verified) ends with it, so an unchanged set should stay the same `Arc`.
/// * A key that is no longer in the set verifies nothing from then on.
/// * [`miss`](Self::miss) is called when the keys at hand do not verify a token, at most once for a request. Everybody
///   can cause that with a made-up token: so a source limits how often it asks its issuer, whoever asks the source.
///
/// ```
/// use std::sync::{Arc, RwLock, PoisonError};
/// use portcullis::bearer::{BuildError, KeySet, KeySource};
///
/// /// Keys that the application is told by other means, such as its configuration service.
/// #[derive(Clone, Debug)]
/// struct ToldKeys(Arc<RwLock<Arc<KeySet>>>);
///
/// impl ToldKeys {
///     fn new() -> Self {
///         Self(Arc::new(RwLock::new(Arc::new(KeySet::empty())))) // until then: 503
///     }
///
///     fn tell(&self, jwks: &str) -> Result<(), BuildError> {
///         let set = Arc::new(KeySet::jwks(jwks)?); // a bad set never replaces a good one
///         *self.0.write().unwrap_or_else(PoisonError::into_inner) = set;
///         Ok(())
///     }
/// }
///
/// impl KeySource for ToldKeys {
///     fn snapshot(&self) -> Arc<KeySet> {
///         Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
///     }
/// }
/// # let keys = ToldKeys::new();
/// # assert!(keys.tell("{}").is_err() && keys.snapshot().is_empty());
/// ```
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The keys to verify with at this moment. It must not block: it is called for every token.
    fn snapshot(&self) -> Arc<KeySet>;

    /// The keys at hand do not verify a token that names this issuer. Answers at once or with a future that owns what
    /// it needs, and that ends within a budget of the source's own, two seconds or so: a request waits for it.
    ///
    /// By default there is nobody to ask: [`Missed::Absent`], or [`Missed::Unavailable`] while the set is empty.
    fn miss(&self, query: KeyQuery) -> Missing {
        Missing::Ready(if query.seen().is_empty() {
            Missed::Unavailable { retry_after: Duration::from_secs(1) }
        } else {
            Missed::Absent
        })
    }

    /// How the keys are, for readiness probes and dashboards. It must not block.
    ///
    /// By default they are [`Good`](KeyState::Good) unless there are none.
    fn health(&self) -> KeyHealth {
        let none = self.snapshot().is_empty();
        KeyHealth { state: if none { KeyState::Unavailable } else { KeyState::Good }, age: None }
    }
}

/// What the keys at hand lack.
#[derive(Clone, Debug)]
pub struct KeyQuery {
    want: Want,
    seen: Arc<KeySet>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Want {
    /// Any key at all.
    Any,
    /// A key that could be meant.
    Named(KeyName),
    /// Another key than the one that could be meant: the signature is not that one's.
    Other(KeyName),
}

/// How a token names its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bearer) struct KeyName {
    pub(in crate::bearer) algorithm: Algorithm,
    pub(in crate::bearer) kid: Option<Box<str>>,
}

/// What [`KeySource::miss`] comes to: an answer, or the future of one.
#[must_use]
pub enum Missing {
    /// Nothing had to be waited for.
    Ready(Missed),
    /// The issuer is being asked.
    Pending(Pin<Box<dyn Future<Output = Missed> + Send>>),
}

/// What came of asking a source once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// The set is another one by now, which [answers the query](KeyQuery::is_answered_by): the token is verified once
    /// more.
    Replaced,
    /// The issuer has been asked after the query came, and has no such key. The token is refused.
    Absent,
    /// The issuer has been asked a moment before, and is not asked again; the keys at hand are of that moment. The
    /// token is refused.
    Throttled,
    /// The keys are out of reach, or too old to say that there is no such key: no verdict, and 503.
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// How the keys of a source are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHealth {
    /// Whether tokens are verified, and whether they will be.
    pub state: KeyState,
    /// How long ago the issuer last said that these are its keys. `None` for keys that nobody is asked for, and while
    /// there are none.
    pub age: Option<Duration>,
}

/// Whether there are keys, and whether they are what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// The keys are there, and as new as they should be.
    Good,
    /// The keys are there and used, but the last attempt to renew them failed.
    Degraded,
    /// There are no keys, or they are too old to be used: tokens are answered with 503.
    Unavailable,
}

impl KeyQuery {
    /// Any key at all, in place of this set. It is what [`BearerLayer::ready`](crate::BearerLayer::ready) asks.
    #[must_use]
    pub const fn any(seen: Arc<KeySet>) -> Self {
        Self { want: Want::Any, seen }
    }

    /// A key of this algorithm and id, which this set lacks. Without an id, any key of the algorithm.
    #[must_use]
    pub fn unknown(seen: Arc<KeySet>, algorithm: Algorithm, kid: Option<&str>) -> Self {
        Self { want: Want::Named(KeyName::new(algorithm, kid)), seen }
    }

    /// Another key of this algorithm and id than this set has, since that one does not verify the signature.
    #[must_use]
    pub fn unverified(seen: Arc<KeySet>, algorithm: Algorithm, kid: Option<&str>) -> Self {
        Self { want: Want::Other(KeyName::new(algorithm, kid)), seen }
    }

    /// The set that was found lacking.
    #[must_use]
    pub const fn seen(&self) -> &Arc<KeySet> {
        &self.seen
    }

    /// The algorithm of the key, if a certain one is meant.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.name().map(|name| name.algorithm)
    }

    /// The id of the key, if the token names one. At most 256 bytes without control characters; it is the client's own
    /// word, so it belongs into no address, file name or label.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.name().and_then(|name| name.kid.as_deref())
    }

    /// Whether this set is another one than the one that was found lacking, and may have what it lacks.
    #[must_use]
    pub fn is_answered_by(&self, set: &Arc<KeySet>) -> bool {
        !Arc::ptr_eq(set, &self.seen)
            && match &self.want {
                Want::Any => !set.is_empty(),
                Want::Named(name) | Want::Other(name) => set.has(name.algorithm, name.kid.as_deref()),
            }
    }

    const fn name(&self) -> Option<&KeyName> {
        match &self.want {
            Want::Any => None,
            Want::Named(name) | Want::Other(name) => Some(name),
        }
    }
}

impl KeyName {
    fn new(algorithm: Algorithm, kid: Option<&str>) -> Self {
        Self { algorithm, kid: kid.map(Box::from) }
    }

    pub(in crate::bearer) fn is(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        self.algorithm == algorithm && self.kid.as_deref() == kid
    }
}

impl Missing {
    /// Wait for `future`, which owns what it needs.
    pub fn pending(future: impl Future<Output = Missed> + Send + 'static) -> Self {
        Self::Pending(Box::pin(future))
    }
}

impl Missed {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Absent => "absent",
            Self::Throttled => "throttled",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

impl KeyHealth {
    /// Keys of this state and age.
    #[must_use]
    pub const fn new(state: KeyState, age: Option<Duration>) -> Self {
        Self { state, age }
    }
}

impl KeyState {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
        }
    }
}

impl KeySource for StaticKeys {
    fn snapshot(&self) -> Arc<KeySet> {
        Arc::clone(&self.0)
    }
}

impl KeySource for HmacKeys {
    fn snapshot(&self) -> Arc<KeySet> {
        self.key_set()
    }
}

impl<S: KeySource + ?Sized> KeySource for Arc<S> {
    fn snapshot(&self) -> Arc<KeySet> {
        (**self).snapshot()
    }

    fn miss(&self, query: KeyQuery) -> Missing {
        (**self).miss(query)
    }

    fn health(&self) -> KeyHealth {
        (**self).health()
    }
}

impl fmt::Debug for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(missed) => f.debug_tuple("Ready").field(missed).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}
