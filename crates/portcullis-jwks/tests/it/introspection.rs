//! Opaque tokens, against a provider on a real socket that hangs, lies and sends elsewhere.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use portcullis::BearerLayer;
use portcullis::bearer::{Audience, Introspection, Issuer, OpaqueTokens, StaticKeys};
use portcullis::identity::IdentityExt;
use portcullis_jwks::{RemoteIntrospection, RemoteIntrospectionBuilder};
use portcullis_testkit::idp::{Answer, FakeIdp};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::ServiceExt;

/// A service that asks a provider about opaque tokens.
struct Service {
    idp: Arc<FakeIdp>,
    app: Router,
}

const BUDGET: Duration = Duration::from_millis(400);
/// What a busy test machine may add to any time.
const MARGIN: Duration = Duration::from_millis(600);

impl Service {
    async fn start() -> Self {
        let (id, secret) = FakeIdp::CLIENT;
        Self::asking(|server| server.client(id, secret)).await
    }

    async fn asking(client: impl FnOnce(RemoteIntrospectionBuilder) -> RemoteIntrospectionBuilder) -> Self {
        let idp = FakeIdp::start("api").await;
        let server = client(RemoteIntrospection::builder(idp.introspection_url())).insecure_http();
        let introspection = Introspection::new(issuer(&idp), server.build().unwrap()).budget(BUDGET);
        Self::of(idp, BearerLayer::opaque(introspection).unwrap())
    }

    fn of(idp: FakeIdp, layer: BearerLayer) -> Self {
        let me =
            async |request: Request<Body>| request.identity().map_or("nobody", |me| me.subject()).to_owned();
        Self { idp: Arc::new(idp), app: Router::new().route("/", get(me)).layer(layer) }
    }

