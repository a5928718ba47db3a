//! Everywhere in an axum router.

use std::net::Ipv4Addr;

use axum::extract::Request;
use axum::routing::get;
use axum::{Router, ServiceExt};
use portcullis::{Identity, RequireLayer};
use tokio::net::TcpListener;
use tower::util::option_layer;
use tower::{Layer, ServiceBuilder};

use super::wire::Wire;
use super::{Stage, me, routes, serve};

#[tokio::test(flavor = "multi_thread")]
async fn around_all_routes_of_a_router() {
    let stage = Stage::new();
    let address = serve(routes().layer(stage.auth.clone())).await;
    stage.assert_protected("Router::layer", address, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_its_routes_and_not_its_fallback() {
    let stage = Stage::new();
    let fallback =
        async |me: Option<axum::Extension<Identity>>| if me.is_some() { "known" } else { "not looked at" };
    let address = serve(routes().route_layer(stage.auth.clone()).fallback(fallback)).await;
    stage.assert_protected("Router::route_layer", address, "").await;
    let elsewhere = Wire::h1(address).get("/elsewhere", &[("authorization", &stage.bad())]).await;
    assert_eq!((elsewhere.status, elsewhere.text.as_str()), (200, "not looked at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn around_one_method_router() {
    let stage = Stage::new();
    let beside = Router::new().route("/beside", get(async || "anybody"));
    let login = async |session: portcullis::Session| session.login(Identity::new("grace")).await;
    let app = beside
        .route("/me", get(me).post(async |_: Identity| "posted").layer(stage.auth.clone()))
        .route("/login", get(login).layer(stage.auth.clone()));
    let address = serve(app).await;
    stage.assert_protected("MethodRouter::layer", address, "").await;
    let anybody = Wire::h1(address).get("/beside", &[("authorization", &stage.bad())]).await;
    assert_eq!(anybody.text, "anybody");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_nested_router_and_around_one() {
    let stage = Stage::new();
    let inside = Router::new().nest("/deep", routes().layer(stage.auth.clone()));
    stage.assert_protected("inside", serve(inside).await, "/deep").await;
    let around = Router::new().nest("/deep", routes()).layer(stage.auth.clone());
    stage.assert_protected("around", serve(around).await, "/deep").await;
    let both = Router::new().nest("/deep", routes().layer(stage.auth.clone())).layer(stage.auth.clone());
    stage.assert_protected("both", serve(both).await, "/deep").await;
    let service = Router::new().nest_service("/deep", routes().layer(stage.auth.clone()));
    stage.assert_protected("nest_service", serve(service).await, "/deep").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_half_of_merged_routers_and_on_both() {
    let stage = Stage::new();
    let anybody = || Router::new().route("/anybody", get(async || "anybody"));
    let half = routes().layer(stage.auth.clone()).merge(anybody());
    let address = serve(half).await;
    stage.assert_protected("one half", address, "").await;
    let token = stage.bad();
    let bad = [("authorization", token.as_str())];
    assert_eq!(Wire::h1(address).get("/anybody", &bad).await.status, 200);

    let whole = routes().merge(anybody()).layer(stage.auth.clone());
    let address = serve(whole).await;
    stage.assert_protected("both halves", address, "").await;
    assert_eq!(Wire::h1(address).get("/anybody", &bad).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_an_optional_layer_and_without_it_nobody_gets_in() {
    let stage = Stage::new();
    let with = routes().layer(option_layer(Some(stage.auth.clone())));
    stage.assert_protected("option_layer", serve(with).await, "").await;
    let without = routes().layer(option_layer(None::<portcullis::AuthLayer>));
    let answer = Wire::h1(serve(without).await).get("/me", &[("authorization", &stage.good())]).await;
    assert_eq!(answer.status, 500, "a layer that was left out is neither a denial nor a success");
}

#[tokio::test(flavor = "multi_thread")]
async fn around_the_whole_router_with_its_fallback() {
    let stage = Stage::new();
    let service = ServiceBuilder::new().layer(stage.auth.clone()).service(routes());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let make = ServiceExt::<Request>::into_make_service(service);
    tokio::spawn(async { axum::serve(listener, make).await });
    stage.assert_protected("around the Router", address, "").await;
    let bad = stage.bad();
    let elsewhere = Wire::h1(address).get("/elsewhere", &[("authorization", &bad)]).await;
    assert_eq!(elsewhere.status, 401, "the fallback is inside too");
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_per_route_inside() {
    let stage = Stage::new();
    let admin = RequireLayer::authenticated().role("admin");
    let app = routes()
        .route("/admin", get(async || "in").layer(admin.clone()))
        .nest("/office", Router::new().route("/desk", get(async || "in")).layer(admin.clone()))
        .route_service("/service", admin.layer(Router::new().fallback(async || "in")))
        .layer(stage.auth.clone());
    let address = serve(app).await;
    stage.assert_protected("guards inside", address, "").await;
    let good = stage.good();
    for path in ["/admin", "/office/desk", "/service"] {
        let wire = Wire::h1(address);
        assert_eq!(wire.get(path, &[]).await.status, 401, "{path}");
        assert_eq!(wire.get(path, &[("authorization", &good)]).await.status, 403, "{path}");
    }
}
