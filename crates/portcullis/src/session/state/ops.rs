//! [`Operation`]: one change that a request makes to a session, recorded so that it can be applied again.
//!
//! Saving is compare-and-set. When another request has saved in between, its record is loaded and the operations are
//! applied to that: records are never merged, because merging brings deleted values back.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use portcullis_store::{Header, SecretHash, Timestamp};

use crate::session::error::SessionError;
use crate::session::payload::Payload;
use crate::session::renewal::{renew, rotate, settle};
use crate::session::transport::Token;

/// One change to a session.
#[derive(Clone)]
pub(crate) enum Operation {
    /// The last one wins.
    Set {
        key: Cow<'static, str>,
        keep_on_login: bool,
        bytes: Vec<u8>,
    },
    Remove {
        key: Cow<'static, str>,
    },
    /// Of all values, also of those that another request saves before.
    Clear,
    /// Exact, however many requests do it at once; the closure may run several times, also after the handler has returned.
    Update {
        key: Cow<'static, str>,
        keep_on_login: bool,
        change: Change,
    },
    /// A new secret beside the one that was presented, unless another request has made one.
    Renew {
        token: Token,
        at: Timestamp,
        from: SecretHash,
    },
    /// A new secret in place of the current one, the first step: until the second, `from` is good too, which is what the
    /// client has should the answer be lost.
    Rotate {
        token: Token,
        at: Timestamp,
        from: SecretHash,
        reauthenticated: bool,
    },
    /// The second step: the new secret alone is good.
    Settle {
        secret: SecretHash,
        reauthenticated: Option<Timestamp>,
    },
}

/// From the encoded value that is there to the encoded value that shall be there; `None` is no value.
pub(crate) type Change = Arc<dyn Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, SessionError> + Send + Sync>;

impl Operation {
    /// Applies the change.
    pub(crate) fn apply(&self, header: &mut Header, payload: &mut Payload) -> Result<(), SessionError> {
        match self {
            Self::Set { key, keep_on_login, bytes } => {
                payload.set(key.clone(), *keep_on_login, bytes.clone())
            }
            Self::Remove { key } => _ = payload.remove(key),
            Self::Clear => payload.values.clear(),
            Self::Update { key, keep_on_login, change } => match change(payload.value(key))? {
                Some(bytes) => payload.set(key.clone(), *keep_on_login, bytes),
                None => _ = payload.remove(key),
            },
            Self::Renew { token, at, from } => renew(header, *from, token.hash(), *at),
            Self::Rotate { token, at, from, reauthenticated: _ } => rotate(header, *from, token.hash(), *at),
            Self::Settle { secret, reauthenticated } => settle(header, *secret, *reauthenticated),
        }
        Ok(())
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, key) = match self {
            Self::Set { key, .. } => ("Set", &**key),
            Self::Remove { key } => ("Remove", &**key),
            Self::Clear => ("Clear", ""),
            Self::Update { key, .. } => ("Update", &**key),
            Self::Rotate { .. } => ("Rotate", ""),
            Self::Settle { .. } => ("Settle", ""),
            Self::Renew { .. } => ("Renew", ""),
        };
        write!(f, "{name}({key:?})")
    }
}
