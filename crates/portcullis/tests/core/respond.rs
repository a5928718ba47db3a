//! Responders in front of real layers: who is sent to sign in, who is told why, and what of the request is in the answer.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::OriginalUri;
use axum::routing::{any, get};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use portcullis::authenticate::AuthenticateLayer;
use portcullis::identity::Authentication;
use portcullis::rejection::{Challenge, CsrfReason, Lack, Rejection};
use portcullis::respond::{LoginRedirect, ProblemResponder, RequestHead, Responder, SafePath, WayBack};
use portcullis::{Identity, RequireLayer};
use tower::{Layer, ServiceExt};

use crate::common::{Finds, Handler, OtherBody, all, answer};

const PAGE: (&str, &str) = ("sec-fetch-mode", "navigate");
const HTMX: (&str, &str) = ("hx-request", "true");

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn nobody() -> Rejection {
    Rejection::unauthenticated(&Authentication::anonymous())
}

fn respond<R: Responder<Body>>(
    responder: &R,
    rejection: &Rejection,
    request: &Request<Body>,
) -> Response<Body> {
    responder.respond(rejection, &RequestHead::of(request))
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn only_people_on_the_way_to_a_page_are_sent_to_sign_in() {
    type Row<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
    let rows: [Row<'_>; 14] = [
        ("a page", "GET", "/account", &[PAGE], Some("/login?next=/account")),
        ("by HEAD", "HEAD", "/account", &[PAGE], Some("/login?next=/account")),
        ("with a query", "GET", "/a?b=1&c=%2F", &[PAGE], Some("/login?next=/a%3Fb%3D1%26c%3D%252F")),
        ("an old browser", "GET", "/account", &[("accept", "text/html,*/*")], Some("/login?next=/account")),
        ("an absolute-form", "GET", "https://evil.example/account", &[PAGE], Some("/login?next=/account")),
        ("two slashes", "GET", "//evil.example/", &[PAGE], Some("/login")),
        ("a dot segment", "GET", "/.//evil.example/", &[PAGE], Some("/login")),
        ("a form", "POST", "/account", &[PAGE], None),
        ("a form of an old browser", "POST", "/account", &[("accept", "text/html,*/*")], None),
        ("a script", "GET", "/account", &[("sec-fetch-mode", "cors"), ("accept", "text/html")], None),
        ("a program", "GET", "/account", &[], None),
        ("gRPC", "GET", "/account", &[PAGE, ("content-type", "application/grpc")], None),
        ("gRPC-web", "GET", "/account", &[PAGE, ("content-type", "application/grpc-web+proto")], None),
        ("the login page itself", "GET", "/login?next=/account", &[PAGE], None),
    ];
    let responder = LoginRedirect::to("/login");
    for (name, method, uri, headers, expected) in rows {
        let response = respond(&responder, &nobody(), &request(method, uri, headers));
        assert_eq!(header(&response, "location"), expected, "{name}");
        let status = match expected {
            Some(_) => 303,
            None if name.starts_with("gRPC") => 200,
            None => 401,
        };
        assert_eq!(response.status(), status, "{name}");
    }
}

/// Keeps all ways but one.
struct Keeps;

impl WayBack for Keeps {
    fn keep(&self, wanted: &SafePath, _: &RequestHead) -> bool {
        wanted.as_str() != "/elsewhere"
    }
}

#[test]
fn a_way_back_that_is_kept_does_not_stand_in_the_address() {
    let responder = LoginRedirect::to("/login").way_back(Keeps);
    for (uri, expected) in [("/account", "/login"), ("/elsewhere", "/login?next=/elsewhere")] {
        let response = respond(&responder, &nobody(), &request("GET", uri, &[PAGE]));
        assert_eq!(header(&response, "location"), Some(expected));
    }
}

#[test]
fn only_what_signing_in_would_mend_is_redirected() {
    let step_up =
        Rejection::StepUp { challenge: None, acr_values: Vec::new(), max_age: Some(Duration::ZERO) };
    let rows = [
        (nobody(), true),
        (step_up, true),
        (Rejection::invalid_credential(Challenge::new("Bearer"), "expired"), false),
        (Rejection::BadRequest { challenge: None, description: "two tokens" }, false),
        (Rejection::forbidden(Lack::Role), false),
        (Rejection::Csrf(CsrfReason::CrossSite), false),
        (Rejection::Conflict, false),
        (Rejection::InsecureTransport { redirect: None }, false),
        (Rejection::Unavailable { retry_after: Duration::ZERO }, false),
    ];
    for (rejection, redirected) in rows {
        let response = respond(&LoginRedirect::to("/login"), &rejection, &request("GET", "/", &[PAGE]));
        let status = if redirected { StatusCode::SEE_OTHER } else { rejection.status() };
        assert_eq!(response.status(), status, "{rejection:?}");
        assert_eq!(header(&response, "location").is_some(), redirected, "{rejection:?}");
    }
}

#[test]
fn htmx_is_told_where_to_go_and_comes_back_to_the_page_that_it_is_part_of() {
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let rows: [Row<'_>; 5] = [
        (
            "from a page",
            &[HTMX, ("hx-current-url", "https://app.example/list?p=2")],
            "/login?next=/list%3Fp%3D2",
        ),
        ("no page", &[HTMX], "/login"),
        ("another site's", &[HTMX, ("hx-current-url", "https://evil.example//evil.example")], "/login"),
        ("no address", &[HTMX, ("hx-current-url", "\\\\evil")], "/login"),
        ("boosted", &[HTMX, PAGE, ("hx-current-url", "https://app.example/")], "/login?next=/"),
    ];
    for (name, headers, expected) in rows {
        for method in ["GET", "POST", "DELETE"] {
            let response =
                respond(&LoginRedirect::to("/login"), &nobody(), &request(method, "/row/1", headers));
            assert_eq!(header(&response, "hx-redirect"), Some(expected), "{name}");
            assert_eq!((response.status().as_u16(), header(&response, "location")), (401, None), "{name}");
        }
    }
    // A part of the login page that needs somebody opens the whole page.
    let part = respond(&LoginRedirect::to("/login"), &nobody(), &request("POST", "/login", &[HTMX]));
    assert_eq!(header(&part, "hx-redirect"), Some("/login"));
    let not_htmx = request("GET", "/", &[("hx-request", "false")]);
    assert_eq!(header(&respond(&LoginRedirect::to("/login"), &nobody(), &not_htmx), "hx-redirect"), None);
}

#[test]
fn the_login_page_may_have_a_query_and_be_elsewhere() {
    let rows = [
        ("/login?theme=dark", "/login?theme=dark&next=/a"),
        ("https://sso.example/in", "https://sso.example/in?next=/a"),
        ("/login#form", "/login?next=/a#form"),
        ("/anmelden/ü \r\n", "/anmelden/%C3%BC%20%0D%0A?next=/a"),
    ];
    for (page, expected) in rows {
        let response = respond(&LoginRedirect::to(page), &nobody(), &request("GET", "/a", &[PAGE]));
        assert_eq!(header(&response, "location"), Some(expected), "{page}");
    }
    let named = LoginRedirect::to("/login").parameter("return to");
    let response = respond(&named, &nobody(), &request("GET", "/a", &[PAGE]));
    assert_eq!(header(&response, "location"), Some("/login?return%20to=/a"));
}

#[tokio::test]
async fn what_is_not_redirected_is_answered_by_the_other_responder() {
    let responder = LoginRedirect::to("/login").otherwise(ProblemResponder);
    let script = request("GET", "/account", &[("accept", "application/json")]);
    let response = respond(&responder, &nobody(), &script);
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    let htmx = respond(&responder, &nobody(), &request("GET", "/account", &[HTMX]));
    assert_eq!(header(&htmx, "content-type"), Some("application/problem+json"));
    assert_eq!(header(&htmx, "hx-redirect"), Some("/login"));
}

/// A router that strips a prefix, a guard and an extractor inside, with and without being told where the whole URI is.
#[tokio::test]
async fn inside_a_nested_router_the_way_back_is_the_whole_path() {
    let whole = || {
        LoginRedirect::to("/login")
            .original_uri(|extensions| extensions.get::<OriginalUri>().map(|uri| &uri.0))
    };
    let inner = Router::new()
        .route("/guarded", get(async || "in").layer(RequireLayer::authenticated().responder(whole())))
        .route(
            "/stripped",
            get(async || "in").layer(RequireLayer::authenticated().responder(LoginRedirect::to("/login"))),
        )
        .route("/extracted", get(async |_: Identity| "in"));
    let app = Router::new()
        .nest("/admin", inner)
        .layer(AuthenticateLayer::with_responder(Finds::nobody(), whole()));
    for (path, expected) in [
        ("/admin/guarded?a=1", "/login?next=/admin/guarded%3Fa%3D1"),
        ("/admin/extracted?a=1", "/login?next=/admin/extracted%3Fa%3D1"),
        ("/admin/stripped?a=1", "/login?next=/stripped%3Fa%3D1"),
    ] {
        let response = app.clone().oneshot(request("GET", path, &[PAGE])).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), header(&response, "location")),
            (303, Some(expected)),
            "{path}"
        );
        assert_eq!(header(&response, "cache-control"), Some("no-store"), "{path}");
        assert!(matches!(response.extensions().get(), Some(Rejection::Unauthenticated(_))), "{path}");
    }
}

