//! [`SessionEvent`]: what happens to sessions, for an audit log. Whatever is told to [`Events`] is logged and counted too,
//! here and nowhere else.

use std::fmt;
use std::sync::Arc;

use metrics::{Label, counter};
use portcullis_store::{Locator, Realm, StoreErrorKind};

use crate::Identity;

/// Is told what happens to sessions, for an audit log; see [`SessionLayerBuilder::events`].
///
/// It is called where the event happens, on the request's way, and before the response goes out: what it takes the
/// request waits for, and a panic in it is the request's. So it should hand over to a channel, and drop when that is
/// full, or do something as quick. It must not call back into the session. A function will do:
///
/// ```
/// use portcullis::session::{MemoryBackend, SessionEvent, SessionEventKind, SessionLayer};
///
/// let (audit, log) = std::sync::mpsc::sync_channel(1024);
/// let layer = SessionLayer::builder(MemoryBackend::new())
///     .events(move |event: &SessionEvent<'_>| {
///         if event.kind == SessionEventKind::SignedIn {
///             let _ = audit.try_send(event.user.map(|user| user.subject.to_owned()));
///         }
///     })
///     .build()?;
/// # drop((layer, log));
/// # Ok::<(), portcullis::session::SessionConfigError>(())
/// ```
///
/// The same events are logged by `tracing`, and counted by the `metrics` facade as `portcullis_session_<event>_total`.
/// The labels have few values each, none of them taken from a request:
///
/// | counter `portcullis_session_..._total` | labels beside `realm` |
/// | --- | --- |
/// | `created`, `signed_in`, `rotated`, `revoked` | |
/// | `destroyed` | `reason`: `logout`, `login`, `abandoned` |
/// | `rejected` | `reason`: `malformed`, `mac`, `unknown`, `secret`, `expired`, `ambiguous` |
/// | `conflict_retried`, `late_write_dropped`, `previous_secret_used` | |
/// | `limit_reached` | `outcome`: `evicted`, `refused` |
/// | `store_failed` | `operation`: [`StoreOperation::label`]; `kind`: [`StoreErrorKind::label`] |
///
/// A request that brings no session, or a good one, raises no event.
///
/// [`SessionLayerBuilder::events`]: super::SessionLayerBuilder::events
pub trait Events: Send + Sync + 'static {
    /// It has happened.
    fn on(&self, event: &SessionEvent<'_>);
}

/// Something that has happened to a session. It holds neither a secret nor data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEvent<'a> {
    /// What has happened.
    pub kind: SessionEventKind,
    /// In which realm.
    pub realm: &'a Realm,
    /// The session's public name, as [`Session::session_ref`](super::Session::session_ref) gives it; `None` when it is
    /// about none in particular.
    pub session_ref: Option<&'a str>,
    /// Whose session it is; `None` for an anonymous one, and where it is not known.
    pub user: Option<EventUser<'a>>,
}

/// Whose session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventUser<'a> {
    /// Who vouches for the subject, if anybody.
    pub issuer: Option<&'a str>,
    /// The user's name with the issuer.
    pub subject: &'a str,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEventKind {
    /// An anonymous visitor's session was stored.
    Created,
    /// A user signed in, by a new session.
    SignedIn,
    /// A session got a new secret.
    Rotated,
    /// A session was ended.
    Destroyed(DestroyedReason),
    /// Sessions of one user were ended, by the user on another device or by an administrator.
    Revoked {
        /// How many were to end. Some may have ended already.
        count: usize,
    },
    /// A request presented a session, and it counts as none.
    Rejected(RejectedReason),
    /// Another request saved first, and the operations were applied again, on top of it.
    ConflictRetried,
    /// A request's writes were dropped, because its session had ended meanwhile.
    LateWriteDropped,
    /// A user has as many sessions as one may have.
    LimitReached(LimitOutcome),
    /// The store could not answer.
    StoreFailed {
        /// What it was asked for.
        operation: StoreOperation,
        /// The class of the error.
        kind: StoreErrorKind,
    },
    /// A request brought the secret before the current one within its grace, and was served.
    PreviousSecretUsed,
}

/// Why a session was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DestroyedReason {
    /// Its user signed out.
    Logout,
    /// A login put another in its place.
    Login,
    /// The login that made it failed or was cancelled, or its response never went out: nobody holds it.
    Abandoned,
}

/// Why a session that a request presents counts as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectedReason {
    /// It is not of the form of a token.
    Malformed,
    /// It carries no signature of ours.
    Mac,
    /// The store has no such session: it has ended, or never was.
    Unknown,
    /// Its secret is not the session's.
    Secret,
    /// Its absolute deadline has passed.
    Expired,
    /// Two good ones on one request, which is refused.
    Ambiguous,
}

/// What became of a login at the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitOutcome {
    /// An older session made room; it is the one that the event is about.
    Evicted,
    /// The login was refused.
    Refused,
}

/// What the store was asked for, as far as a caller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOperation {
    /// A request's session.
    Load,
    /// To save what a request has recorded.
    Save,
    /// To make a user's session, and end the one before.
    Login,
    /// To end a session.
    Logout,
    /// A user's sessions.
    List,
    /// To end sessions of a user's.
    Revoke,
    /// To move a session's idle deadline. The next request does it.
    Touch,
    /// To bring a user's index up to date. It heals by itself.
    Index,
    /// To end a session that nobody holds. It ends by itself.
    CleanUp,
}

/// Where a layer's events go.
#[derive(Clone, Default)]
pub(crate) struct Hook(Option<Arc<dyn Events>>);

