//! Processes that share an issuer's keys through a real Redis, each with a source and a connection of its own.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http::header::AUTHORIZATION;
use portcullis::BearerLayer;
use portcullis::bearer::{Audience, Issuer, KeySource, KeyState};
use portcullis_jwks::RemoteJwks;
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{KeySetBackend, Locator, SharedKeySet, StoreError};
use portcullis_testkit::idp::{Answer, FakeIdp};
use portcullis_testkit::jwt::Algorithm::{EdDsa, Es256};
use portcullis_testkit::key_sets::MemoryKeySets;
use portcullis_testkit::redis::RedisServer;
use serde_json::json;
use tower::ServiceExt;

/// A process that trusts the provider.
struct Node {
    source: RemoteJwks,
    layer: BearerLayer,
    app: Router,
}

impl Node {
    fn on(redis: &RedisServer, idp: &FakeIdp) -> Self {
        let place = RedisBackend::connect(RedisConfig::standalone(redis.url()).unwrap()).unwrap();
        Self::of(RemoteJwks::builder(idp.jwks_url()).insecure_http().shared(place).build().unwrap(), idp)
    }

    fn of(source: RemoteJwks, idp: &FakeIdp) -> Self {
        let issuer = Issuer::new(idp.url(), Audience::one_of(["api"])).keys(source.clone());
        let layer = BearerLayer::new([issuer]).unwrap().required();
        let app = Router::new().route("/", get(async || "hello")).layer(layer.clone());
        Self { source, layer, app }
    }

    async fn status(&self, token: &str) -> u16 {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
        let response = self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        response.status().as_u16()
    }

    fn state(&self) -> KeyState {
        self.source.health().state
    }
}

/// What a token gets at each node, asked at once.
async fn everywhere(nodes: &[Node], token: &str) -> Vec<u16> {
    futures(nodes.iter().map(|node| node.status(token))).await
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut done = Vec::new();
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| match one.as_mut().poll(cx) {
            std::task::Poll::Ready(it) => {
                done.push(it);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn of_a_fleet_that_starts_one_process_asks() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    let nodes: Vec<Node> = (0..4).map(|_| Node::on(&redis, &idp)).collect();
    assert_eq!(everywhere(&nodes, &idp.token(json!({}))).await, [200; 4]);
    assert_eq!(idp.fetches(), 1);
}

#[tokio::test]
async fn of_a_fleet_that_meets_a_new_key_one_process_asks() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    let nodes: Vec<Node> = (0..4).map(|_| Node::on(&redis, &idp)).collect();
    assert_eq!(everywhere(&nodes, &idp.token(json!({}))).await, [200; 4]);
    let old = idp.token(json!({}));
    idp.rotate("-2");
    assert_eq!(everywhere(&nodes, &idp.token(json!({}))).await, [200; 4]);
    assert_eq!(idp.fetches(), 2);
    // A key that the set lacks verifies nothing, wherever the set came from; each asks for itself before it says so.
    assert_eq!(everywhere(&nodes, &old).await, [401; 4]);
}

#[tokio::test]
async fn who_starts_while_the_provider_is_away_has_the_keys_of_the_others() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    let token = idp.token(json!({}));
    tell(&redis, &idp).await;
    idp.stop().await;
    let late = Node::on(&redis, &idp);
    assert_eq!(late.status(&token).await, 200);
    assert!(late.layer.ready().await.is_ok());
    // One that does not share has none.
    let alone = Node::of(RemoteJwks::builder(idp.jwks_url()).insecure_http().build().unwrap(), &idp);
    assert_eq!(alone.status(&token).await, 503);
}

#[tokio::test]
async fn an_old_set_is_used_while_the_provider_hangs_and_a_too_old_one_is_not() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    let token = idp.token(json!({}));
    tell(&redis, &idp).await;
    idp.answer(Answer::Hang);
    for (hours, status) in [(23, 200), (25, 503)] {
        age(&redis, hours);
        let began = tokio::time::Instant::now();
        let node = Node::on(&redis, &idp);
        assert_eq!(node.status(&token).await, status, "{hours} hours");
        // Nobody waits for the provider who need not.
        assert!(status != 200 || began.elapsed().as_millis() < 1500);
        // Whoever was asking is gone, and leaves its lease.
        redis.command(&["DEL", &format!("{}:lease", key(&redis))]);
    }
}