#[derive(Clone)]
struct Rude;

impl<B: From<String>> Responder<B> for Rude {
    fn respond(&self, _: &Rejection, _: &RequestHead) -> Response<B> {
        let mut response = Response::new("<h1>No</h1>".to_owned().into());
        response.headers_mut().insert("content-length", 99.into());
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    }
}

/// gRPC gets the gRPC answer, whatever the responder is.
#[tokio::test]
async fn grpc_and_grpc_web_are_answered_in_their_own_protocol_by_every_responder() {
    fn rude(_: &Rejection, _: &RequestHead) -> Response<Body> {
        Response::new(Body::from("<h1>No</h1>"))
    }
    async fn check<R: Responder<Body> + Clone + Send + Sync + 'static>(
        name: &str,
        responder: R,
        is_empty: bool,
    ) {
        let app: Router = Router::new()
            .fallback(any(async || "in"))
            .layer(RequireLayer::authenticated().responder(responder.clone()))
            .layer(AuthenticateLayer::new(Finds::nobody().scheme("Bearer")));
        for media_type in ["application/grpc", "application/grpc+proto", "application/grpc-web-text+proto"] {
            let call = request("POST", "/svc/Method", &[("content-type", media_type), PAGE, HTMX]);
            let response = app.clone().oneshot(call).await.unwrap();
            assert_eq!(response.status(), 200, "{name}, {media_type}");
            assert_eq!(header(&response, "content-type"), Some(media_type), "{name}");
            assert_eq!(header(&response, "grpc-status"), Some("16"), "{name}");
            assert_eq!(header(&response, "grpc-message"), Some("sign in first"), "{name}");
            assert_ne!(header(&response, "content-length"), Some("99"), "{name}: that of a page");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body.is_empty(), is_empty, "{name}");
        }
    }
    check("default", portcullis::respond::DefaultResponder, true).await;
    check("problem", ProblemResponder, true).await;
    check("login", LoginRedirect::to("/login"), true).await;
    check("login, else problem", LoginRedirect::to("/login").otherwise(ProblemResponder), true).await;
    check("a function", rude, true).await;
    check("one of the application's, which leaves its body", Rude, false).await;
}

#[tokio::test]
async fn the_rejection_is_in_the_extensions_whatever_the_responder_made() {
    let teapot = |_: &Rejection, _: &RequestHead| Response::new(String::from("no"));
    let service = RequireLayer::authenticated().responder(teapot).layer(Handler::default());
    let response = answer(&service, Request::new(())).await;
    assert!(matches!(response.extensions().get(), Some(Rejection::Misconfigured(_))));
    assert_eq!(all(&response, "cache-control"), ["no-store"]);
}

#[test]
fn a_redirect_fits_bodies_that_can_only_be_empty() {
    let head = RequestHead::of(&request("GET", "/a", &[PAGE]));
    let response: Response<OtherBody> = LoginRedirect::to("/login").respond(&nobody(), &head);
    assert_eq!(response.headers().get("location"), Some(&HeaderValue::from_static("/login?next=/a")));
}
