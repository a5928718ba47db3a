//! Revoked by token, login, user or for everyone: refused on the next request, by every process, cached or not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis::bearer::{
    Audience, Issuer, MemoryTokenBackend, OnOutage, RevocationCheck, RevocationError, Revocations,
    StaticKeys, TokenCache,
};
use portcullis::{BearerLayer, Identity};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_testkit::client::Client;
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use portcullis_testkit::redis::RedisServer;
use serde_json::json;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::logs::captured;
use crate::support::store::{PATIENCE, connect};

pub(super) const ISSUER: &str = "https://idp.example";

/// A process: an application behind a layer that checks, with connections of its own.
pub(super) struct Node {
    pub(super) client: Client<Router>,
    pub(super) revocations: Revocations,
    layer: BearerLayer,
}

impl Node {
    pub(super) fn new(issuer: &TestIssuer, revocations: Revocations) -> Self {
        Self::checking(issuer, &revocations, RevocationCheck::by(&revocations))
    }

    pub(super) fn checking(issuer: &TestIssuer, revocations: &Revocations, check: RevocationCheck) -> Self {
        let layer = layer(issuer).cache(TokenCache::default()).revocation(check);
        let app = Router::new()
            .route("/me", get(async |me: Identity| me.subject().to_owned()))
            .route("/write", post(async |me: Identity| me.subject().to_owned()))
            .route("/logout", post(logout))
            .layer(layer.clone())
            .with_state(revocations.clone());
        Self { client: Client::new(app), revocations: revocations.clone(), layer }
    }

    pub(super) async fn status(&self, token: &str) -> u16 {
        self.client.get("/me").bearer(token).await.status.as_u16()
    }
}

async fn logout(State(revocations): State<Revocations>, me: Identity) -> Result<(), (StatusCode, String)> {
    let told = |error: RevocationError| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    revocations.revoke(&me).await.map_err(told)
}

fn layer(issuer: &TestIssuer) -> BearerLayer {
    let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256])).unwrap();
    BearerLayer::new([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys)]).unwrap().required()
}

pub(super) fn token(issuer: &TestIssuer, sub: &str, sid: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let jti = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    issuer.token(json!({ "sub": sub, "sid": sid, "jti": jti })).to_string()
}

/// Two processes on one store, of each kind.
fn pairs(issuer: &TestIssuer) -> Vec<(&'static str, [Node; 2])> {
    let memory = MemoryTokenBackend::new();
    let prefix = format!("b{}", std::process::id());
    let patient = |revocations: Revocations| Node::new(issuer, revocations.budget(PATIENCE));
    let over_redis = || patient(Revocations::new(connect(&RedisServer::shared().url(), &prefix)));
    vec![
        ("memory", [(); 2].map(|()| patient(Revocations::new(memory.clone())))),
        ("redis", [(); 2].map(|()| over_redis())),
    ]
}

#[tokio::test]
async fn revoked_by_token_login_user_or_for_everyone_is_refused_on_the_next_request_everywhere() {
    let issuer = TestIssuer::new(ISSUER, "api");
    for (kind, [here, there]) in pairs(&issuer) {
        println!("on {kind}");
        let [one, sibling, other] = ["a", "a", "b"].map(|sid| token(&issuer, "ada", sid));
        let stranger = token(&issuer, "grace", "a");
        let statuses = async |expected: [u16; 4], when: &str| {
            for (node, name) in [(&here, "here"), (&there, "there")] {
                for (token, expected) in [&one, &sibling, &other, &stranger].into_iter().zip(expected) {
                    assert_eq!(node.status(token).await, expected, "{kind}, {when}, {name}");
                }
            }
        };
        statuses([200; 4], "before").await;
        for node in [&here, &there] {
            assert_eq!(node.layer.cache_usage().unwrap().tokens, 4, "they are remembered");
        }
        here.client.post("/logout").bearer(&one).await.assert_status(200);
        statuses([401, 200, 200, 200], "the token").await;
        there.revocations.revoke_family(ISSUER, "ada", "a").await.unwrap();
        statuses([401, 401, 200, 200], "the login").await;
        here.revocations.revoke_user(ISSUER, "ada").await.unwrap();
        statuses([401, 401, 401, 200], "the user").await;
        there.revocations.revoke_everyone().await.unwrap();
        statuses([401; 4], "everyone").await;
    }
}

#[tokio::test]
async fn each_request_costs_one_round_trip() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let server = RedisServer::start();
    let node = Node::new(&issuer, Revocations::new(connect(&server.url(), "p")).budget(PATIENCE));
    let token = token(&issuer, "ada", "a");
    for _ in 0..10 {
        assert_eq!(node.status(&token).await, 200);
    }
    assert_eq!((server.calls("mget"), server.calls("get"), server.calls("evalsha")), (10, 0, 0));
    node.client.get("/me").await.assert_status(401);
    assert_eq!(node.status("garbage").await, 401);
    assert_eq!(server.calls("mget"), 10, "nobody is asked about what is bad by itself");
}

/// A redis-server of the test's own, and a handle with the default time to answer.
fn breakable() -> (RedisServer, Revocations) {
    let server = RedisServer::start();
    let backend = RedisBackend::connect(RedisConfig::standalone(server.url()).unwrap()).unwrap();
    (server, Revocations::new(backend))
}

