//! [`Toy`]: a place for key sets in a map, whole or with one fault, to prove that the suite can fail.
#![allow(clippy::wildcard_enum_match_arm, reason = "each place of the toy is concerned by few of its faults")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_store::{
    Clock, KeySetBackend, LONGEST_KEY_SET, Locator, ManualClock, SharedKeySet, StoreError, StoreErrorKind,
    SystemClock, Timestamp,
};
use portcullis_testkit::conformance::Harness;

/// What a faulty place does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    EmptySetsAtFirst,
    ForgetsAll,
    LosesTheTtl,
    DocumentsAreText,
    RefusesTheLongest,
    Cuts,
    SetsStayYoung,
    SetsAgeTwiceAsFast,
    IssuersAreOne,
    LeasesAreOfEveryIssuer,
    HandlesKeepACopy,
    HandlesLeaseApart,
    TheLastStays,
    TheFirstStays,
    AgesAreNotOfTheClock,
    ResendFails,
    SavesAreNotAtomic,
    SetsStay,
    SetsEndAtHalf,
    EndedSetsStandInTheWay,
    LateSetsExtend,
    LateSetsShorten,
    EverybodyHasTheLease,
    TheHolderHasItOnce,
    LeasesAreNotAtomic,
    LeasesStay,
    LeasesEndAtHalf,
    LeasesAreNotRenewed,
    LeasesAreNeverShortened,
    AnybodyReleases,
    NobodyReleases,
    OutageIsAbsence,
    OutageHangs,
}

#[derive(Clone)]
pub(crate) struct Toy<C: Clock> {
    fault: Fault,
    clock: C,
    away: bool,
    sets: Arc<Mutex<HashMap<String, Kept>>>,
    leases: Arc<Mutex<Leases>>,
}

/// Who has which lease, and until when.
type Leases = HashMap<String, (Locator, Timestamp)>;

#[derive(Clone)]
struct Kept {
    set: SharedKeySet,
    asked: Timestamp,
    until: Timestamp,
}

use Fault as F;

impl<C: Clock + Clone> Toy<C> {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn name(&self, issuer: Locator) -> String {
        if self.is(F::IssuersAreOne) { String::new() } else { issuer.as_str().to_owned() }
    }

    fn lease_name(&self, issuer: Locator) -> String {
        if self.is(F::LeasesAreOfEveryIssuer) { String::new() } else { self.name(issuer) }
    }

    async fn reach(&self) -> Result<(), StoreError> {
        match (self.away, self.fault) {
            (true, F::OutageHangs) => std::future::pending().await,
            (true, F::OutageIsAbsence) | (false, _) => Ok(()),
            (true, _) => Err(StoreErrorKind::Unavailable.into()),
        }
    }

    /// In the place of what was `held` when that was looked at.
    fn put(
        &self,
        sets: &mut HashMap<String, Kept>,
        name: String,
        held: Option<Kept>,
        new: Kept,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let stands = |held: &Kept| held.until > now || self.is(F::EndedSetsStandInTheWay);
        let is_late = held.as_ref().is_some_and(|held| {
            stands(held)
                && match self.fault {
                    F::TheLastStays => false,
                    F::TheFirstStays => true,
                    F::AgesAreNotOfTheClock => held.set.age < new.set.age,
                    _ => held.asked > new.asked,
                }
        });
        match held {
            Some(held) if self.is(F::ResendFails) && held.set.tag == new.set.tag => {
                return Err(StoreErrorKind::Corrupt.into());
            }
            Some(mut held) if is_late => {
                match self.fault {
                    F::LateSetsExtend => held.until = held.until.max(new.until),
                    F::LateSetsShorten => held.until = held.until.min(new.until),
                    _ => {}
                }
                sets.insert(name, held);
            }
            _ => _ = sets.insert(name, new),
        }
        Ok(())
    }

    /// Whether the lease is the holder's from now on, if that was `held` when it was looked at.
    fn take(
        &self,
        leases: &mut Leases,
        name: String,
        held: Option<(Locator, Timestamp)>,
        (holder, lease): (Locator, Duration),
    ) -> bool {
        let now = self.clock.now();
        let held = held.filter(|(_, until)| *until > now || self.is(F::LeasesStay));
        let until = now.saturating_add(lease);
        let until = match (held, self.fault) {
            (Some(_), F::TheHolderHasItOnce) => return false,
            (Some((other, _)), fault) if other != holder && fault != F::EverybodyHasTheLease => {
                return false;
            }
            (Some((_, held)), F::LeasesAreNotRenewed) => held,
            (Some((_, held)), F::LeasesAreNeverShortened) => held.max(until),
            _ => until,
        };
        leases.insert(name, (holder, until));
        true
    }

