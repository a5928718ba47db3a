//! The layers on hyper without a framework, over a socket, h1 and h2.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use portcullis::identity::IdentityExt;
use portcullis::session::SessionLayer;
use portcullis::{CsrfLayer, Identity, Session};
use portcullis_store::SessionBackend;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

use crate::support::app::now;
use crate::support::store::{AnyStore, PATIENCE};

async fn app(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let session = request.extensions().get::<Session>().unwrap().clone();
    if request.uri().path() == "/login" {
        session.login(Identity::new("ada")).await.unwrap();
    }
    let name = request.identity().map_or("nobody", |me| me.subject()).to_owned();
    Ok(Response::new(name.into()))
}

async fn serve(store: impl SessionBackend) -> SocketAddr {
    let layers = ServiceBuilder::new()
        .layer(SessionLayer::builder(store).budget(PATIENCE).build().unwrap())
        .layer(CsrfLayer::new());
    let service = TowerToHyperService::new(layers.service(service_fn(app)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                builder.serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    address
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_signs_in_and_forged_posts_are_refused_over_h1_and_h2() {
    for store in AnyStore::each(&now()) {
        let address = serve(store).await;
        for h2 in [false, true] {
            let client = Client::builder(TokioExecutor::new()).http2_only(h2).build_http::<Full<Bytes>>();
            let request = |method: &str, path: &str| {
                Request::builder().method(method).uri(format!("http://{address}{path}"))
            };
            let ask = async |request: http::request::Builder| {
                client.request(request.body(Full::default()).unwrap()).await.unwrap()
            };

            let response = ask(request("GET", "/login")).await;
            let cookie =
                response.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
            let with_cookie = |method, path| request(method, path).header(COOKIE, &cookie);
            assert_eq!(text(ask(with_cookie("GET", "/")).await).await, "ada", "h2: {h2}");
            assert_eq!(text(ask(request("GET", "/")).await).await, "nobody", "h2: {h2}");

            let forged = with_cookie("POST", "/").header("sec-fetch-site", "cross-site");
            assert_eq!(ask(forged).await.status(), 403, "h2: {h2}");
            let own = with_cookie("POST", "/").header("origin", format!("http://{address}"));
            assert_eq!(ask(own).await.status(), 200, "h2: {h2}");
            assert_eq!(
                ask(with_cookie("POST", "/")).await.status(),
                403,
                "no header says anything; h2: {h2}"
            );
        }
    }
}
