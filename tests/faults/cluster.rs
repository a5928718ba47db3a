//! A cluster whose slots move, and whose nodes hang and die.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_redis::RedisConfig;
use portcullis_testkit::redis::{RedisCluster, RedisClusterBuilder, RedisServer};
use tokio::time::Instant;

use crate::app::{Answer, Cookie, NOBODY, Service};
use crate::load::{Crowd, Person};
use crate::sentinel::on_sand;
use crate::trial::{AFTER_A_RESTART, BUDGET, Trial, machine};

/// From a master's death to the last refusal, when it has a replica. The nodes need 1.5 s of it to agree on the death.
const AFTER_A_FAILOVER: Duration = Duration::from_secs(4);
/// A master that has been away stays out of service for a while (`cluster-node-timeout` when it was hung, two seconds
/// when it was restarted), and the others doubt it for a while.
const REJOINING: Duration = Duration::from_millis(2000);

fn durable(masters: usize) -> RedisClusterBuilder {
    RedisCluster::builder(masters).arg("--appendonly", "yes").arg("--appendfsync", "always")
}

fn config(cluster: &RedisCluster) -> RedisConfig {
    RedisConfig::cluster(cluster.urls()).unwrap()
}

fn home(cluster: &RedisCluster, cookie: &Cookie) -> usize {
    cluster.master_of_key(cookie.key())
}

/// A session on this master.
async fn session_on(cluster: &RedisCluster, service: &Service, master: usize, name: &str) -> Person {
    loop {
        let person = Person::signed_in(service, name).await;
        if home(cluster, &person.cookie) == master {
            return person;
        }
    }
}

/// Somebody lives on each master.
async fn crowd(cluster: &RedisCluster, service: &Service) -> Crowd {
    let mut crowd = Crowd::gather(service).await;
    for master in 0..3 {
        if crowd.people.iter().all(|person| home(cluster, &person.cookie) != master) {
            crowd.people.push(session_on(cluster, service, master, "settler").await);
        }
    }
    crowd
}

async fn begin(what: &'static str, cluster: &RedisCluster) -> Trial {
    let config = config(cluster);
    let crowd = crowd(cluster, &Service::patient(&config)).await;
    Trial::begin_with(what, &config, &config, crowd).await
}

/// The master that something happens to: of all, the one whose absence could concern most, because the channel on which
/// ends are told has its slot.
fn victim(cluster: &RedisCluster) -> usize {
    cluster.master_of_key("p:default:ended")
}

/// The master that has the index in which this session stands.
fn index_home(cluster: &RedisCluster, cookie: &Cookie) -> usize {
    let holds = |node: &RedisServer| {
        let indices = node.command(&["KEYS", "p:default:u:*"]);
        indices.lines().any(|index| !node.command(&["ZSCORE", index, cookie.locator()]).is_empty())
    };
    cluster.nodes().iter().position(holds).expect("it stands in an index")
}

/// The people of all other masters have not noticed anything.
fn others_are_served(trial: &Trial, cluster: &RedisCluster, victim: usize) {
    for person in trial.load.people() {
        let counts = person.counts();
        if home(cluster, &person.cookie) != victim {
            assert_eq!(counts.all().refused, 0, "{}: {counts:?}", person.name);
            assert!(counts.all().slowest < BUDGET, "{}: {counts:?}", person.name);
        }
    }
}

