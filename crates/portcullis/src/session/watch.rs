//! [`SessionWatch`]: the end of a session, awaited.

mod socket;
mod stream;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis_store::{Header, Locator, Timestamp, Touched};

pub use self::stream::{SessionBody, SessionStream};
use super::backend::{News, Vigil};
use super::core::Core;
use super::error::{Reason, SessionError};
use super::expiry::{Age, age};
use super::shared::Shared;

/// The end of a session, to be awaited by what outlives its request: a WebSocket, a server-sent event stream, a gRPC
/// stream. From [`Session::watch`](super::Session::watch).
///
/// * It ends when the session is destroyed, in whatever process: by a logout, a revocation, a change of credentials, a
///   limit that ends the oldest, or a login that takes its place. It ends when the session expires. It does not end by
///   a rotation or renewal.
/// * A backend that can tell has it end within milliseconds. Beside that the session is looked up, once when the watch
///   is first polled, at its idle deadline, and every
///   [`watch_interval`](super::SessionLayerBuilder::watch_interval) while the backend cannot tell.
/// * A store that is out of reach ends nothing: the watch goes on and keeps trying. The absolute deadline holds without
///   the store.
/// * It does not count as activity: a session without other requests expires by its idle time, and the watch with it.
///   See [`counts_as_activity`](Self::counts_as_activity).
///
/// It borrows nothing, does nothing before it is polled, and needs a tokio runtime then. Dropping it ends it.
#[must_use = "a watch does nothing unless it is awaited"]
pub struct SessionWatch(State);

/// How a watched session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionEnd {
    /// It was destroyed: by a logout or revocation, or because another took its place.
    Revoked,
    /// Its idle or absolute deadline has passed.
    Expired,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one more allocation, and the other ones come after this one"
)]
enum State {
    Ended(SessionEnd),
    New { core: Arc<Core>, locator: Locator, header: Header, is_active: bool },
    Waiting(Pin<Box<dyn Future<Output = SessionEnd> + Send>>),
}

/// What a watch knows, and when it looks again.
struct Watch {
    core: Arc<Core>,
    locator: Locator,
    /// As last seen.
    header: Header,
    is_active: bool,
    vigil: Vigil,
}

/// While the backend tells of every end, sessions are looked up this many times as seldom: for the message that was
/// lost, or that a process of an older version did not send.
pub(crate) const TOLD: u32 = 12;

/// A store counts a session's time from when it has it, a little later than the session's beginning.
const SLACK: Duration = Duration::from_millis(50);

/// However short an idle time is.
const SHORTEST: Duration = Duration::from_millis(10);

/// A session that is there past its deadline, because clocks differ, is looked up this often at most.
const SOONEST: Duration = Duration::from_secs(1);

impl SessionWatch {
    /// Has the watch count as activity: while it goes on, the session does not expire by its idle time.
    pub fn counts_as_activity(mut self) -> Self {
        if let State::New { is_active, .. } = &mut self.0 {
            *is_active = true;
        }
        self
    }
}

impl Future for SessionWatch {
    type Output = SessionEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        if let State::New { core, locator, header, is_active } = &self.0 {
            let (core, locator) = (Arc::clone(core), *locator);
            let vigil = core.backend.vigil(core.key(locator));
            let watch = Watch { core, locator, header: *header, is_active: *is_active, vigil };
            self.0 = State::Waiting(Box::pin(watch.run()));
        }
        let end = match &mut self.0 {
            State::Waiting(waiting) => std::task::ready!(waiting.as_mut().poll(cx)),
            State::Ended(end) => return Poll::Ready(*end),
            State::New { .. } => return Poll::Pending,
        };
        // It may be polled again, and says the same.
        self.0 = State::Ended(end);
        Poll::Ready(end)
    }
}

impl Shared {
    /// The end of the session that is held.
    pub(crate) fn watch(&self) -> Result<SessionWatch, SessionError> {
        let state = self.lock_to_read();
        if state.has_ended() {
            return Ok(SessionWatch(State::Ended(SessionEnd::Revoked)));
        }
        let stored = state.holding()?.ok_or(Reason::NotStored)?;
        let (core, locator, header) = (Arc::clone(&self.core), stored.locator, stored.record().header);
        Ok(SessionWatch(State::New { core, locator, header, is_active: false }))
    }
}

impl Watch {
    async fn run(mut self) -> SessionEnd {
        loop {
            if self.core.clock.now() >= self.header.absolute_deadline {
                return SessionEnd::Expired;
            }
            if let Some(end) = self.look().await {
                return end;
            }
            let now = self.core.clock.now();
            let patience = self.patience(now);
            if self.vigil.news(patience).await == News::Ended {
                return SessionEnd::Revoked;
            }
        }
    }

    /// Looks the session up. That it cannot be told is no end.
    async fn look(&mut self) -> Option<SessionEnd> {
        let _leave = self.core.backend.vigils().lookup().await;
        let key = self.core.key(self.locator);
        match self.core.backend.load(key).await {
            Ok(None) => return Some(self.end()),
            Ok(Some(record)) => self.header = record.header,
            Err(error) => {
                tracing::debug!(%error, session = %self.locator, "a watched session could not be looked up");
                return None;
            }
        }
        if self.is_active && age(&self.header, self.core.clock.now()) == Age::TouchDue {
            match self.core.backend.touch(key).await {
                Ok(Touched::Alive(deadline)) => self.header.idle_deadline = deadline,
                Ok(Touched::Gone) => return Some(self.end()),
                Err(error) => {
                    tracing::debug!(%error, session = %self.locator, "a watched session was not touched");
                }
            }
        }
        None
    }

    /// How a session has ended that is not there any more.
    fn end(&self) -> SessionEnd {
        let expired = self.core.clock.now() >= self.header.expires();
        if expired { SessionEnd::Expired } else { SessionEnd::Revoked }
    }

    /// For how long nothing is to be looked up.
    fn patience(&self, now: Timestamp) -> Duration {
        let told = self.core.backend.vigils().is_told();
        patience(&self.header, now, self.core.watch_interval, told, self.is_active)
    }
}

fn patience(header: &Header, now: Timestamp, interval: Duration, told: bool, is_active: bool) -> Duration {
    let pace = if told { interval.saturating_mul(TOLD) } else { interval };
    // A touch is due after a fifth of the idle time.
    let pace = if is_active { pace.min(header.idle / 4) } else { pace };
    let left = match header.expires().since(now) {
        Duration::ZERO => SOONEST.min(interval),
        left => left + SLACK,
    };
    pace.min(left).max(SHORTEST)
}

impl fmt::Debug for SessionWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match &self.0 {
            State::Ended(end) => Some(end),
            State::New { .. } | State::Waiting(_) => None,
        };
        f.debug_struct("SessionWatch").field("ended", &end).finish_non_exhaustive()
    }
}
