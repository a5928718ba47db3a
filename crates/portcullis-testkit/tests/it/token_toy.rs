//! [`Toy`]: a backend of revocations in a map, whole or with one fault, to prove that the suite can fail.
#![allow(clippy::wildcard_enum_match_arm, reason = "each place of the toy is concerned by few of its faults")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_store::{
    Clock, EVERYONE_IS_SEEN_WITHIN, Locator, ManualClock, Realm, RevocationWatcher, Revoked, StoreError,
    StoreErrorKind, SystemClock, Timestamp, TokenBackend, TokenEpoch, TokenQuery, TokenStatus, UserKey,
    Watching,
};
use portcullis_testkit::conformance::Harness;

use crate::board::{Board, Quirk};

/// What a faulty backend does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    RevokesStrangers,
    TokensStayGood,
    TokenTakesItsFamily,
    TokenTakesItsUser,
    NamesAreOne,
    NamesAreOfNobody,
    NamelessAreForgiven,
    FamiliesStayGood,
    UsersStayGood,
    UsersAreOne,
    UserIsGivenAnotherEpoch,
    EveryoneStaysGood,
    EveryoneIsOneHandle,
    EveryoneHidesTheUser,
    EpochsAreCounted,
    EpochsAreWholeSeconds,
    EpochsFollowTheClock,
    EpochsAreOfTheHandle,
    RealmsAreOne,
    EveryoneIsInEveryRealm,
    HandlesKeepACopy,
    ResendFails,
    ResendForgives,
    MarksStay,
    MarksEndAtHalf,
    LastMarkCounts,
    FirstMarkCounts,
    EpochsStay,
    EpochsEndAtHalf,
    LastEpochCounts,
    FirstEpochCounts,
    AtOnceIsBlind,
    MarksAreNotAtomic,
    EpochsAreNotAtomic,
    OutageIsAPass,
    OutageHangs,
    Watch(Quirk),
}

#[derive(Clone)]
pub(crate) struct Toy<C: Clock> {
    fault: Fault,
    clock: C,
    away: bool,
    turn: Arc<tokio::sync::Mutex<()>>,
    store: Arc<Mutex<Store>>,
    /// What this handle has answered or given, for the faults that keep it.
    own: Arc<Mutex<Store>>,
    answers: Arc<Mutex<HashMap<String, TokenStatus>>>,
    board: Board,
}

#[derive(Clone, Default)]
struct Store {
    marks: HashMap<String, Timestamp>,
    epochs: HashMap<String, (TokenEpoch, Timestamp)>,
}

use Fault as F;

