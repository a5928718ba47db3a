//! Which proofs were used: what is sent, what the server holds, and what it may refuse.

use std::sync::LazyLock;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{Claimed, Locator, Realm, ReplayBackend, StoreErrorKind};
use portcullis_testkit::redis::{Proxy, RedisServer};

use crate::support::{BUDGET, HOUR, MARGIN, backend, commands, left, patient, timed};

static PROOF: LazyLock<Locator> = LazyLock::new(|| Locator::from_bytes([1; 16]));

fn name() -> String {
    format!("p:default:j:{}", *PROOF)
}

async fn claim(backend: &RedisBackend, proof: Locator) -> Claimed {
    backend.claim(&Realm::default(), proof, HOUR).await.unwrap()
}

#[tokio::test]
async fn a_claim_is_one_script_whether_it_is_the_first_or_not() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    // So that the server knows the script.
    assert_eq!(claim(&backend, Locator::from_bytes([2; 16])).await, Claimed::First);
    for expected in [Claimed::First, Claimed::Again] {
        let (claimed, sent) = commands(&server, claim(&backend, *PROOF)).await;
        assert_eq!(claimed, expected);
        let sent: Vec<_> =
            sent.into_iter().filter(|(name, _)| !["get", "set"].contains(&name.as_str())).collect();
        assert_eq!(sent, [("evalsha".to_owned(), 1)], "what the script does aside");
    }
    let kept = left(&server, &name());
    assert!((3_590_000..=3_600_000).contains(&kept), "{kept} ms");
}

/// Else a slow network would have the holder of a good proof refused.
#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_still_the_first() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    assert_eq!(claim(&backend, Locator::from_bytes([2; 16])).await, Claimed::First);
    let losses: [fn(&Proxy); 2] = [Proxy::cut_next_reply, Proxy::swallow_next_reply];
    for (round, lose) in losses.into_iter().enumerate() {
        let proof = Locator::from_bytes([round as u8 + 10; 16]);
        let before = server.calls("evalsha");
        lose(&proxy);
        assert_eq!(claim(&backend, proof).await, Claimed::First, "round {round}");
        assert!(server.calls("evalsha") - before >= 2, "it was sent again");
        assert_eq!(claim(&backend, proof).await, Claimed::Again, "round {round}");
    }
}

#[tokio::test]
async fn a_full_server_claims_nothing() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    assert_eq!(claim(&backend, *PROOF).await, Claimed::First);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let other = Locator::from_bytes([2; 16]);
    for proof in [other, *PROOF] {
        let refused = backend.claim(&Realm::default(), proof, HOUR).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Full);
    }
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(claim(&backend, other).await, Claimed::First);
}

#[tokio::test]
async fn what_is_no_claim_is_no_claim() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    server.command(&["LPUSH", &name(), "hello"]);
    let error = backend.claim(&Realm::default(), *PROOF, HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    server.command(&["DEL", &name()]);
    server.command(&["SET", &name(), "hello"]);
    assert_eq!(claim(&backend, *PROOF).await, Claimed::Again);
}

#[tokio::test]
async fn the_documented_permissions_suffice_for_proofs() {
    let server = RedisServer::builder().tcp().start();
    let rule =
        include_str!("../../src/lib.rs").lines().find_map(|line| line.split_once("ACL SETUSER ")).unwrap();
    let rule: Vec<&str> = ["ACL", "SETUSER"].into_iter().chain(rule.1.split(' ')).collect();
    server.command(&rule);
    let backend = backend(&format!("redis://app:secret@127.0.0.1:{}", server.port().unwrap()));
    assert_eq!(claim(&backend, *PROOF).await, Claimed::First);
    assert_eq!(claim(&backend, *PROOF).await, Claimed::Again);
}

#[tokio::test]
async fn no_claim_waits_longer_than_its_budget() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    assert_eq!(claim(&backend, *PROOF).await, Claimed::First);
    server.pause();
    for _ in 0..3 {
        let (outcome, took) = timed(backend.claim(&Realm::default(), *PROOF, HOUR)).await;
        assert!(matches!(outcome.unwrap_err().kind(), StoreErrorKind::Timeout | StoreErrorKind::Unavailable));
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    server.resume();
}

#[tokio::test]
async fn prefixes_keep_applications_apart() {
    let server = RedisServer::start();
    let prefixed = |prefix: &str| {
        RedisBackend::connect(RedisConfig::standalone(server.url()).unwrap().key_prefix(prefix)).unwrap()
    };
    assert_eq!(claim(&prefixed("one"), *PROOF).await, Claimed::First);
    assert_eq!(claim(&prefixed("two"), *PROOF).await, Claimed::First);
}
