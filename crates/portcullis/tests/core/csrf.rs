//! Forged requests, through the layer as it is deployed. The decision table itself is tested beside `verify`.

use axum::Router;
use axum::extract::OriginalUri;
use axum::routing::post;
use http::{Request, Response, StatusCode};
use portcullis::authenticate::AuthenticateLayer;
use portcullis::csrf::{ConfigErrorKind, CsrfKeys, CsrfVerdict, SameSite};
use portcullis::guard::Head;
use portcullis::rejection::{CsrfReason, Rejection};
use portcullis::respond::RequestHead;
use portcullis::{CsrfLayer, Realm};
use tower::{Layer, ServiceBuilder, service_fn};

use crate::common::{Finds, Handler, answer, by_bearer, by_session, logged};

/// What a page of evil.example makes a browser send.
fn forged(method: &str) -> Request<String> {
    let request = Request::builder().method(method).uri("/transfer").header("host", "www.example.com");
    let request = request.header("cookie", "id=1").header("origin", "https://evil.example");
    request.header("sec-fetch-site", "cross-site").body("to=mallory".to_owned()).unwrap()
}

fn with(mut request: Request<String>, name: &'static str, value: &'static str) -> Request<String> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn without(mut request: Request<String>, names: &[&str]) -> Request<String> {
    for name in names {
        request.headers_mut().remove(*name);
    }
    request
}

fn reason<B>(response: &Response<B>) -> Option<CsrfReason> {
    match response.extensions().get::<Rejection>() {
        Some(Rejection::Csrf(reason)) => Some(*reason),
        _ => None,
    }
}

#[tokio::test]
async fn the_handler_is_not_run_on_a_refusal() {
    let handler = Handler::default();
    let stack = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_session("ada"))))
        .layer(CsrfLayer::new())
        .service(handler.clone());
    for method in ["POST", "PUT", "PATCH", "DELETE", "QUERY", "TRACE", "PROPFIND", "TRANSFER", "CONNECT"] {
        let response = answer(&stack, forged(method)).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{method}");
        assert_eq!(response.headers()["vary"], "sec-fetch-site, origin", "{method}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{method}");
    }
    assert_eq!(handler.calls(), 0);
    let own = with(forged("POST"), "sec-fetch-site", "same-origin");
    assert_eq!(answer(&stack, own).await.body(), "ada");
}

enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

#[tokio::test]
async fn of_several_realms_one_with_an_ambient_credential_is_enough() {
    let (cookie, token) = (|| by_session("ada"), || by_bearer("ada"));
    for (name, staff, own) in [
        ("the outer one", Finds::identity(cookie()), Finds::nobody()),
        ("the inner one", Finds::nobody(), Finds::identity(cookie())),
        ("beside a token inside", Finds::identity(cookie()), Finds::identity(token())),
        ("beside a token outside", Finds::identity(token()), Finds::identity(cookie())),
    ] {
        let stack = ServiceBuilder::new()
            .layer(AuthenticateLayer::new(staff).realm::<Staff>())
            .layer(AuthenticateLayer::new(own))
            .layer(CsrfLayer::new())
            .service(Handler::default());
        assert_eq!(reason(&answer(&stack, forged("POST")).await), Some(CsrfReason::CrossSite), "{name}");
    }
}

#[tokio::test]
async fn standing_alone_it_refuses_forged_cookie_posts() {
    let alone = CsrfLayer::new().layer(Handler::default());
    assert_eq!(reason(&answer(&alone, forged("POST")).await), Some(CsrfReason::CrossSite));
    let basic = with(without(forged("POST"), &["cookie"]), "authorization", "Basic dTpw");
    assert_eq!(reason(&answer(&alone, basic).await), Some(CsrfReason::CrossSite));
    let stripped = without(forged("POST"), &["origin", "sec-fetch-site"]);
    assert_eq!(reason(&answer(&alone, stripped).await), Some(CsrfReason::MissingMetadata));
}