#[tokio::test]
async fn what_is_no_key_set_is_never_taken_over_and_the_next_answer_replaces_it() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    let token = idp.token(json!({}));
    tell(&redis, &idp).await;
    let head = redis.command(&["GETRANGE", &key(&redis), "0", "31"]);
    for (name, poison) in [
        ("nothing that was written", "nonsense".to_owned()),
        ("no JSON", format!("{head}{}{{", "A".repeat(22))),
        ("no key", format!("{head}{}{{\"keys\":[]}}", "B".repeat(21) + "A")),
        ("no usable key", format!("{head}{}{{\"keys\":[{{\"kty\":\"oct\"}}]}}", "C".repeat(21) + "A")),
    ] {
        redis.command(&["SET", &key(&redis), &poison]);
        let fetches = idp.fetches();
        tell(&redis, &idp).await;
        assert_eq!(idp.fetches(), fetches + 1, "{name}");
        assert_eq!(Node::on(&redis, &idp).status(&token).await, 200, "{name}");
        assert_eq!(idp.fetches(), fetches + 1, "{name}: the place is good again");
    }
}

#[tokio::test]
async fn without_its_redis_a_process_is_as_good_as_alone() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    let url = redis.url();
    drop(redis);
    let place = RedisBackend::connect(RedisConfig::standalone(url).unwrap()).unwrap();
    let source = RemoteJwks::builder(idp.jwks_url()).insecure_http().shared(place).build().unwrap();
    let node = Node::of(source, &idp);
    assert_eq!(node.status(&idp.token(json!({}))).await, 200);
    idp.rotate("-2");
    assert_eq!(node.status(&idp.token(json!({}))).await, 200);
    assert_eq!((idp.fetches(), node.state()), (2, KeyState::Good));
}

#[tokio::test]
async fn a_provider_that_hangs_is_asked_by_one_process_at_a_time() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    idp.answer(Answer::Hang);
    let nodes: Vec<Node> = (0..4).map(|_| Node::on(&redis, &idp)).collect();
    assert_eq!(everywhere(&nodes, &idp.token(json!({}))).await, [503; 4]);
    assert_eq!(idp.fetches(), 1);
    idp.answer(Answer::Document);
    for node in &nodes {
        crate::stage::until(async || node.state() == KeyState::Good).await;
    }
    assert_eq!(idp.fetches(), 1, "all have what the one was told");
}

#[tokio::test]
async fn no_such_key_is_a_verdict_of_ones_own_question() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    let (asks, sees) = (Node::on(&redis, &idp), Node::on(&redis, &idp));
    let token = idp.token(json!({}));
    assert_eq!((asks.status(&token).await, sees.status(&token).await), (200, 200));
    let stray = |kid: &str| idp.issuer().token(json!({})).header("kid", kid).to_string();
    assert_eq!((asks.status(&stray("a")).await, idp.fetches()), (401, 2));
    // The set of the moment before is newer than this process's own, and does not have the key; so the provider is asked.
    assert_eq!((sees.status(&stray("b")).await, idp.fetches()), (401, 3));
}

#[tokio::test]
async fn not_modified_is_not_said_of_what_others_have_fetched() {
    let (redis, idp) = (RedisServer::start(), FakeIdp::start("api").await);
    let (first, old) = (idp.issuer(), idp.token(json!({})));
    // It is the only one, so it has asked for itself, and has the tag of the first set.
    let sees = Node::on(&redis, &idp);
    assert_eq!((sees.status(&old).await, idp.fetches()), (200, 1));
    idp.rotate("-2");
    tell(&redis, &idp).await;
    let new = idp.token(json!({}));
    let fetches = idp.fetches();
    assert_eq!(
        (sees.status(&new).await, idp.fetches()),
        (200, fetches),
        "it has seen what the other was told"
    );
    // The provider takes it back: the first set once more, to the letter.
    idp.publish(json!({ "keys": [first.jwk(Es256), first.jwk(EdDsa)] }).to_string());
    redis.command(&["FLUSHALL"]);
    assert_eq!((sees.status(&old).await, sees.status(&new).await), (200, 401));
}

