//! On hyper without a framework, through `TowerToHyperService`, and through hyper-util's graceful server.

use std::net::Ipv4Addr;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

use super::{Stage, routes};

#[tokio::test(flavor = "multi_thread")]
async fn a_layered_service_serves_connections_of_hyper() {
    let stage = Stage::new();
    // A router inside takes hyper's own body once it is mapped; the layer outside sees that body as it is.
    let inner: Router = routes();
    let service =
        stage.auth.layer(inner.map_request(|request: hyper::Request<hyper::body::Incoming>| {
            request.map(axum::body::Body::new)
        }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    stage.assert_protected("TowerToHyperService", address, "").await;
}
