//! [`Toy`]: a backend of families in a map, whole or with one fault, to prove that the suite can fail.
#![allow(clippy::wildcard_enum_match_arm, reason = "each place of the toy is concerned by few of its faults")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_store::{
    Begun, Clock, Family, FamilyBackend, FamilyKey, Locator, ManualClock, NewFamily, Realm,
    RevocationWatcher, Revoked, StoreError, StoreErrorKind, Timestamp, TokenBackend, TokenEpoch, TokenQuery,
    TokenStatus, Turn, Turned, UserKey, Verdict as Judged, Watching,
};
use portcullis_testkit::conformance::Harness;

use self::Fault as F;
use crate::board::Board;

/// What a faulty backend does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    BeginsOver,
    ResendIsTaken,
    NeverRotates,
    LosesThePayload,
    GraceRotates,
    NoGrace,
    GraceForEver,
    OlderIsGraced,
    ReuseLeavesTokensGood,
    ReuseIsNotTold,
    ReuseKeepsTheFamily,
    ReuseIsForgottenEarly,
    SecretsAreNotCompared,
    ForgottenIsReuse,
    IsNotAtomic,
    HandlesAreApart,
    FindForgetsTheRest,
    NamesAreOne,
    UsersAreOne,
    RealmsAreOne,
    MarksDoNotMatter,
    BegunAgainAfterRevocation,
    EpochsDoNotMatter,
    ExpectedEpochsDoNotMatter,
    EveryoneDoesNotMatter,
    IdleDoesNotMatter,
    IdleIsFromTheBeginning,
    LeftIsToTheEnd,
    NoEnd,
    OutageIsGone,
}

#[derive(Clone)]
pub(crate) struct Toy {
    fault: Fault,
    clock: ManualClock,
    away: bool,
    store: Arc<Mutex<Store>>,
    board: Board,
}

#[derive(Clone, Default)]
struct Store {
    families: HashMap<String, Family>,
    /// Until when each is known.
    marks: HashMap<String, Timestamp>,
    users: HashMap<String, TokenEpoch>,
    everyone: HashMap<String, TokenEpoch>,
}

impl Toy {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn user(&self, user: UserKey<'_>) -> String {
        let realm = if self.is(F::RealmsAreOne) { "" } else { user.realm.as_str() };
        let user = if self.is(F::UsersAreOne) { "" } else { user.user.as_str() };
        format!("{realm}/{user}")
    }

    fn name(&self, user: UserKey<'_>, family: Locator) -> String {
        let family = if self.is(F::NamesAreOne) { "" } else { family.as_str() };
        format!("{}/{family}", self.user(user))
    }

    fn of(&self, store: &Store, query: TokenQuery<'_>) -> TokenStatus {
        let epoch = |epochs: &HashMap<String, TokenEpoch>, name: &str| epochs.get(name).copied();
        TokenStatus {
            family_is_revoked: query.family.is_some_and(|family| {
                let known = store.marks.get(&self.name(query.user, family));
                known.is_some_and(|until| *until > self.clock.now())
            }),
            user: epoch(&store.users, &self.user(query.user)).unwrap_or_default(),
            everyone: epoch(&store.everyone, query.user.realm.as_str()).unwrap_or_default(),
            ..TokenStatus::default()
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.away { Err(StoreErrorKind::Unavailable.into()) } else { Ok(()) }
    }

    /// What counts of a status, for this toy.
    fn counts(&self, mut status: TokenStatus) -> TokenStatus {
        match self.fault {
            F::MarksDoNotMatter => status.family_is_revoked = false,
            F::EpochsDoNotMatter => status.user = TokenEpoch::default(),
            F::EveryoneDoesNotMatter => status.everyone = TokenEpoch::default(),
            _ => {}
        }
        status
    }

    fn has_ended(&self, family: &Family) -> bool {
        let deadline = match self.fault {
            F::IdleDoesNotMatter => family.absolute,
            F::IdleIsFromTheBeginning => family.absolute.min(family.begun.saturating_add(family.idle)),
            F::NoEnd => Timestamp::MAX,
            _ => family.deadline(),
        };
        self.clock.now() >= deadline
    }

    fn judge(&self, family: &Family, turn: &Turn) -> Judged {
        let judged = family.judge(turn, self.clock.now());
        let is_before = turn.generation + 1 == family.generation;
        match self.fault {
            F::NoGrace if judged == Judged::Repeat => Judged::Reuse,
            F::GraceRotates if judged == Judged::Repeat => Judged::Rotate,
            F::GraceForEver if is_before => Judged::Repeat,
            F::OlderIsGraced if judged == Judged::Reuse => Judged::Repeat,
            F::ForgottenIsReuse if turn.generation > family.generation => Judged::Reuse,
            F::SecretsAreNotCompared if turn.generation == family.generation => Judged::Rotate,
            _ => judged,
        }
    }
}

impl TokenBackend for Toy {
    async fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        self.check()?;
        Ok(self.of(&self.store.lock().unwrap(), query))
    }

    async fn revoke_token(&self, _: UserKey<'_>, _: Locator, _: Duration) -> Result<(), StoreError> {
        self.check()
    }

