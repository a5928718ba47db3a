//! The private cluster: slots, redirects, and who takes over from whom.

use std::collections::HashSet;

use portcullis_testkit::redis::{RedisCluster, RedisServer};

use super::{eventually, runs};

/// Keys of one slot.
fn keys(tag: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{{{tag}}}{number}")).collect()
}

/// The port that a redirect names, of the form `MOVED slot address`.
fn redirected(server: &RedisServer, command: &[&str]) -> (String, u16) {
    let refusal = server.try_command(command).expect_err("a redirect");
    let words: Vec<&str> = refusal.split(' ').collect();
    (words[0].to_owned(), words[2].rsplit(':').next().unwrap().parse().unwrap())
}

#[test]
fn every_node_is_fine_at_once_and_sends_clients_to_the_right_master() {
    let cluster = RedisCluster::builder(3).replicas(1).password("s3:cret@ \"").start();
    assert_eq!(cluster.urls().len(), 6);
    assert!(cluster.urls().iter().all(|url| url.starts_with("redis://:s3%3Acret%40%20%22@127.0.0.1:")));
    for (index, node) in cluster.nodes().iter().enumerate() {
        let info = node.command(&["CLUSTER", "INFO"]);
        for line in ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:6", "cluster_size:3"]
        {
            assert!(info.contains(line), "{index}: {info}");
        }
    }
    for key in ["a", "b", "c", "d", "{tag}e", "é", "{}{x}", "a{b}c{d}"] {
        let slot = RedisCluster::key_slot(key);
        assert_eq!(cluster.node(0).command(&["CLUSTER", "KEYSLOT", key]), slot.to_string(), "{key}");
        let master = cluster.master_of_key(key);
        assert_eq!(master, cluster.master_of_slot(slot));
        assert_eq!(cluster.node(master).command(&["SET", key, "1"]), "OK");
        let other = cluster.node((master + 1) % 3);
        let there = cluster.node(master).port().unwrap();
        assert_eq!(redirected(other, &["GET", key]), ("MOVED".to_owned(), there));
    }
    assert_eq!([0, 8191, 16383].map(|slot| cluster.master_of_slot(slot)), [0, 1, 2], "even ranges");
    let replicas: Vec<Vec<usize>> = (0..3).map(|master| cluster.replicas_of(master)).collect();
    assert_eq!(replicas, [[3], [4], [5]]);
    assert_eq!(cluster.replica_of(1), 4);
}

#[test]
fn a_replica_takes_over_from_a_killed_master_which_then_comes_back_as_a_replica() {
    let cluster = RedisCluster::builder(3).replicas(1).start();
    let key = "key";
    let master = cluster.master_of_key(key);
    let replica = cluster.replica_of(master);
    cluster.node(master).command(&["SET", key, "value"]);
    cluster.node(master).command(&["WAIT", "1", "20000"]);

    cluster.node(master).kill();
    assert_eq!(cluster.master_of_key(key), master, "until it is replaced");
    cluster.wait_until_ok();
    assert_eq!(cluster.master_of_key(key), replica);
    assert_eq!(cluster.node(replica).command(&["GET", key]), "value");

    cluster.node(master).restart();
    cluster.wait_until_ok();
    assert_eq!(cluster.master_of_key(key), replica);
    assert_eq!(cluster.replicas_of(replica), [master]);

    cluster.failover(master);
    assert_eq!(cluster.master_of_key(key), master, "and has it back by order");
    assert_eq!(cluster.node(master).command(&["GET", key]), "value");
    assert_eq!(cluster.replica_of(master), replica);
}

#[test]
fn a_replica_takes_over_from_a_hung_master_which_then_steps_back() {
    let cluster = RedisCluster::builder(3).replicas(1).start();
    cluster.node(0).pause();
    cluster.wait_until_ok();
    assert_eq!(cluster.master_of_slot(0), 3);
    cluster.node(0).resume();
    assert!(eventually(|| cluster.replicas_of(3) == [0]));
    cluster.wait_until_ok();
}

#[test]
fn without_replicas_the_slots_of_a_killed_master_are_down_until_it_is_back() {
    let cluster = RedisCluster::start(3);
    let pid = cluster.node(1).pid().unwrap();
    cluster.node(1).kill();
    assert!(!runs(pid));
    assert!(eventually(|| cluster.node(0).command(&["CLUSTER", "INFO"]).contains("cluster_slots_fail:5")));
    cluster.node(1).restart();
    cluster.wait_until_ok();
    assert_eq!(cluster.master_of_slot(8191), 1);
}

#[test]
fn a_slot_moves_while_clients_use_it() {
    let cluster = RedisCluster::builder(3).password("secret").start();
    let names = keys("tag", 250);
    let slot = RedisCluster::key_slot("tag");
    let from = cluster.master_of_slot(slot);
    let to = (from + 1) % 3;
    let [old, new] = [cluster.node(from), cluster.node(to)];
    for name in &names {
        old.command(&["SET", name, "1"]);
    }

    let migration = cluster.begin_migration(slot, to);
    assert_eq!(migration.new_master().port(), new.port());
    assert_eq!(old.command(&["GET", &names[0]]), "1", "what is still there is served there");
    migration.move_key(&names[0]);
    migration.move_key("{tag}nobody has this");
    assert_eq!(redirected(old, &["GET", &names[0]]), ("ASK".to_owned(), new.port().unwrap()));
    assert_eq!(redirected(new, &["GET", &names[0]]).0, "MOVED", "for who was not sent with ASK");
    let halves = old.try_command(&["MGET", &names[0], &names[1]]).unwrap_err();
    assert!(halves.starts_with("TRYAGAIN"), "{halves}");
    assert_eq!(migration.move_keys(), 249);
    assert_eq!(cluster.master_of_slot(slot), from, "until it is finished");
    migration.finish();

    assert_eq!(cluster.master_of_slot(slot), to);
    assert_eq!(redirected(old, &["GET", &names[0]]), ("MOVED".to_owned(), new.port().unwrap()));
    assert!(names.iter().all(|name| new.command(&["GET", name]) == "1"));
    cluster.wait_until_ok();

    cluster.migrate_slot(slot, from);
    assert_eq!(cluster.master_of_slot(slot), from);
    assert_eq!(old.command(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]), "250");
}

#[test]
fn options_reach_every_node_and_ports_are_their_own() {
    let cluster = RedisCluster::builder(1).replicas(2).arg("--maxmemory", "3mb").start();
    for node in cluster.nodes() {
        assert_eq!(node.command(&["CONFIG", "GET", "maxmemory"]), "maxmemory\n3145728");
    }
    let ports: HashSet<u16> = cluster.nodes().iter().filter_map(RedisServer::port).collect();
    assert_eq!(ports.len(), 3);
    assert_eq!(cluster.replicas_of(0), [1, 2]);
}