    /// What is kept of a set.
    fn kept(&self, mut set: SharedKeySet) -> Result<SharedKeySet, StoreError> {
        let longest = if self.is(F::RefusesTheLongest) { LONGEST_KEY_SET - 1 } else { LONGEST_KEY_SET };
        match self.fault {
            F::LosesTheTtl => set.ttl = Duration::from_secs(set.ttl.as_secs()),
            F::DocumentsAreText => {
                set.document = String::from_utf8_lossy(&set.document).into_owned().into_bytes();
            }
            F::Cuts => set.document.truncate(LONGEST_KEY_SET),
            _ if set.document.len() > longest => return Err(StoreErrorKind::TooLarge.into()),
            _ => {}
        }
        Ok(set)
    }
}

impl<C: Clock + Clone> KeySetBackend for Toy<C> {
    async fn load(&self, issuer: Locator) -> Result<Option<SharedKeySet>, StoreError> {
        self.reach().await?;
        let now = self.clock.now();
        let held = self.sets.lock().unwrap().get(&self.name(issuer)).cloned();
        let held = held.filter(|held| held.until > now || self.is(F::SetsStay));
        let found = held.map(|held| {
            let age = match self.fault {
                F::SetsStayYoung => held.set.age,
                F::SetsAgeTwiceAsFast => now.since(held.asked) * 2 - held.set.age,
                _ => now.since(held.asked),
            };
            SharedKeySet { age, ..held.set }
        });
        let empty = || {
            let (tag, age, ttl) = (issuer, Duration::ZERO, Duration::ZERO);
            SharedKeySet { tag, age, ttl, document: Vec::new() }
        };
        Ok(if self.is(F::EmptySetsAtFirst) { found.or_else(|| Some(empty())) } else { found })
    }

    async fn save(&self, issuer: Locator, set: SharedKeySet, keep: Duration) -> Result<(), StoreError> {
        self.reach().await?;
        let (now, set) = (self.clock.now(), self.kept(set)?);
        if self.is(F::ForgetsAll) {
            return Ok(());
        }
        let keep = if self.is(F::SetsEndAtHalf) { keep / 4 } else { keep };
        let new = Kept { asked: now.saturating_sub(set.age), until: now.saturating_add(keep), set };
        let name = self.name(issuer);
        if self.is(F::SavesAreNotAtomic) {
            let held = self.sets.lock().unwrap().get(&name).cloned();
            tokio::task::yield_now().await;
            return self.put(&mut self.sets.lock().unwrap(), name, held, new);
        }
        let mut sets = self.sets.lock().unwrap();
        let held = sets.get(&name).cloned();
        self.put(&mut sets, name, held, new)
    }

    async fn lease(&self, issuer: Locator, holder: Locator, lease: Duration) -> Result<bool, StoreError> {
        self.reach().await?;
        let name = self.lease_name(issuer);
        let lease = if self.is(F::LeasesEndAtHalf) { lease / 4 } else { lease };
        if self.is(F::LeasesAreNotAtomic) {
            let held = self.leases.lock().unwrap().get(&name).copied();
            tokio::task::yield_now().await;
            return Ok(self.take(&mut self.leases.lock().unwrap(), name, held, (holder, lease)));
        }
        let mut leases = self.leases.lock().unwrap();
        let held = leases.get(&name).copied();
        Ok(self.take(&mut leases, name, held, (holder, lease)))
    }

    async fn release(&self, issuer: Locator, holder: Locator) -> Result<(), StoreError> {
        self.reach().await?;
        let (mut leases, name) = (self.leases.lock().unwrap(), self.lease_name(issuer));
        let is_holder = leases.get(&name).is_some_and(|(held, _)| *held == holder);
        if (is_holder || self.is(F::AnybodyReleases)) && !self.is(F::NobodyReleases) {
            leases.remove(&name);
        }
        Ok(())
    }
}

/// A place on a clock that is moved.
pub(crate) struct Moved(Toy<ManualClock>);

/// A place on the system's clock, which the suite waits for.
pub(crate) struct Real(Toy<SystemClock>);

fn toy<C: Clock>(fault: Fault, clock: C) -> Toy<C> {
    Toy { fault, clock, away: false, sets: Arc::default(), leases: Arc::default() }
}

impl Moved {
    pub(crate) fn with(fault: Fault) -> Self {
        Self(toy(fault, ManualClock::default()))
    }
}

impl Real {
    pub(crate) fn with(fault: Fault) -> Self {
        Self(toy(fault, SystemClock))
    }
}

impl Harness for Moved {
    type Backend = Toy<ManualClock>;

    async fn handle(&self) -> Toy<ManualClock> {
        match self.0.fault {
            F::HandlesKeepACopy => Toy { sets: Arc::default(), ..self.0.clone() },
            F::HandlesLeaseApart => Toy { leases: Arc::default(), ..self.0.clone() },
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
