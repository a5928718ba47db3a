//! [`RefreshEvent`]: what is told, logged and counted about refresh tokens, here and nowhere else. Labels are of closed sets.

use std::sync::Arc;

use metrics::counter;

use super::error::{RefreshError, RefreshErrorKind};
use crate::issue::Grant;

/// Is told what happens to refresh tokens, for an audit log; see
/// [`RefreshTokensBuilder::events`](super::RefreshTokensBuilder::events).
///
/// It is called on the request's way, so it should hand over to a channel, and drop when that is full. A function will do.
pub trait RefreshEvents: Send + Sync + 'static {
    /// It has happened.
    fn on(&self, event: &RefreshEvent<'_>);
}

/// Something that has happened to a family of refresh tokens. It holds no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshEvent<'a> {
    /// A family was begun: somebody signed in.
    Begun {
        /// Whose.
        subject: &'a str,
        /// The login.
        sid: &'a str,
    },
    /// A token was used that had been used before: it was copied. The family has ended, and its access tokens are revoked.
    Reused {
        /// Whose.
        subject: &'a str,
        /// The client that it was given to.
        client_id: &'a str,
        /// The login.
        sid: &'a str,
    },
}

impl<F: Fn(&RefreshEvent<'_>) + Send + Sync + 'static> RefreshEvents for F {
    fn on(&self, event: &RefreshEvent<'_>) {
        self(event);
    }
}

/// Where events go.
#[derive(Clone, Default)]
pub(super) struct Hook(pub(super) Option<Arc<dyn RefreshEvents>>);

impl Hook {
    pub(super) fn begun(&self, grant: &Grant, sid: &str) {
        tracing::info!(sid, "refresh family begun");
        counter!("portcullis_issue_families_begun_total").increment(1);
        self.tell(&RefreshEvent::Begun { subject: &grant.subject, sid });
    }

    pub(super) fn reused(&self, grant: &Grant) {
        let sid = grant.sid.as_deref().unwrap_or_default();
        tracing::warn!(
            sid,
            client_id = grant.client_id,
            "a refresh token was used twice, its family is ended"
        );
        let Grant { subject, client_id, .. } = grant;
        self.tell(&RefreshEvent::Reused { subject, client_id, sid });
    }

    fn tell(&self, event: &RefreshEvent<'_>) {
        if let Some(events) = &self.0 {
            events.on(event);
        }
    }
}

/// Somebody has presented a token: what came of it, and whether a generation has begun by it.
pub(super) fn presented(outcome: Result<bool, &RefreshError>) {
    let result = match outcome.map_err(RefreshError::kind) {
        Ok(true) => "rotated",
        Ok(false) => "graced",
        Err(RefreshErrorKind::Refused(refusal)) => refusal.label(),
        Err(RefreshErrorKind::InvalidScope) => "scope",
        Err(RefreshErrorKind::Issue(_)) => "unavailable",
    };
    if outcome.is_err() {
        tracing::debug!(reason = result, "a refresh token is not accepted");
    }
    counter!("portcullis_issue_refreshes_total", "result" => result).increment(1);
}
