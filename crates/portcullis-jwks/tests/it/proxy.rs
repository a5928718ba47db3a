//! Through an HTTP proxy, the only way out that some services have.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http::header::AUTHORIZATION;
use portcullis::BearerLayer;
use portcullis::bearer::{Audience, Introspection, Issuer, KeyState};
use portcullis::identity::IdentityExt;
use portcullis_jwks::{RemoteIntrospection, RemoteJwks};
use portcullis_testkit::idp::FakeIdp;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::front::{Authority, Front};
use crate::stage::Stage;

/// A proxy that knows one name, and takes whoever asks for it to one port of this machine.
struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// What it does with a client that asks for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Good,
    /// Refuses with this status.
    Refuses(u16),
    HangsUp,
}

const NAME: &str = "idp.example";

impl Proxy {
    async fn start(manner: Manner, to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, manner, to, Arc::clone(&heads)));
            }
        });
        Self { port, seen, task }
    }

    fn url(&self) -> String {
        format!("http://svc:p%40ss@127.0.0.1:{}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut client: TcpStream, manner: Manner, to: u16, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    match manner {
        Manner::Good => {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
        Manner::Refuses(status) => {
            let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            let _ = client.write_all(answer.as_bytes()).await;
        }
        Manner::HangsUp => {}
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn keys_come_through_a_proxy_which_is_told_no_more_than_where_to() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let rows = [
        ("a good one", Manner::Good, ours.pem(), true),
        ("one that wants somebody else", Manner::Refuses(407), ours.pem(), false),
        ("one that does not let us there", Manner::Refuses(403), ours.pem(), false),
        ("one that hangs up", Manner::HangsUp, ours.pem(), false),
        ("one that leads to another server", Manner::Good, theirs.pem(), false),
    ];
    for (name, manner, roots, good) in rows {
        let idp = FakeIdp::start("api").await;
        let front = Front::start(&idp, ours.server(&[NAME])).await;
        let proxy = Proxy::start(manner, front.port).await;
        // Nobody but the proxy could resolve that.
        let source = RemoteJwks::builder(format!("https://{NAME}/jwks")).proxy(proxy.url());
        let stage = Stage::with(idp, source.without_system_roots().add_roots(roots).build().unwrap());
        let status = stage.status(&stage.token()).await;
        assert_eq!((status, stage.idp.fetches()), if good { (200, 1) } else { (503, 0) }, "{name}");
        assert_eq!(stage.state() == KeyState::Good, good, "{name}");
        let expected = format!(
            "CONNECT {NAME}:443 HTTP/1.1\r\nHost: {NAME}:443\r\nProxy-Authorization: Basic c3ZjOnBAc3M=\r\n\r\n"
        );
        assert!(proxy.heads().iter().all(|head| *head == expected), "{name}: {:?}", proxy.heads());
        assert!(!proxy.heads().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_through_a_proxy_which_reads_none() {
    let authority = Authority::new();
    let idp = FakeIdp::start("api").await;
    let front = Front::start(&idp, authority.server(&[NAME])).await;
    let proxy = Proxy::start(Manner::Good, front.port).await;
    let (id, secret) = FakeIdp::CLIENT;
    let server = RemoteIntrospection::builder(format!("https://{NAME}/introspect")).client(id, secret);
    let server = server.proxy(proxy.url()).without_system_roots().add_roots(authority.pem()).build().unwrap();
    let issuer = Issuer::new(idp.url(), Audience::one_of(["api"]));
    let layer = BearerLayer::opaque(Introspection::new(issuer, server)).unwrap();
    let me = async |request: Request<Body>| request.identity().map_or("nobody", |me| me.subject()).to_owned();
    let app = Router::new().route("/", get(me)).layer(layer.required());
    for _ in 0..2 {
        let token = idp.opaque_token(json!({}));
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(idp.introspections(), 2);
    // The provider closes each connection after its answer.
    assert_eq!(proxy.heads().len(), 2);
}

#[tokio::test]
async fn what_is_on_this_machine_is_asked_directly() {
    let idp = FakeIdp::start("api").await;
    let proxy = Proxy::start(Manner::Good, idp.address().port()).await;
    let source = RemoteJwks::builder(idp.jwks_url()).insecure_http().proxy(proxy.url()).build().unwrap();
    let stage = Stage::with(idp, source);
    assert_eq!(stage.status(&stage.token()).await, 200);
    assert!(proxy.heads().is_empty());
}
