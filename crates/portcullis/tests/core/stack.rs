//! `AuthLayer`: one layer of several, in one order, with one responder.

use std::net::IpAddr;
use std::time::Duration;

use http::{Request, Response};
use portcullis::authenticate::{AuthenticateLayer, OnConflict};
use portcullis::bearer::{Audience, HmacKeys, Issuer, TokenSource};
use portcullis::https::{ProxyHeader, Transport};
use portcullis::identity::{AuthMethod, Authentication, IdentityBuilder, IdentityExt};
use portcullis::rejection::{Challenge, Rejection};
use portcullis::respond::RequestHead;
use portcullis::session::{MemoryBackend, SessionCarrier, SessionError, SessionKey, SessionLayer};
use portcullis::stack::AuthLayerError;
use portcullis::{
    AuthLayer, BearerLayer, CsrfLayer, Identity, Realm, RequireHttpsLayer, RequireLayer, Session,
};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::common::{Finds, Handler, OtherBody, Picky, all, answer, by_bearer, by_session, call, get};

enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

fn https() -> RequireHttpsLayer {
    RequireHttpsLayer::builder("https://www.example.com")
        .peer(|extensions| extensions.get::<IpAddr>().copied().or(Some(IpAddr::from([203, 0, 113, 9]))))
        .behind(ProxyHeader::XForwardedProto, ["10.0.0.0/8"])
        .build()
        .unwrap()
}

fn sessions() -> SessionLayer {
    SessionLayer::new(MemoryBackend::new())
}

fn tokens() -> BearerLayer {
    let keys = HmacKeys::new(["0123456789abcdef0123456789abcdef"]).unwrap();
    BearerLayer::new([Issuer::new("https://idp.example", Audience::one_of(["api"])).keys(keys)]).unwrap()
}