impl<C: Clock + Clone> Toy<C> {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn realm<'r>(&self, realm: &'r Realm) -> &'r str {
        if self.is(F::RealmsAreOne) { "" } else { realm.as_str() }
    }

    fn user(&self, user: UserKey<'_>) -> String {
        let name = if self.is(F::UsersAreOne) { "" } else { user.user.as_str() };
        format!("{}/{name}", self.realm(user.realm))
    }

    fn mark(&self, user: UserKey<'_>, kind: &str, name: Locator) -> String {
        let user = if self.is(F::NamesAreOfNobody) { String::new() } else { self.user(user) };
        let kind = if self.is(F::NamesAreOne) { "" } else { kind };
        format!("{user}/{kind}/{}", name.as_str())
    }

    fn everyone(&self, realm: &Realm) -> String {
        if self.is(F::EveryoneIsInEveryRealm) { String::new() } else { self.realm(realm).to_owned() }
    }

    fn look_up(&self, query: TokenQuery<'_>) -> TokenStatus {
        let now = self.clock.now();
        let store = self.store.lock().unwrap().clone();
        let own = self.own.lock().unwrap().clone();
        let marked = |kind: &str, name: Option<Locator>| {
            let until = name.and_then(|name| store.marks.get(&self.mark(query.user, kind, name)).copied());
            until.is_some_and(|until| until > now || self.is(F::MarksStay))
        };
        let epoch = |of: &Store, name: &str| {
            let held = of.epochs.get(name).filter(|(_, until)| *until > now || self.is(F::EpochsStay));
            held.map_or_else(TokenEpoch::default, |(epoch, _)| *epoch)
        };
        let mut status = TokenStatus {
            token_is_revoked: marked("token", query.token),
            family_is_revoked: marked("family", query.family),
            user: epoch(&store, &self.user(query.user)),
            everyone: epoch(&store, &self.everyone(query.user.realm)),
        };
        match self.fault {
            F::RevokesStrangers => status.token_is_revoked |= query.token.is_none(),
            F::TokensStayGood => status.token_is_revoked = false,
            F::TokenTakesItsFamily => status.family_is_revoked |= status.token_is_revoked,
            F::TokenTakesItsUser if status.token_is_revoked => status.user = TokenEpoch(now),
            F::NamelessAreForgiven => status.family_is_revoked &= query.token.is_some(),
            F::FamiliesStayGood => status.family_is_revoked = false,
            F::UsersStayGood => status.user = TokenEpoch::default(),
            F::EveryoneStaysGood => status.everyone = TokenEpoch::default(),
            F::EveryoneIsOneHandle => status.everyone = epoch(&own, &self.everyone(query.user.realm)),
            F::EveryoneHidesTheUser if !status.everyone.is_never() => status.user = TokenEpoch::default(),
            F::HandlesKeepACopy => {
                let name = format!("{query:?}");
                return *self.answers.lock().unwrap().entry(name).or_insert(status);
            }
            _ => {}
        }
        status
    }

    /// The turn to answer; with a fault that is about it, others come in between.
    async fn turn(&self) -> Result<Option<tokio::sync::OwnedMutexGuard<()>>, StoreError> {
        match (self.away, self.fault) {
            (true, F::OutageHangs) => std::future::pending().await,
            (true, F::OutageIsAPass) => Ok(None),
            (true, _) => Err(StoreErrorKind::Unavailable.into()),
            (false, F::MarksAreNotAtomic | F::EpochsAreNotAtomic) => Ok(None),
            (false, _) => Ok(Some(Arc::clone(&self.turn).lock_owned().await)),
        }
    }

    async fn set_mark(&self, name: String, keep: Duration) -> Result<(), StoreError> {
        let _turn = self.turn().await?;
        let keep = if self.is(F::MarksEndAtHalf) { keep / 4 } else { keep };
        let until = self.clock.now().saturating_add(keep);
        let before = self.store.lock().unwrap().clone();
        if self.is(F::MarksAreNotAtomic) {
            tokio::task::yield_now().await;
        }
        let mut store = self.store.lock().unwrap();
        if self.is(F::MarksAreNotAtomic) {
            store.marks = before.marks.clone();
        }
        match (before.marks.get(&name), self.fault) {
            (Some(_), F::ResendFails) => return Err(StoreErrorKind::Corrupt.into()),
            (Some(_), F::ResendForgives) => _ = store.marks.remove(&name),
            (Some(&held), F::FirstMarkCounts) => _ = store.marks.insert(name, held),
            (Some(&held), fault) if fault != F::LastMarkCounts => {
                _ = store.marks.insert(name, held.max(until))
            }
            _ => _ = store.marks.insert(name, until),
        }
        Ok(())
    }

    async fn begin_epoch(&self, name: String, keep: Duration) -> Result<TokenEpoch, StoreError> {
        let _turn = self.turn().await?;
        let now = self.clock.now();
        let keep = if self.is(F::EpochsEndAtHalf) { keep / 4 } else { keep };
        let source = if self.is(F::EpochsAreOfTheHandle) { &self.own } else { &self.store };
        let (held, kept) = source.lock().unwrap().epochs.get(&name).copied().unwrap_or_default();
        if self.is(F::EpochsAreNotAtomic) {
            tokio::task::yield_now().await;
        }
        let epoch = match self.fault {
            F::EpochsAreCounted => TokenEpoch(held.0.saturating_add(Duration::from_millis(1))),
            F::EpochsAreWholeSeconds => held.next(Timestamp::from_secs(now.as_secs())),
            F::EpochsFollowTheClock => TokenEpoch(now),
            _ => held.next(now),
        };
        let until = match self.fault {
            F::LastEpochCounts => now.saturating_add(keep),
            F::FirstEpochCounts if !held.is_never() => kept,
            _ => kept.max(now.saturating_add(keep)),
        };
        self.own.lock().unwrap().epochs.insert(name.clone(), (epoch, until));
        self.store.lock().unwrap().epochs.insert(name, (epoch, until));
        Ok(if self.is(F::UserIsGivenAnotherEpoch) { epoch.next(now) } else { epoch })
    }
}

