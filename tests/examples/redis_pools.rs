//! Sessions are kept on the connections of an application's own pool.

use axum::Router;
use portcullis_testkit::client::Client;
use portcullis_testkit::redis::RedisServer;

#[path = "../../examples/bb8_redis.rs"]
#[expect(dead_code, reason = "the program's main")]
mod bb8_redis;
#[path = "../../examples/deadpool_redis.rs"]
#[expect(dead_code, reason = "the program's main")]
mod deadpool_redis;

async fn counts_visits(app: Router) {
    let (ada, grace) = (Client::new(app.clone()), Client::new(app));
    for visit in 1..=3 {
        let text = ada.get("/").await.assert_status(200).text();
        assert_eq!(text, format!("visit {visit}\n"));
    }
    assert_eq!(grace.get("/").await.text(), "visit 1\n");
}

#[tokio::test]
async fn on_deadpool() {
    let pool = deadpool_redis::pool(&RedisServer::shared().url()).unwrap();
    counts_visits(deadpool_redis::app(pool).unwrap()).await;
}

#[tokio::test]
async fn on_bb8() {
    let pool = bb8_redis::pool(&RedisServer::shared().url()).unwrap();
    counts_visits(bb8_redis::app(pool).unwrap()).await;
}

#[tokio::test]
async fn a_pool_without_a_server_is_an_outage() {
    let server = RedisServer::builder().tcp().start();
    let pool = bb8_redis::pool(&server.url()).unwrap();
    let app = bb8_redis::app(pool).unwrap();
    let browser = Client::new(app);
    browser.get("/").await.assert_status(200);
    server.kill();
    let response = browser.get("/").await.assert_status(503);
    assert!(response.header("retry-after").is_some());
    server.restart();
    // The pool replaces its connections when it notices that they have broken.
    let start = tokio::time::Instant::now();
    while browser.get("/").await.status != 200 {
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "the pool has no connection again");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
