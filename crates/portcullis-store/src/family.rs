//! [`FamilyBackend`]: what a place that keeps families of refresh tokens must do. [`Family`]: one of them, and what becomes of
//! it when a token is presented.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::{Locator, StoreError, Timestamp, TokenBackend, TokenEpoch, TokenStatus, UserKey};

/// A place that keeps families of refresh tokens, and knows which are revoked, because it is a [`TokenBackend`] too.
///
/// A family is what one login's refresh tokens have in common: of its tokens one is current, and each use replaces it by the
/// next generation. The place sees hashes of tokens only, and what the family allows is bytes to it.
///
/// # Promises that every implementation keeps
///
/// * **An outage is an error**, never an answer that there is no such family, and changes nothing or all.
/// * **One of several rotates**: of calls with one token, whatever runs at the same time in this process or another, one
///   begins a generation, and the others are told of the same.
/// * **The token before is good for the grace**, and not again rotated: it is told of the generation that its rotation has
///   begun.
/// * **An older one ends the family** in the same step as it is found out, and revokes the family's access tokens, as
///   [`revoke_family`](TokenBackend::revoke_family) does.
/// * **What is revoked is not rotated**: a family that is revoked by its name, whose user is, or that was begun before
///   everyone was. Revocations are kept for at least as long as a family may lie idle; so none is missed.
/// * **A family ends** when it was idle for too long, and at its end in any case, by the store's clock.
/// * **Every call may be sent twice** within the grace, with the effect of once.
/// * **Each call ends within the backend's own budget**, well under a second.
///
/// The conformance suite in `portcullis-testkit` checks them; the [guide](crate::family_guide) says how to write one.
pub trait FamilyBackend: TokenBackend {
    /// Begins a family, of generation 0.
    fn begin_family(
        &self,
        key: FamilyKey<'_>,
        family: NewFamily<'_>,
    ) -> impl Future<Output = Result<Begun, StoreError>> + Send;

    /// Somebody presents a token of the family, which is known to be ours.
    fn rotate_family(
        &self,
        key: FamilyKey<'_>,
        turn: Turn,
    ) -> impl Future<Output = Result<Turned, StoreError>> + Send;

    /// The family, if it is there and not revoked.
    fn find_family(
        &self,
        key: FamilyKey<'_>,
    ) -> impl Future<Output = Result<Option<Family>, StoreError>> + Send;
}

/// Where a family is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FamilyKey<'a> {
    /// Whose it is.
    pub user: UserKey<'a>,
    /// Which: the first 128 bits of a hash of the login's `sid`, by which its access tokens are revoked too.
    pub family: Locator,
}

/// The hash of a refresh token's secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FamilySecret(pub [u8; 32]);

/// A family that is begun.
#[derive(Clone, Copy, Debug)]
pub struct NewFamily<'a> {
    /// The secret of its first token.
    pub secret: FamilySecret,
    /// When it ends in any case, from now.
    pub absolute: Duration,
    /// For how long it may lie idle.
    pub idle: Duration,
    /// The epoch of its user that the login was checked in: another one, and nothing is begun. `None` for whichever it is.
    pub epoch: Option<TokenEpoch>,
    /// What it allows.
    pub payload: &'a [u8],
}

/// What became of a [`begin_family`](FamilyBackend::begin_family).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Begun {
    /// It stands, now or by an earlier send; in this epoch of its user.
    Done(TokenEpoch),
    /// Another family is there.
    Taken,
    /// A family of this name was revoked, or the epoch is another.
    Revoked,
}

/// A token of a family that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which generation it is of.
    pub generation: u64,
    /// Its secret.
    pub secret: FamilySecret,
    /// The secret that follows. It is the same each time that the same token is presented.
    pub successor: FamilySecret,
    /// How long after its rotation a token is still good.
    pub grace: Duration,
    /// How long the access tokens of the family are revoked for, should it come to that.
    pub keep: Duration,
}

/// What became of a [`rotate_family`](FamilyBackend::rotate_family).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Turned {
    /// The successor of what was presented is the current token.
    Current {
        /// The current generation.
        generation: u64,
        /// Whether it has begun by this call, or by an earlier one.
        is_new: bool,
        /// The epoch of its user.
        epoch: TokenEpoch,
        /// How long the family goes on if nobody presents the next token.
        left: Duration,
        /// What it allows.
        payload: Vec<u8>,
    },
    /// There is no such family: it has ended, or never was.
    Gone,
    /// It was revoked, and is no more.
    Revoked,
    /// The token was used before. The family has ended by that, and its access tokens are revoked.
    Reused {
        /// What it allowed.
        payload: Vec<u8>,
    },
}

/// A family of refresh tokens, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// How often it was rotated.
    pub generation: u64,
    /// The secret of its current token.
    pub current: FamilySecret,
    /// The secret of the token before.
    pub previous: FamilySecret,
    /// When it was begun.
    pub begun: Timestamp,
    /// When it was last rotated, or begun.
    pub rotated: Timestamp,
    /// When it ends in any case.
    pub absolute: Timestamp,
    /// For how long it may lie idle.
    pub idle: Duration,
    /// The epoch of its user when it was begun.
    pub epoch: TokenEpoch,
    /// What it allows.
    pub payload: Vec<u8>,
}

