//! Streams that end with their session, over real sockets: WebSockets, server-sent events, any body, gRPC.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use http::header::COOKIE;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::Session;
use portcullis::session::{
    Lifetime, SessionEnd, SessionError, SessionKey, SessionLayer, SessionLayerBuilder,
};
use portcullis_store::{ManualClock, SystemClock};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, timeout};
use tokio_stream::wrappers::IntervalStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, protocol};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::support::app::{Browser, COUNT, World, now};
use crate::support::store::{AnyStore, PATIENCE};

/// How long something is waited for that must not happen.
const A_WHILE: Duration = Duration::from_millis(150);

const SAID: SessionKey<i64> = COUNT;

async fn chat(upgrade: WebSocketUpgrade, session: Session) -> Result<Response, SessionError> {
    let (watch, session) = (session.watch()?, session.detach()?);
    Ok(upgrade.on_upgrade(async move |socket| {
        watch.serve(socket, async move |socket| echo(socket, &session).await, close).await;
    }))
}

/// Says what it hears, and counts that in the session.
async fn echo(socket: &mut WebSocket, session: &portcullis::session::DetachedSession) {
    while let Some(Ok(message)) = socket.recv().await {
        session.increment(&SAID, 1).unwrap();
        session.commit().await.unwrap();
        socket.send(message).await.unwrap();
    }
}

/// Neither reads nor writes: it must be closed all the same.
async fn silent(upgrade: WebSocketUpgrade, session: Session) -> Result<Response, SessionError> {
    let watch = session.watch()?;
    Ok(upgrade.on_upgrade(|socket| {
        watch.serve(socket, async |_: &mut WebSocket| std::future::pending().await, close)
    }))
}