impl<C: Clock + Clone> TokenBackend for Toy<C> {
    async fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        let _turn = self.turn().await?;
        Ok(self.look_up(query))
    }

    fn status_now(&self, query: TokenQuery<'_>) -> Option<Result<TokenStatus, StoreError>> {
        match self.fault {
            F::AtOnceIsBlind => Some(Ok(TokenStatus::default())),
            _ => (!self.away).then(|| Ok(self.look_up(query))),
        }
    }

    async fn revoke_token(
        &self,
        user: UserKey<'_>,
        token: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.set_mark(self.mark(user, "token", token), keep).await?;
        self.board.tell(user.realm, Revoked::Token { user: user.user, token }, keep);
        Ok(())
    }

    async fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.set_mark(self.mark(user, "family", family), keep).await?;
        self.board.tell(user.realm, Revoked::Family { user: user.user, family }, keep);
        Ok(())
    }

    async fn revoke_user(&self, user: UserKey<'_>, keep: Duration) -> Result<TokenEpoch, StoreError> {
        let epoch = self.begin_epoch(self.user(user), keep).await?;
        self.board.tell(user.realm, Revoked::User { user: user.user, epoch }, keep);
        Ok(epoch)
    }

    async fn revoke_everyone(&self, realm: &Realm, keep: Duration) -> Result<TokenEpoch, StoreError> {
        let epoch = self.begin_epoch(self.everyone(realm), keep).await?;
        self.board.tell(realm, Revoked::Everyone { epoch }, keep);
        Ok(epoch)
    }

    fn watch_revocations(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching> {
        Some(self.board.enter(realm, watcher, self.away))
    }
}

/// A store of toys on a clock that is moved.
pub(crate) struct Moved(Toy<ManualClock>);

/// A store of toys on the system's clock, which the suite waits for.
pub(crate) struct Real(Toy<SystemClock>);

fn toy<C: Clock>(fault: Fault, clock: C) -> Toy<C> {
    let quirk = if let F::Watch(quirk) = fault { quirk } else { Quirk::None };
    Toy {
        board: Board::with(quirk),
        fault,
        clock,
        away: false,
        turn: Arc::default(),
        store: Arc::default(),
        own: Arc::default(),
        answers: Arc::default(),
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
        let board = self.0.board.of_another_handle();
        Toy { own: Arc::default(), answers: Arc::default(), board, ..self.0.clone() }
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    async fn advance(&self, time: Duration) {
        assert!(time <= EVERYONE_IS_SEEN_WITHIN, "the suite waits for {time:?}");
        self.0.clock.advance(time);
    }

    async fn unreachable(&self) -> Option<Toy<ManualClock>> {
        Some(Toy { away: true, ..self.0.clone() })
    }

    async fn deafen(&self) -> bool {
        self.0.board.deafen();
        true
    }
}

impl Harness for Real {
    type Backend = Toy<SystemClock>;

    async fn handle(&self) -> Toy<SystemClock> {
        self.0.clone()
    }
}
