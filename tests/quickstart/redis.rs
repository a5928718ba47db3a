//! What the program says at its start of the Redis that it is given.

use portcullis_testkit::redis::RedisServer;

use crate::example::redis::warnings;

#[tokio::test]
async fn a_redis_that_would_lose_sessions_is_warned_of() {
    let redis = RedisServer::builder().arg("--appendonly", "yes").start();
    assert_eq!(warnings(&redis.url()).await, [""; 0]);
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let found = warnings(&redis.url()).await;
    assert!(found.len() == 1 && found[0].contains("noeviction"), "{found:?}");
}

#[tokio::test]
async fn a_redis_that_is_away_is_said_to_be() {
    let redis = RedisServer::start();
    redis.kill();
    let found = warnings(&redis.url()).await;
    assert!(found.len() == 1 && found[0].contains("503"), "{found:?}");
    let found = warnings("http://localhost").await;
    assert_eq!(found.len(), 1, "no address of a Redis: {found:?}");
}