#[tokio::test]
async fn outside_the_session_layer_it_refuses_forged_cookie_posts() {
    let handler = Handler::default();
    let outside = ServiceBuilder::new()
        .layer(CsrfLayer::new())
        .layer(AuthenticateLayer::new(Finds::identity(by_session("ada"))))
        .service(handler.clone());
    assert_eq!(answer(&outside, forged("POST")).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(handler.calls(), 0);
}

#[test]
fn that_no_layer_has_looked_is_warned_of_once_for_all_routes() {
    let layer = CsrfLayer::new();
    let routes = [layer.layer(Handler::default()), layer.clone().layer(Handler::default())];
    let lines = logged(async {
        for route in routes.iter().chain(&routes) {
            answer(route, without(forged("POST"), &["cookie"])).await;
        }
    });
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("no layer around it")).collect();
    assert_eq!(warnings.len(), 1, "{lines:?}");
    assert!(warnings[0].starts_with("WARN"));
}

#[test]
fn a_missing_layer_is_warned_of_also_by_requests_that_prove_their_origin() {
    let layer = CsrfLayer::new();
    let surrounded = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_session("ada"))))
        .layer(layer.clone())
        .service(Handler::default());
    let alone = layer.layer(Handler::default());
    let own = || with(without(forged("POST"), &["sec-fetch-site"]), "sec-fetch-site", "same-origin");
    let lines = logged(async {
        for _ in 0..2 {
            assert_eq!(answer(&surrounded, own()).await.status(), StatusCode::OK);
        }
    });
    assert!(lines.is_empty(), "{lines:?}");
    let lines = logged(async {
        for _ in 0..2 {
            assert_eq!(answer(&alone, own()).await.status(), StatusCode::OK);
        }
    });
    let warnings = lines.iter().filter(|line| line.contains("no layer around it")).count();
    assert_eq!(warnings, 1, "{lines:?}");
}

#[tokio::test]
async fn bearer_clients_and_webhooks_need_no_exemption() {
    let stack = |finds| {
        let authenticate = AuthenticateLayer::new(finds);
        ServiceBuilder::new().layer(authenticate).layer(CsrfLayer::new()).service(Handler::default())
    };
    // Also with a session's cookie beside the token, from whatever page.
    let bearer = stack(Finds::identity(by_bearer("ada")));
    assert_eq!(answer(&bearer, with(forged("POST"), "authorization", "Bearer t")).await.body(), "ada");
    let webhook = Request::post("/hook").header("host", "www.example.com").body(String::new()).unwrap();
    assert_eq!(answer(&stack(Finds::nobody()), webhook.clone()).await.body(), "nobody");

    let alone = CsrfLayer::new().layer(Handler::default());
    assert_eq!(answer(&alone, webhook.clone()).await.status(), StatusCode::OK);
    assert_eq!(answer(&alone, with(webhook, "authorization", "Bearer t")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_text_plain_post_to_a_grpc_service_with_a_cookie_is_refused() {
    let handler = Handler::default();
    let stack = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_session("ada"))))
        .layer(CsrfLayer::new())
        .service(handler.clone());
    let disguised = with(forged("POST"), "content-type", "text/plain");
    assert_eq!(answer(&stack, disguised).await.status(), StatusCode::FORBIDDEN);

    for open in ["application/grpc", "application/grpc-web+proto", "application/grpc-web-text"] {
        let response = answer(&stack, with(forged("POST"), "content-type", open)).await;
        assert_eq!(
            (response.status(), &response.headers()["grpc-status"]),
            (StatusCode::OK, &"7".parse().unwrap())
        );
        assert_eq!(response.headers()["content-type"], open);
        assert_eq!(response.headers()["vary"], "sec-fetch-site, origin", "{open}");
        let own = with(with(forged("POST"), "content-type", open), "sec-fetch-site", "same-origin");
        assert_eq!(answer(&stack, own).await.body(), "ada", "{open}");
    }
    assert_eq!(handler.calls(), 3);
}

#[tokio::test]
async fn a_login_form_is_guarded_by_always() {
    let stack = |layer: CsrfLayer| {
        let authenticate = AuthenticateLayer::new(Finds::nobody());
        ServiceBuilder::new().layer(authenticate).layer(layer).service(Handler::default())
    };
    assert_eq!(answer(&stack(CsrfLayer::new()), forged("POST")).await.status(), StatusCode::OK);
    let always = stack(CsrfLayer::new().always());
    assert_eq!(reason(&answer(&always, forged("POST")).await), Some(CsrfReason::CrossSite));
}

