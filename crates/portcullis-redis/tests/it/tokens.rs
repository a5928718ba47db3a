//! Which tokens are revoked: what is sent, what the server holds, and what it may refuse.

use std::sync::LazyLock;
use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{
    Locator, Realm, SessionBackend, StoreErrorKind, Timestamp, TokenBackend, TokenEpoch, TokenQuery,
    TokenStatus, UserKey,
};
use portcullis_testkit::redis::{RedisCluster, RedisServer};

use crate::support::{BUDGET, HOUR, MARGIN, Session, backend, commands, left, record, timed};

static TOKEN: LazyLock<Locator> = LazyLock::new(|| Locator::from_bytes([1; 16]));
static FAMILY: LazyLock<Locator> = LazyLock::new(|| Locator::from_bytes([2; 16]));
static USER: LazyLock<Locator> = LazyLock::new(|| Locator::from_bytes([3; 16]));

fn user(realm: &Realm) -> UserKey<'_> {
    UserKey { realm, user: *USER }
}

fn query(realm: &Realm) -> TokenQuery<'_> {
    TokenQuery { user: user(realm), token: Some(*TOKEN), family: Some(*FAMILY) }
}

#[tokio::test]
async fn a_status_is_one_mget_and_a_revocation_one_script() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let realm = Realm::default();
    let revoke_all = async || {
        backend.revoke_token(user(&realm), *TOKEN, HOUR).await.unwrap();
        backend.revoke_family(user(&realm), *FAMILY, HOUR).await.unwrap();
        backend.revoke_user(user(&realm), HOUR).await.unwrap();
        backend.revoke_everyone(&realm, HOUR).await.unwrap();
    };
    revoke_all().await; // so that the server knows the scripts
    let (_, sent) = commands(&server, revoke_all()).await;
    assert_eq!((sent["evalsha"], sent.get("eval")), (4, None), "{sent:?}");
    let (status, sent) = commands(&server, backend.status(query(&realm))).await;
    let status = status.unwrap();
    assert!(status.token_is_revoked && status.family_is_revoked);
    assert!(!status.user.is_never() && !status.everyone.is_never());
    assert_eq!(sent.into_iter().collect::<Vec<_>>(), [("mget".to_owned(), 1)]);
}

#[tokio::test]
async fn what_is_kept_expires_with_what_it_is_about() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let realm = Realm::default();
    backend.revoke_token(user(&realm), *TOKEN, HOUR).await.unwrap();
    backend.revoke_family(user(&realm), *FAMILY, HOUR * 2).await.unwrap();
    backend.revoke_user(user(&realm), HOUR * 3).await.unwrap();
    backend.revoke_everyone(&realm, HOUR * 4).await.unwrap();
    for (name, hours) in [
        (format!("p:default:t:{{{}}}:{}", *USER, *TOKEN), 1),
        (format!("p:default:f:{{{}}}:{}", *USER, *FAMILY), 2),
        (format!("p:default:e:{{{}}}", *USER), 3),
        ("p:default:everyone".to_owned(), 4),
    ] {
        let left = left(&server, &name);
        assert!((hours * 3_600_000 - 60_000..=hours * 3_600_000).contains(&left), "{name}: {left}");
    }
    backend.revoke_token(user(&realm), *TOKEN, Duration::MAX).await.unwrap();
    backend.revoke_token(user(&realm), *FAMILY, Duration::ZERO).await.unwrap();
    assert!(backend.status(query(&realm)).await.unwrap().token_is_revoked);
}

#[tokio::test]
async fn a_full_server_revokes_all_the_same() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let realm = Realm::default();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = backend.create(Session::new().key(), &record(b"")).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Full);
    backend.revoke_token(user(&realm), *TOKEN, HOUR).await.unwrap();
    backend.revoke_family(user(&realm), *FAMILY, HOUR).await.unwrap();
    let epoch = backend.revoke_user(user(&realm), HOUR).await.unwrap();
    let everyone = backend.revoke_everyone(&realm, HOUR).await.unwrap();
    let expected = TokenStatus { token_is_revoked: true, family_is_revoked: true, user: epoch, everyone };
    assert_eq!(backend.status(query(&realm)).await.unwrap(), expected);
    assert!(backend.revoke_user(user(&realm), HOUR).await.unwrap() > epoch);
}

#[tokio::test]
async fn a_clock_that_is_behind_begins_later_epochs_all_the_same() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let realm = Realm::default();
    let ahead = 4_000_000_000_000_u64;
    server.command(&["SET", &format!("p:default:e:{{{}}}", *USER), &ahead.to_string()]);
    let epoch = backend.revoke_user(user(&realm), HOUR).await.unwrap();
    assert_eq!(epoch, TokenEpoch(Timestamp::from_millis(ahead + 1)));
    assert_eq!(backend.status(query(&realm)).await.unwrap().user, epoch);
}

