//! WebSocket handshakes over real sockets: from another site they are refused before the handler, with HTTP/1.1 and with
//! HTTP/2, because browsers send cookies along and ask nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::{any, get, post};
use http::header::{COOKIE, ORIGIN, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use portcullis::session::{MemoryBackend, SessionError, SessionLayer};
use portcullis::{CsrfLayer, Identity, Session};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tower::ServiceExt as _;

/// A service on a socket, somebody who is signed in to it, and how often its handlers were reached.
struct Stage {
    address: SocketAddr,
    cookie: String,
    reached: Arc<AtomicUsize>,
}

async fn login(session: Session) -> Result<(), SessionError> {
    session.login(Identity::new("ada")).await
}

impl Stage {
    async fn new() -> Self {
        let reached = Arc::<AtomicUsize>::default();
        let (upgraded, connected) = (Arc::clone(&reached), Arc::clone(&reached));
        let app = Router::new()
            .route("/login", post(login))
            .route(
                "/http1",
                get(async move |upgrade: WebSocketUpgrade, _: Identity| {
                    upgraded.fetch_add(1, Ordering::SeqCst);
                    upgrade.on_upgrade(async |_| ())
                }),
            )
            .route("/http2", any(async move |_: Identity| _ = connected.fetch_add(1, Ordering::SeqCst)))
            .layer(CsrfLayer::new())
            .layer(SessionLayer::new(MemoryBackend::new()));
        let response =
            app.clone().oneshot(Request::post("/login").body(Body::empty()).unwrap()).await.unwrap();
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { address: served(app).await, cookie, reached }
    }

    fn own_origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// With HTTP/1.1: `GET` and `Upgrade` (RFC 6455, section 4.1).
    async fn upgrade(&self, origin: Option<&str>) -> StatusCode {
        let mut request = format!("ws://{}/http1", self.address).into_client_request().unwrap();
        request.headers_mut().insert(COOKIE, self.cookie.parse().unwrap());
        request.headers_mut().extend(origin.map(|origin| (ORIGIN, origin.parse().unwrap())));
        match connect_async(request).await {
            Ok((_, response)) => response.status(),
            Err(Error::Http(response)) => response.status(),
            Err(error) => panic!("{error}"),
        }
    }

    /// With HTTP/2: `CONNECT` and `:protocol` (RFC 8441, section 5).
    async fn connect(
        &self,
        client: &mut SendRequest<Empty<&'static [u8]>>,
        origin: Option<&str>,
    ) -> StatusCode {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}/http2", self.address))
            .extension(Protocol::from_static("websocket"))
            .header(COOKIE, &self.cookie);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        client.send_request(request.body(Empty::new()).unwrap()).await.unwrap().status()
    }

    async fn http2(&self) -> SendRequest<Empty<&'static [u8]>> {
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        // The first answer comes after the settings that allow the extended method.
        let request = Request::get(format!("http://{}/http2", self.address)).body(Empty::new()).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
        client
    }
}

async fn served(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let mut server = auto::Builder::new(TokioExecutor::new());
                server.http2().enable_connect_protocol();
                let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// The origins that a handshake may have, and what is answered where a page's own gets `accepted`.
fn rows(stage: &Stage, accepted: StatusCode) -> [(&'static str, Option<String>, StatusCode); 6] {
    let port = stage.address.port();
    [
        ("a page of the service's own", Some(stage.own_origin()), accepted),
        ("another site", Some("https://evil.example".to_owned()), StatusCode::FORBIDDEN),
        ("a hidden origin", Some("null".to_owned()), StatusCode::FORBIDDEN),
        ("another port of the host", Some("http://127.0.0.1:1".to_owned()), StatusCode::FORBIDDEN),
        ("another host on the port", Some(format!("http://localhost:{port}")), StatusCode::FORBIDDEN),
        ("no origin at all", None, StatusCode::FORBIDDEN),
    ]
}

#[tokio::test]
async fn a_websocket_handshake_from_another_origin_is_refused_with_http_1() {
    let stage = Stage::new().await;
    for (name, origin, expected) in rows(&stage, StatusCode::SWITCHING_PROTOCOLS) {
        assert_eq!(stage.upgrade(origin.as_deref()).await, expected, "{name}");
    }
    assert_eq!(stage.reached.load(Ordering::SeqCst), 1, "no refused handshake reaches the handler");
}

#[tokio::test]
async fn a_websocket_handshake_from_another_origin_is_refused_with_http_2() {
    let stage = Stage::new().await;
    let mut client = stage.http2().await;
    for (name, origin, expected) in rows(&stage, StatusCode::OK) {
        assert_eq!(stage.connect(&mut client, origin.as_deref()).await, expected, "{name}");
    }
    assert_eq!(stage.reached.load(Ordering::SeqCst), 1, "no refused handshake reaches the handler");
}
