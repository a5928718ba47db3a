//! Tokens on what outlives a request, over real sockets: WebSockets that bring theirs as a subprotocol, server-sent events
//! and gRPC streams, all of which end with it; and the document of RFC 9728 on axum.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::bearer::{Audience, Expired, Issuer, ResourceMetadata, StaticKeys, TokenSource};
use portcullis::identity::IdentityExt;
use portcullis::{BearerLayer, Identity};
use portcullis_store::{Clock, SystemClock};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, timeout};
use tokio_stream::wrappers::IntervalStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message as Sent};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::support::store::PATIENCE;

const ISSUER: &str = "https://idp.example";

async fn chat(upgrade: WebSocketUpgrade, me: Identity) -> Response {
    upgrade.protocols(["chat"]).on_upgrade(move |socket| me.expired().serve(socket, echo, close))
}

async fn echo(socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        socket.send(message).await.unwrap();
    }
}

async fn close(socket: &mut WebSocket, end: Expired) {
    let frame = CloseFrame { code: Expired::CLOSE_CODE, reason: end.reason().into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

async fn events(me: Identity) -> impl IntoResponse {
    let ticks = IntervalStream::new(interval(Duration::from_millis(5)));
    let ticks = ticks.map(|_| Ok::<_, Infallible>(Event::default().data("tick")));
    let goodbye = |end: Expired| Some(Ok(Event::default().event("end").data(end.reason())));
    Sse::new(me.expired().stream(ticks, goodbye))
}

fn bearer(issuer: &TestIssuer) -> BearerLayer {
    let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256])).unwrap();
    let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys);
    BearerLayer::new([issuer]).unwrap().required().add_source(TokenSource::websocket())
}

async fn live(issuer: &TestIssuer) -> SocketAddr {
    let metadata = ResourceMetadata::new("https://api.example.com").unwrap().authorization_servers([ISSUER]);
    let app = Router::new()
        .route("/chat", get(chat))
        .route("/events", get(events))
        .layer(bearer(issuer).resource_metadata(&metadata))
        .route_service(metadata.path(), metadata.service::<axum::body::Body>());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A token that ends in so many seconds, more or less one.
fn token(issuer: &TestIssuer, secs: u64) -> String {
    issuer.token(json!({ "exp": SystemClock.now().as_secs() + secs })).to_string()
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a socket as a browser does, and says which subprotocol was answered.
async fn open(address: SocketAddr, offered: &str) -> Result<(Socket, String), Error> {
    let mut request = format!("ws://{address}/chat").into_client_request()?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered.parse().unwrap());
    // It refuses an answer that was not offered, and none where some were, as browsers do.
    let (socket, response) = connect_async(request).await?;
    Ok((socket, response.headers()[SEC_WEBSOCKET_PROTOCOL].to_str().unwrap().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_brings_its_token_as_a_subprotocol_and_is_answered_one_that_it_has_offered() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let (address, token) = (live(&issuer).await, token(&issuer, 600));
    for (offered, expected) in [
        (format!("bearer, {token}"), "bearer"),
        (format!("chat, bearer, {token}"), "chat"),
        (format!("bearer, {token}, chat"), "chat"),
        (format!("soap, bearer, {token}"), "bearer"),
    ] {
        let (mut socket, answered) = open(address, &offered).await.unwrap();
        assert_eq!(answered, expected);
        socket.send(Sent::text("hello")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Sent::text("hello"));
    }
    for (offered, status) in
        [("chat".to_owned(), 401), ("bearer, garbage".to_owned(), 401), ("bearer".to_owned(), 400)]
    {
        let Err(Error::Http(response)) = open(address, &offered).await else { panic!("{offered}") };
        assert_eq!(response.status().as_u16(), status, "{offered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_closed_with_4401_when_its_token_expires() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let address = live(&issuer).await;
    let (mut socket, _) = open(address, &format!("bearer, {}", token(&issuer, 2))).await.unwrap();
    let (mut other, _) = open(address, &format!("bearer, {}", token(&issuer, 600))).await.unwrap();
    let Sent::Close(Some(frame)) = timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap()
    else {
        panic!("it is closed")
    };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4401, "token expired"));
    other.send(Sent::text("still there")).await.unwrap();
    assert_eq!(other.next().await.unwrap().unwrap(), Sent::text("still there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_end_with_the_token() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let address = live(&issuer).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let request = http::Request::get(format!("http://{address}/events"))
        .header("authorization", format!("Bearer {}", token(&issuer, 2)));
    let response = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = timeout(PATIENCE, response.into_body().collect()).await.expect("it ends").unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(
        text.starts_with("data: tick\n\n") && text.ends_with("event: end\ndata: token expired\n\n"),
        "{text}"
    );
}

/// Says that all is well, time and again.
struct Heartbeat;

#[tonic::async_trait]
impl Health for Heartbeat {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        Err(Status::unimplemented("it is watched"))
    }

    type WatchStream = tonic::codegen::BoxStream<HealthCheckResponse>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let end = request.extensions().identity().unwrap().expired();
        let beats = IntervalStream::new(interval(Duration::from_millis(5)))
            .map(|_| Ok(HealthCheckResponse { status: ServingStatus::Serving.into() }));
        let beats = end.stream(beats, |end| Some(Err(Status::unauthenticated(end.reason()))));
        Ok(tonic::Response::new(Box::pin(beats)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_stream_ends_with_status_16_when_its_token_expires() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(bearer(&issuer))
        .add_service(HealthServer::new(Heartbeat))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let mut request = Request::new(HealthCheckRequest { service: String::new() });
    request.metadata_mut().insert("authorization", format!("Bearer {}", token(&issuer, 2)).parse().unwrap());
    let mut beats = client.watch(request).await.unwrap().into_inner();
    assert_eq!(beats.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let end = async {
        loop {
            match beats.message().await {
                Ok(Some(_)) => {}
                ended => return ended,
            }
        }
    };
    let status = timeout(PATIENCE, end).await.expect("it ends").unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "token expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_token_is_led_to_the_issuer() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let address = live(&issuer).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let get = |path: &str| client.get(format!("http://{address}{path}").parse().unwrap());
    let refused = get("/events").await.unwrap();
    let url = "https://api.example.com/.well-known/oauth-protected-resource";
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(
        (refused.status().as_u16(), challenge.contains(&format!("resource_metadata=\"{url}\""))),
        (401, true)
    );
    let document = get("/.well-known/oauth-protected-resource").await.unwrap();
    assert_eq!(document.status(), 200);
    let document = document.into_body().collect().await.unwrap().to_bytes();
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["authorization_servers"], json!([ISSUER]));
}
