//! On warp, whose filters are a service.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use portcullis::RequireLayer;
use portcullis_testkit::jwt::TestIssuer;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use warp::Filter;

use crate::{ISSUER, assert_protected, auth};

#[tokio::test(flavor = "multi_thread")]
async fn the_layers_stand_around_the_service_of_a_filter() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let filter = warp::path("me").map(|| "in".to_owned());
    let service = ServiceBuilder::new()
        .layer(auth(&issuer))
        .layer(RequireLayer::authenticated())
        .service(warp::service(filter));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    assert_protected(address, &issuer).await;
}