#[tokio::test]
async fn a_place_that_goes_away_and_comes_back_with_nonsense_changes_nothing() {
    let (place, idp) = (MemoryKeySets::new(), FakeIdp::start("api").await);
    let node = || {
        let source =
            RemoteJwks::builder(idp.jwks_url()).insecure_http().shared(place.clone()).build().unwrap();
        Node::of(source, &idp)
    };
    let token = idp.token(json!({}));
    assert_eq!(node().status(&token).await, 200);
    place.leave();
    assert_eq!((node().status(&token).await, idp.fetches()), (200, 2));
    place.come_back();
    place.poison("{}");
    assert_eq!((node().status(&token).await, idp.fetches()), (200, 3));
    assert_eq!((node().status(&token).await, idp.fetches()), (200, 3));
}

/// A place whose answers are on their way for a while, so that each set seems younger than it is.
#[derive(Clone)]
struct Slow(MemoryKeySets);

impl KeySetBackend for Slow {
    async fn load(&self, issuer: Locator) -> Result<Option<SharedKeySet>, StoreError> {
        let set = self.0.load(issuer).await?;
        Ok(set.map(|set| SharedKeySet { age: set.age.saturating_sub(Duration::from_secs(1)), ..set }))
    }

    async fn save(&self, issuer: Locator, set: SharedKeySet, keep: Duration) -> Result<(), StoreError> {
        self.0.save(issuer, set, keep).await
    }

    async fn lease(&self, issuer: Locator, holder: Locator, lease: Duration) -> Result<bool, StoreError> {
        self.0.lease(issuer, holder, lease).await
    }

    async fn release(&self, issuer: Locator, holder: Locator) -> Result<(), StoreError> {
        self.0.release(issuer, holder).await
    }
}

#[tokio::test]
async fn a_process_takes_its_own_set_for_nobody_else_s() {
    let (place, idp) = (Slow(MemoryKeySets::new()), FakeIdp::start("api").await);
    let source = RemoteJwks::builder(idp.jwks_url()).insecure_http().shared(place).build().unwrap();
    let node = Node::of(source, &idp);
    assert_eq!(node.status(&idp.token(json!({}))).await, 200);
    // Old enough to seem younger than it is.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    // Tokens may have the provider asked twice at once, and each new key takes one of the two.
    for suffix in ["-2", "-3"] {
        idp.rotate(suffix);
        assert_eq!(node.status(&idp.token(json!({}))).await, 200, "{suffix}");
    }
    assert_eq!(idp.fetches(), 3);
}

/// A process is told the keys, and has told the place when this is over. Its requests do not wait for that.
async fn tell(redis: &RedisServer, idp: &FakeIdp) {
    let node = Node::on(redis, idp);
    assert_eq!(node.status(&idp.token(json!({}))).await, 200);
    let is_told = || {
        let found = redis.command(&["KEYS", "*:keys:{*}"]);
        let kid = format!("\"{}\"", idp.issuer().key_id(Es256));
        let is_there = !found.is_empty() && redis.command(&["GET", &key(redis)]).contains(&kid);
        is_there && redis.command(&["KEYS", "*:lease"]).is_empty()
    };
    crate::stage::until(async || is_told()).await;
}

/// Where the one set is.
fn key(redis: &RedisServer) -> String {
    let found = redis.command(&["KEYS", "*:keys:{*}"]);
    found.lines().next().unwrap().trim_matches('"').to_owned()
}

/// Makes the set so old.
fn age(redis: &RedisServer, hours: u64) {
    let now: u64 = redis.command(&["TIME"]).lines().next().unwrap().trim().parse().unwrap();
    redis.command(&["SETRANGE", &key(redis), "0", &format!("{:016}", (now - hours * 3600) * 1000)]);
}
