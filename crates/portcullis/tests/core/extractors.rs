//! The extractors, on a real router.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use portcullis::Identity;
use portcullis::authenticate::AuthenticateLayer;
use portcullis::guard::{Check, GuardLayer, Head, Pass};
use portcullis::identity::{Authentication, Outcome};
use portcullis::rejection::{Misassembly, Rejection};
use portcullis::respond::RequestHead;

use crate::common::{Finds, all, answer, by_session, logged};

fn app() -> Router {
    Router::new()
        .route("/me", get(|me: Identity| async move { me.subject().to_owned() }))
        .route(
            "/maybe",
            get(|me: Option<Identity>| async move {
                me.map_or("nobody".to_owned(), |me| me.subject().to_owned())
            }),
        )
        .route("/found", get(|found: Authentication| async move { describe(found.outcome()) }))
}

fn describe(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Anonymous => "anonymous",
        Outcome::Authenticated(_) => "authenticated",
        Outcome::Unavailable { .. } => "unavailable",
        other => panic!("{other:?}"),
    }
}

fn to(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(axum::body::to_bytes(response.into_body(), 1000).await.unwrap().into()).unwrap()
}

#[tokio::test]
async fn each_extractor_answers_each_finding() {
    let away = || Finds::what(Ok(Authentication::unavailable(Duration::from_secs(3))));
    let rows = [
        ("/me", Some(Finds::identity(by_session("ada"))), 200, "ada"),
        ("/me", Some(Finds::nobody()), 401, ""),
        ("/me", Some(away()), 503, ""),
        ("/me", None, 500, ""),
        ("/maybe", Some(Finds::identity(by_session("ada"))), 200, "ada"),
        ("/maybe", Some(Finds::nobody()), 200, "nobody"),
        ("/maybe", Some(away()), 503, ""),
        ("/maybe", None, 500, ""),
        ("/found", Some(Finds::identity(by_session("ada"))), 200, "authenticated"),
        ("/found", Some(Finds::nobody()), 200, "anonymous"),
        ("/found", Some(away()), 200, "unavailable"),
        ("/found", None, 500, ""),
    ];
    for (path, finds, status, body) in rows {
        let name = format!("{path} {:?}", finds.as_ref().map(|finds| &finds.what));
        let app = match finds {
            Some(finds) => app().layer(AuthenticateLayer::new(finds)),
            None => app(),
        };
        let response = answer(&app, to(path)).await;
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(response.extensions().get::<Rejection>().is_some(), status != 200, "{name}");
        assert_eq!(text(response).await, body, "{name}");
    }
}

#[test]
fn a_missing_layer_is_logged_with_its_name_and_the_path() {
    let lines = logged(async {
        answer(&app(), to("/me")).await;
    });
    let line = lines.iter().find(|line| line.starts_with("ERROR")).expect("an error is logged");
    assert!(
        line.contains("SessionLayer, BearerLayer or AuthenticateLayer") && line.contains("/me"),
        "{line}"
    );
}

#[cfg(feature = "session")]
#[test]
fn a_missing_session_layer_is_a_500_that_names_it() {
    let app = Router::new().route("/cart", get(|_: portcullis::Session| async { "never" }));
    // Another layer of ours does not stand in for it.
    let app = app.layer(AuthenticateLayer::new(Finds::identity(by_session("ada"))));
    let lines = logged(async {
        let response = answer(&app, to("/cart")).await;
        let missing =
            Rejection::Misconfigured(Misassembly::Missing { layer: "SessionLayer", realm: "default" });
        assert_eq!((response.status().as_u16(), response.extensions().get()), (500, Some(&missing)));
    });
    assert!(lines.iter().any(|line| line.contains("SessionLayer") && line.contains("/cart")), "{lines:?}");
}

#[derive(Clone)]
struct Passes;

impl Check for Passes {
    fn check(&self, _: Head<'_>) -> Result<Pass, Rejection> {
        Ok(Pass::new())
    }
}

fn says(name: &'static str) -> impl Fn(&Rejection, &RequestHead) -> Response<Body> + Clone {
    move |rejection, head| {
        let response = Response::builder().status(rejection.status()).header("x-by", name);
        response.body(Body::from(format!("{name} {}", head.uri()))).unwrap()
    }
}