    async fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.check()?;
        let until = self.clock.now().saturating_add(keep);
        self.store.lock().unwrap().marks.insert(self.name(user, family), until);
        Ok(())
    }

    async fn revoke_user(&self, user: UserKey<'_>, _: Duration) -> Result<TokenEpoch, StoreError> {
        self.check()?;
        let mut store = self.store.lock().unwrap();
        let epoch = store.users.entry(self.user(user)).or_default();
        *epoch = epoch.next(self.clock.now());
        Ok(*epoch)
    }

    async fn revoke_everyone(&self, realm: &Realm, _: Duration) -> Result<TokenEpoch, StoreError> {
        self.check()?;
        let mut store = self.store.lock().unwrap();
        let epoch = store.everyone.entry(realm.as_str().to_owned()).or_default();
        *epoch = epoch.next(self.clock.now());
        Ok(*epoch)
    }

    fn watch_revocations(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching> {
        Some(self.board.enter(realm, watcher, self.away))
    }
}

impl FamilyBackend for Toy {
    async fn begin_family(&self, key: FamilyKey<'_>, new: NewFamily<'_>) -> Result<Begun, StoreError> {
        self.check()?;
        let mut store = self.store.lock().unwrap();
        let name = self.name(key.user, key.family);
        let status = self.of(&store, TokenQuery { user: key.user, token: None, family: Some(key.family) });
        if let Some(held) = store.families.get(&name).filter(|held| !self.has_ended(held))
            && !self.is(F::BeginsOver)
        {
            let is_resent = held.generation == 0 && held.current == new.secret && !self.is(F::ResendIsTaken);
            return Ok(if is_resent { Begun::Done(held.epoch) } else { Begun::Taken });
        }
        let is_other = new.epoch.is_some_and(|epoch| epoch != status.user);
        let is_revoked = status.family_is_revoked && !self.is(F::BegunAgainAfterRevocation);
        if is_revoked || is_other && !self.is(F::ExpectedEpochsDoNotMatter) {
            return Ok(Begun::Revoked);
        }
        store.families.insert(name, Family::begin(&new, status.user, self.clock.now()));
        Ok(Begun::Done(status.user))
    }

    async fn rotate_family(&self, key: FamilyKey<'_>, turn: Turn) -> Result<Turned, StoreError> {
        if self.away && self.is(F::OutageIsGone) {
            return Ok(Turned::Gone);
        }
        self.check()?;
        let name = self.name(key.user, key.family);
        let query = TokenQuery { user: key.user, token: None, family: Some(key.family) };
        let before = self.store.lock().unwrap().clone();
        if self.is(F::IsNotAtomic) {
            tokio::task::yield_now().await;
        }
        let mut store = self.store.lock().unwrap();
        let seen = if self.is(F::IsNotAtomic) { &before } else { &*store };
        let status = self.of(seen, query);
        let Some(mut family) = seen.families.get(&name).filter(|held| !self.has_ended(held)).cloned() else {
            return Ok(Turned::Gone);
        };
        if !family.stands(&self.counts(status)) {
            store.families.remove(&name);
            return Ok(Turned::Revoked);
        }
        let judged = self.judge(&family, &turn);
        let now = self.clock.now();
        match judged {
            Judged::Reuse => {
                if !self.is(F::ReuseKeepsTheFamily) {
                    store.families.remove(&name);
                }
                if !self.is(F::ReuseLeavesTokensGood) {
                    let early = self.is(F::ReuseIsForgottenEarly);
                    let keep = if early { turn.keep / 1000 } else { turn.keep };
                    store.marks.insert(name, now.saturating_add(keep));
                }
                if !self.is(F::ReuseIsNotTold) {
                    let what = Revoked::Family { user: key.user.user, family: key.family };
                    self.board.tell(key.user.realm, what, turn.keep);
                }
                return Ok(Turned::Reused { payload: family.payload });
            }
            Judged::Rotate if !self.is(F::NeverRotates) => {
                family.rotate(&turn, now);
                if self.is(F::LosesThePayload) {
                    family.payload.clear();
                }
                store.families.insert(name, family.clone());
            }
            _ => {}
        }
        Ok(Turned::Current {
            generation: family.generation,
            is_new: judged == Judged::Rotate,
            epoch: status.user,
            left: if self.is(F::LeftIsToTheEnd) { family.absolute } else { family.deadline() }.since(now),
            payload: family.payload,
        })
    }

    async fn find_family(&self, key: FamilyKey<'_>) -> Result<Option<Family>, StoreError> {
        self.check()?;
        let store = self.store.lock().unwrap();
        let query = TokenQuery { user: key.user, token: None, family: Some(key.family) };
        let status = self.counts(self.of(&store, query));
        let found = store.families.get(&self.name(key.user, key.family)).cloned();
        let mut found = found.filter(|family| family.stands(&status) && !self.has_ended(family));
        if self.is(F::FindForgetsTheRest)
            && let Some(family) = &mut found
        {
            family.previous = family.current;
        }
        Ok(found)
    }
}

/// A store of toys on a clock that is moved.
pub(crate) struct Moved(Toy);

impl Moved {
    pub(crate) fn with(fault: Fault) -> Self {
        Self(Toy {
            fault,
            clock: ManualClock::default(),
            away: false,
            store: Arc::default(),
            board: Board::default(),
        })
    }
}

impl Harness for Moved {
    type Backend = Toy;

    async fn handle(&self) -> Toy {
        let mut toy = self.0.clone();
        if toy.is(F::HandlesAreApart) {
            toy.store = Arc::default();
        }
        toy
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    async fn advance(&self, time: Duration) {
        self.0.clock.advance(time);
    }

    async fn unreachable(&self) -> Option<Toy> {
        Some(Toy { away: true, ..self.0.clone() })
    }
}