async fn close(socket: &mut WebSocket, end: SessionEnd) {
    let frame = CloseFrame { code: SessionEnd::CLOSE_CODE, reason: end.reason().into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

async fn events(session: Session) -> Result<impl IntoResponse, SessionError> {
    let ticks = IntervalStream::new(interval(Duration::from_millis(5)));
    let ticks = ticks.map(|_| Ok::<_, Infallible>(Event::default().data("tick")));
    let goodbye = |end: SessionEnd| Some(Ok(Event::default().event("end").data(end.reason())));
    Ok(Sse::new(session.watch()?.stream(ticks, goodbye)))
}

async fn download(session: Session) -> Result<Body, SessionError> {
    let ticks = IntervalStream::new(interval(Duration::from_millis(5))).map(|_| Ok::<_, Infallible>("tick"));
    Ok(Body::new(session.watch()?.body(Body::from_stream(ticks))))
}

/// Another process on this store, on a socket.
async fn live(
    store: &AnyStore,
    clock: &ManualClock,
    configure: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
) -> SocketAddr {
    let layer = SessionLayer::builder(store.another()).clock(clock.clone()).budget(PATIENCE);
    let app = Router::new()
        .route("/chat", get(chat))
        .route("/silent", get(silent))
        .route("/events", get(events))
        .route("/download", get(download))
        .layer(configure(layer).build().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Told, not looked up.
fn told_only(layer: SessionLayerBuilder) -> SessionLayerBuilder {
    layer.watch_interval(Duration::from_secs(3600))
}

async fn signed_in(world: &World) -> (Browser, String) {
    let browser = world.browser();
    browser.get("/login?user=ada").await.assert_status(200);
    let cookie = format!("__Host-id={}", browser.jar().get("__Host-id").unwrap());
    (browser, cookie)
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(address: SocketAddr, path: &str, cookie: &str) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    request.headers_mut().insert(COOKIE, cookie.parse().unwrap());
    Ok(connect_async(request).await?.0)
}

/// How the socket was closed.
async fn closed(socket: &mut Socket) -> Option<(u16, String)> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("it is closed in time") {
            Some(Ok(tungstenite::Message::Close(frame))) => {
                return frame.map(|protocol::CloseFrame { code, reason }| (code.into(), reason.to_string()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

fn revoked() -> Option<(u16, String)> {
    Some((4401, "session revoked".to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_closed_when_its_user_logs_out_on_another_node() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::new(&store, &clock);
        let address = live(&store, &clock, told_only).await;
        for path in ["/chat", "/silent"] {
            let (browser, cookie) = signed_in(&world).await;
            let mut socket = open(address, path, &cookie).await.unwrap();
            browser.get("/rotate").await.assert_status(200);
            if path == "/chat" {
                socket.send("hello".into()).await.unwrap();
                assert_eq!(socket.next().await.unwrap().unwrap(), "hello".into());
                assert_eq!(browser.get("/count").await.text(), "2", "what the stream has counted is there");
            }
            let early = timeout(A_WHILE, socket.next()).await;
            assert!(early.is_err(), "{path}: a rotation closes nothing: {early:?}");
            browser.get("/logout").await.assert_status(200);
            assert_eq!(closed(&mut socket).await, revoked(), "{path}");
            let again = open(address, path, &cookie).await;
            assert!(again.is_err(), "{path}: nobody comes back with the old cookie");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_closed_when_its_session_expires() {
    for store in AnyStore::each_in_real_time() {
        let short = Lifetime { idle: Duration::from_millis(500), absolute: Duration::from_millis(500) };
        let world = World::with(&store, &now(), |layer| layer.lifetime(short).clock(SystemClock));
        let address = live(&store, &now(), |layer| told_only(layer).clock(SystemClock)).await;
        let (_browser, cookie) = signed_in(&world).await;
        let mut socket = open(address, "/silent", &cookie).await.unwrap();
        assert_eq!(closed(&mut socket).await, Some((4401, "session expired".to_owned())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_and_any_body_end_with_the_session() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::new(&store, &clock);
        let address = live(&store, &clock, told_only).await;
        for (path, last) in [("/events", "event: end\ndata: session revoked\n\n"), ("/download", "tick")] {
            let (browser, cookie) = signed_in(&world).await;
            let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
            let request = http::Request::get(format!("http://{address}{path}")).header(COOKIE, cookie);
            let mut response = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            let mut next = async || response.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
            assert!(next().await.unwrap().ends_with(b"tick") || path == "/events");
            browser.get("/logout").await.assert_status(200);
            let end = async {
                let mut text = String::new();
                while let Some(frame) = next().await {
                    text += std::str::from_utf8(&frame).unwrap();
                }
                text
            };
            let text = timeout(PATIENCE, end).await.expect("it ends, and not as one that broke");
            assert!(text.ends_with(last) || (path == "/download" && text.is_empty()), "{path}: {text}");
        }
    }
}

fn status(error: SessionError) -> Status {
    Status::new(Code::from(error.kind().grpc_code() as i32), error.to_string())
}

/// Says that all is well, time and again.
struct Heartbeat;

#[tonic::async_trait]
impl Health for Heartbeat {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let session = request.extensions().get::<Session>().unwrap();
        session.increment(&SAID, i64::MAX).map_err(status)?;
        session.commit().await.map_err(status)?;
        Ok(tonic::Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    type WatchStream = tonic::codegen::BoxStream<HealthCheckResponse>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let session = request.extensions().get::<Session>().unwrap();
        let watch = session.watch().map_err(status)?;
        let beats = IntervalStream::new(interval(Duration::from_millis(5)))
            .map(|_| Ok(HealthCheckResponse { status: ServingStatus::Serving.into() }));
        let beats = watch.stream(beats, |end| Some(Err(Status::unauthenticated(end.reason()))));
        Ok(tonic::Response::new(Box::pin(beats)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_stream_ends_with_status_16() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::new(&store, &clock);
        let (browser, cookie) = signed_in(&world).await;
        let layer = SessionLayer::builder(store.another()).clock(clock.clone()).budget(PATIENCE);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder()
            .layer(told_only(layer).build().unwrap())
            .add_service(HealthServer::new(Heartbeat))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);

        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = HealthClient::new(endpoint.connect().await.unwrap());
        let request = |cookie: &str| {
            let mut request = Request::new(HealthCheckRequest { service: String::new() });
            request.metadata_mut().insert("cookie", cookie.parse().unwrap());
            request
        };
        // What a session's methods fail with.
        client.check(request(&cookie)).await.unwrap();
        let too_much = client.check(request(&cookie)).await.unwrap_err();
        assert_eq!(too_much.code(), Code::Internal, "{too_much:?}");
        let stranger = client.watch(request("other=1")).await.unwrap_err();
        assert_eq!((stranger.code(), stranger.message()), (Code::Unauthenticated, "there is no session yet"));

        let mut beats = client.watch(request(&cookie)).await.unwrap().into_inner();
        for _ in 0..3 {
            assert_eq!(beats.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        }
        browser.get("/logout").await.assert_status(200);
        let end = async {
            loop {
                match beats.message().await {
                    Ok(Some(_)) => {}
                    ended => return ended,
                }
            }
        };
        let status = timeout(PATIENCE, end).await.expect("it ends").unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "session revoked"));
    }
}
