//! Logins that are bound to a key, over the wire: two processes on one Redis that give tokens, and take them.

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use portcullis::bearer::{Algorithm, Dpop, NonceKeys, Revocations};
use portcullis::issue::{
    Grant, KeyRing, RefreshKeys, RefreshTokens, SigningKey, StaticClients, TokenEndpoints, TokenIssuer,
};
use portcullis::{BearerLayer, Identity};
use portcullis_testkit::redis::RedisServer;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::bearer::bound::Holder;
use crate::support::store::{PATIENCE, connect};

const ISSUER: &str = "https://auth.example";

#[derive(Clone)]
struct Service {
    refresh: RefreshTokens,
    endpoints: TokenEndpoints,
}

/// Whoever asks is ada: what is told here is how a login is bound.
async fn login(State(service): State<Service>, head: Parts) -> Response {
    let key = match service.endpoints.proven_key(&head).await {
        Ok(key) => key,
        Err(error) => return error.into_response(),
    };
    let grant = Grant::new("ada", "web").scope("read");
    let grant = match &key {
        Some(key) => grant.confirmation(key.confirmation().clone()),
        None => grant,
    };
    match service.refresh.begin(&grant).await {
        Ok(pair) => Json(json!({
            "access_token": pair.access().as_str(),
            "refresh_token": pair.refresh_token(),
            "token_type": pair.token_type(),
        }))
        .into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// A process, at an address of its own and with a connection of its own, that clients know by one name.
async fn process(redis: &str, key: &str) -> String {
    let backend = connect(redis, "p");
    let revocations = Revocations::new(backend.clone()).budget(PATIENCE);
    let ring = KeyRing::new(SigningKey::pem(key, Algorithm::ES256).unwrap()).unwrap();
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).revocations(&revocations).build().unwrap();
    let refresh =
        RefreshTokens::builder(&issuer, backend.clone(), RefreshKeys::new([7; 32])).budget(PATIENCE);
    let refresh = refresh.build().unwrap();
    let dpop = || Dpop::new(ISSUER, backend.clone()).budget(PATIENCE).nonces(NonceKeys::new([8; 32]));
    let endpoints = TokenEndpoints::new(&refresh, StaticClients::new().public("web")).unwrap();
    let endpoints = endpoints.dpop(dpop()).unwrap();
    let bearer = BearerLayer::new([issuer.trusted()]).unwrap().revocation(&revocations);
    let bearer = bearer.dpop(dpop()).unwrap().required();
    let app = Router::new()
        .route("/me", get(async |me: Identity| me.subject().to_owned()))
        .layer(bearer)
        .route("/login", post(login))
        .route_service("/token", endpoints.token_service::<Body>())
        .route_service("/revoke", endpoints.revocation_service::<Body>())
        .with_state(Service { refresh, endpoints });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

struct Caller {
    http: Client<HttpConnector, Full<Bytes>>,
    key: Holder,
    nonce: std::sync::Mutex<Option<String>>,
}

struct Answer {
    status: u16,
    body: Value,
}

impl Caller {
    fn new() -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { http, key: Holder::new(), nonce: None.into() }
    }

    fn proof(&self, path: &str) -> String {
        let nonce = self.nonce.lock().unwrap().clone();
        self.key.proof_of_key(&format!("{ISSUER}{path}"), nonce.as_deref())
    }

    /// Posts a form, and once more with the nonce if one is asked for.
    async fn post(&self, process: &str, path: &str, form: &str) -> Answer {
        let first = self.post_with(process, path, form, &self.proof(path)).await;
        if first.body["error"] == "use_dpop_nonce" {
            return self.post_with(process, path, form, &self.proof(path)).await;
        }
        first
    }

    async fn post_with(&self, process: &str, path: &str, form: &str, proof: &str) -> Answer {
        let request = Request::post(format!("{process}{path}")).header("dpop", proof);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Full::from(form.to_owned())).unwrap()).await
    }

    async fn refresh(&self, process: &str, token: &str) -> Answer {
        self.post(process, "/token", &refreshing(token)).await
    }

    /// Calls the API with a token, as this scheme.
    async fn me(&self, process: &str, scheme: &str, token: &str) -> u16 {
        let nonce = self.nonce.lock().unwrap().clone();
        let proof = self.key.proof("GET", &format!("{ISSUER}/me"), token, nonce.as_deref());
        let request = Request::get(format!("{process}/me")).header("dpop", proof);
        let request = request.header("authorization", format!("{scheme} {token}"));
        self.send(request.body(Full::default()).unwrap()).await.status
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response = self.http.request(request).await.unwrap();
        if let Some(nonce) = response.headers().get("dpop-nonce") {
            *self.nonce.lock().unwrap() = Some(nonce.to_str().unwrap().to_owned());
        }
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }
}

