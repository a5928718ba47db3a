//! Users: what they may, and that the testkit's own questions do not depend on it.

use std::net::Ipv4Addr;

use portcullis_testkit::redis::RedisServer;
use tokio::net::TcpStream;

use super::{answer, ask};

/// What is said to each of the commands in turn, on one connection.
async fn told(server: &RedisServer, commands: &[&str]) -> Vec<String> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port().unwrap())).await.unwrap();
    let mut answers = Vec::new();
    for command in commands {
        ask(&mut client, command).await;
        answers.push(answer(&mut client).await.split(' ').next().unwrap().trim().to_owned());
    }
    answers
}

#[tokio::test]
async fn a_user_may_what_its_line_says_and_the_default_user_keeps_its_password() {
    let server = RedisServer::builder()
        .tcp()
        .password("all rights")
        .acl(["user reader on >secret ~* -@all +get"])
        .acl(["user gone off"])
        .start();
    let address = server.address().unwrap();
    assert_eq!(server.url_as("reader", "se cret"), format!("redis://reader:se%20cret@{address}"));
    let cases: [(&[&str], &[&str]); 4] = [
        (&["AUTH reader secret", "GET key", "SET key 1"], &["+OK", "$-1", "-NOPERM"]),
        (&["GET key"], &["-NOAUTH"]),
        (&["AUTH \"all rights\"", "SET other 1"], &["+OK", "+OK"]),
        (&["AUTH gone \"\"", "AUTH reader wrong"], &["-WRONGPASS", "-WRONGPASS"]),
    ];
    for (commands, answers) in cases {
        assert_eq!(told(&server, commands).await, answers, "{commands:?}");
    }
    assert!(server.url().starts_with("redis://:all%20rights@"));
}

#[tokio::test]
async fn the_testkit_is_answered_whatever_the_default_user_may_and_after_a_restart() {
    let server = RedisServer::builder().tcp().acl(["user default off"]).start();
    for _ in 0..2 {
        assert_eq!(server.command(&["SET", "key", "1"]), "OK");
        assert_eq!(told(&server, &["GET key"]).await, ["-NOAUTH"]);
        server.command(&["ACL", "SETUSER", "later", "on", ">secret", "+@all"]);
        server.command(&["ACL", "SAVE"]);
        server.restart();
    }
    assert_eq!(told(&server, &["AUTH later secret"]).await, ["+OK"], "what was saved is there");

    let replica = RedisServer::builder().tcp().start();
    server.command(&["SET", "key", "2"]);
    replica.demote(&server);
    assert_eq!(replica.command(&["GET", "key"]), "2");
}

#[test]
#[should_panic(expected = "startup because of ACL errors")]
fn a_line_that_redis_refuses_fails_the_test_with_its_words() {
    let _ = RedisServer::builder().acl(["user reader nonsense"]).start();
}
