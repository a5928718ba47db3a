//! A server becomes another's copy, and its own again.

use portcullis_testkit::redis::RedisServer;

#[test]
fn a_demoted_server_copies_and_refuses_and_a_promoted_one_accepts() {
    let old = RedisServer::builder().tcp().password("old").start();
    let new = RedisServer::builder().tcp().password("ne w\"").start();
    old.command(&["SET", "lost", "1"]);
    new.command(&["SET", "kept", "1"]);
    old.demote(&new);
    assert_eq!(old.command(&["MGET", "lost", "kept"]), "\n1");
    assert!(old.try_command(&["SET", "key", "1"]).unwrap_err().starts_with("READONLY"));
    new.command(&["SET", "later", "1"]);
    new.command(&["WAIT", "1", "20000"]);
    old.promote();
    assert_eq!(old.command(&["SET", "key", "1"]), "OK");
    assert_eq!(old.command(&["GET", "later"]), "1");
    assert_eq!(new.command(&["GET", "key"]), "");
}

#[test]
#[should_panic(expected = "a replica reaches its master by TCP")]
fn a_master_on_a_unix_socket_cannot_be_copied() {
    RedisServer::start().demote(&RedisServer::start());
}