#[tokio::test]
async fn what_is_no_epoch_is_corrupt_and_left_as_it_is() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let realm = Realm::default();
    for (name, value) in [("a text", "hello"), ("a number out of bounds", "99999999999999999999")] {
        for key in [format!("p:default:e:{{{}}}", *USER), "p:default:everyone".to_owned()] {
            server.command(&["FLUSHALL"]);
            server.command(&["SET", &key, value]);
            let error = backend.status(query(&realm)).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{name} under {key}");
            let begun = if key.ends_with("everyone") {
                backend.revoke_everyone(&realm, HOUR).await
            } else {
                backend.revoke_user(user(&realm), HOUR).await
            };
            assert_eq!(begun.unwrap_err().kind(), StoreErrorKind::Corrupt, "{name} under {key}");
            assert_eq!(server.command(&["GET", &key]), value);
        }
    }
}

#[tokio::test]
async fn the_documented_permissions_suffice_for_tokens() {
    let server = RedisServer::builder().tcp().start();
    let rule =
        include_str!("../../src/lib.rs").lines().find_map(|line| line.split_once("ACL SETUSER ")).unwrap();
    let rule: Vec<&str> = ["ACL", "SETUSER"].into_iter().chain(rule.1.split(' ')).collect();
    server.command(&rule);
    let backend = backend(&format!("redis://app:secret@127.0.0.1:{}", server.port().unwrap()));
    let realm = Realm::default();
    backend.revoke_token(user(&realm), *TOKEN, HOUR).await.unwrap();
    backend.revoke_family(user(&realm), *FAMILY, HOUR).await.unwrap();
    backend.revoke_user(user(&realm), HOUR).await.unwrap();
    backend.revoke_user(user(&realm), HOUR).await.unwrap();
    backend.revoke_everyone(&realm, HOUR).await.unwrap();
    assert!(backend.status(query(&realm)).await.unwrap().token_is_revoked);
}

#[tokio::test]
async fn no_call_waits_longer_than_its_budget() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let realm = Realm::default();
    assert_eq!(backend.status(query(&realm)).await.unwrap(), TokenStatus::default());
    server.pause();
    for _ in 0..3 {
        let (outcome, took) = timed(backend.status(query(&realm))).await;
        assert!(matches!(outcome.unwrap_err().kind(), StoreErrorKind::Timeout | StoreErrorKind::Unavailable));
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    server.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_a_status_is_one_mget_and_everyone_is_asked_for_every_few_seconds() {
    let cluster = RedisCluster::start(3);
    let connect = || RedisBackend::connect(RedisConfig::cluster(cluster.urls()).unwrap()).unwrap();
    let (backend, other) = (connect(), connect());
    let realm = Realm::default();
    let sent = |command: &str| -> usize {
        let count = |node| {
            let statistics = cluster.node(node).command(&["INFO", "commandstats"]);
            let found =
                statistics.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            found.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
        };
        (0..3).map(count).sum()
    };
    for _ in 0..20 {
        assert_eq!(backend.status(query(&realm)).await.unwrap(), TokenStatus::default());
    }
    assert_eq!((sent("mget"), sent("get")), (20, 1));
    let everyone = backend.revoke_everyone(&realm, HOUR).await.unwrap();
    assert_eq!(backend.status(query(&realm)).await.unwrap().everyone, everyone, "one's own is known at once");
    assert_eq!(other.status(query(&realm)).await.unwrap().everyone, everyone);
    let user = backend.revoke_user(user(&realm), HOUR).await.unwrap();
    assert_eq!(other.status(query(&realm)).await.unwrap().user, user, "the next request sees it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_costs_no_status() {
    let cluster = RedisCluster::start(3);
    let backend = RedisBackend::connect(RedisConfig::cluster(cluster.urls()).unwrap()).unwrap();
    let realm = Realm::default();
    let name = format!("p:default:e:{{{}}}", *USER);
    let (slot, home) = (RedisCluster::key_slot(&name), cluster.master_of_key(&name));
    let asked = async |expected: TokenStatus, when: &str| {
        let (status, took) = timed(backend.status(query(&realm))).await;
        assert_eq!(status.unwrap(), expected, "{when}");
        assert!(took < BUDGET, "{when}: {took:?}");
    };
    let nothing = TokenStatus::default();
    asked(nothing, "before").await;
    let migration = cluster.begin_migration(slot, (home + 1) % 3);
    asked(nothing, "nothing is at home, and nothing has moved").await;
    let user = backend.revoke_user(user(&realm), HOUR).await.unwrap();
    asked(TokenStatus { user, ..nothing }, "the epoch was begun where the slot is going").await;
    backend.revoke_token(self::user(&realm), *TOKEN, HOUR).await.unwrap();
    let expected = TokenStatus { user, token_is_revoked: true, ..nothing };
    asked(expected, "some keys are there").await;
    migration.move_keys();
    asked(expected, "all that is there has moved").await;
    migration.finish();
    asked(expected, "after").await;
}
