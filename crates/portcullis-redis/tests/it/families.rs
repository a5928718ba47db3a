//! Families of refresh tokens: what the server holds of them, and what it may refuse.

use std::time::Duration;

use portcullis_redis::RedisBackend;
use portcullis_store::{
    Begun, FamilyBackend, FamilyKey, FamilySecret, Locator, NewFamily, Realm, StoreError, StoreErrorKind,
    TokenBackend, Turn, Turned, UserKey,
};
use portcullis_testkit::redis::RedisServer;

use crate::support::{HOUR, backend, left};

/// A server, and a family on it.
struct Stage {
    server: RedisServer,
    backend: RedisBackend,
    realm: Realm,
    user: Locator,
    family: Locator,
    grace: Duration,
}

const SECOND: Duration = Duration::from_secs(1);

impl Stage {
    fn new() -> Self {
        let server = RedisServer::start();
        let backend = backend(&server.url());
        let (user, family) = (Locator::from_bytes([3; 16]), Locator::from_bytes([2; 16]));
        Self { server, backend, realm: Realm::default(), user, family, grace: SECOND * 10 }
    }

    fn key(&self) -> FamilyKey<'_> {
        FamilyKey { user: UserKey { realm: &self.realm, user: self.user }, family: self.family }
    }

    async fn begin(&self, absolute: Duration, idle: Duration) -> Result<Begun, StoreError> {
        let new = NewFamily { secret: secret(0), absolute, idle, epoch: None, payload: b"grant" };
        self.backend.begin_family(self.key(), new).await
    }

    async fn begun(&self, absolute: Duration, idle: Duration) {
        assert!(matches!(self.begin(absolute, idle).await.unwrap(), Begun::Done(_)));
    }

    /// The token of this generation is the current one.
    async fn rotates(&self, generation: u8) {
        let turned = self.present(generation).await.unwrap();
        assert!(matches!(turned, Turned::Current { is_new: true, .. }), "{turned:?}");
    }

    /// Somebody presents the token of this generation.
    async fn present(&self, generation: u8) -> Result<Turned, StoreError> {
        let turn = Turn {
            generation: generation.into(),
            secret: secret(generation),
            successor: secret(generation + 1),
            grace: self.grace,
            keep: HOUR,
        };
        self.backend.rotate_family(self.key(), turn).await
    }

    /// Under which name the server has the family, its mark, and its user's epoch.
    fn names(&self) -> [String; 3] {
        let Self { user, family, .. } = self;
        [
            format!("p:default:g:{{{user}}}:{family}"),
            format!("p:default:f:{{{user}}}:{family}"),
            format!("p:default:e:{{{user}}}"),
        ]
    }
}

