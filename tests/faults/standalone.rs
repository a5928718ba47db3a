//! One server, which goes away, hangs, is full, forgets its scripts, changes its password or its role.

use std::time::Duration;

use portcullis::session::{SessionLayer, User};
use portcullis_redis::RedisConfig;
use portcullis_store::{Clock, ManualClock, SystemClock};
use portcullis_testkit::redis::{Proxy, RedisServer, RedisServerBuilder};
use tokio::time::{Instant, sleep};

use crate::app::{Answer, NOBODY, Service};
use crate::load::Person;
use crate::tally::Kind;
use crate::trial::{AFTER_A_RESTART, Trial, machine};

const A_WHILE: Duration = Duration::from_millis(800);

/// What it acknowledges is on disk.
fn durable() -> RedisServerBuilder {
    RedisServer::builder().tcp().arg("--appendonly", "yes").arg("--appendfsync", "always")
}

fn config(server: &RedisServer) -> RedisConfig {
    RedisConfig::standalone(server.url()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_boots_before_its_server_refuses_at_once_and_then_serves() {
    let _machine = machine().await;
    let server = durable().start();
    let trial = Trial::begin_without("nothing listening", &config(&server), || server.kill()).await;
    trial.goes_on_for(A_WHILE).await;
    let reads = trial.load.counts().of(Kind::Read);
    assert!(reads.refused > 0 && reads.refused == reads.requests, "{reads:?}");
    assert!(reads.slowest < Duration::from_millis(200), "a refused connection is not waited for: {reads:?}");
    server.restart();
    trial.end(Instant::now()).await.recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_restarted_costs_nothing_that_it_acknowledged() {
    let _machine = machine().await;
    let server = durable().start();
    let trial = Trial::begin("kill -9 and restart", &config(&server)).await;
    server.kill();
    trial.goes_on_for(A_WHILE).await;
    server.restart();
    trial.end(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_costs_no_more() {
    let _machine = machine().await;
    let server = durable().start();
    let trial = Trial::begin("kill -9, five times", &config(&server)).await;
    for _ in 0..5 {
        server.kill();
        server.restart();
        trial.goes_on_for(Duration::from_millis(200)).await;
    }
    trial.end(Instant::now()).await.recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_the_budget_and_nothing_else() {
    let _machine = machine().await;
    let server = durable().start();
    let trial = Trial::begin("SIGSTOP and SIGCONT", &config(&server)).await;
    server.pause();
    trial.goes_on_for(Duration::from_millis(1500)).await;
    server.resume();
    trial.end(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_for_a_moment_costs_no_refusal() {
    let _machine = machine().await;
    let server = durable().start();
    let trial = Trial::begin("SIGSTOP for 100 ms", &config(&server)).await;
    server.pause();
    trial.goes_on_for(Duration::from_millis(100)).await;
    server.resume();
    trial.end(Instant::now()).await.refused_none().kept_all();
}

/// Fills the server, and then takes some of the room away: what a session that ends frees does not let another in.
fn fill(server: &RedisServer) {
    let filler = "x".repeat(32 * 1024);
    for number in 0.. {
        if let Err(refusal) = server.try_command(&["SET", &format!("filler:{number}"), &filler]) {
            assert!(refusal.starts_with("OOM"), "{refusal}");
            break;
        }
    }
    server.command(&["CONFIG", "SET", "maxmemory", "2500kb"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_what_is_new_and_serves_and_ends_what_it_has() {
    let _machine = machine().await;
    let server = durable().arg("--maxmemory", "3mb").arg("--maxmemory-policy", "noeviction").start();
    let trial = Trial::begin("OOM", &config(&server)).await;
    let mut bystanders = Vec::new();
    for name in ["touched", "leaves", "revoked", "bumped"] {
        bystanders.push(Person::signed_in(trial.load.service(), name).await);
    }
    fill(&server);
    let before = trial.load.counts();
    trial.goes_on_for(A_WHILE).await;
    let after = trial.load.counts();
    let answered = |kind| {
        let (before, after) = (before.of(kind), after.of(kind));
        (after.requests - before.requests, after.refused - before.refused)
    };
    for kind in [Kind::Read, Kind::Ghost] {
        let (asked, refused) = answered(kind);
        assert!(asked > 20 && refused == 0, "{kind:?}: {after:?}");
    }
    for kind in [Kind::Write, Kind::Login] {
        let (asked, refused) = answered(kind);
        // Those that were under way when it filled up.
        assert!(asked > 20 && asked - refused < 10, "{kind:?}: {after:?}");
    }
    touches(&server, &bystanders[0]).await;
    ends(&server, &bystanders[1..]).await;

    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    trial.end(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}

/// A request that comes a good while after the last one moves the deadline.
async fn touches(server: &RedisServer, person: &Person) {
    let left = || -> i64 { server.command(&["PTTL", &person.cookie.key()]).parse().unwrap() };
    let before = left();
    let service = Service::new(&config(server));
    let clock = ManualClock::at(SystemClock.now());
    clock.advance(Duration::from_secs(10 * 60));
    let layer = SessionLayer::builder(service.backend.clone()).clock(clock).build().unwrap();
    let later = Service::with(layer, service.backend);
    assert_eq!(later.ask(Some(&person.cookie), "/me").await, Answer::Ok(person.name.clone()));
    // It goes on behind the response.
    let start = Instant::now();
    while left() <= before {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{before} ms, still: a full server has not touched"
        );
        sleep(Duration::from_millis(5)).await;
    }
}

/// A logout, a revocation, and a change of credentials.
async fn ends(server: &RedisServer, people: &[Person]) {
    let [leaves, revoked, bumped] = people else { panic!("three") };
    let service = Service::new(&config(server));
    assert_eq!(service.ask(Some(&leaves.cookie), "/logout").await, Answer::Ok(String::new()));
    assert_eq!(service.ask(None, &format!("/revoke/{}", revoked.name)).await, Answer::Ok(String::new()));
    service.sessions.bump(&User::new(bumped.name.as_str())).await.unwrap();
    for person in people {
        assert_eq!(service.ask(Some(&person.cookie), "/me").await, Answer::Ok(NOBODY.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_its_scripts_costs_nobody_an_error() {
    let _machine = machine().await;
    let server = durable().start();
    let trial = Trial::begin("SCRIPT FLUSH, ten times", &config(&server)).await;
    for _ in 0..10 {
        server.command(&["SCRIPT", "FLUSH"]);
        trial.goes_on_for(Duration::from_millis(60)).await;
    }
    trial.end(Instant::now()).await.refused_none().kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_was_forgotten_costs_one_round_trip_more_once() {
    let _machine = machine().await;
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let service = Service::new(&RedisConfig::standalone(proxy.url()).unwrap());
    let person = Person::signed_in(&service, "ada").await;
    let mut operation = 0;
    let mut write = async || {
        operation += 1;
        let before = proxy.round_trips();
        let answer = service.ask(Some(&person.cookie), &format!("/write/{operation}")).await;
        assert_eq!(answer, Answer::Ok("ada".to_owned()));
        proxy.round_trips() - before
    };
    write().await;
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!([write().await, write().await], [3, 2], "GET, EVALSHA and EVAL; then GET and EVALSHA");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_wrong_for_a_while_locks_nobody_out_for_good() {
    let _machine = machine().await;
    let server = durable().start();
    let passwords = |password: &str| {
        server.command(&[
            "ACL",
            "SETUSER",
            "app",
            "reset",
            "on",
            &format!(">{password}"),
            "~*",
            "&*",
            "+@all",
        ]);
        server.command(&["CLIENT", "KILL", "USER", "app"]);
    };
    passwords("right");
    let config = config(&server).username("app").password("right");
    let trial = Trial::begin("wrong password, then right again", &config).await;
    passwords("wrong");
    trial.goes_on_for(A_WHILE).await;
    let reads = trial.load.counts().of(Kind::Read);
    assert!(reads.slowest < Duration::from_millis(450), "who is not let in does not wait: {reads:?}");
    passwords("right");
    trial.end(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_demoted_for_a_while_is_written_to_again_when_it_is_promoted() {
    let _machine = machine().await;
    let server = durable().start();
    let trial = Trial::begin("demoted, promoted again", &config(&server)).await;
    // Of nobody who is there, so that it keeps its data.
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    trial.goes_on_for(A_WHILE).await;
    let [reads, writes] = [Kind::Read, Kind::Write].map(|kind| trial.load.counts().of(kind));
    assert_eq!(reads.refused, 0, "READONLY concerns writes: {reads:?}");
    assert!(writes.refused > 0, "{writes:?}");
    // Now it does not even answer reads: MASTERDOWN.
    server.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    trial.goes_on_for(A_WHILE).await;
    server.promote();
    let outcome = trial.end(Instant::now()).await;
    outcome.recovered_within(AFTER_A_RESTART).kept_all();
    assert!(outcome.of(Kind::Read).refused > 0);
}
