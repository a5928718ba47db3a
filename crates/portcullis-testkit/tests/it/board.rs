//! [`Board`]: where toys tell those who watch what is revoked, rightly or with one quirk.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "each place of the board is concerned by few of its quirks"
)]

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use portcullis_store::{
    REVOCATIONS_ARE_TOLD_WITHIN, Realm, Revocation, RevocationNotice, RevocationWatcher, Revoked, TokenEpoch,
    Watching,
};
use tokio::time::{Instant, sleep};

/// What is told wrongly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quirk {
    #[default]
    None,
    StandingIsNotTold,
    StandingIsToldLate,
    TokensAreNotTold,
    FamiliesAreNotTold,
    UsersAreNotTold,
    EveryoneIsNotTold,
    OthersAreNotTold,
    ToldAfterTheCall,
    AnotherEpochIsTold,
    ExtensionsAreNotTold,
    KeepIsToldShort,
    KeepIsToldLong,
    CurrentForTooLong,
    CurrentOnce,
    EveryRealmIsTold,
    WatchesNeverEnd,
    EntersLate,
    BreaksAreNotNoticed,
    BreaksAreForgotten,
    OutageIsCurrent,
}

/// Clones share what is told; [`Board::of_another_handle`] does too.
#[derive(Clone, Default)]
pub(crate) struct Board {
    quirk: Quirk,
    handle: Arc<()>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    seats: Vec<Seat>,
    next: u64,
    standing: Vec<(Realm, Revocation)>,
    is_broken: bool,
}

struct Seat {
    id: u64,
    realm: Realm,
    handle: Arc<()>,
    watcher: Arc<dyn RevocationWatcher>,
}

struct Place(Board, u64);

/// How long a break lasts.
const BREAK: Duration = Duration::from_millis(20);

impl Board {
    pub(crate) fn with(quirk: Quirk) -> Self {
        Self { quirk, ..Self::default() }
    }

    pub(crate) fn of_another_handle(&self) -> Self {
        Self { handle: Arc::default(), ..self.clone() }
    }

    fn is(&self, quirk: Quirk) -> bool {
        self.quirk == quirk
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// This is revoked now.
    pub(crate) fn tell(&self, realm: &Realm, what: Revoked, keep: Duration) {
        let told = Revocation { what, keep };
        let mut shared = self.shared();
        let is_known = shared.standing.iter().any(|(_, held)| held.what == what);
        shared.standing.push((realm.clone(), told));
        if shared.is_broken || is_known && self.is(Quirk::ExtensionsAreNotTold) {
            return;
        }
        drop(shared);
        if self.is(Quirk::ToldAfterTheCall) {
            let (board, realm) = (self.clone(), realm.clone());
            tokio::spawn(async move {
                sleep(BREAK).await;
                board.tell_all(&realm, told);
            });
        } else {
            self.tell_all(realm, told);
        }
    }

    fn tell_all(&self, realm: &Realm, told: Revocation) {
        let Some(told) = self.bent(told) else { return };
        for seat in &self.shared().seats {
            let is_theirs = seat.realm == *realm || self.is(Quirk::EveryRealmIsTold);
            let is_deaf = self.is(Quirk::OthersAreNotTold) && !Arc::ptr_eq(&seat.handle, &self.handle);
            if is_theirs && !is_deaf {
                seat.watcher.notice(RevocationNotice::Revoked(&[told]));
            }
        }
    }

    /// What is told in place of this.
    fn bent(&self, mut told: Revocation) -> Option<Revocation> {
        let is_left_out = match told.what {
            Revoked::Token { .. } => self.is(Quirk::TokensAreNotTold),
            Revoked::Family { .. } => self.is(Quirk::FamiliesAreNotTold),
            Revoked::User { .. } => self.is(Quirk::UsersAreNotTold),
            Revoked::Everyone { .. } => self.is(Quirk::EveryoneIsNotTold),
        };
        match (self.quirk, &mut told.what) {
            (Quirk::AnotherEpochIsTold, Revoked::User { epoch, .. } | Revoked::Everyone { epoch }) => {
                *epoch = TokenEpoch(epoch.0.saturating_add(Duration::from_millis(1)));
            }
            (Quirk::KeepIsToldShort, _) => told.keep /= 4,
            (Quirk::KeepIsToldLong, _) => told.keep *= 4,
            _ => {}
        }
        (!is_left_out).then_some(told)
    }

    pub(crate) fn enter(
        &self,
        realm: &Realm,
        watcher: Arc<dyn RevocationWatcher>,
        is_away: bool,
    ) -> Watching {
        if is_away {
            if self.is(Quirk::OutageIsCurrent) {
                watcher.notice(RevocationNotice::Current { until: None });
            }
            return Watching::new(());
        }
        let mut shared = self.shared();
        let id = shared.next;
        shared.next += 1;
        let seat = Seat { id, realm: realm.clone(), handle: Arc::clone(&self.handle), watcher };
        if self.is(Quirk::StandingIsToldLate) {
            self.say_current(&seat);
        }
        if !self.is(Quirk::StandingIsNotTold) {
            shared.tell_standing(&seat);
        }
        self.say_current(&seat);
        if self.is(Quirk::EntersLate) {
            let board = self.clone();
            tokio::spawn(async move {
                sleep(BREAK).await;
                board.shared().seats.push(seat);
            });
        } else {
            shared.seats.push(seat);
        }
        drop(shared);
        Watching::new(Place(self.clone(), id))
    }

    fn say_current(&self, seat: &Seat) {
        let until = match self.quirk {
            Quirk::CurrentForTooLong => Some(REVOCATIONS_ARE_TOLD_WITHIN * 2),
            Quirk::CurrentOnce => Some(BREAK),
            _ => None,
        };
        let until = until.map(|lasts| (Instant::now() + lasts).into_std());
        seat.watcher.notice(RevocationNotice::Current { until });
    }

    /// For a moment nothing is told.
    pub(crate) fn deafen(&self) {
        let mut shared = self.shared();
        shared.is_broken = true;
        if !self.is(Quirk::BreaksAreNotNoticed) {
            shared.seats.iter().for_each(|seat| seat.watcher.notice(RevocationNotice::Deaf));
        }
        let board = self.clone();
        tokio::spawn(async move {
            sleep(BREAK).await;
            board.come_back();
        });
    }

    fn come_back(&self) {
        let mut shared = self.shared();
        shared.is_broken = false;
        if self.is(Quirk::BreaksAreNotNoticed) {
            return;
        }
        for seat in &shared.seats {
            if !self.is(Quirk::BreaksAreForgotten) {
                shared.tell_standing(seat);
            }
            self.say_current(seat);
        }
    }
}

impl Shared {
    fn tell_standing(&self, seat: &Seat) {
        for (_, told) in self.standing.iter().filter(|(realm, _)| *realm == seat.realm) {
            seat.watcher.notice(RevocationNotice::Revoked(&[*told]));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.0.is(Quirk::WatchesNeverEnd) {
            self.0.shared().seats.retain(|seat| seat.id != self.1);
        }
    }
}
