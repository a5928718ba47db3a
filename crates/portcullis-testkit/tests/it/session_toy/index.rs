//! Indexes: the sessions of each user, and the version of their credentials.

use std::time::Duration;

use portcullis_store::{Clock, Enrolled, Enrolment, Locator, StoreError, StoreErrorKind, Timestamp, UserKey};

use super::Toy;
use super::fault::Fault as F;

impl<C: Clock + Clone> Toy<C> {
    pub(super) fn version(&self, user: UserKey<'_>) -> u64 {
        let name =
            if self.is(F::BumpConcernsAll) { (String::new(), locator_of_all()) } else { self.user(user) };
        let now = self.clock.now();
        self.store().versions.get(&name).filter(|(_, until)| *until > now).map_or(0, |(version, _)| *version)
    }

    pub(super) async fn on_bump(&self, user: UserKey<'_>, keep: Duration) -> u64 {
        let name =
            if self.is(F::BumpConcernsAll) { (String::new(), locator_of_all()) } else { self.user(user) };
        let version = match self.fault {
            F::BumpDoesNothing => self.version(user),
            F::BumpComesRound => (self.version(user) + 1) % 8,
            _ => self.version(user) + 1,
        };
        if self.is(F::BumpIsNotAtomic) {
            tokio::task::yield_now().await;
        }
        let until = self.clock.now().saturating_add(keep);
        let mut store = self.store();
        let kept = store.versions.entry(name).or_insert((version, until));
        *kept = (
            version,
            match self.fault {
                F::VersionIsForgotten => kept.1,
                F::VersionIsKeptAsToldLast => until,
                _ => until.max(kept.1),
            },
        );
        version
    }

    /// Why the session is not to be entered, if so.
    pub(super) fn refusal(&self, locator: Locator, enrolment: &Enrolment<'_>) -> Option<Enrolled> {
        let stale =
            enrolment.credential_version.is_some_and(|checked| checked.0 != self.version(enrolment.user));
        let forgotten =
            enrolment.credential_version.is_some_and(|checked| checked.0 > self.version(enrolment.user));
        let stale = stale && !(forgotten && self.is(F::ForgottenVersionsAreGood));
        let stale = stale && !self.is(F::VersionIsIgnored);
        if stale && !self.is(F::StaleComesAfterFull) && !self.is(F::StaleResendIsDone) {
            if self.is(F::StaleEvicts) {
                let mut store = self.store();
                let index = store.indexes.entry(self.user(enrolment.user)).or_default();
                index.retain(|(member, _)| !enrolment.evicted.contains(member));
            }
            return Some(Enrolled::StaleCredential);
        }
        let name = self.user(enrolment.user);
        let now = self.clock.now();
        let mut store = self.store();
        let index = store.indexes.entry(name).or_default();
        if !self.is(F::EvictedStay) && !self.is(F::FullKeepsEvicted) {
            index.retain(|(member, _)| !enrolment.evicted.contains(member));
        }
        let live = |until: Timestamp| until > now || self.is(F::LimitCountsTheDead);
        let replaced = enrolment.replaces.filter(|_| !self.is(F::ReplacedCounts));
        let others: Vec<Locator> = index
            .iter()
            .filter(|(member, until)| live(*until) && Some(*member) != replaced)
            .map(|(member, _)| *member)
            .filter(|member| self.is(F::EvictedStay) || !enrolment.evicted.contains(member))
            .collect();
        let known = index.iter().any(|(member, until)| *member == locator && *until > now);
        if stale && self.is(F::StaleResendIsDone) {
            return (!known).then_some(Enrolled::StaleCredential);
        }
        let limit = enrolment.limit.filter(|_| !self.is(F::LimitIsIgnored)).map(|limit| limit as usize);
        let limit = limit.map(|limit| limit + usize::from(self.is(F::LimitIsOneTooMany)));
        let full = limit.is_some_and(|limit| others.len() >= limit);
        if full && (!known || self.is(F::LimitRefusesAResend)) {
            return Some(Enrolled::Full(if self.is(F::FullShowsNothing) { vec![] } else { others }));
        }
        index.retain(|(member, _)| self.is(F::EvictedStay) || !enrolment.evicted.contains(member));
        if self.is(F::ReplacedIsWithdrawn) {
            index.retain(|(member, _)| Some(*member) != enrolment.replaces);
        }
        stale.then_some(Enrolled::StaleCredential)
    }

    pub(super) fn enrol_sync(&self, user: UserKey<'_>, locator: Locator, deadline: Timestamp) {
        let name = self.user(user);
        let now = self.clock.now();
        let mut store = self.store();
        store.index_ends.insert(name.clone(), deadline);
        let index = store.indexes.entry(name).or_default();
        match index.iter_mut().find(|(member, _)| *member == locator) {
            Some((_, until)) if !self.is(F::IndexIsAList) => {
                *until = match self.fault {
                    F::EntriesKeepFirstDeadline => *until,
                    F::EntriesTakeLastDeadline => deadline,
                    _ => deadline.max(*until),
                };
            }
            _ => index.push((locator, deadline)),
        }
        index.retain(|(_, until)| *until > now || self.is(F::EntriesStay));
    }

    pub(super) async fn on_enrol(
        &self,
        locator: Locator,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        let (user, deadline) = (enrolment.user, enrolment.deadline);
        let refusal = self.refusal(locator, &enrolment);
        let torn = match self.fault {
            F::LimitIsNotAtomic => enrolment.limit.is_some(),
            F::VersionIsNotAtomic => enrolment.credential_version.is_some(),
            _ => false,
        };
        if torn {
            tokio::task::yield_now().await;
        }
        if let Some(refusal) = refusal {
            let enters = match refusal {
                Enrolled::Full(_) => self.is(F::FullEnters),
                _ => self.is(F::StaleEnters),
            };
            if enters {
                self.enrol_sync(user, locator, deadline);
            }
            return Ok(refusal);
        }
        if self.is(F::EnrolIsNotAtomic) {
            let before = self.store().indexes.get(&self.user(user)).cloned().unwrap_or_default();
            tokio::task::yield_now().await;
            self.store().indexes.insert(self.user(user), before);
        }
        self.enrol_sync(user, locator, deadline);
        Ok(Enrolled::Done)
    }

    pub(super) async fn on_withdraw(
        &self,
        user: UserKey<'_>,
        locators: &[Locator],
    ) -> Result<(), StoreError> {
        let name = self.user(user);
        let mut store = self.store();
        let index = store.indexes.entry(name).or_default();
        let before = index.len();
        index.retain(|(member, _)| !locators.contains(member));
        if self.is(F::WithdrawalOfNothingFails) && before == index.len() && !locators.is_empty() {
            return Err(StoreErrorKind::Corrupt.into());
        }
        Ok(())
    }

    pub(super) async fn on_members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        let name = self.user(user);
        let now = self.clock.now();
        let store = self.store();
        if self.is(F::IndexEndsWithLastEnrolment)
            && store.index_ends.get(&name).is_some_and(|ends| *ends <= now)
        {
            return Ok(vec![]);
        }
        let index = store.indexes.get(&name).cloned().unwrap_or_default();
        let alive = |until: Timestamp| until > now || self.is(F::EntriesStay);
        let at_most = if self.is(F::MembersAreOnePage) { 100 } else { usize::MAX };
        let alive = index.into_iter().filter(|(_, until)| alive(*until));
        Ok(alive.map(|(member, _)| member).take(at_most).collect())
    }
}

fn locator_of_all() -> Locator {
    Locator::from_bytes([0; 16])
}
