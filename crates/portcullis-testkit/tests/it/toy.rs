//! [`Toy`]: a session backend in a map, whole or with one fault, to prove that the suite can fail.
#![allow(clippy::wildcard_enum_match_arm, reason = "each place of the toy is concerned by few of its faults")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use portcullis_store::{
    AtOnce, Clock, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Header, Key, Locator,
    ManualClock, Notice, Realm, Record, Saved, SessionBackend, StoreError, StoreErrorKind, SystemClock, Tag,
    Timestamp, Touched, UserKey, Watcher, Watching,
};
use portcullis_testkit::conformance::session::Harness;
use tokio::sync::OwnedMutexGuard;

/// What a faulty backend does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    DropsPreviousSecret,
    StopsAtNul,
    CutsLargePayloads,
    SaveOfNothingCreates,
    ManyDropsAbsent,
    CreateOverwrites,
    CreateRefusesItsResend,
    CreateRefusesALateResend,
    SaveKeepsHeader,
    SaveIgnoresTags,
    SaveForgetsHistory,
    SaveForgetsAfterTwo,
    ResendAppliesTwice,
    ResendAlwaysDone,
    SaveResurrects,
    ResendResurrects,
    TouchResurrects,
    DestroysOnlyTheFirst,
    DestroysTooMuch,
    DestroyOfNothingFails,
    DestroyUnchangedIgnoresTags,
    DestroyUnchangedShowsNothing,
    DestroyUnchangedKeeps,
    DestroyUnchangedIsAlwaysDone,
    DestroyUnchangedIsNotAtomic,
    DestroyEnrolledKeepsEntry,
    DestroyEnrolledTellsNobody,
    SupersedeForgetsEntry,
    SupersedeKeepsTheOld,
    SupersedeRefusesItsResend,
    SupersedeIgnoresTags,
    SupersedeIgnoresLimit,
    SupersedeLeavesTheNew,
    SupersedeIsNotAtomic,
    SupersedeTellsNobody,
    RealmsAreOne,
    HandlesKeepACopy,
    NeverIdle,
    NeverEnds,
    EndsAtWholeSeconds,
    ExpiredSavesWork,
    ExpiredKeysAreTaken,
    TouchDoesNothing,
    TouchForgetsHeader,
    TouchForgetsExpiry,
    TouchShortens,
    TouchIsUnbounded,
    TouchChangesTag,
    SaveMovesIdleDeadline,
    SaveProlongs,
    SavePersists,
    ResendPersists,
    IndexIsAList,
    WithdrawalOfNothingFails,
    EntriesStay,
    IndexEndsWithLastEnrolment,
    EntriesKeepFirstDeadline,
    UsersAreOne,
    IndexIgnoresRealm,
    IndexDiesWithSession,
    CreateEnrolledForgets,
    CreateEnrolledUntilIdle,
    CreateEnrolledAlwaysEnters,
    CreateEnrolledIgnoresLimit,
    LimitIsIgnored,
    LimitIsOneTooMany,
    LimitCountsTheDead,
    LimitRefusesAResend,
    FullShowsNothing,
    FullEnters,
    EvictedStay,
    FullKeepsEvicted,
    ReplacedCounts,
    ReplacedIsWithdrawn,
    VersionIsIgnored,
    StaleEnters,
    StaleComesAfterFull,
    StaleResendIsDone,
    BumpDoesNothing,
    BumpComesRound,
    BumpConcernsAll,
    VersionIsForgotten,
    LimitIsNotAtomic,
    VersionIsNotAtomic,
    CreateIsNotAtomic,
    SaveIsNotAtomic,
    ConflictShowsNothing,
    EnrolIsNotAtomic,
    TouchWritesBack,
    SaveTearsWhenDropped,
    TellsNobody,
    NeverHears,
    TellsItsOwnHandleOnly,
    TellsTheFirstOnly,
    TellsBeforeItIsGone,
    TellsNoHandover,
    TellsConflicts,
    TellsSaves,
    TellsOtherRealms,
    TellsWhoHasLeft,
    OverwritesForeignRecords,
    TakesForeignForAbsent,
    OutageIsAbsence,
    OutageHangs,
}

