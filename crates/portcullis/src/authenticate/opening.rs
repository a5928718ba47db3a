//! [`Opening`]: what the way in comes to, at once or later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::identity::{Authentication, Identity};
use crate::rejection::Rejection;

/// What [`Authenticator::open`](super::Authenticator::open) found: who it is, and what the way out will need; or why the request is refused.
pub type Opened<V> = Result<(Authentication, V), Rejection>;

/// The way in: an answer, or the future of one.
#[must_use]
pub enum Opening<V> {
    /// Nothing had to be waited for.
    Ready(Opened<V>),
    /// A store has to be asked.
    Pending(Pin<Box<dyn Future<Output = Opened<V>> + Send>>),
}

impl<V> Opening<V> {
    /// No credential of this kind.
    pub fn anonymous(visit: V) -> Self {
        Self::Ready(Ok((Authentication::anonymous(), visit)))
    }

    /// A good credential.
    pub fn authenticated(identity: impl Into<Identity>, visit: V) -> Self {
        Self::Ready(Ok((Authentication::authenticated(identity), visit)))
    }

    /// A bad credential.
    pub fn refused(rejection: Rejection) -> Self {
        Self::Ready(Err(rejection))
    }

    /// Ask `future`, which owns what it needs.
    pub fn pending(future: impl Future<Output = Opened<V>> + Send + 'static) -> Self {
        Self::Pending(Box::pin(future))
    }
}

impl<V> fmt::Debug for Opening<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(Ok((authentication, _))) => f.debug_tuple("Ready").field(authentication).finish(),
            Self::Ready(Err(rejection)) => f.debug_tuple("Ready").field(rejection).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}
