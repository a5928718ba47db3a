//! [`Binding`]: what a token is bound to, so that it is good for one browser in one state of being signed in.

use http::{Extensions, HeaderMap};
use portcullis_store::Locator;
use smallvec::SmallVec;

use super::handle::present;
use super::nonce;
use super::withhold::looks_or_withheld;
use crate::identity::{Carrier, Look, Seen};

/// The sessions that somebody is signed in by, of whatever realms; or else the name of a visitor.
///
/// All sessions count: a token for one of them alone, which somebody else may have planted, would prove nothing about
/// the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    sessions: SmallVec<[Locator; 1]>,
    visitor: Option<Locator>,
}

impl Binding {
    pub(super) fn of(sessions: SmallVec<[Locator; 1]>, visitor: impl FnOnce() -> Option<Locator>) -> Self {
        let mut sessions = sessions;
        // The order of the layers may differ from route to route.
        sessions.sort_unstable_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        let visitor = if sessions.is_empty() { visitor() } else { None };
        Self { sessions, visitor }
    }

    /// What a token that comes with this request must be bound to.
    pub(super) fn of_request(headers: &HeaderMap, extensions: &Extensions) -> Self {
        Self::of(sessions(extensions), || nonce::presented(headers))
    }

    pub(super) fn is_of_somebody(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// Each name with its length in front, so that no two bindings run together; `None` if there is nothing to bind to.
    pub(super) fn feed(&self, mut to: impl FnMut(&[u8])) -> Option<()> {
        const LEN: u8 = Locator::LEN as u8;
        for session in &self.sessions {
            to(&[LEN]);
            to(session.as_bytes());
        }
        if self.sessions.is_empty() {
            to(&[0]);
            to(self.visitor.as_ref()?.as_bytes());
        }
        Some(())
    }
}

/// The sessions that people are signed in by: the same that a [`CsrfToken`](super::CsrfToken) is made for. Where another
/// credential stands beside a session, or in its place, its handle still says whose it is.
fn sessions(extensions: &Extensions) -> SmallVec<[Locator; 1]> {
    let mut sessions = SmallVec::new();
    looks_or_withheld(extensions, |look| {
        sessions.extend(session_of(look).or_else(|| present(look, extensions)?.session()));
    });
    sessions
}

/// The session that somebody is signed in by, if browsers send its token by themselves.
pub(super) fn session_of(look: Look<'_>) -> Option<Locator> {
    match look.seen {
        Seen::Authenticated(who) if who.carrier() == Carrier::Ambient => who.session(),
        Seen::Authenticated(_) | Seen::Anonymous | Seen::Unavailable { .. } => None,
    }
}