#[derive(Clone)]
pub(crate) struct Toy<C: Clock> {
    fault: Fault,
    clock: C,
    away: bool,
    turn: Turn,
    shared: Arc<Mutex<Store>>,
    /// What this handle has read, for the fault that keeps it.
    copies: Arc<Mutex<HashMap<Name, Option<Record>>>>,
    watchers: Watchers,
}

/// Held for one operation.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// With the number by which each leaves.
type Watchers = Arc<Mutex<HashMap<usize, (Realm, Arc<dyn Watcher>)>>>;

struct Place(Watchers, usize);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

type Name = (String, Locator);

#[derive(Default)]
struct Store {
    sessions: HashMap<Name, Entry>,
    indexes: HashMap<Name, Vec<(Locator, Timestamp)>>,
    index_ends: HashMap<Name, Timestamp>,
    versions: HashMap<Name, (u64, Timestamp)>,
}

#[derive(Clone)]
struct Entry {
    bytes: Vec<u8>,
    expires: Timestamp,
}

use Fault as F;

impl<C: Clock + Clone> Toy<C> {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.lock().unwrap()
    }

    fn name(&self, key: Key<'_>) -> Name {
        let realm = if self.is(F::RealmsAreOne) { "" } else { key.realm.as_str() };
        (realm.to_owned(), key.locator)
    }

    fn user(&self, user: UserKey<'_>) -> Name {
        let realm = if self.is(F::IndexIgnoresRealm) { "" } else { user.realm.as_str() };
        let user = if self.is(F::UsersAreOne) { Locator::from_bytes([0; 16]) } else { user.user };
        (realm.to_owned(), user)
    }

    /// The turn to answer. Without a fault it is one operation's alone, which takes several steps here and one in a
    /// store; with a fault others come in between.
    async fn answers(&self) -> Result<Option<OwnedMutexGuard<()>>, StoreError> {
        match (self.away, self.fault) {
            (false, F::None) => Ok(Some(Arc::clone(&self.turn).lock_owned().await)),
            (false, _) | (true, F::OutageIsAbsence) => Ok(None),
            (true, F::OutageHangs) => std::future::pending().await,
            (true, _) => Err(StoreErrorKind::Unavailable.into()),
        }
    }

    fn now_for_expiry(&self) -> Timestamp {
        let now = self.clock.now();
        if self.is(F::EndsAtWholeSeconds) { now.saturating_sub(Duration::from_secs(1)) } else { now }
    }

    fn entry(&self, store: &mut Store, key: Key<'_>) -> Option<Entry> {
        let name = self.name(key);
        let entry = store.sessions.get(&name)?.clone();
        if entry.expires <= self.now_for_expiry() && !self.is(F::NeverEnds) {
            return None;
        }
        Some(entry)
    }

    fn record(&self, store: &mut Store, key: Key<'_>) -> Result<Option<(Record, Timestamp)>, StoreError> {
        let Some(entry) = self.entry(store, key) else { return Ok(None) };
        match Record::decode(&entry.bytes) {
            Ok(record) => Ok(Some((record, entry.expires))),
            Err(_) if self.is(F::TakesForeignForAbsent) => Ok(None),
            Err(error) => Err(StoreError::with_source(StoreErrorKind::Corrupt, error)),
        }
    }

    fn put(&self, store: &mut Store, key: Key<'_>, record: &Record, expires: Timestamp) {
        let mut record = record.clone();
        if self.is(F::DropsPreviousSecret) {
            record.header.previous = None;
        }
        if self.is(F::StopsAtNul) {
            record.payload = record.payload.split(|&byte| byte == 0).next().unwrap().into();
        }
        if self.is(F::CutsLargePayloads) {
            record.payload = record.payload.iter().copied().take(16_384).collect();
        }
        store.sessions.insert(self.name(key), Entry { bytes: record.encode(), expires });
    }

    fn first_expiry(&self, header: &Header) -> Timestamp {
        if self.is(F::NeverIdle) { header.absolute_deadline } else { header.expires() }
    }

    fn load_sync(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        let found = self.record(&mut self.store(), key)?.map(|(record, _)| record);
        if self.is(F::HandlesKeepACopy) {
            return Ok(self.copies.lock().unwrap().entry(self.name(key)).or_insert(found).clone());
        }
        Ok(found)
    }

    fn save_sync(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        let mut store = self.store();
        let now = self.clock.now();
        let expired = |entry: &Entry| entry.expires <= now;
        if self.is(F::OverwritesForeignRecords)
            && self.entry(&mut store, key).is_some_and(|entry| Record::decode(&entry.bytes).is_err())
        {
            self.put(&mut store, key, record, record.header.expires());
        }
        let stored = match self.record(&mut store, key)? {
            Some(stored) => stored,
            None if self.is(F::SaveOfNothingCreates) || self.is(F::SaveResurrects) => {
                self.put(&mut store, key, record, record.header.expires());
                return Ok(if self.is(F::SaveResurrects) { Saved::Gone } else { Saved::Done });
            }
            None if self.is(F::ResendResurrects) && &*record.payload == b"applied" => {
                self.put(&mut store, key, record, record.header.expires());
                return Ok(Saved::Done);
            }
            None if self.is(F::ExpiredSavesWork)
                && store.sessions.get(&self.name(key)).is_some_and(expired) =>
            {
                return Ok(Saved::Done);
            }
            None => return Ok(Saved::Gone),
        };
        let (current, expires) = stored;
        let tag = record.header.tag();
        if self.is(F::ResendAppliesTwice) && current.header.tags.contains(&tag) {
            self.put(&mut store, key, record, expires);
            return Ok(Saved::Done);
        }
        if current.header.tag() == expected || self.is(F::SaveIgnoresTags) {
            let mut next = record.clone();
            if !self.is(F::SaveMovesIdleDeadline) {
                next.header.idle_deadline = current.header.idle_deadline;
            }
            if self.is(F::SaveKeepsHeader) {
                next.header = Header { tags: record.header.tags, ..current.header };
            }
            let expires = match self.fault {
                F::SaveProlongs => record.header.expires().max(expires),
                F::SavePersists => Timestamp::MAX,
                _ => expires,
            };
            self.put(&mut store, key, &next, expires);
            return Ok(Saved::Done);
        }
        let known = match self.fault {
            F::SaveForgetsHistory => false,
            F::SaveForgetsAfterTwo => current.header.tags[..3].contains(&tag),
            F::ResendAlwaysDone => record.payload.as_ref() == b"the write",
            _ => current.header.tags.contains(&tag),
        };
        if known {
            if self.is(F::ResendPersists) {
                self.put(&mut store, key, &current, Timestamp::MAX);
            }
            return Ok(Saved::Done);
        }
        let current = if self.is(F::ConflictShowsNothing) { record.clone() } else { current };
        Ok(Saved::Conflict { current, in_doubt: false })
    }

    fn version(&self, user: UserKey<'_>) -> u64 {
        let name =
            if self.is(F::BumpConcernsAll) { (String::new(), locator_of_all()) } else { self.user(user) };
        let now = self.clock.now();
        self.store().versions.get(&name).filter(|(_, until)| *until > now).map_or(0, |(version, _)| *version)
    }

    fn bump_sync(&self, user: UserKey<'_>, keep: Duration) -> u64 {
        let name =
            if self.is(F::BumpConcernsAll) { (String::new(), locator_of_all()) } else { self.user(user) };
        let version = match self.fault {
            F::BumpDoesNothing => self.version(user),
            F::BumpComesRound => (self.version(user) + 1) % 8,
            _ => self.version(user) + 1,
        };
        let until = self.clock.now().saturating_add(keep);
        let mut store = self.store();
        let kept = store.versions.entry(name).or_insert((version, until));
        *kept = (version, if self.is(F::VersionIsForgotten) { kept.1 } else { until });
        version
    }

    /// Why the session is not to be entered, if so.
    fn refusal(&self, locator: Locator, enrolment: &Enrolment<'_>) -> Option<Enrolled> {
        let stale =
            enrolment.credential_version.is_some_and(|checked| checked.0 != self.version(enrolment.user));
        let stale = stale && !self.is(F::VersionIsIgnored);
        if stale && !self.is(F::StaleComesAfterFull) && !self.is(F::StaleResendIsDone) {
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

    fn tell(&self, ended: &[Key<'_>]) {
        let shown = if self.is(F::TellsTheFirstOnly) { &ended[..ended.len().min(1)] } else { ended };
        for (realm, watcher) in self.watchers.lock().unwrap().values() {
            let theirs = shown.iter().filter(|key| key.realm == realm || self.is(F::TellsOtherRealms));
            let theirs: Vec<Locator> = theirs.map(|key| key.locator).collect();
            if !theirs.is_empty() && !self.is(F::TellsNobody) {
                watcher.notice(Notice::Ended(&theirs));
            }
        }
    }

    fn enrol_sync(&self, user: UserKey<'_>, locator: Locator, deadline: Timestamp) {
        let name = self.user(user);
        let now = self.clock.now();
        let mut store = self.store();
        store.index_ends.insert(name.clone(), deadline);
        let index = store.indexes.entry(name).or_default();
        match index.iter_mut().find(|(member, _)| *member == locator) {
            Some((_, until)) if !self.is(F::IndexIsAList) => {
                if !self.is(F::EntriesKeepFirstDeadline) {
                    *until = deadline;
                }
            }
            _ => index.push((locator, deadline)),
        }
        index.retain(|(_, until)| *until > now || self.is(F::EntriesStay));
    }
}

impl<C: Clock + Clone> SessionBackend for Toy<C> {
    async fn load(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        let _turn = self.answers().await?;
        self.load_sync(key)
    }

    async fn load_many(&self, keys: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        let _turn = self.answers().await?;
        let mut found = keys.iter().map(|key| self.load_sync(*key)).collect::<Result<Vec<_>, _>>()?;
        if self.is(F::ManyDropsAbsent) && keys.len() > 1 {
            found.retain(Option::is_some);
        }
        Ok(found)
    }

    async fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        let _turn = self.answers().await?;
        let mut existing = self.entry(&mut self.store(), key);
        if self.is(F::CreateIsNotAtomic) {
            tokio::task::yield_now().await;
        } else {
            existing = self.entry(&mut self.store(), key);
        }
        let mut store = self.store();
        if self.is(F::ExpiredKeysAreTaken) {
            existing = store.sessions.get(&self.name(key)).cloned();
        }
        if let Some(existing) = existing.filter(|_| !self.is(F::CreateOverwrites)) {
            let Ok(existing) = Record::decode(&existing.bytes) else {
                return Err(StoreErrorKind::Corrupt.into());
            };
            let tags = match self.fault {
                F::CreateRefusesItsResend => &[][..],
                F::CreateRefusesALateResend => &existing.header.tags[..1],
                _ => &existing.header.tags[..],
            };
            let resend = tags.contains(&record.header.tag());
            return Ok(if resend { Created::Done } else { Created::Taken });
        }
        self.put(&mut store, key, record, self.first_expiry(&record.header));
        Ok(Created::Done)
    }

    async fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        let created = self.create(key, record).await?;
        let until = match self.fault {
            F::CreateEnrolledUntilIdle => record.header.idle_deadline,
            _ => record.header.absolute_deadline,
        };
        let enters = created == Created::Done || self.is(F::CreateEnrolledAlwaysEnters);
        let mut enrolled = Enrolled::Done;
        if enters && !self.is(F::CreateEnrolledForgets) {
            let mut enrolment = enrolment;
            enrolment.deadline = until;
            enrolment.limit = enrolment.limit.filter(|_| !self.is(F::CreateEnrolledIgnoresLimit));
            enrolled = self.enrol(key.locator, enrolment).await?;
        }
        Ok(if created == Created::Done { enrolled } else { Enrolled::Taken })
    }

    async fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        let _turn = self.answers().await?;
        let before = { self.record(&mut self.store(), key).ok().flatten() };
        if let Some((mut current, expires)) = before.filter(|_| self.is(F::SaveTearsWhenDropped)) {
            let torn = [&record.payload[..record.payload.len() / 2], b"torn"].concat();
            let whole = std::mem::replace(&mut current.payload, torn.into());
            self.put(&mut self.store(), key, &current, expires);
            tokio::task::yield_now().await;
            current.payload = whole;
            self.put(&mut self.store(), key, &current, expires);
        }
        if self.is(F::SaveIsNotAtomic) {
            let answer = {
                let before = self.store().sessions.clone();
                let answer = self.save_sync(key, expected, record)?;
                if answer == Saved::Done {
                    self.store().sessions = before;
                }
                answer
            };
            tokio::task::yield_now().await;
            if answer == Saved::Done {
                let mut store = self.store();
                if let Some((_, expires)) = self.record(&mut store, key)? {
                    self.put(&mut store, key, record, expires);
                }
            }
            return Ok(answer);
        }
        if self.is(F::TellsSaves) {
            self.tell(&[key]);
        }
        self.save_sync(key, expected, record)
    }

    async fn touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        let _turn = self.answers().await?;
        let found = { self.record(&mut self.store(), key)? };
        let Some((mut record, expires)) = found else {
            if self.is(F::TouchResurrects) {
                let name = self.name(key);
                let gone = Record::new(Record::decode(&[1; 200]).unwrap().header, []);
                let entry = Entry { bytes: gone.encode(), expires: Timestamp::MAX };
                self.store().sessions.insert(name, entry);
            }
            return Ok(Touched::Gone);
        };
        if self.is(F::TouchWritesBack) {
            tokio::task::yield_now().await;
        }
        let header = &mut record.header;
        let mut deadline = self.clock.now().saturating_add(header.idle);
        if !self.is(F::TouchIsUnbounded) {
            deadline = deadline.min(header.absolute_deadline);
        }
        if !self.is(F::TouchShortens) {
            deadline = deadline.max(header.idle_deadline);
        }
        if !self.is(F::TouchForgetsHeader) {
            header.idle_deadline = deadline;
        }
        if self.is(F::TouchChangesTag) {
            header.tags = header.tags_after(Tag([9; 8]));
        }
        let mut store = self.store();
        if !self.is(F::TouchWritesBack) {
            // The record as it is now; only its idle deadline is the touch's business.
            let Some((now, _)) = self.record(&mut store, key)? else { return Ok(Touched::Gone) };
            record.payload = now.payload.clone();
            if !self.is(F::TouchChangesTag) {
                record.header.tags = now.header.tags;
            }
        }
        match self.fault {
            F::TouchDoesNothing => {}
            F::TouchForgetsExpiry => self.put(&mut store, key, &record, expires),
            _ => self.put(&mut store, key, &record, deadline),
        }
        Ok(Touched::Alive(deadline))
    }

    async fn destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        let _turn = self.answers().await?;
        if self.is(F::TellsBeforeItIsGone) {
            self.tell(keys);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut store = self.store();
        let victims = if self.is(F::DestroysOnlyTheFirst) { &keys[..keys.len().min(1)] } else { keys };
        if self.is(F::DestroysTooMuch) && victims.len() > 1 {
            store.sessions.clear();
        }
        for &victim in victims {
            let gone = store.sessions.remove(&self.name(victim));
            if gone.is_none() && self.is(F::DestroyOfNothingFails) {
                return Err(StoreErrorKind::Unavailable.into());
            }
            if self.is(F::IndexDiesWithSession) {
                store.indexes.remove(&(victim.realm.as_str().to_owned(), victim.locator));
            }
        }
        drop(store);
        if !self.is(F::TellsBeforeItIsGone) {
            self.tell(keys);
        }
        Ok(())
    }

    async fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        _write: Tag,
    ) -> Result<Destroyed, StoreError> {
        let _turn = self.answers().await?;
        let found = { self.record(&mut self.store(), key)? };
        let Some((current, _)) = found else {
            let done = self.is(F::DestroyUnchangedIsAlwaysDone);
            return Ok(if done { Destroyed::Done } else { Destroyed::Gone });
        };
        if current.header.tag() != expected && !self.is(F::DestroyUnchangedIgnoresTags) {
            let mut current = current;
            if self.is(F::DestroyUnchangedShowsNothing) {
                current.payload = [].into();
            }
            if self.is(F::TellsConflicts) {
                self.tell(&[key]);
            }
            return Ok(Destroyed::Conflict { current });
        }
        if self.is(F::DestroyUnchangedIsNotAtomic) {
            tokio::task::yield_now().await;
        }
        if !self.is(F::DestroyUnchangedKeeps) {
            self.store().sessions.remove(&self.name(key));
        }
        if !self.is(F::TellsNoHandover) {
            self.tell(&[key]);
        }
        Ok(Destroyed::Done)
    }

    async fn destroy_enrolled(&self, key: Key<'_>, user: UserKey<'_>) -> Result<AtOnce, StoreError> {
        let _turn = self.answers().await?;
        self.store().sessions.remove(&self.name(key));
        if !self.is(F::DestroyEnrolledKeepsEntry) {
            let mut store = self.store();
            let index = store.indexes.entry(self.user(user)).or_default();
            index.retain(|(member, _)| *member != key.locator);
        }
        if !self.is(F::DestroyEnrolledTellsNobody) {
            self.tell(&[key]);
        }
        Ok(AtOnce::Done)
    }

    async fn supersede(
        &self,
        before: Key<'_>,
        expected: Tag,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<AtOnce, StoreError> {
        let _turn = self.answers().await?;
        let (found, there) = {
            let mut store = self.store();
            (self.record(&mut store, before)?, self.record(&mut store, key)?)
        };
        let Some((found, _)) = found else {
            let sent = there.is_some_and(|(there, _)| there.header.tags.contains(&record.header.tag()));
            let done = sent && !self.is(F::SupersedeRefusesItsResend);
            return Ok(if done { AtOnce::Done } else { AtOnce::NotDone });
        };
        let changed = found.header.tag() != expected && !self.is(F::SupersedeIgnoresTags);
        let refused = self.refusal(key.locator, &enrolment).is_some() && !self.is(F::SupersedeIgnoresLimit);
        if changed || refused || there.is_some() {
            if self.is(F::SupersedeLeavesTheNew) {
                self.put(&mut self.store(), key, record, self.first_expiry(&record.header));
            }
            return Ok(AtOnce::NotDone);
        }
        if self.is(F::SupersedeIsNotAtomic) {
            tokio::task::yield_now().await;
        }
        self.put(&mut self.store(), key, record, self.first_expiry(&record.header));
        if !self.is(F::SupersedeForgetsEntry) {
            self.enrol_sync(enrolment.user, key.locator, enrolment.deadline);
        }
        if !self.is(F::SupersedeKeepsTheOld) {
            self.store().sessions.remove(&self.name(before));
        }
        if !self.is(F::SupersedeTellsNobody) {
            self.tell(&[before]);
        }
        Ok(AtOnce::Done)
    }

    async fn enrol(&self, locator: Locator, enrolment: Enrolment<'_>) -> Result<Enrolled, StoreError> {
        let _turn = self.answers().await?;
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

    async fn credential_version(&self, user: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
        let _turn = self.answers().await?;
        Ok(CredentialVersion(self.version(user)))
    }

    async fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<CredentialVersion, StoreError> {
        let _turn = self.answers().await?;
        Ok(CredentialVersion(self.bump_sync(user, keep)))
    }

    async fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) -> Result<(), StoreError> {
        let _turn = self.answers().await?;
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

    async fn members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        let _turn = self.answers().await?;
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
        Ok(index.into_iter().filter(|(_, until)| alive(*until)).map(|(member, _)| member).collect())
    }

    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        let mut watchers = self.watchers.lock().unwrap();
        if !self.is(F::NeverHears) {
            watcher.notice(Notice::Hearing);
        }
        let number = watchers.len();
        watchers.insert(number, (realm.clone(), watcher));
        let place = (!self.is(F::TellsWhoHasLeft)).then(|| Place(Arc::clone(&self.watchers), number));
        Some(Watching::new(place))
    }
}

