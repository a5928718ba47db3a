//! [`Toy`]: a backend of claims in a map, whole or with one fault, to prove that the suite can fail.
#![allow(clippy::wildcard_enum_match_arm, reason = "each place of the toy is concerned by few of its faults")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_store::{
    Claimed, Clock, Locator, ManualClock, Realm, ReplayBackend, StoreError, StoreErrorKind, SystemClock,
    Timestamp,
};
use portcullis_testkit::conformance::Harness;

/// What a faulty backend does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    ForgetsAll,
    RefusesStrangers,
    AtOnceIsBlind,
    NamesAreOne,
    RealmsAreOne,
    HandlesKeepACopy,
    ClaimsAreNotAtomic,
    ClaimsStay,
    ClaimsEndAtHalf,
    LaterClaimsExtend,
    LaterClaimsShorten,
    OutageIsAPass,
    OutageHangs,
}

/// Until when each name is taken.
type Claims = HashMap<String, Timestamp>;

#[derive(Clone)]
pub(crate) struct Toy<C: Clock> {
    fault: Fault,
    clock: C,
    away: bool,
    claims: Arc<Mutex<Claims>>,
}

use Fault as F;

impl<C: Clock + Clone> Toy<C> {
    fn name(&self, realm: &Realm, name: Locator) -> String {
        let realm = if self.fault == F::RealmsAreOne { "" } else { realm.as_str() };
        let name = if self.fault == F::NamesAreOne { "" } else { name.as_str() };
        format!("{realm}/{name}")
    }

    fn held(&self, claims: &Claims, name: &str) -> Option<Timestamp> {
        let until = claims.get(name).copied();
        until.filter(|until| *until > self.clock.now() || self.fault == F::ClaimsStay)
    }

    /// In the place of what was `held` when that was looked at.
    fn put(&self, claims: &mut Claims, name: String, held: Option<Timestamp>, keep: Duration) -> Claimed {
        let keep = if self.fault == F::ClaimsEndAtHalf { keep / 4 } else { keep };
        let until = self.clock.now().saturating_add(keep);
        let until = match (held, self.fault) {
            (Some(held), F::LaterClaimsExtend) => held.max(until),
            (Some(held), F::LaterClaimsShorten) => held.min(until),
            (Some(held), _) => held,
            (None, _) => until,
        };
        claims.insert(name, until);
        match (held, self.fault) {
            (_, F::ForgetsAll) => Claimed::First,
            (_, F::RefusesStrangers) | (Some(_), _) => Claimed::Again,
            (None, _) => Claimed::First,
        }
    }

    fn claim_at_once(&self, name: String, keep: Duration) -> Claimed {
        let mut claims = self.claims.lock().unwrap();
        let held = self.held(&claims, &name);
        self.put(&mut claims, name, held, keep)
    }
}

impl<C: Clock + Clone> ReplayBackend for Toy<C> {
    async fn claim(&self, realm: &Realm, name: Locator, keep: Duration) -> Result<Claimed, StoreError> {
        match (self.away, self.fault) {
            (true, F::OutageHangs) => std::future::pending().await,
            (true, F::OutageIsAPass) => return Ok(Claimed::First),
            (true, _) => return Err(StoreErrorKind::Unavailable.into()),
            (false, _) => {}
        }
        let name = self.name(realm, name);
        if self.fault == F::ClaimsAreNotAtomic {
            let held = self.held(&self.claims.lock().unwrap(), &name);
            tokio::task::yield_now().await;
            return Ok(self.put(&mut self.claims.lock().unwrap(), name, held, keep));
        }
        Ok(self.claim_at_once(name, keep))
    }

    fn claim_now(&self, realm: &Realm, name: Locator, keep: Duration) -> Option<Result<Claimed, StoreError>> {
        let name = self.name(realm, name);
        match self.fault {
            F::AtOnceIsBlind => Some(Ok(Claimed::First)),
            _ => (!self.away).then(|| Ok(self.claim_at_once(name, keep))),
        }
    }
}

/// A store of toys on a clock that is moved.
pub(crate) struct Moved(Toy<ManualClock>);

/// A store of toys on the system's clock, which the suite waits for.
pub(crate) struct Real(Toy<SystemClock>);

impl Moved {
    pub(crate) fn with(fault: Fault) -> Self {
        Self(Toy { fault, clock: ManualClock::default(), away: false, claims: Arc::default() })
    }
}

impl Real {
    pub(crate) fn with(fault: Fault) -> Self {
        Self(Toy { fault, clock: SystemClock, away: false, claims: Arc::default() })
    }
}

impl Harness for Moved {
    type Backend = Toy<ManualClock>;

    async fn handle(&self) -> Toy<ManualClock> {
        match self.0.fault {
            F::HandlesKeepACopy => Toy { claims: Arc::default(), ..self.0.clone() },
            _ => self.0.clone(),
        }
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    async fn advance(&self, time: Duration) {
        self.0.clock.advance(time);
    }

    async fn unreachable(&self) -> Option<Toy<ManualClock>> {
        Some(Toy { away: true, ..self.0.clone() })
    }
}

impl Harness for Real {
    type Backend = Toy<SystemClock>;

    async fn handle(&self) -> Toy<SystemClock> {
        self.0.clone()
    }
}
