//! The private sentinels: they know each other, and they replace the master.

use portcullis_testkit::redis::{RedisSentinel, RedisServer};

#[test]
fn the_sentinels_know_the_master_the_replicas_and_each_other() {
    let sentinel =
        RedisSentinel::builder().replicas(2).password("da ta\"\\").sentinel_password("s3:cret@").start();
    assert_eq!(sentinel.current_master(), 0);
    assert_eq!(sentinel.urls().len(), 3);
    assert!(sentinel.urls().iter().all(|url| url.starts_with("redis://:s3%3Acret%40@127.0.0.1:")));
    assert!(sentinel.master().url().starts_with("redis://:da%20ta%22%5C@127.0.0.1:"));
    let replicas = sentinel.replicas();
    let ports = |servers: &[&RedisServer]| servers.iter().map(|server| server.port()).collect::<Vec<_>>();
    assert_eq!(ports(&replicas), ports(&[sentinel.node(1), sentinel.node(2)]));
    for server in sentinel.sentinels() {
        let quorum = server.command(&["SENTINEL", "CKQUORUM", sentinel.master_name()]);
        assert!(quorum.starts_with("OK 3 usable Sentinels."), "{quorum}");
        let master = server.command(&["SENTINEL", "MASTER", sentinel.master_name()]);
        for line in
            ["flags\nmaster", "num-slaves\n2", "num-other-sentinels\n2", "down-after-milliseconds\n1500"]
        {
            assert!(master.contains(line), "{line}: {master}");
        }
    }
}

#[test]
fn a_killed_master_is_replaced_and_comes_back_as_a_replica() {
    let sentinel = RedisSentinel::builder().password("secret").start();
    sentinel.master().command(&["SET", "key", "value"]);
    sentinel.master().command(&["WAIT", "1", "20000"]);
    sentinel.master().kill();
    assert_eq!(sentinel.wait_for_failover(0), 1);
    assert_eq!(sentinel.current_master(), 1);
    assert_eq!(sentinel.master().command(&["GET", "key"]), "value");
    assert_eq!(sentinel.master().command(&["SET", "key", "newer"]), "OK");

    sentinel.node(0).restart();
    sentinel.wait_until_ok();
    assert_eq!(sentinel.node(0).command(&["GET", "key"]), "newer");
    let refusal = sentinel.node(0).try_command(&["SET", "key", "newest"]).unwrap_err();
    assert!(refusal.starts_with("READONLY"), "{refusal}");

    sentinel.node(0).restart();
    let replication = sentinel.node(0).command(&["INFO", "replication"]);
    assert!(replication.contains("role:slave"), "it remembers: {replication}");
}

#[test]
fn a_planned_failover_and_one_from_a_hung_master() {
    let sentinel = RedisSentinel::builder().replicas(2).sentinel_password("secret").start();
    let second = sentinel.fail_over();
    assert_ne!(second, 0);
    assert_eq!(sentinel.master().command(&["SET", "key", "1"]), "OK");
    sentinel.wait_until_ok();

    sentinel.node(second).pause();
    let third = sentinel.wait_for_failover(second);
    assert_ne!(third, second);
    sentinel.node(second).resume();
    assert_eq!(sentinel.current_master(), third);
}

#[test]
fn a_sentinel_that_was_down_learns_the_new_master() {
    let sentinel = RedisSentinel::start();
    let late = &sentinel.sentinels()[2];
    late.kill();
    sentinel.fail_over();
    late.restart();
    assert_eq!(sentinel.current_master(), 1);
}