/// A request over TLS.
fn request(method: &str, headers: &[(&str, &str)]) -> Request<String> {
    let mut request = Request::builder().method(method).uri("/").header("host", "www.example.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(String::new()).unwrap();
    request.extensions_mut().insert(Transport::Tls);
    request
}

fn plain(method: &str, headers: &[(&str, &str)]) -> Request<String> {
    let mut request = request(method, headers);
    request.extensions_mut().remove::<Transport>();
    request
}

const FORGED: (&str, &str) = ("sec-fetch-site", "cross-site");
const BAD_TOKEN: (&str, &str) = ("authorization", "Bearer a.b.c");

/// Which layer refuses whom, whatever order the parts were named in: each row would be answered otherwise if the layer
/// further out were not.
#[tokio::test]
async fn the_order_is_one_whatever_order_the_parts_were_named_in() {
    let ada = || Finds::identity(by_session("ada"));
    let one = AuthLayer::builder()
        .https(https())
        .session(sessions())
        .bearer(tokens())
        .authenticator(ada())
        .csrf(CsrfLayer::new());
    let other = AuthLayer::builder()
        .csrf(CsrfLayer::new())
        .authenticator(ada())
        .bearer(tokens())
        .session(sessions())
        .https(https());
    for layer in [one.build().unwrap(), other.build().unwrap()] {
        let rows = [
            ("in order", request("GET", &[]), 200),
            ("https before tokens", plain("GET", &[BAD_TOKEN]), 308),
            ("https before CSRF", plain("GET", &[FORGED]), 308),
            ("tokens before CSRF", request("POST", &[BAD_TOKEN, FORGED]), 401),
            ("CSRF after whoever is known", request("POST", &[FORGED]), 403),
            ("a page of its own", request("POST", &[("sec-fetch-site", "same-origin")]), 200),
        ];
        for (name, request, expected) in rows {
            let handler = Handler::default();
            let response = answer(&layer.layer(handler.clone()), request).await;
            assert_eq!(response.status(), expected, "{name}");
            assert_eq!(handler.calls(), usize::from(expected == 200), "{name}");
        }
    }
}

#[tokio::test]
async fn all_parts_answer_by_one_responder() {
    let says = |rejection: &Rejection, _: &RequestHead| Response::new(rejection.label().to_owned());
    let other = |_: &Rejection, _: &RequestHead| Response::new("another's".to_owned());
    let bad = Rejection::invalid_credential(Challenge::new("ApiKey"), "unknown key");
    let away = Authentication::unavailable(Duration::from_secs(1));
    let layer = |finds: Finds| {
        AuthLayer::builder()
            .https(https().responder(other))
            .session(SessionLayer::builder(MemoryBackend::new()).responder(other).build().unwrap())
            .bearer(tokens().responder(other))
            .authenticator(finds)
            .csrf(CsrfLayer::new().responder(other))
            .responder(says)
            .build()
            .unwrap()
    };
    let ada = || Finds::identity(by_session("ada"));
    let twice = ("cookie", "__Host-id=a; __Host-id=b");
    let rows = [
        ("https", plain("GET", &[]), ada(), "insecure_transport"),
        ("bearer", request("GET", &[BAD_TOKEN]), ada(), "invalid_credential"),
        ("two tokens", request("GET", &[BAD_TOKEN, BAD_TOKEN]), ada(), "bad_request"),
        ("one of its own", request("GET", &[]), Finds::what(Err(bad)), "invalid_credential"),
        ("CSRF", request("POST", &[FORGED]), ada(), "csrf"),
        ("nobody is refused", request("GET", &[twice]), ada(), "ada"),
        ("an outage passes to guards", request("GET", &[]), Finds::what(Ok(away)), "nobody"),
    ];
    for (name, request, finds, expected) in rows {
        assert_eq!(answer(&layer(finds).layer(Handler::default()), request).await.body(), expected, "{name}");
    }
}

#[tokio::test]
async fn each_part_may_be_left_out_but_for_who_is_calling() {
    let none = AuthLayer::builder().csrf(CsrfLayer::new()).https(https()).build();
    assert!(none.unwrap_err().to_string().contains("nobody could be recognised"));
    let rows = [
        (
            "sessions",
            AuthLayer::builder().session(sessions()).insecure_without_csrf().build().unwrap(),
            [200, 200],
        ),
        ("tokens", AuthLayer::builder().bearer(tokens()).build().unwrap(), [200, 401]),
        (
            "both",
            AuthLayer::builder()
                .session(sessions())
                .bearer(tokens())
                .insecure_without_csrf()
                .build()
                .unwrap(),
            [200, 401],
        ),
    ];
    for (name, layer, expected) in rows {
        let service = layer.layer(Handler::default());
        let plain = answer(&service, plain("POST", &[FORGED])).await.status().as_u16();
        let bad = answer(&service, request("GET", &[BAD_TOKEN])).await.status().as_u16();
        assert_eq!([plain, bad], expected, "{name}");
    }
    // What is left out leaves nothing: a handler that asks for it is told that it is missing.
    let tokens_only = AuthLayer::builder().bearer(tokens()).build().unwrap();
    let looks = service_fn(|request: Request<String>| async move {
        assert!(request.extensions().get::<Session>().is_none());
        assert!(request.extensions().get::<Authentication>().is_some());
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    answer(&tokens_only.layer(looks), get()).await;
}

#[test]
fn what_browsers_send_by_themselves_is_not_taken_without_proof_of_origin() {
    let carried = SessionCarrier::Header(http::HeaderName::from_static("x-session"));
    let in_a_header = SessionLayer::builder(MemoryBackend::new()).carrier(carried).build().unwrap();
    let in_a_cookie = || tokens().add_source(TokenSource::cookie("__Host-access").unwrap());
    let rows = [
        ("a session's cookie", AuthLayer::builder().session(sessions()), true),
        ("a token's cookie", AuthLayer::builder().bearer(in_a_cookie()), true),
        ("a session's header", AuthLayer::builder().session(in_a_header), false),
        ("a token's header", AuthLayer::builder().bearer(tokens()), false),
        ("proof is asked for", AuthLayer::builder().session(sessions()).csrf(CsrfLayer::new()), false),
        ("it is meant so", AuthLayer::builder().session(sessions()).insecure_without_csrf(), false),
    ];
    for (name, builder, is_refused) in rows {
        let expected = if is_refused { Some(AuthLayerError::NoCsrf) } else { None };
        assert_eq!(builder.build().err(), expected, "{name}");
    }
}

#[tokio::test]
async fn an_inner_service_is_never_called_unready_and_readiness_is_its_own() {
    let layer = || {
        let finds = Finds::nobody().waits(true);
        AuthLayer::builder()
            .https(https())
            .session(sessions())
            .bearer(tokens())
            .authenticator(finds)
            .csrf(CsrfLayer::new())
            .build()
            .unwrap()
    };
    let mut service = layer().layer(Picky::default());
    for _ in 0..3 {
        call(&mut service, request("GET", &[])).await.await.unwrap();
    }
    let mut limited = layer().layer(ConcurrencyLimit::new(Handler::default(), 1));
    let mut other = limited.clone();
    let held = call(&mut limited, request("GET", &[])).await;
    let mut is_ready = || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        Service::<Request<String>>::poll_ready(&mut other, &mut cx).is_ready()
    };
    assert!(!is_ready());
    held.await.unwrap();
    assert!(is_ready());
}

#[tokio::test]
async fn a_stricter_layer_further_in_decides_for_itself() {
    let outer =
        || AuthLayer::builder().session(sessions()).bearer(tokens()).csrf(CsrfLayer::new()).build().unwrap();
    let nobody_s_form = || request("POST", &[FORGED]);
    let required = outer().layer(tokens().required().layer(Handler::default()));
    assert_eq!(answer(&required, request("GET", &[])).await.status(), 401);
    let always = outer().layer(CsrfLayer::new().always().layer(Handler::default()));
    assert_eq!(answer(&always, nobody_s_form()).await.status(), 403);
    assert_eq!(answer(&outer().layer(Handler::default()), nobody_s_form()).await.status(), 200);
    let hosts = CsrfLayer::new().allowed_hosts(["other.example"]).unwrap();
    assert_eq!(
        answer(&outer().layer(hosts.layer(Handler::default())), request("GET", &[])).await.status(),
        403
    );
    // And a stricter one further out is not loosened by one further in.
    let report = CsrfLayer::new().report_only().layer(Handler::default());
    let strict = AuthLayer::builder()
        .authenticator(Finds::identity(by_session("ada")))
        .csrf(CsrfLayer::new())
        .build()
        .unwrap();
    assert_eq!(answer(&strict.layer(report), nobody_s_form()).await.status(), 403);
    // A credential that comes to light further in than the CSRF check is refused there.
    let late = AuthenticateLayer::new(Finds::identity(by_session("ada"))).layer(Handler::default());
    let forged = request("POST", &[FORGED, ("cookie", "key=1")]);
    assert_eq!(answer(&outer().layer(late), forged).await.status(), 403);
}

#[tokio::test]
async fn two_credentials_combine_in_it_as_they_do_in_single_layers() {
    let layer = |one: Finds, other: Finds| {
        let inner = AuthLayer::builder().authenticator(other).build().unwrap();
        let outer = AuthLayer::builder().authenticator(one).build().unwrap();
        outer.layer(inner.layer(Handler::default()))
    };
    let cookie = |name| Finds::identity(by_session(name));
    let token = |name| Finds::identity(by_bearer(name));
    assert_eq!(answer(&layer(cookie("ada"), token("ada")), get()).await.status(), 200);
    assert_eq!(answer(&layer(cookie("ada"), token("bob")), get()).await.status(), 400);
    let preferred = token("bob").on_conflict(OnConflict::Prefer(AuthMethod::Bearer));
    assert_eq!(answer(&layer(cookie("ada"), preferred), get()).await.body(), "bob");
}

/// Tries what a handle can do, and says what came of it.
async fn handled(request: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
    let session = request.extensions().get::<Session>().unwrap();
    let kind = |done: Result<(), SessionError>| done.map_err(|error| error.kind());
    let read = session.get(&NOTE).unwrap();
    let done = [
        kind(session.set(&NOTE, &"written".to_owned())),
        kind(session.devices().list().await.map(drop)),
        kind(session.rotate().await),
        kind(session.devices().revoke_others().await),
        kind(session.watch().map(drop)),
        kind(session.detach().map(drop)),
    ];
    let name = request.identity().map(Identity::subject);
    Ok(Response::new(format!("{name:?} {read:?} {done:?}")))
}

const NOTE: SessionKey<String> = SessionKey::new("note");

#[tokio::test]
async fn who_is_preferred_to_the_user_of_a_session_has_no_hold_on_it() {
    let sessions = sessions();
    let login = service_fn(|request: Request<String>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        session.login(Identity::new("ada")).await.unwrap();
        session.set(&NOTE, &"ada's".to_owned()).unwrap();
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let signed_in = answer(&sessions.layer(login), request("POST", &[])).await;
    let cookie = all(&signed_in, "set-cookie").first().unwrap().split(';').next().unwrap().to_owned();
    let beside = async |token: IdentityBuilder, prefer| {
        let token = Finds::identity(token).on_conflict(OnConflict::Prefer(prefer));
        let service = sessions.layer(AuthenticateLayer::new(token).layer(service_fn(handled)));
        answer(&service, request("GET", &[("cookie", &cookie)])).await
    };
    let custom = |name: &str| Identity::new(name).method(AuthMethod::Custom("key"));
    let withheld =
        "[Err(Withheld), Err(Withheld), Err(Withheld), Err(Withheld), Err(Withheld), Err(Withheld)]";
    for (token, method) in
        [(by_bearer("bob"), AuthMethod::Bearer), (custom("bob"), AuthMethod::Custom("key"))]
    {
        let response = beside(token, method).await;
        assert_eq!(*response.body(), format!(r#"Some("bob") None {withheld}"#));
        assert!(all(&response, "set-cookie").is_empty());
    }
    let elsewhere = beside(by_bearer("ada").issuer("https://idp.example"), AuthMethod::Bearer).await;
    assert_eq!(*elsewhere.body(), format!(r#"Some("ada") None {withheld}"#), "another issuer's ada");
    let done = "[Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), Ok(())]";
    let session = beside(by_bearer("bob"), AuthMethod::Session).await;
    assert_eq!(
        *session.body(),
        format!(r#"Some("ada") Some("ada's") {done}"#),
        "the session's user is preferred"
    );
    let cookie = all(&session, "set-cookie").first().unwrap().split(';').next().unwrap().to_owned();
    let token = AuthenticateLayer::new(Finds::identity(by_bearer("ada"))).layer(service_fn(handled));
    let own = answer(&sessions.layer(token), request("GET", &[("cookie", &cookie)])).await;
    assert_eq!(*own.body(), format!(r#"Some("ada") Some("written") {done}"#), "the same user's, by a token");
}

#[tokio::test]
async fn its_parts_do_all_that_they_do_as_single_layers() {
    let layer = AuthLayer::builder()
        .session(sessions())
        .authenticator(Finds::nobody().scheme("ApiKey"))
        .csrf(CsrfLayer::new())
        .build()
        .unwrap();
    let refused = answer(&layer.layer(RequireLayer::authenticated().layer(Handler::default())), get()).await;
    let schemes = [r#"Cookie cookie-name="__Host-id""#, "ApiKey"];
    assert_eq!(all(&refused, "www-authenticate"), schemes, "each is named to who lacks a credential");

    let login = service_fn(|request: Request<String>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        session.login(Identity::new("ada")).await.unwrap();
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let signed_in = answer(&layer.layer(login), request("POST", &[])).await;
    let cookies = all(&signed_in, "set-cookie");
    let cookie = cookies.first().unwrap().split(';').next().unwrap();
    let me = answer(&layer.layer(Handler::default()), request("GET", &[("cookie", cookie)])).await;
    assert_eq!(me.body(), "ada", "a session gives its handle on the way in and its cookie on the way out");
}

#[tokio::test]
async fn it_is_of_one_realm() {
    let layer = AuthLayer::builder()
        .realm::<Staff>()
        .authenticator(Finds::identity(by_session("grace")))
        .csrf(CsrfLayer::new())
        .build()
        .unwrap();
    let handler = service_fn(|request: Request<String>| async move {
        let names = (request.identity_in::<Staff>().map(Identity::subject), request.identity().map(|_| ()));
        Ok::<_, std::convert::Infallible>(Response::new(format!("{names:?}")))
    });
    let service = ServiceBuilder::new().layer(layer).service(handler);
    assert_eq!(answer(&service, request("GET", &[])).await.body(), "(Some(\"grace\"), None)");
    assert_eq!(answer(&service, request("POST", &[FORGED])).await.status(), 403);
}

#[tokio::test]
async fn a_guard_outside_of_it_is_a_mistake_that_names_the_fix() {
    let service = ServiceBuilder::new()
        .layer(RequireLayer::authenticated())
        .layer(AuthLayer::builder().session(sessions()).insecure_without_csrf().build().unwrap())
        .service(Handler::default());
    let response = answer(&service, request("GET", &[])).await;
    assert_eq!(response.status(), 500);
    match response.extensions().get() {
        Some(Rejection::Misconfigured(misassembly)) => {
            assert!(misassembly.to_string().contains("outside RequireLayer"), "{misassembly}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_has_a_name_and_fits_every_body() {
    fn build() -> AuthLayer {
        AuthLayer::builder().session(sessions()).csrf(CsrfLayer::new()).build().unwrap()
    }
    async fn passes<Req: Default, Res: Default>() {
        let inner =
            service_fn(|_: Request<Req>| async { Ok::<_, std::io::Error>(Response::new(Res::default())) });
        assert_eq!(build().layer(inner).oneshot(Request::new(Req::default())).await.unwrap().status(), 200);
    }
    passes::<axum::body::Body, axum::body::Body>().await;
    passes::<String, OtherBody>().await;
    let said = format!("{:?}", build());
    assert!(said.starts_with("AuthLayer { https: GuardLayer(None), "), "{said}");
}
