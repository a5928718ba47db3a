//! On hyper without a framework, through `TowerToHyperService`, and through hyper-util's graceful server.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use portcullis::Identity;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tower::{Layer, ServiceExt};

use super::wire::Wire;
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

/// What is under way when the server is told to stop is answered, by the layers too; then nobody is let in any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_gracefully_serves_what_has_begun() {
    let stage = Stage::new();
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, wait) = (Arc::clone(&entered), Arc::clone(&go_on));
    let slow = async move |me: Identity| {
        enter.notify_one();
        wait.notified().await;
        me.subject().to_owned()
    };
    let inner = routes().route("/slow", get(slow));
    let service =
        stage.auth.layer(inner.map_request(|request: hyper::Request<hyper::body::Incoming>| {
            request.map(axum::body::Body::new)
        }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, mut stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let graceful = GracefulShutdown::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let service = TowerToHyperService::new(service.clone());
                    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
                    tokio::spawn(graceful.watch(connection.into_owned()));
                }
                _ = &mut stopped => break,
            }
        }
        drop(listener);
        graceful.shutdown().await;
    });
    stage.assert_protected("before it stops", address, "").await;

    let good = stage.good();
    let begun =
        tokio::spawn(async move { Wire::h1(address).get("/slow", &[("authorization", &good)]).await });
    entered.notified().await;
    stop.send(()).unwrap();
    go_on.notify_one();
    let answer = begun.await.unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (200, "ada"));
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "it has stopped");
}