fn locator_of_all() -> Locator {
    Locator::from_bytes([0; 16])
}

/// A store of toys on a clock that is moved.
pub(crate) struct Moved(Toy<ManualClock>);

/// A store of toys on the system's clock, which the suite waits for.
pub(crate) struct Real(Toy<SystemClock>);

fn toy<C: Clock>(fault: Fault, clock: C) -> Toy<C> {
    Toy {
        fault,
        clock,
        away: false,
        turn: Arc::default(),
        shared: Arc::default(),
        copies: Arc::default(),
        watchers: Watchers::default(),
    }
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
        let mut toy = Toy { copies: Arc::default(), ..self.0.clone() };
        if toy.is(F::TellsItsOwnHandleOnly) {
            toy.watchers = Arc::default();
        }
        toy
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    async fn advance(&self, time: Duration) {
        self.0.clock.advance(time);
    }

    async fn plant(&self, key: Key<'_>, bytes: &[u8]) -> bool {
        let expires = self.now().saturating_add(Duration::from_secs(60));
        self.0.store().sessions.insert(self.0.name(key), Entry { bytes: bytes.to_vec(), expires });
        true
    }

    async fn peek(&self, key: Key<'_>) -> Option<Vec<u8>> {
        self.0.store().sessions.get(&self.0.name(key)).map(|entry| entry.bytes.clone())
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