impl Answer {
    fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or("none")
    }
}

fn refreshing(token: &str) -> String {
    format!("grant_type=refresh_token&client_id=web&refresh_token={token}")
}

async fn two(server: &RedisServer) -> [String; 2] {
    let key = SigningKey::generate(Algorithm::ES256).unwrap().to_private_pem().unwrap();
    [process(&server.url(), &key).await, process(&server.url(), &key).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_proves_a_key_is_good_with_that_key_only_in_every_process() {
    let server = RedisServer::start();
    let [here, there] = two(&server).await;
    let (ada, eve) = (Caller::new(), Caller::new());
    let login = ada.post(&here, "/login", "").await;
    assert_eq!((login.status, login.text("token_type")), (200, "DPoP"));
    let (access, token) = (login.text("access_token"), login.text("refresh_token"));
    for process in [&here, &there] {
        assert_eq!(ada.me(process, "DPoP", access).await, 200);
        assert_eq!(ada.me(process, "Bearer", access).await, 401);
    }

    // Somebody has got hold of both tokens, and has a key of her own.
    assert_eq!(eve.post(&here, "/login", "").await.status, 200, "she has a nonce");
    assert_eq!(eve.me(&here, "DPoP", access).await, 401);
    let stolen = eve.refresh(&there, token).await;
    assert_eq!((stolen.status, stolen.text("error")), (400, "invalid_grant"));

    let next = ada.refresh(&there, token).await;
    assert_eq!((next.status, next.text("token_type")), (200, "DPoP"));
    assert_eq!(ada.me(&here, "DPoP", next.text("access_token")).await, 200);

    // Signing out takes the key, too, and is seen everywhere.
    let form = format!("client_id=web&token={}", next.text("refresh_token"));
    assert_eq!(eve.post(&here, "/revoke", &form).await.status, 200);
    assert_eq!(ada.me(&there, "DPoP", next.text("access_token")).await, 200);
    assert_eq!(ada.post(&here, "/revoke", &form).await.status, 200);
    assert_eq!(ada.me(&there, "DPoP", next.text("access_token")).await, 401);
    let ended = ada.refresh(&there, next.text("refresh_token")).await;
    assert_eq!((ended.status, ended.text("error")), (400, "invalid_grant"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_refreshes_with_one_proof_one_is_answered_whichever_process_is_asked() {
    let server = RedisServer::start();
    let processes = two(&server).await;
    let ada = Caller::new();
    let login = ada.post(&processes[0], "/login", "").await;
    let form = refreshing(login.text("refresh_token"));
    let proof = ada.proof("/token");
    let answers =
        join_all((0..32).map(|at| ada.post_with(&processes[at % 2], "/token", &form, &proof))).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    let replayed = answers.iter().filter(|answer| answer.text("error") == "invalid_dpop_proof").count();
    assert_eq!((good, replayed), (1, 31));

    // Parallel tabs have a proof each, and come to the same successor.
    let answers =
        join_all((0..32).map(|at| ada.refresh(&processes[at % 2], login.text("refresh_token")))).await;
    let mut tokens: Vec<_> = answers.iter().map(|answer| answer.text("refresh_token")).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert!(tokens[0].starts_with("rt1."), "{tokens:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_of_one_process_is_good_in_the_other() {
    let server = RedisServer::start();
    let [here, there] = two(&server).await;
    let ada = Caller::new();
    let told = ada.post_with(&here, "/login", "", &ada.proof("/login")).await;
    assert_eq!((told.status, told.text("error")), (400, "use_dpop_nonce"));
    assert!(ada.nonce.lock().unwrap().is_some());
    let login = ada.post_with(&there, "/login", "", &ada.proof("/login")).await;
    assert_eq!(login.status, 200);
}