#[tokio::test]
async fn the_outermost_layer_renders_what_an_extractor_refuses() {
    let inner = AuthenticateLayer::with_responder(Finds::nobody().scheme("ApiKey"), says("inner"));
    let outer = AuthenticateLayer::with_responder(Finds::nobody().scheme("Bearer"), says("outer"));
    let app = app().layer(inner).layer(GuardLayer::with_responder(Passes, says("guard"))).layer(outer);
    let response = answer(&app, to("/me?a=b")).await;
    assert_eq!(response.status(), 401);
    assert_eq!((all(&response, "x-by"), all(&response, "cache-control")), (vec!["outer"], vec!["no-store"]));
    assert_eq!(
        all(&response, "www-authenticate"),
        ["Bearer", "ApiKey"],
        "the challenges are there, each once"
    );
    assert_eq!(text(response).await, "outer /me?a=b");
}

#[tokio::test]
async fn a_default_responder_outside_renders_the_same_once_more() {
    let layer = |scheme| AuthenticateLayer::new(Finds::nobody().scheme(scheme));
    let app = app().layer(layer("ApiKey")).layer(layer("Bearer"));
    let response = answer(&app, to("/me")).await;
    assert_eq!(
        (response.status().as_u16(), all(&response, "www-authenticate")),
        (401, vec!["Bearer", "ApiKey"])
    );

    let mut call = to("/me");
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let response = answer(&app, call).await;
    assert_eq!(response.status(), 200);
    assert_eq!(all(&response, "grpc-status"), ["16"]);
}

#[tokio::test]
async fn what_is_rendered_anew_has_no_content_headers_of_before() {
    let page = |rejection: &Rejection, _: &RequestHead| {
        let response = Response::builder().status(rejection.status()).header("content-type", "text/html");
        response.header("content-length", "2").body(Body::from("no")).unwrap()
    };
    let inner = AuthenticateLayer::with_responder(Finds::nobody(), page);
    let app = app().layer(inner).layer(AuthenticateLayer::with_responder(Finds::nobody(), says("outer")));
    let response = answer(&app, to("/me")).await;
    assert_eq!(response.status(), 401);
    assert!(all(&response, "content-type").is_empty(), "the inner answer was a page, this one is not");
    assert_ne!(all(&response, "content-length"), ["2"], "axum may say that nothing follows");

    let mut call = to("/me");
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let response = answer(&app, call).await;
    assert_eq!((response.status().as_u16(), all(&response, "grpc-status")), (200, vec!["16"]));
    assert_eq!(all(&response, "content-type"), ["application/grpc"]);
}

#[tokio::test]
async fn cookies_and_vary_of_inner_layers_stay_beside_those_of_the_responder() {
    let inner = tower::util::MapResponseLayer::new(|mut response: Response<Body>| {
        response.headers_mut().append("set-cookie", "inner=1".parse().unwrap());
        response.headers_mut().append("vary", "cookie".parse().unwrap());
        response
    });
    let outer = |rejection: &Rejection, _: &RequestHead| {
        let response = Response::builder().status(rejection.status());
        let response = response.header("set-cookie", "outer=1").header("vary", "accept");
        response.header("cache-control", "max-age=60").body(Body::empty()).unwrap()
    };
    let app = app().layer(inner).layer(AuthenticateLayer::with_responder(Finds::nobody(), outer));
    let response = answer(&app, to("/me")).await;
    assert_eq!(all(&response, "set-cookie"), ["outer=1", "inner=1"]);
    assert_eq!(all(&response, "vary"), ["accept", "cookie"]);
    assert_eq!(all(&response, "cache-control"), ["no-store"], "no refusal is kept");
}

#[tokio::test]
async fn rendering_keeps_what_inner_layers_left_in_the_extensions() {
    #[derive(Clone, Debug, PartialEq)]
    struct Note(u8);
    let noting = tower::util::MapResponseLayer::new(|mut response: Response<Body>| {
        response.extensions_mut().insert(Note(7));
        response
    });
    let app = app().layer(noting).layer(AuthenticateLayer::new(Finds::nobody()));
    let response = answer(&app, to("/me")).await;
    assert_eq!(response.extensions().get(), Some(&Note(7)));
    assert!(response.extensions().get::<Rejection>().is_some());
}