/// The slots of all keys.
fn slots(cluster: &RedisCluster) -> BTreeSet<u16> {
    let names = cluster.nodes().iter().map(|node| node.command(&["KEYS", "*"]));
    names.collect::<Vec<_>>().iter().flat_map(|names| names.lines()).map(RedisCluster::key_slot).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_cost_nobody_anything() {
    let _machine = machine().await;
    let cluster = RedisCluster::start(3);
    let trial = begin("slot migration", &cluster).await;
    // All to one node: of several that get slots at the same time each takes its own claim for the newest, and the cluster
    // does not agree for a long while.
    let elsewhere = |slot: &u16| cluster.master_of_slot(*slot) != 1;
    for person in trial.load.people() {
        let slot = RedisCluster::key_slot(person.cookie.key());
        if elsewhere(&slot) {
            cluster.migrate_slot(slot, 1);
        }
    }
    // Indices, too, and what guests have who come and go meanwhile.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1000) {
        for slot in slots(&cluster).into_iter().filter(elsewhere).take(10) {
            cluster.migrate_slot(slot, 1);
        }
    }
    trial.end(Instant::now()).await.refused_none().kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_hangs_costs_its_own_sessions_the_budget_and_the_others_nothing() {
    let _machine = machine().await;
    let cluster = durable(3).start();
    let trial = begin("cluster, one master hung", &cluster).await;
    let victim = victim(&cluster);
    let strangers = strangers_to(&cluster, trial.load.service(), victim).await;
    cluster.node(victim).pause();
    trial.goes_on_for(Duration::from_millis(1000)).await;
    others_are_served(&trial, &cluster, victim);
    sign_out(trial.load.service(), &strangers).await;
    cluster.node(victim).resume();
    let limit = REJOINING + AFTER_A_RESTART;
    trial.end(Instant::now()).await.refused_some().recovered_within(limit).kept_all();
}

/// Two people who have nothing on this master: neither their session nor their user's index.
async fn strangers_to(cluster: &RedisCluster, service: &Service, master: usize) -> Vec<Person> {
    let mut strangers = Vec::new();
    for number in 0.. {
        let person = Person::signed_in(service, &format!("stranger{number}")).await;
        if home(cluster, &person.cookie) != master && index_home(cluster, &person.cookie) != master {
            strangers.push(person);
        }
        if strangers.len() == 2 {
            break;
        }
    }
    strangers
}

/// They can sign out, and have their sessions ended, whichever other node is away.
async fn sign_out(service: &Service, strangers: &[Person]) {
    let [one, other] = strangers else { panic!("two") };
    let start = Instant::now();
    assert_eq!(service.ask(Some(&one.cookie), "/logout").await, Answer::Ok(String::new()));
    assert_eq!(service.ask(None, &format!("/revoke/{}", other.name)).await, Answer::Ok(String::new()));
    assert!(start.elapsed() < BUDGET, "nobody waits for the node that is away: {:?}", start.elapsed());
    for person in strangers {
        assert_eq!(service.ask(Some(&person.cookie), "/me").await, Answer::Ok(NOBODY.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_dies_without_a_replica_costs_the_others_nothing_and_comes_back() {
    let _machine = machine().await;
    let cluster = durable(3).start();
    let trial = begin("cluster, one master dead", &cluster).await;
    let victim = victim(&cluster);
    let strangers = strangers_to(&cluster, trial.load.service(), victim).await;
    cluster.node(victim).kill();
    trial.goes_on_for(Duration::from_millis(1000)).await;
    others_are_served(&trial, &cluster, victim);
    sign_out(trial.load.service(), &strangers).await;
    cluster.node(victim).restart();
    let limit = REJOINING + AFTER_A_RESTART;
    trial.end(Instant::now()).await.refused_some().recovered_within(limit).kept_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_dies_with_a_replica_is_replaced_and_costs_the_others_nothing() {
    let _machine = machine().await;
    let cluster = RedisCluster::builder(3).replicas(1).start();
    let config = config(&cluster);
    let service = Service::patient(&config);
    let crowd = crowd(&cluster, &service).await.with_tenants(&service).await;
    let trial = Trial::begin_with("cluster, one master dead, with a replica", &config, &config, crowd).await;
    let victim = victim(&cluster);
    on_sand(&trial, cluster.node(victim), cluster.node(cluster.replica_of(victim))).await;
    cluster.node(victim).kill();
    let killed = Instant::now();
    trial.goes_on_for(Duration::from_millis(1000)).await;
    others_are_served(&trial, &cluster, victim);
    cluster.wait_until_ok();
    trial.load.recovery(killed).await;
    trial.load.on_sand(false);
    trial.goes_on_for(Duration::from_millis(300)).await;
    trial.end(killed).await.refused_some().confirmed_some().recovered_within(AFTER_A_FAILOVER);
}