fn secret(generation: u8) -> FamilySecret {
    FamilySecret([generation; 32])
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> StoreErrorKind {
    outcome.unwrap_err().kind()
}

#[tokio::test]
async fn a_family_expires_when_it_may_lie_idle_no_longer_and_at_its_end_in_any_case() {
    let stage = Stage::new();
    let [family, ..] = stage.names();
    for (name, absolute, idle, hours) in [
        ("idle", HOUR * 4, HOUR, 1),
        ("the end", HOUR * 2, HOUR * 3, 2),
        ("for ever", HOUR * 4, Duration::MAX, 4),
    ] {
        stage.server.command(&["FLUSHALL"]);
        stage.begun(absolute, idle).await;
        let begun = left(&stage.server, &family);
        let mut kept = vec![begun];
        for is_first in [true, false] {
            let Turned::Current { is_new, left: told, .. } = stage.present(0).await.unwrap() else {
                panic!("{name}")
            };
            assert_eq!(is_new, is_first, "{name}");
            kept.push(told.as_millis().try_into().unwrap());
            kept.push(left(&stage.server, &family));
        }
        for left in kept {
            assert!((hours * 3_600_000 - 60_000..=hours * 3_600_000).contains(&left), "{name}: {left}");
        }
    }
}

#[tokio::test]
async fn the_grace_is_counted_from_the_rotation() {
    let stage = Stage { grace: SECOND / 5, ..Stage::new() };
    stage.begun(HOUR, HOUR).await;
    tokio::time::sleep(SECOND / 4).await;
    for is_first in [true, false] {
        let turned = stage.present(0).await.unwrap();
        assert!(matches!(turned, Turned::Current { is_new, .. } if is_new == is_first), "{turned:?}");
    }
}

#[tokio::test]
async fn a_theft_leaves_the_mark_and_nothing_else() {
    let stage = Stage::new();
    let [family, mark, _] = stage.names();
    stage.begun(HOUR * 4, HOUR * 4).await;
    stage.rotates(0).await;
    stage.rotates(1).await;
    assert_eq!(stage.present(0).await.unwrap(), Turned::Reused { payload: b"grant".to_vec() });
    assert_eq!(stage.server.command(&["EXISTS", &family]), "0");
    let kept = left(&stage.server, &mark);
    assert!((3_540_000..=3_600_000).contains(&kept), "{kept}");
    assert_eq!(stage.present(2).await.unwrap(), Turned::Gone);
}

/// The server's expiry comes first, as a rule; what it has kept in spite of it is over all the same.
#[tokio::test]
async fn a_family_past_its_end_is_gone_whatever_the_server_has_kept() {
    let stage = Stage::new();
    let [family, ..] = stage.names();
    stage.begun(SECOND / 5, HOUR).await;
    stage.server.command(&["PERSIST", &family]);
    tokio::time::sleep(SECOND / 4).await;
    assert_eq!(stage.present(0).await.unwrap(), Turned::Gone);
}

#[tokio::test]
async fn a_full_server_begins_no_family_and_rotates_and_ends_those_that_there_are() {
    let stage = Stage::new();
    stage.begun(HOUR, HOUR).await;
    stage.server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let other = Stage { family: Locator::from_bytes([9; 16]), ..stage };
    assert_eq!(kind(other.begin(HOUR, HOUR).await), StoreErrorKind::Full);
    let stage = Stage { family: Locator::from_bytes([2; 16]), ..other };
    stage.rotates(0).await;
    stage.rotates(1).await;
    assert!(matches!(stage.present(0).await.unwrap(), Turned::Reused { .. }));
    let query =
        portcullis_store::TokenQuery { user: stage.key().user, token: None, family: Some(stage.family) };
    assert!(stage.backend.status(query).await.unwrap().family_is_revoked);
}

#[tokio::test]
async fn what_is_no_family_or_no_epoch_is_corrupt_and_left_as_it_is() {
    let stage = Stage::new();
    let [family, _, epoch] = stage.names();
    stage.begun(HOUR, HOUR).await;
    let longer = "x".repeat(200);
    for text in ["hello", &longer] {
        stage.server.command(&["SET", &family, text]);
        assert_eq!(kind(stage.present(0).await), StoreErrorKind::Corrupt, "{text}");
        assert_eq!(kind(stage.backend.find_family(stage.key()).await), StoreErrorKind::Corrupt, "{text}");
        assert_eq!(stage.begin(HOUR, HOUR).await.unwrap(), Begun::Taken, "{text}");
        assert_eq!(stage.server.command(&["GET", &family]), text);
    }
    stage.server.command(&["FLUSHALL"]);
    stage.server.command(&["SET", &epoch, "hello"]);
    assert_eq!(kind(stage.begin(HOUR, HOUR).await), StoreErrorKind::Corrupt);
    stage.server.command(&["DEL", &epoch]);
    stage.begun(HOUR, HOUR).await;
    for name in [epoch, "p:default:everyone".to_owned()] {
        stage.server.command(&["SET", &name, "hello"]);
        assert_eq!(kind(stage.present(0).await), StoreErrorKind::Corrupt, "{name}");
        assert_eq!(kind(stage.backend.find_family(stage.key()).await), StoreErrorKind::Corrupt, "{name}");
        stage.server.command(&["DEL", &name]);
    }
    stage.rotates(0).await;
}

/// An answer that was lost is given once more: with the epoch that the family was begun in, or its access token would outlive it.
#[tokio::test]
async fn who_begins_once_more_hears_of_the_epoch_that_was_and_not_of_the_one_since() {
    let stage = Stage::new();
    let before = stage.backend.revoke_user(stage.key().user, HOUR).await.unwrap();
    assert_eq!(stage.begin(HOUR, HOUR).await.unwrap(), Begun::Done(before));
    stage.backend.revoke_user(stage.key().user, HOUR).await.unwrap();
    assert_eq!(stage.begin(HOUR, HOUR).await.unwrap(), Begun::Done(before));
    assert_eq!(stage.present(0).await.unwrap(), Turned::Revoked);
}

#[tokio::test]
async fn a_family_outlives_the_memory_of_a_revocation_that_was_before_it() {
    let stage = Stage::new();
    let [.., epoch] = stage.names();
    stage.backend.revoke_user(stage.key().user, HOUR).await.unwrap();
    stage.begun(HOUR, HOUR).await;
    stage.rotates(0).await;
    // As its expiry does.
    stage.server.command(&["DEL", &epoch]);
    stage.rotates(1).await;
    assert!(stage.backend.find_family(stage.key()).await.unwrap().is_some());
    stage.backend.revoke_user(stage.key().user, HOUR).await.unwrap();
    assert_eq!(stage.present(2).await.unwrap(), Turned::Revoked);
}
