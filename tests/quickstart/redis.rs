//! What the program says at its start of the Redis that it is given.

use portcullis_testkit::redis::RedisServer;

use crate::example::redis::look;
use crate::support::logs::captured;

#[tokio::test]
async fn a_redis_that_would_lose_sessions_is_warned_of() {
    let redis = RedisServer::builder().arg("--appendonly", "yes").start();
    let (looked, logged) = captured(look(&redis.url())).await;
    assert_eq!((looked, logged.as_str()), (Ok(()), ""));
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let (looked, logged) = captured(look(&redis.url())).await;
    assert_eq!((looked, logged.matches("noeviction").count()), (Ok(()), 1), "{logged}");
}

#[tokio::test]
async fn a_redis_that_is_away_is_said_to_be() {
    let redis = RedisServer::start();
    redis.kill();
    let said = look(&redis.url()).await.unwrap_err();
    assert!(said.contains("503"), "{said}");
    look("http://localhost").await.expect_err("no address of a Redis");
}
