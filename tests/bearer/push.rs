//! Processes that are told what is revoked, and do not ask: what that costs, how soon they know, and what becomes of them when
//! they are not told.

use std::time::Duration;

use portcullis::bearer::{OnOutage, RevocationCheck, RevocationPush, Revocations};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::REVOCATIONS_ARE_TOLD_WITHIN;
use portcullis_testkit::jwt::TestIssuer;
use portcullis_testkit::redis::{Proxy, RedisServer};
use tokio::time::{Instant, sleep};

use super::revocation::{ISSUER, Node, token};

/// How long anything may take on a busy machine that is bound to happen.
const PATIENT: Duration = Duration::from_secs(20);

fn pushed(url: &str) -> Revocations {
    let backend = RedisBackend::connect(RedisConfig::standalone(url).unwrap()).unwrap();
    Revocations::new(backend).push(RevocationPush::new())
}

/// A process that has been told all there is.
async fn told(issuer: &TestIssuer, url: &str, token: &str) -> Node {
    let node = Node::new(issuer, pushed(url));
    becomes_told(&node, token).await;
    node
}

async fn becomes_told(node: &Node, token: &str) {
    let began = Instant::now();
    while !node.revocations.is_told() {
        // The first request has it told.
        let status = node.status(token).await;
        assert!(matches!(status, 200 | 503), "{status}");
        assert!(began.elapsed() < PATIENT, "it is never told");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Which commands a request for a status may consist of.
fn asked(server: &RedisServer) -> u64 {
    ["mget", "get", "evalsha", "eval", "pttl"].map(|command| server.calls(command)).iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_costs_no_round_trip_and_is_refused_at_once_whoever_has_revoked_its_token() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let server = RedisServer::start();
    let [mine, others, login, user, last] =
        [("ada", "a"), ("ada", "b"), ("ada", "c"), ("eve", "d"), ("bob", "e")]
            .map(|(sub, sid)| token(&issuer, sub, sid));
    // Revoked before anybody is told.
    let asking = Node::new(
        &issuer,
        Revocations::new(RedisBackend::connect(RedisConfig::standalone(server.url()).unwrap()).unwrap()),
    );
    let old = token(&issuer, "old", "o");
    asking.client.post("/logout").bearer(&old).await.assert_status(200);

    let here = told(&issuer, &server.url(), &mine).await;
    let there = told(&issuer, &server.url(), &mine).await;
    assert_eq!((here.status(&old).await, there.status(&old).await), (401, 401), "it stood before");

    let before = asked(&server);
    for _ in 0..500 {
        assert_eq!((here.status(&mine).await, there.status(&others).await), (200, 200));
    }
    assert!(here.revocations.is_told() && there.revocations.is_told());
    assert_eq!(asked(&server) - before, 0, "a thousand requests, and no round trip");

    let mut slowest = Duration::ZERO;
    let mut refused = async |token: &str, what: &str| {
        assert_eq!(
            here.status(token).await,
            401,
            "{what}: whoever has revoked it sees it on the next request"
        );
        let returned = Instant::now();
        while there.status(token).await != 401 {
            let late = returned.elapsed();
            assert!(late < REVOCATIONS_ARE_TOLD_WITHIN, "{what}: good after {late:?}");
            tokio::task::yield_now().await;
        }
        slowest = slowest.max(returned.elapsed());
    };
    here.client.post("/logout").bearer(&mine).await.assert_status(200);
    refused(&mine, "a token").await;
    here.revocations.revoke_family(ISSUER, "ada", "c").await.unwrap();
    refused(&login, "a login").await;
    assert_eq!(there.status(&others).await, 200, "another login");
    here.revocations.revoke_user(ISSUER, "eve").await.unwrap();
    refused(&user, "a user").await;
    assert_eq!(there.status(&last).await, 200, "another user");
    here.revocations.revoke_everyone().await.unwrap();
    refused(&last, "everyone").await;
    println!("the slowest was seen by another process {slowest:?} after the call had returned");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_while_nothing_was_heard_is_refused() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let server = RedisServer::start();
    let good = token(&issuer, "grace", "g");
    let (here, there) =
        (told(&issuer, &server.url(), &good).await, told(&issuer, &server.url(), &good).await);
    for round in 0..5 {
        let victim = token(&issuer, "ada", &format!("s{round}"));
        assert_eq!(there.status(&victim).await, 200);
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        // It is told nothing at this moment; whether it knows that yet or not, the bound holds.
        here.client.post("/logout").bearer(&victim).await.assert_status(200);
        let returned = Instant::now();
        while there.status(&victim).await != 401 {
            let late = returned.elapsed();
            assert!(late < REVOCATIONS_ARE_TOLD_WITHIN, "round {round}: good after {late:?}");
            tokio::task::yield_now().await;
        }
        becomes_told(&there, &good).await;
        assert_eq!(there.status(&victim).await, 401, "round {round}: it was read anew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_network_is_not_taken_for_peace() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let server = RedisServer::builder().tcp().start();
    let proxy = Proxy::start(&server).await;
    let [good, victim] = ["a", "b"].map(|sid| token(&issuer, "ada", sid));
    let there = told(&issuer, &proxy.url(), &good).await;
    let here = Node::new(&issuer, pushed(&server.url()));
    assert_eq!(there.status(&victim).await, 200);

    // Nothing arrives any more, and no connection breaks.
    proxy.black_hole();
    here.client.post("/logout").bearer(&victim).await.assert_status(200);
    let returned = Instant::now();
    let mut statuses = Vec::new();
    while returned.elapsed() < REVOCATIONS_ARE_TOLD_WITHIN + Duration::from_secs(1) {
        let (asked, status) = (returned.elapsed(), there.status(&victim).await);
        // The bound, to the millisecond: asked for after it, the token is not let in.
        assert!(status != 200 || asked < REVOCATIONS_ARE_TOLD_WITHIN, "let in {asked:?} after the call");
        if statuses.last() != Some(&status) {
            statuses.push(status);
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(statuses, [200, 503], "it could not be known at first, and then nobody could be asked");
    assert!(!there.revocations.is_told());

    proxy.forward();
    becomes_told(&there, &good).await;
    assert_eq!((there.status(&victim).await, there.status(&good).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_the_policy_holds_as_it_does_for_those_who_ask() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let server = RedisServer::start();
    let good = token(&issuer, "ada", "a");
    let closed = told(&issuer, &server.url(), &good).await;
    let revocations = pushed(&server.url());
    let policy = OnOutage::FailOpen { max_outage: Duration::from_secs(60) };
    let open = Node::checking(&issuer, &revocations, RevocationCheck::by(&revocations).on_outage(policy));
    becomes_told(&open, &good).await;

    server.kill();
    let died = Instant::now();
    while closed.status(&good).await != 503 {
        let late = died.elapsed();
        assert!(late < REVOCATIONS_ARE_TOLD_WITHIN, "let in {late:?} after the store has died");
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(open.status(&good).await, 200, "as it was told to");
    assert!(!closed.revocations.is_told() && !open.revocations.is_told());

    server.restart();
    becomes_told(&closed, &good).await;
    // The connection of commands is another, and tries again after a while.
    while closed.client.post("/logout").bearer(&good).await.status == 503 {
        assert!(died.elapsed() < PATIENT, "it cannot be revoked");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(closed.status(&good).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_there_is_room_for_has_the_store_asked() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let server = RedisServer::start();
    let good = token(&issuer, "grace", "g");
    let backend = RedisBackend::connect(RedisConfig::standalone(server.url()).unwrap()).unwrap();
    let small = Revocations::new(backend).push(RevocationPush::new().max_revocations(3));
    let node = Node::new(&issuer, small);
    becomes_told(&node, &good).await;
    let victims: Vec<String> = (0..6).map(|at| token(&issuer, &format!("u{at}"), "s")).collect();
    let here = Node::new(&issuer, pushed(&server.url()));
    for victim in &victims {
        here.client.post("/logout").bearer(victim).await.assert_status(200);
    }
    let began = Instant::now();
    while node.revocations.is_told() {
        assert!(began.elapsed() < REVOCATIONS_ARE_TOLD_WITHIN, "it takes what it has for all");
        sleep(Duration::from_millis(5)).await;
    }
    for victim in &victims {
        assert_eq!(node.status(victim).await, 401);
    }
    assert_eq!(node.status(&good).await, 200);
}