#[tokio::test]
async fn always_leaves_bearer_clients_alone_and_no_token_that_nobody_verified() {
    let known = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_bearer("ada"))))
        .layer(CsrfLayer::new().always())
        .service(Handler::default());
    let forged = || with(forged("POST"), "authorization", "Bearer t");
    assert_eq!(answer(&known, forged()).await.body(), "ada");

    let unknown = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::nobody()))
        .layer(CsrfLayer::new().always())
        .service(Handler::default());
    assert_eq!(answer(&unknown, forged()).await.status(), StatusCode::FORBIDDEN);
    let alone = CsrfLayer::new().always().layer(Handler::default());
    assert_eq!(answer(&alone, forged()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_inner_stricter_copy_is_not_switched_off_by_an_outer_one() {
    let stack = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::nobody()))
        .layer(CsrfLayer::new())
        .layer(CsrfLayer::new().always())
        .service(Handler::default());
    assert_eq!(answer(&stack, forged("POST")).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn report_only_refuses_nothing_and_says_what_it_would() {
    let seen = service_fn(|request: Request<String>| async move {
        Ok::<_, std::convert::Infallible>(Response::new(request.extensions().get::<CsrfVerdict>().copied()))
    });
    let reporting = CsrfLayer::new().allowed_hosts(["www.example.com"]).unwrap().report_only().layer(seen);
    let rows = [
        ("forged", forged("POST"), CsrfVerdict::Refused(CsrfReason::CrossSite)),
        (
            "rebound",
            with(forged("GET"), "host", "evil.example"),
            CsrfVerdict::Refused(CsrfReason::HostNotAllowed),
        ),
        ("own", with(forged("POST"), "sec-fetch-site", "same-origin"), CsrfVerdict::Passed),
    ];
    for (name, request, verdict) in rows {
        assert_eq!(answer(&reporting, request).await.body(), &Some(verdict), "{name}");
    }
    // With any host allowed these would pass at a glance; the second one once a layer is known to stand around.
    let anywhere = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_session("ada"))))
        .layer(CsrfLayer::new().report_only())
        .service(seen);
    for request in [forged("GET"), forged("POST"), with(forged("POST"), "sec-fetch-site", "same-origin")] {
        assert!(answer(&anywhere, request).await.body().is_some(), "every request gets a verdict");
    }
    let enforcing = CsrfLayer::new().layer(seen);
    assert_eq!(
        answer(&enforcing, forged("GET")).await.body(),
        &None,
        "a passing request gets nothing inserted"
    );
}

#[test]
fn report_only_logs_what_it_would_refuse() {
    let reporting = CsrfLayer::new().report_only().layer(Handler::default());
    let lines = logged(async {
        answer(&reporting, forged("POST")).await;
    });
    let would = lines.iter().find(|line| line.contains("would be refused")).unwrap();
    assert!(
        would.starts_with("WARN") && would.contains("cross_site") && would.contains("add_trusted_origin")
    );
}

#[tokio::test]
async fn the_builder_says_what_it_trusts() {
    let trusting = CsrfLayer::new()
        .add_trusted_origin("HTTPS://Evil.example:443")
        .unwrap()
        .public_origin("https://www.example.com")
        .unwrap()
        .same_site(SameSite::Allow)
        .layer(Handler::default());
    let from =
        |site: &'static str, origin| with(with(forged("POST"), "sec-fetch-site", site), "origin", origin);
    assert_eq!(answer(&trusting, forged("POST")).await.status(), StatusCode::OK);
    let sibling = from("same-site", "https://blog.example.com");
    assert_eq!(answer(&trusting, sibling).await.status(), StatusCode::OK);
    let rewritten = without(from("", "https://www.example.com"), &["sec-fetch-site"]);
    let rewritten = with(rewritten, "host", "10.0.0.7:8080");
    assert_eq!(answer(&trusting, rewritten).await.status(), StatusCode::OK);
    let stripped = without(forged("POST"), &["origin", "sec-fetch-site"]);
    assert_eq!(answer(&trusting, stripped.clone()).await.status(), StatusCode::FORBIDDEN);
    let lenient = CsrfLayer::new().allow_missing_metadata().layer(Handler::default());
    assert_eq!(answer(&lenient, stripped).await.status(), StatusCode::OK);
}