/// Asks until there is another answer than 503, for a machine that is busy.
async fn recovered(node: &Node, token: &str) -> u16 {
    for _ in 0..400 {
        match node.status(token).await {
            503 => tokio::time::sleep(Duration::from_millis(25)).await,
            other => return other,
        }
    }
    503
}

#[tokio::test]
async fn while_the_store_is_away_it_is_503_and_never_401_and_what_was_revoked_stays_so() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (server, revocations) = breakable();
    let node = Node::new(&issuer, revocations);
    let [good, revoked] = ["a", "b"].map(|sid| token(&issuer, "ada", sid));
    assert_eq!(recovered(&node, &good).await, 200);
    node.revocations.revoke_family(ISSUER, "ada", "b").await.unwrap();
    assert_eq!(recovered(&node, &revoked).await, 401);
    server.pause();
    for token in [&good, &revoked] {
        let response = node.client.get("/me").bearer(token).await.assert_status(503);
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(response.header("www-authenticate"), None);
    }
    assert!(node.revocations.revoke_everyone().await.is_err());
    node.client.get("/me").bearer("garbage").await.assert_status(401);
    server.resume();
    assert_eq!(recovered(&node, &revoked).await, 401);
    server.kill();
    assert_eq!(node.status(&good).await, 503);
    server.restart();
    assert_eq!(recovered(&node, &good).await, 200);
}

#[tokio::test]
async fn while_the_store_is_away_reads_pass_where_that_is_allowed() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (server, revocations) = breakable();
    let open = OnOutage::FailOpen { max_outage: Duration::from_secs(3600) };
    let check = RevocationCheck::by(&revocations).on_outage_of([http::Method::GET], open);
    let node = Node::checking(&issuer, &revocations, check);
    let token = token(&issuer, "ada", "a");
    server.kill();
    for _ in 0..3 {
        assert_eq!(node.client.get("/me").bearer(&token).await.assert_status(200).text(), "ada");
        node.client.post("/write").bearer(&token).await.assert_status(503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_reads_16_for_a_revoked_token_and_14_for_an_outage() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (server, revocations) = breakable();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let router = Server::builder().layer(layer(&issuer).revocation(&revocations)).add_service(health);
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut code = async |token: &str| {
        let mut request = Request::new(HealthCheckRequest { service: String::new() });
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        client.check(request).await.map_or_else(|status| status.code(), |_| Code::Ok)
    };
    let [good, revoked] = ["a", "b"].map(|sid| token(&issuer, "ada", sid));
    revocations.revoke_family(ISSUER, "ada", "b").await.unwrap();
    assert_eq!(code(&good).await, Code::Ok);
    assert_eq!(code(&revoked).await, Code::Unauthenticated);
    server.kill();
    assert_eq!(code(&good).await, Code::Unavailable);
}

#[tokio::test]
async fn logs_and_counters_tell_what_was_done_and_nothing_of_whom() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _here = metrics::set_default_local_recorder(&recorder);
    let (server, revocations) = breakable();
    let node = Node::new(&issuer, revocations.budget(PATIENCE));
    let private = issuer.token(json!({ "sub": "very-private", "sid": "private-login", "jti": "private-id" }));
    let private = private.to_string();
    let ((), logs) = captured(async {
        assert_eq!(recovered(&node, &private).await, 200);
        assert_eq!(node.status(&private).await, 200);
        node.client.post("/logout").bearer(&private).await.assert_status(200);
        assert_eq!(node.status(&private).await, 401);
        node.revocations.revoke_user(ISSUER, "very-private").await.unwrap();
        server.kill();
        assert_eq!(node.status(&private).await, 503);
        assert!(node.revocations.revoke_family(ISSUER, "very-private", "private-login").await.is_err());
    })
    .await;
    for told in ["bearer tokens revoked", "token_revoked", "could not be revoked", "it cannot be told"] {
        assert!(logs.contains(told), "{told}: {logs}");
    }
    let mut counted = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let (key, DebugValue::Counter(count)) = (key.key(), value) else { panic!("they are counters") };
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        counted.insert(format!("{}{{{}}}", key.name(), labels.join(",")), count);
    }
    counted.retain(|name, _| name.starts_with("portcullis_bearer"));
    let expected = [
        ("portcullis_bearer_cache_total{result=hit}", 4),
        ("portcullis_bearer_cache_total{result=miss}", 1),
        ("portcullis_bearer_refused_total{reason=invalid}", 1),
        ("portcullis_bearer_refused_total{reason=unavailable}", 1),
        ("portcullis_bearer_revocation_checks_total{result=good}", 3),
        ("portcullis_bearer_revocation_checks_total{result=revoked}", 1),
        ("portcullis_bearer_revocation_checks_total{result=unavailable}", 1),
        ("portcullis_bearer_revocations_total{what=family,result=unavailable}", 1),
        ("portcullis_bearer_revocations_total{what=token,result=ok}", 1),
        ("portcullis_bearer_revocations_total{what=user,result=ok}", 1),
    ];
    assert_eq!(counted, BTreeMap::from(expected.map(|(name, count)| (name.to_owned(), count))));
    let debug = format!("{:?} {:?}", node.layer, node.revocations);
    for text in [&logs, &debug, &format!("{counted:?}")] {
        for secret in private.split('.').chain(["private"]) {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}