/// What becomes of a family when one of its tokens is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The token is the current one: the next generation begins.
    Rotate,
    /// It is the one before, within its grace: it is told of the current one.
    Repeat,
    /// It was used before: the family ends.
    Reuse,
}

impl Family {
    /// The family that begins now.
    #[must_use]
    pub fn begin(new: &NewFamily<'_>, epoch: TokenEpoch, now: Timestamp) -> Self {
        Self {
            generation: 0,
            current: new.secret,
            previous: new.secret,
            begun: now,
            rotated: now,
            absolute: now.saturating_add(new.absolute),
            idle: new.idle,
            epoch,
            payload: new.payload.to_vec(),
        }
    }

    /// When it ends if nobody presents a token.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.absolute.min(self.rotated.saturating_add(self.idle))
    }

    /// Whether what is known of its name, its user and everyone lets it go on.
    #[must_use]
    pub fn stands(&self, status: &TokenStatus) -> bool {
        !status.family_is_revoked
            && (status.user.is_never() || status.user == self.epoch)
            && (status.everyone.is_never() || self.begun > status.everyone.0)
    }

    /// What becomes of it when this token is presented.
    ///
    /// A generation that is still to come was begun by us and lost since, by a store that has forgotten its last writes: it
    /// counts as the current one.
    pub fn judge(&self, turn: &Turn, now: Timestamp) -> Verdict {
        if turn.generation > self.generation {
            return Verdict::Rotate;
        }
        if turn.generation == self.generation && turn.secret == self.current {
            return Verdict::Rotate;
        }
        let is_previous =
            turn.generation.checked_add(1) == Some(self.generation) && turn.secret == self.previous;
        if is_previous && now < self.rotated.saturating_add(turn.grace) {
            Verdict::Repeat
        } else {
            Verdict::Reuse
        }
    }

    /// The next generation begins.
    pub fn rotate(&mut self, turn: &Turn, now: Timestamp) {
        self.generation = turn.generation.saturating_add(1);
        (self.previous, self.current) = (turn.secret, turn.successor);
        self.rotated = now;
    }
}

impl fmt::Debug for FamilySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_secs(1000);
    const GRACE: Duration = Duration::from_secs(10);

    fn secret(byte: u8) -> FamilySecret {
        FamilySecret([byte; 32])
    }

    fn family() -> Family {
        let new = NewFamily {
            secret: secret(0),
            absolute: Duration::from_secs(3600),
            idle: Duration::from_secs(600),
            epoch: None,
            payload: b"p",
        };
        let mut family = Family::begin(&new, TokenEpoch(Timestamp::from_secs(5)), AT);
        family.rotate(&turn(0), AT);
        family.rotate(&turn(1), AT);
        family
    }

    /// The token of a generation, whose secret is as many times its number.
    fn turn(generation: u64) -> Turn {
        let byte = u8::try_from(generation).unwrap_or(u8::MAX);
        let keep = Duration::from_secs(60);
        Turn { generation, secret: secret(byte), successor: secret(byte.wrapping_add(1)), grace: GRACE, keep }
    }

    #[test]
    fn one_token_is_current_one_is_graced_and_older_ones_end_the_family() {
        let later = |seconds| AT.saturating_add(Duration::from_millis(seconds));
        for (name, turn, now, expected) in [
            ("the current one", turn(2), later(0), Verdict::Rotate),
            ("the current one, much later", turn(2), later(500_000), Verdict::Rotate),
            ("the one before", turn(1), later(0), Verdict::Repeat),
            ("the one before, in time", turn(1), later(9_999), Verdict::Repeat),
            ("the one before, too late", turn(1), later(10_000), Verdict::Reuse),
            ("an older one", turn(0), later(0), Verdict::Reuse),
            ("another secret", Turn { secret: secret(9), ..turn(2) }, later(0), Verdict::Reuse),
            ("another secret before", Turn { secret: secret(9), ..turn(1) }, later(0), Verdict::Reuse),
            ("one that the store has forgotten", turn(5), later(0), Verdict::Rotate),
            ("the last there can be", turn(u64::MAX), later(0), Verdict::Rotate),
        ] {
            assert_eq!(family().judge(&turn, now), expected, "{name}");
        }
    }

    #[test]
    fn a_family_ends_when_idle_and_in_any_case() {
        assert_eq!(family().deadline(), Timestamp::from_secs(1600));
        let mut family = family();
        family.rotate(&turn(2), Timestamp::from_secs(4500));
        assert_eq!(family.deadline(), Timestamp::from_secs(4600));
    }

    #[test]
    fn a_family_stands_until_it_its_user_or_everyone_is_revoked() {
        let epoch = |seconds| TokenEpoch(Timestamp::from_secs(seconds));
        let none = TokenStatus::default;
        for (name, status, expected) in [
            ("nothing", none(), true),
            ("a token of it", TokenStatus { token_is_revoked: true, ..none() }, true),
            ("it", TokenStatus { family_is_revoked: true, ..none() }, false),
            ("its user before it", TokenStatus { user: epoch(5), ..none() }, true),
            ("its user", TokenStatus { user: epoch(6), ..none() }, false),
            ("everyone before it", TokenStatus { everyone: epoch(999), ..none() }, true),
            ("everyone", TokenStatus { everyone: epoch(1000), ..none() }, false),
        ] {
            assert_eq!(family().stands(&status), expected, "{name}");
        }
    }
}