#[test]
fn what_can_never_match_is_found_when_the_layer_is_built() {
    let kind =
        |layer: Result<CsrfLayer, portcullis::csrf::ConfigError>| layer.err().map(|error| error.kind());
    let hosts = |hosts: &[&str]| kind(CsrfLayer::new().allowed_hosts(hosts.iter().copied()));
    let public = |origin: &str| kind(CsrfLayer::new().public_origin(origin));
    assert_eq!(
        kind(CsrfLayer::new().add_trusted_origin("https://a.example/")),
        Some(ConfigErrorKind::HasPath)
    );
    assert_eq!(public("app://localhost"), Some(ConfigErrorKind::NotHttp));
    assert_eq!(public("https://a.example"), None);
    assert_eq!(hosts(&["www.example.com", "[::1]", "127.0.0.1"]), None);
    assert_eq!(hosts(&[]), Some(ConfigErrorKind::NoHosts));
    assert_eq!(hosts(&["www.example.com:443"]), Some(ConfigErrorKind::NotAHost));
    assert_eq!(hosts(&["*.example.com"]), Some(ConfigErrorKind::NotAHost));
    assert_eq!(hosts(&["münchen.example"]), Some(ConfigErrorKind::NotAscii));
    assert_eq!(hosts(&["127.1"]), Some(ConfigErrorKind::NeverSent));
    let tokens = |keys| kind(CsrfLayer::new().tokens(keys));
    assert_eq!(tokens(CsrfKeys::new([1; 31])), Some(ConfigErrorKind::ShortKey));
    assert_eq!(tokens(CsrfKeys::new([1; 32]).add_key("short")), Some(ConfigErrorKind::ShortKey));
    assert_eq!(tokens(CsrfKeys::new([1; 32])), None);
}

#[tokio::test]
async fn an_exemption_does_not_overrule_the_allowed_hosts() {
    let layer = CsrfLayer::new().allowed_hosts(["www.example.com"]).unwrap().exempt_if(|_| true);
    let exempt = layer.layer(Handler::default());
    assert_eq!(answer(&exempt, forged("POST")).await.status(), StatusCode::OK);
    let rebound = answer(&exempt, with(forged("POST"), "host", "evil.example")).await;
    assert_eq!(reason(&rebound), Some(CsrfReason::HostNotAllowed));
}

#[tokio::test]
async fn in_a_nested_router_an_exemption_sees_the_original_path() {
    fn original(head: Head<'_>) -> Option<String> {
        head.extensions.get::<OriginalUri>().map(|uri| uri.path().to_owned())
    }
    let layer = CsrfLayer::new().exempt_if(move |head| original(head).as_deref() == Some("/api/hook"));
    let inner =
        Router::new().route("/hook", post(|| async { "ran" })).route("/pay", post(|| async { "ran" }));
    let app = Router::new().nest("/api", inner.layer(layer));
    let to = |path: &'static str| {
        let mut request = forged("POST").map(axum::body::Body::from);
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    assert_eq!(answer(&app, to("/api/hook")).await.status(), StatusCode::OK);
    assert_eq!(answer(&app, to("/api/pay")).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_responder_of_ones_own_answers_refusals() {
    let teapot = |rejection: &Rejection, _: &RequestHead| {
        let response = Response::builder().status(418).header("vary", "accept-language");
        response.body(rejection.message().to_owned()).unwrap()
    };
    let service = CsrfLayer::new().responder(teapot).layer(Handler::default());
    let response = answer(&service, forged("POST")).await;
    assert_eq!(
        (response.status(), response.body().as_str()),
        (StatusCode::IM_A_TEAPOT, CsrfReason::CrossSite.hint())
    );
    let vary: Vec<_> = response.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["accept-language", "sec-fetch-site, origin"]);
}