impl<F: Fn(&SessionEvent<'_>) + Send + Sync + 'static> Events for F {
    fn on(&self, event: &SessionEvent<'_>) {
        self(event);
    }
}

impl Hook {
    pub(crate) fn new(events: impl Events) -> Self {
        Self(Some(Arc::new(events)))
    }

    /// Whether anybody is told.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Logs, counts and tells.
    pub(crate) fn emit(
        &self,
        kind: SessionEventKind,
        realm: &Realm,
        session: Option<&Locator>,
        user: Option<EventUser<'_>>,
    ) {
        let session_ref = session.map(Locator::as_str);
        let event = SessionEvent { kind, realm, session_ref, user };
        event.log();
        event.count();
        if let Some(events) = &self.0 {
            events.on(&event);
        }
    }
}

impl SessionEvent<'_> {
    /// What an operator should look at is a warning; what users do is information; what happens all day is not.
    fn log(&self) {
        use SessionEventKind as Kind;
        let (session_ref, realm) = (self.session_ref, self.realm.as_str());
        match self.kind {
            Kind::Created => tracing::debug!(session_ref, realm, "session created"),
            Kind::SignedIn => tracing::info!(session_ref, realm, "signed in"),
            Kind::Rotated => tracing::debug!(session_ref, realm, "session rotated"),
            Kind::Destroyed(reason @ DestroyedReason::Logout) => {
                tracing::info!(session_ref, realm, reason = reason.label(), "session destroyed");
            }
            Kind::Destroyed(reason) => {
                tracing::debug!(session_ref, realm, reason = reason.label(), "session destroyed");
            }
            Kind::Revoked { count } => tracing::info!(session_ref, realm, count, "sessions revoked"),
            Kind::Rejected(reason @ (RejectedReason::Secret | RejectedReason::Ambiguous)) => {
                tracing::warn!(session_ref, realm, reason = reason.label(), "session rejected");
            }
            Kind::Rejected(reason) => {
                tracing::debug!(session_ref, realm, reason = reason.label(), "session rejected");
            }
            Kind::ConflictRetried => {
                tracing::debug!(session_ref, realm, "conflict: another request saved first")
            }
            Kind::LateWriteDropped => {
                tracing::info!(session_ref, realm, "late write dropped: the session ended meanwhile");
            }
            Kind::LimitReached(outcome) => {
                tracing::info!(session_ref, realm, outcome = outcome.label(), "session limit reached");
            }
            Kind::StoreFailed { operation, kind } => {
                let (operation, error, message) =
                    (operation.label(), kind.label(), "the session store failed");
                if self.heals() {
                    tracing::debug!(session_ref, realm, operation, error, message);
                } else {
                    tracing::warn!(session_ref, realm, operation, error, message);
                }
            }
            Kind::PreviousSecretUsed => {
                tracing::debug!(session_ref, realm, "the previous secret was used within its grace");
            }
        }
    }

    /// Whether it is a failure that nobody sees and that is made good without anybody's doing.
    fn heals(&self) -> bool {
        use StoreOperation::{CleanUp, Index, Touch};
        matches!(self.kind, SessionEventKind::StoreFailed { operation: Touch | Index | CleanUp, .. })
    }

    fn count(&self) {
        use SessionEventKind as Kind;
        let label = |name: &'static str, value: &'static str| Some(Label::from_static_parts(name, value));
        let (name, one, other) = match self.kind {
            Kind::Created => ("portcullis_session_created_total", None, None),
            Kind::SignedIn => ("portcullis_session_signed_in_total", None, None),
            Kind::Rotated => ("portcullis_session_rotated_total", None, None),
            Kind::Destroyed(reason) => {
                ("portcullis_session_destroyed_total", label("reason", reason.label()), None)
            }
            Kind::Revoked { .. } => ("portcullis_session_revoked_total", None, None),
            Kind::Rejected(reason) => {
                ("portcullis_session_rejected_total", label("reason", reason.label()), None)
            }
            Kind::ConflictRetried => ("portcullis_session_conflict_retried_total", None, None),
            Kind::LateWriteDropped => ("portcullis_session_late_write_dropped_total", None, None),
            Kind::LimitReached(outcome) => {
                ("portcullis_session_limit_reached_total", label("outcome", outcome.label()), None)
            }
            Kind::StoreFailed { operation, kind } => (
                "portcullis_session_store_failed_total",
                label("operation", operation.label()),
                label("kind", kind.label()),
            ),
            Kind::PreviousSecretUsed => ("portcullis_session_previous_secret_used_total", None, None),
        };
        let realm = Label::new("realm", self.realm.as_str().to_owned());
        let labels: Vec<Label> = [Some(realm), one, other].into_iter().flatten().collect();
        let times = if let Kind::Revoked { count } = self.kind { count as u64 } else { 1 };
        counter!(name, labels).increment(times);
    }
}

impl<'a> From<&'a Identity> for EventUser<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self { issuer: identity.issuer(), subject: identity.subject() }
    }
}

impl DestroyedReason {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Login => "login",
            Self::Abandoned => "abandoned",
        }
    }
}

impl RejectedReason {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Mac => "mac",
            Self::Unknown => "unknown",
            Self::Secret => "secret",
            Self::Expired => "expired",
            Self::Ambiguous => "ambiguous",
        }
    }
}

impl LimitOutcome {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Refused => "refused",
        }
    }
}

impl StoreOperation {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Save => "save",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::List => "list",
            Self::Revoke => "revoke",
            Self::Touch => "touch",
            Self::Index => "index",
            Self::CleanUp => "clean_up",
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_heard() { "Hook" } else { "no Hook" })
    }
}
