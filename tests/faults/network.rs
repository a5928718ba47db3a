//! A network that swallows, delays or loses.

use std::time::Duration;

use portcullis_redis::RedisConfig;
use portcullis_testkit::redis::{Proxy, RedisServer};
use tokio::time::Instant;

use crate::trial::{AFTER_A_RESTART, Trial, machine};

/// From the moment that a connection swallows everything to the last refusal.
const AFTER_A_BLACK_HOLE: Duration = Duration::from_millis(500);

/// A server, and a network in front of it.
async fn behind_a_network(what: &'static str) -> (RedisServer, Proxy, Trial) {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let config = |url: String| RedisConfig::standalone(url).unwrap();
    let trial = Trial::begin_through(what, &config(proxy.url()), &config(server.url())).await;
    (server, proxy, trial)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_swallows_everything_is_replaced_within_half_a_second() {
    let _machine = machine().await;
    let (_server, proxy, trial) = behind_a_network("black-holed connection").await;
    proxy.black_hole_open();
    trial.end(Instant::now()).await.recovered_within(AFTER_A_BLACK_HOLE).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_costs_the_budget_until_it_is_back() {
    let _machine = machine().await;
    let (_server, proxy, trial) = behind_a_network("black-holed network").await;
    proxy.black_hole();
    trial.goes_on_for(Duration::from_millis(1500)).await;
    proxy.forward();
    trial.end(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_costs_time_and_a_slower_one_the_budget() {
    let _machine = machine().await;
    let (_server, proxy, trial) = behind_a_network("slow network").await;
    proxy.delay(Duration::from_millis(40));
    trial.goes_on_for(Duration::from_millis(1000)).await;
    assert_eq!(trial.load.counts().all().refused, 0, "it is slow, and serves");
    // More than a command is given, so that every one is sent again.
    proxy.delay(Duration::from_millis(600));
    trial.goes_on_for(Duration::from_millis(1500)).await;
    proxy.delay(Duration::ZERO);
    trial.end(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrow_network_costs_the_budget() {
    let _machine = machine().await;
    let (_server, proxy, trial) = behind_a_network("throttled network").await;
    // The load has fourteen requests under way, of some hundred bytes each.
    proxy.throttle(4_000);
    trial.goes_on_for(Duration::from_millis(2000)).await;
    proxy.throttle(0);
    trial.end_slow(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_after_everybody_has_given_up_is_applied_once_or_not_at_all() {
    let _machine = machine().await;
    let (_server, proxy, trial) = behind_a_network("network away, late delivery").await;
    for _ in 0..3 {
        proxy.hold();
        trial.goes_on_for(Duration::from_millis(700)).await;
        proxy.forward();
        trial.goes_on_for(Duration::from_millis(300)).await;
    }
    trial.end(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_reply_is_lost_is_sent_again_and_applied_once() {
    let _machine = machine().await;
    let (_server, proxy, trial) = behind_a_network("lost replies").await;
    // Two tabs write to one session, so that some are sent again after another's save.
    let losses: [fn(&Proxy); 2] = [Proxy::cut_next_reply, Proxy::swallow_next_reply];
    for lose in losses.into_iter().cycle().take(10) {
        lose(&proxy);
        trial.goes_on_for(Duration::from_millis(300)).await;
    }
    trial.end(Instant::now()).await.recovered_within(AFTER_A_BLACK_HOLE).kept_all();
}
