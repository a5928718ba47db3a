//! The broken network: what it does to connections, and to those that come later.

use std::time::{Duration, Instant};

use portcullis_testkit::redis::{Proxy, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{answer, ask, eventually, is_silent};

#[tokio::test]
async fn a_black_hole_takes_what_it_is_given_and_never_gives_it_back() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut old, "PING").await;
    assert_eq!(answer(&mut old).await, "+PONG\r\n");

    proxy.black_hole();
    let mut during = TcpStream::connect(proxy.address()).await.unwrap();
    for client in [&mut old, &mut during] {
        ask(client, "INCR hits").await;
        assert!(is_silent(client).await);
    }
    proxy.forward();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut new, "INCR hits").await;
    assert_eq!(answer(&mut new).await, ":1\r\n", "nothing came through before");
    ask(&mut old, "PING").await;
    assert!(is_silent(&mut old).await, "a dead connection stays dead");

    proxy.black_hole_open();
    let mut newest = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut newest, "INCR hits").await;
    assert_eq!(answer(&mut newest).await, ":2\r\n");
    ask(&mut new, "PING").await;
    assert!(is_silent(&mut new).await);
    assert_eq!(proxy.connections(), 4);
}

#[tokio::test]
async fn a_lost_reply_is_lost_and_the_request_is_done() {
    let server = RedisServer::builder().tcp().password("secret").start();
    let proxy = Proxy::start(&server).await;
    assert!(proxy.url().starts_with("redis://:secret@127.0.0.1:"));

    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut client, "AUTH secret").await;
    assert_eq!(answer(&mut client).await, "+OK\r\n");
    proxy.swallow_next_reply();
    ask(&mut client, "INCR hits").await;
    assert!(is_silent(&mut client).await);
    ask(&mut client, "INCR hits").await;
    assert!(is_silent(&mut client).await, "the second reply would be taken for the first");
    assert_eq!(server.command(&["GET", "hits"]), "2");

    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut next, "AUTH secret").await;
    assert_eq!(answer(&mut next).await, "+OK\r\n", "the order was for one reply");
    proxy.swallow_replies();
    ask(&mut next, "INCR hits").await;
    assert!(is_silent(&mut next).await);
    assert_eq!(server.command(&["GET", "hits"]), "3");
}

#[tokio::test]
async fn connections_close_and_replies_wait_on_command() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.delay(Duration::from_millis(300));
    ask(&mut client, "PING").await;
    assert!(is_silent(&mut client).await);
    assert_eq!(answer(&mut client).await, "+PONG\r\n");

    proxy.close_all();
    assert_eq!(answer(&mut client).await, "", "closed");
    proxy.forward();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut client, "PING").await;
    assert_eq!(answer(&mut client).await, "+PONG\r\n");

    server.kill();
    assert_eq!(answer(&mut client).await, "", "a server that dies closes");
}

#[tokio::test]
async fn what_is_sent_together_is_one_round_trip() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    for (command, answers, trips) in [("PING", "+PONG\r\n", 1), ("PING\r\nPING", "+PONG\r\n+PONG\r\n", 2)] {
        ask(&mut client, command).await;
        let mut told = String::new();
        while told.len() < answers.len() {
            told.push_str(&answer(&mut client).await);
        }
        assert_eq!((&*told, proxy.round_trips()), (answers, trips));
    }
}

#[tokio::test]
async fn what_was_held_is_delivered_also_for_a_client_that_has_given_up() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let mut open = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut open, "INCR hits").await;
    assert_eq!(answer(&mut open).await, ":1\r\n");
    proxy.hold();
    let [mut new, mut gone] = [
        TcpStream::connect(proxy.address()).await.unwrap(),
        TcpStream::connect(proxy.address()).await.unwrap(),
    ];
    for client in [&mut open, &mut new, &mut gone] {
        ask(client, "INCR hits").await;
        assert!(is_silent(client).await);
    }
    drop(gone);
    assert_eq!(server.command(&["GET", "hits"]), "1", "nothing has come through");

    proxy.forward();
    assert!(answer(&mut open).await.starts_with(':') && answer(&mut new).await.starts_with(':'));
    assert!(eventually(|| server.command(&["GET", "hits"]) == "4"), "of all three");
}

#[tokio::test]
async fn a_connection_that_is_harmed_while_it_is_held_stays_harmed() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.hold();
    ask(&mut client, "INCR hits").await;
    assert!(is_silent(&mut client).await);
    proxy.black_hole_open();
    proxy.forward();
    assert!(is_silent(&mut client).await);
    assert_eq!(server.command(&["GET", "hits"]), "");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how fast a network is takes real time")]
async fn a_throttled_network_carries_what_it_is_said_to_in_both_directions() {
    let server = RedisServer::start();
    let value = "x".repeat(40_000);
    server.command(&["SET", "key", &value]);
    let proxy = Proxy::start(&server).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    for (name, request, reply) in [
        ("replies", "GET key".to_owned(), value.len() + 10),
        ("requests", format!("SET other {value}"), "+OK\r\n".len()),
    ] {
        // Zero ends a throttle with which it would take minutes.
        for (throttles, at_least) in [([100, 0], 0.0), ([100, 100_000], 0.39)] {
            throttles.into_iter().for_each(|rate| proxy.throttle(rate));
            let start = Instant::now();
            ask(&mut client, &request).await;
            client.read_exact(&mut vec![0; reply]).await.unwrap();
            let took = start.elapsed().as_secs_f64();
            assert!((at_least..10.0).contains(&took), "{name} at {throttles:?}: {took}");
        }
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how slow a network is takes real time")]
async fn replies_that_are_under_way_together_are_not_delayed_by_each_other() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.delay(Duration::from_secs(1));
    let start = Instant::now();
    // So far apart that each reply is a piece of its own.
    for _ in 0..5 {
        ask(&mut client, "PING").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.read_exact(&mut [0; 5 * 7]).await.unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1080) && took < Duration::from_millis(2000), "{took:?}");
}

#[tokio::test]
async fn a_reply_under_way_arrives_before_its_connection_is_cut() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.delay(Duration::from_millis(200));
    ask(&mut client, "PING").await;
    assert!(is_silent(&mut client).await, "it is under way");
    proxy.cut_next_reply();
    ask(&mut client, "INCR hits").await;
    let mut told = Vec::new();
    client.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, b"+PONG\r\n");
    assert_eq!(server.command(&["GET", "hits"]), "1");
}

#[tokio::test]
async fn a_proxy_stands_before_any_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(listener.local_addr().unwrap()).await;
    assert_eq!(proxy.url(), format!("redis://{}", proxy.address()));
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"there").await.unwrap();
    assert_eq!(answer(&mut server).await, "there");
    server.write_all(b"and back").await.unwrap();
    assert_eq!(answer(&mut client).await, "and back");
}
