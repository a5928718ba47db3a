//! On salvo, by its `tower-compat`.

use portcullis::RequireLayer;
use portcullis_testkit::jwt::TestIssuer;
use salvo::conn::{Acceptor, TcpListener};
use salvo::prelude::{Listener, Router, Server, TowerLayerCompat, handler};

use crate::{ISSUER, assert_protected, auth};

#[handler]
async fn me() -> &'static str {
    "in"
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layers_are_hoops_of_a_router() {
    let issuer = TestIssuer::new(ISSUER, "api");
    let router = Router::with_path("me")
        .hoop(auth(&issuer).compat())
        .hoop(RequireLayer::authenticated().compat())
        .get(me);
    let acceptor = TcpListener::new("127.0.0.1:0").bind().await;
    let address = acceptor.holdings()[0].local_addr.clone().into_std().unwrap();
    tokio::spawn(Server::new(acceptor).serve(router));
    assert_protected(address, &issuer).await;
}
