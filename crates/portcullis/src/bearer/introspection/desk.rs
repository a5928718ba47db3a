//! [`Desk`]: what is known of opaque tokens, and how more of it is found out. Requests wait here, within a budget.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_store::Clock;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::OpaqueTokens;
use super::answer::{Active, Judge, Known};
use super::breaker::{Breaker, Call, Leave};
use super::flights::{Flight, Flights, Name, Part, landed};
use super::source::{IntrospectionError, IntrospectionErrorKind, TokenIntrospection};
use crate::bearer::cache::{Cache, Perishable};
use crate::bearer::crypto::sha256;
use crate::bearer::events::{self, Introspected};
use crate::bearer::verifier::Failure;
use crate::identity::Carrier;

/// What is known of opaque tokens. Shared by every layer that was derived from one.
pub(in crate::bearer) struct Desk {
    pub(super) which: OpaqueTokens,
    pub(super) source: Arc<dyn TokenIntrospection>,
    pub(super) judge: Judge,
    pub(super) known: Cache<Known>,
    pub(super) budget: Duration,
    pub(super) calls: Semaphore,
    pub(super) flights: Arc<Flights<Outcome>>,
    pub(super) breaker: Mutex<Breaker>,
}

/// What came of asking about a token.
#[derive(Clone)]
pub(super) enum Outcome {
    Known(Arc<Known>),
    Unavailable { retry_after: Duration },
}

/// What a request is told when nothing else is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Desk {
    /// Whether these are the bytes of a token that is asked about. What is so is nothing else, whatever comes of it.
    pub(in crate::bearer) fn is_for(&self, token: &[u8]) -> bool {
        self.which.are(token)
    }

    /// What is known of a token that came in this way.
    pub(in crate::bearer) fn look_up(
        &self,
        token: &[u8],
        carrier: Carrier,
        clock: &dyn Clock,
    ) -> Option<Result<Active, Failure>> {
        let known = self.known(token, carrier, clock)?;
        events::introspected(Introspected::Known);
        Some(verdict(&known))
    }

    fn known(&self, token: &[u8], carrier: Carrier, clock: &dyn Clock) -> Option<Arc<Known>> {
        let now = clock.now();
        self.known.find(token).filter(|known| known.carrier == carrier && known.lasts(now))
    }

    /// Asks about a token, unless somebody does already, and waits for what comes of it: no longer than the budget.
    pub(in crate::bearer) async fn ask(
        self: Arc<Self>,
        token: Zeroizing<String>,
        carrier: Carrier,
        clock: Arc<dyn Clock>,
    ) -> Result<Active, Failure> {
        let landing = match self.flights.join(name(&token, carrier)) {
            Part::Waits(landing) => landing,
            Part::Asks(flight, landing) => {
                // In a task of its own: the request that asks may go away, and others wait for the answer.
                tokio::spawn(Arc::clone(&self).fly(flight, token, carrier, clock));
                landing
            }
        };
        // The flight keeps to the budget, and ends with a word unless the runtime ends.
        match landed(landing).await {
            Some(Outcome::Known(known)) => verdict(&known),
            Some(Outcome::Unavailable { retry_after }) => Err(Failure::Unavailable { retry_after }),
            None => Err(Failure::Unavailable { retry_after: RETRY_AFTER }),
        }
    }

    async fn fly(
        self: Arc<Self>,
        flight: Flight<Outcome>,
        token: Zeroizing<String>,
        carrier: Carrier,
        clock: Arc<dyn Clock>,
    ) {
        // Another flight may have landed since this request looked.
        let outcome = match self.known(token.as_bytes(), carrier, &*clock) {
            Some(known) => Outcome::Known(known),
            None => self.find_out(&token, carrier, &*clock).await,
        };
        flight.land(outcome);
    }

    async fn find_out(&self, token: &str, carrier: Carrier, clock: &dyn Clock) -> Outcome {
        let began = Instant::now();
        // Who waits for others has not been let down by the server.
        let Ok(Ok(_call)) = timeout(self.budget, self.calls.acquire()).await else {
            return crowded();
        };
        let call = match self.leave() {
            Leave::Ask(call) => call,
            Leave::Wait(retry_after) => {
                events::introspected(Introspected::LeftAlone);
                return Outcome::Unavailable { retry_after };
            }
        };
        let left = self.budget.saturating_sub(began.elapsed());
        let answer = timeout(left, self.source.introspect(token)).await;
        let answer = answer.unwrap_or_else(|_| Err(IntrospectionError::new(IntrospectionErrorKind::Timeout)));
        let known = answer.and_then(|json| {
            let known = self.judge.judge(token, &json, carrier, clock.now());
            let known = known.map_err(|_| IntrospectionError::new(IntrospectionErrorKind::Malformed))?;
            Ok((known, json.len()))
        });
        match known {
            Ok((known, len)) => self.learn(token, known, len),
            Err(error) if error.kind() == IntrospectionErrorKind::Rejected => self.rejected(&error),
            // The server had less time than it is given, because there are too many, and it answers others: that is not its
            // failure.
            Err(error)
                if call == Call::Usual
                    && error.kind() == IntrospectionErrorKind::Timeout
                    && left < self.budget / 2
                    && self.breaker().has_answered_since(began) =>
            {
                crowded()
            }
            Err(error) => self.fail(call, &error),
        }
    }

    fn learn(&self, token: &str, known: Known, len: usize) -> Outcome {
        self.has_answered();
        events::introspected(Introspected::of(known.verdict.as_ref().err()));
        let known = Arc::new(known);
        self.known.put(token.as_bytes(), Arc::clone(&known), 2 * len);
        Outcome::Known(known)
    }

    /// That is no verdict on the token, and the server is there: were it left alone for that, anybody could have it left alone.
    fn rejected(&self, error: &IntrospectionError) -> Outcome {
        self.has_answered();
        events::introspection_failed(error, false);
        Outcome::Unavailable { retry_after: RETRY_AFTER }
    }

    fn has_answered(&self) {
        let was_open = self.step(|breaker| breaker.answered(Instant::now()));
        if was_open {
            events::introspection_is_back();
        }
    }

    fn fail(&self, call: Call, error: &IntrospectionError) -> Outcome {
        let (now, chance) = (Instant::now(), chance());
        let was_open = self.step(|breaker| breaker.failed(call, now, chance));
        let is_open = self.breaker().is_open();
        events::introspection_failed(error, is_open && !was_open);
        Outcome::Unavailable { retry_after: RETRY_AFTER }
    }

    fn leave(&self) -> Leave {
        let mut breaker = self.breaker();
        let (next, leave) = breaker.ask(Instant::now());
        *breaker = next;
        leave
    }

    /// Whether the breaker was open before.
    fn step(&self, step: impl FnOnce(Breaker) -> Breaker) -> bool {
        let mut breaker = self.breaker();
        let was_open = breaker.is_open();
        *breaker = step(*breaker);
        was_open
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There are too many others.
fn crowded() -> Outcome {
    events::introspected(Introspected::Crowded);
    Outcome::Unavailable { retry_after: RETRY_AFTER }
}

fn verdict(known: &Known) -> Result<Active, Failure> {
    known.verdict.clone().map_err(Failure::Refused)
}

fn name(token: &str, carrier: Carrier) -> Name {
    (sha256([token.as_bytes()]), carrier == Carrier::Ambient)
}

/// From 0 to 1. It need not be hard to guess.
fn chance() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("tokens", &self.which)
            .field("judge", &self.judge)
            .field("known", &self.known)
            .field("budget", &self.budget)
            .field("breaker", &*self.breaker())
            .finish_non_exhaustive()
    }
}