    async fn send(&self, token: &str) -> Response<Body> {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
        self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn status(&self, token: &str) -> u16 {
        self.send(token).await.status().as_u16()
    }
}

fn issuer(idp: &FakeIdp) -> Issuer {
    Issuer::new(idp.url(), Audience::one_of(["api"]))
}

#[tokio::test]
async fn a_token_is_asked_about_by_rfc_7662_and_known_from_then_on() {
    let service = Service::start().await;
    let token = service.idp.opaque_token(json!({ "scope": "read" }));
    for _ in 0..3 {
        let response = service.send(&token).await;
        assert_eq!(response.status(), 200);
        assert_eq!(to_bytes(response.into_body(), 1024).await.unwrap(), "ada");
    }
    assert_eq!(service.status("made-up").await, 401);
    assert_eq!(service.idp.introspections(), 2);
    let asked = service.idp.asked();
    assert_eq!(asked[0].line, "POST /introspect HTTP/1.1");
    assert_eq!(asked[0].headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
    let escaped = token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    assert_eq!(asked[0].body, format!("token={escaped}&token_type_hint=access_token"));
}

#[tokio::test]
async fn what_the_provider_says_of_a_token_is_judged() {
    let service = Service::start().await;
    for (name, claims, expected) in [
        ("good", json!({}), 200),
        ("another audience", json!({ "aud": "other" }), 401),
        ("another issuer", json!({ "iss": "https://evil.example" }), 401),
        ("expired", json!({ "exp": 1 }), 401),
    ] {
        assert_eq!(service.status(&service.idp.opaque_token(claims)).await, expected, "{name}");
    }
    service.idp.says_of("bare", r#"{"active":true,"sub":"ada","aud":"api"}"#);
    assert_eq!(service.status("bare").await, 200);
    service.idp.says_of("for-whom", r#"{"active":true,"sub":"ada"}"#);
    assert_eq!(service.status("for-whom").await, 401);
    let token = service.idp.opaque_token(json!({}));
    service.idp.withdraw(&token);
    assert_eq!(service.status(&token).await, 401);
}

#[tokio::test]
async fn a_provider_that_fails_in_whatever_way_costs_the_budget_at_most_and_lets_nobody_in() {
    let elsewhere = FakeIdp::start("api").await;
    let sound = r#"{"active":true,"sub":"ada"}"#;
    for answer in [
        Answer::Hang,
        Answer::HangUp,
        Answer::Status(500),
        Answer::Status(503),
        Answer::Status(404),
        Answer::Status(201),
        Answer::Html,
        Answer::Huge(64 * 1024),
        Answer::Huge(10 << 20),
        Answer::As("text/html".to_owned()),
        Answer::As("application/token-introspection+jwt".to_owned()),
        Answer::Redirect(elsewhere.introspection_url()),
        Answer::Redirect("http://169.254.169.254/latest/meta-data".to_owned()),
        Answer::Text("[]".to_owned()),
        Answer::Text(r#"{"active":"true","sub":"ada"}"#.to_owned()),
        Answer::Text(format!("{sound}{sound}")),
    ] {
        let service = Service::start().await;
        let (token, known) = (service.idp.opaque_token(json!({})), service.idp.opaque_token(json!({})));
        assert_eq!(service.status(&known).await, 200);
        service.idp.answer_introspection(answer.clone());
        let began = Instant::now();
        assert_eq!(service.status(&token).await, 503, "{answer:?}");
        assert!(began.elapsed() < BUDGET + MARGIN, "{answer:?} took {:?}", began.elapsed());
        assert_eq!(service.status(&known).await, 200, "{answer:?}: who is known");
        service.idp.answer_introspection(Answer::Document);
        assert_eq!(service.status(&token).await, 200, "{answer:?}: it is over");
    }
    assert_eq!(elsewhere.asked().len(), 0, "no redirect was followed");
}

#[tokio::test]
async fn a_provider_that_is_away_is_left_alone_and_asked_again_when_it_is_back() {
    let service = Service::start().await;
    let token = service.idp.opaque_token(json!({}));
    service.idp.answer_introspection(Answer::Hang);
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(service.status(&token).await, 503);
    }
    assert!(began.elapsed() < BUDGET * 4 + MARGIN, "{:?}", began.elapsed());
    assert!(service.idp.introspections() <= 4, "{}", service.idp.introspections());
    service.idp.stop().await;
    assert_eq!(service.status(&token).await, 503);
    service.idp.answer_introspection(Answer::Document);
    service.idp.start_again().await;
    let back = crate::stage::until(async || service.status(&token).await == 200);
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("it is asked again");
}

#[tokio::test]
async fn a_client_that_may_not_ask_is_no_verdict_on_a_token() {
    let (id, secret) = FakeIdp::CLIENT;
    for (id, secret) in [("another", secret), (id, "another")] {
        for service in [
            Service::asking(|server| server.client(id, secret)).await,
            Service::asking(|server| server.client_secret_post(id, secret)).await,
        ] {
            assert_eq!(service.status(&service.idp.opaque_token(json!({}))).await, 503, "{id:?} {secret:?}");
        }
    }
}

#[tokio::test]
async fn a_client_s_secret_stands_in_one_place() {
    let (id, secret) = FakeIdp::CLIENT;
    let in_the_form = "&client_id=the+api&client_secret=s3cret%3A+100%25+%26+more";
    for (name, service, has_header, form_ends) in [
        ("basic", Service::asking(|server| server.client(id, secret)).await, true, "=access_token"),
        ("post", Service::asking(|server| server.client_secret_post(id, secret)).await, false, in_the_form),
    ] {
        let token = service.idp.opaque_token(json!({ "sub": "ada" }));
        assert_eq!(service.status(&token).await, 200, "{name}");
        let asked = service.idp.asked().pop().unwrap();
        assert_eq!(asked.headers.contains_key(AUTHORIZATION), has_header, "{name}");
        assert!(asked.body.ends_with(form_ends), "{name}: {}", asked.body);
    }
}

/// A provider that answers so about what looks like a JWT, and about everything else as it should.
async fn at_odds_with_jwts(status: u16, body: String) -> (Service, JoinHandle<std::io::Result<()>>) {
    let answer = async move |form: String| {
        let good = r#"{"active":true,"sub":"ada","aud":"api"}"#.to_owned();
        let (status, body) = if form.contains("token=ey") { (status, body) } else { (200, good) };
        (StatusCode::from_u16(status).unwrap(), [(CONTENT_TYPE, "application/json")], body)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    let provider = Router::new().route("/introspect", post(answer));
    let provider = tokio::spawn(async move { axum::serve(listener, provider).await });

    let idp = FakeIdp::start("api").await;
    let server = RemoteIntrospection::builder(url).client("a", "b").insecure_http().build().unwrap();
    let introspection = Introspection::new(issuer(&idp), server);
    (Service::of(idp, BearerLayer::opaque(introspection).unwrap()), provider)
}

/// The first is what `oidc-provider` 9 says of every JWT, whoever has signed it.
#[tokio::test]
async fn what_the_provider_says_of_one_token_does_not_have_it_left_alone() {
    for (status, body, of_it, of_others) in [
        (400, r#"{"error":"unsupported_token_type"}"#.to_owned(), 401, 200),
        (400, r#"{"error":"invalid_request"}"#.to_owned(), 503, 200),
        (400, "<html>".to_owned(), 503, 200),
        (200, format!(r#"{{"active":true,"sub":"{}"}}"#, "a".repeat(64 * 1024)), 503, 200),
        (400, r#"{"error":"invalid_client"}"#.to_owned(), 503, 503),
        (500, String::new(), 503, 503),
    ] {
        let name = format!("{status} {body:.50}");
        let (service, provider) = at_odds_with_jwts(status, body).await;
        for at in 0..6 {
            assert_eq!(service.status(&format!("eyJhbGciOiJub25lIn0.{at}.x")).await, of_it, "{name}");
        }
        assert_eq!(service.status("opaque").await, of_others, "{name}");
        provider.abort();
    }
}

/// Answers one request on each connection, and hangs up when another one comes: as a server does whose time for idle
/// connections is over at the moment at which it is asked again.
async fn hangs_up_on_the_second(mut stream: TcpStream) -> std::io::Result<()> {
    let body = r#"{"active":true,"sub":"ada","aud":"api"}"#;
    let len = body.len();
    read_form(&mut stream).await?;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    read_form(&mut stream).await
}

/// Reads as far as the end of a form that ends with the hint.
async fn read_form(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut read = Vec::new();
    while !read.ends_with(b"token_type_hint=access_token") && stream.read_buf(&mut read).await? > 0 {}
    Ok(())
}

#[tokio::test]
async fn a_connection_that_the_provider_has_given_up_costs_a_request_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    let provider = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(hangs_up_on_the_second(stream));
        }
    });
    let idp = FakeIdp::start("api").await;
    let server = RemoteIntrospection::builder(url).client("a", "b").insecure_http().build().unwrap();
    let introspection = Introspection::new(issuer(&idp), server);
    let service = Service::of(idp, BearerLayer::opaque(introspection).unwrap());
    for token in ["first", "second", "third", "fourth"] {
        assert_eq!(service.status(token).await, 200, "{token}");
    }
    provider.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_with_one_token_ask_once() {
    let service = Arc::new(Service::start().await);
    let token = service.idp.opaque_token(json!({}));
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (service, token) = (Arc::clone(&service), token.clone());
        requests.spawn(async move { service.status(&token).await });
    }
    assert_eq!(requests.join_all().await, [200; 100]);
    assert_eq!(service.idp.introspections(), 1);
}

#[tokio::test]
async fn jwts_are_verified_and_opaque_tokens_asked_about_by_one_layer() {
    let idp = FakeIdp::start("api").await;
    let keys = StaticKeys::jwks(&idp.issuer().jwks()).unwrap();
    let (id, secret) = FakeIdp::CLIENT;
    let server = RemoteIntrospection::builder(idp.introspection_url()).client(id, secret).insecure_http();
    let introspection = Introspection::new(issuer(&idp), server.build().unwrap());
    let layer = BearerLayer::new([issuer(&idp).keys(keys)]).unwrap();
    let service = Service::of(idp, layer.introspection(OpaqueTokens::without_dots(), introspection).unwrap());
    assert_eq!(service.status(&service.idp.token(json!({}))).await, 200);
    assert_eq!(service.idp.introspections(), 0);
    assert_eq!(service.status(&service.idp.opaque_token(json!({}))).await, 200);
    let tampered = service.idp.issuer().token(json!({})).tampered().to_string();
    assert_eq!(service.status(&tampered).await, 401);
    assert_eq!(service.idp.introspections(), 1, "no JWT was asked about");
}
