//! What pages of other origins can make a real browser do to a service, with its cookie, and what becomes of a page that
//! was loaded before a login.
//!
//! Each attack is first seen to work on the same service without `CsrfLayer`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get, post};
use portcullis::axum::CsrfForm;
use portcullis::csrf::{CsrfKeys, CsrfToken};
use portcullis::identity::IdentityExt;
use portcullis::rejection::Rejection;
use portcullis::respond::RequestHead;
use portcullis::session::{MemoryBackend, SameSite, SessionError, SessionLayer};
use portcullis::{CsrfLayer, Identity, Session};
use serde::Deserialize;
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::{Request, Status};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::serve;
use super::webdriver::Browser;

/// A gRPC service that counts for whom it was called.
#[derive(Clone)]
struct Counting(Arc<AtomicUsize>);

#[tonic::async_trait]
impl Health for Counting {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        count(&self.0, request.extensions().identity());
        Ok(tonic::Response::new(HealthCheckResponse::default()))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

/// Something was done in somebody's name.
fn count(runs: &AtomicUsize, me: Option<&Identity>) {
    runs.fetch_add(usize::from(me.is_some()), Ordering::SeqCst);
}

#[derive(Deserialize)]
struct Transfer {
    to: String,
}

async fn login(session: Session, Path(user): Path<String>) -> Result<String, SessionError> {
    session.login(Identity::new(user)).await?;
    Ok("in".to_owned())
}

async fn who(me: Option<Identity>) -> Html<String> {
    Html(format!(
        "<!doctype html><title>Bank</title><p>You are {}.</p>",
        me.map_or("nobody".to_owned(), |me| me.subject().to_owned())
    ))
}

/// A page with a form and a script that use tokens.
async fn page(token: CsrfToken) -> Html<String> {
    Html(format!(
        r#"<!doctype html><title>Bank</title>{}<h1>Bank</h1>
        <form method="post" action="/transfer">{}<input name="to" value="bob"><button>Send</button></form>"#,
        token.meta(),
        token.field()
    ))
}

/// A refusal that a person can read.
fn explain(rejection: &Rejection, _: &RequestHead) -> Response {
    let page = format!("<!doctype html><title>Bank</title><h1>Refused</h1><p>{}</p>", rejection.message());
    (rejection.status(), Html(page)).into_response()
}

/// The service, with how often something was done in somebody's name.
fn bank(guarded: bool) -> (Router, Arc<AtomicUsize>) {
    let runs = Arc::<AtomicUsize>::default();
    let [plain, form, socket] = [(); 3].map(|()| Arc::clone(&runs));
    let routes = Router::new()
        .route("/login/{user}", post(login))
        .route("/who", get(who))
        .route("/page", get(page))
        .route(
            "/plain",
            post(async move |me: Option<Identity>| {
                count(&plain, me.as_ref());
                Html("<h1>Done</h1>")
            }),
        )
        .route(
            "/transfer",
            post(async move |CsrfForm(me, transfer): CsrfForm<Transfer>| {
                count(&form, Some(&me));
                Html(format!("<h1>Sent</h1><p>{} to {}</p>", me.subject(), transfer.to))
            }),
        )
        .route(
            "/socket",
            any(async move |upgrade: WebSocketUpgrade, me: Option<Identity>| {
                count(&socket, me.as_ref());
                upgrade.on_upgrade(async |_| ())
            }),
        )
        .merge(Routes::new(HealthServer::new(Counting(Arc::clone(&runs)))).into_axum_router());
    // Any origin's page may have the cookie sent along: what refuses is the layer alone.
    let sessions = SessionLayer::builder(MemoryBackend::new()).same_site(SameSite::None).responder(explain);
    let routes = if guarded {
        let tokens = CsrfLayer::new().tokens(CsrfKeys::new([1; 32])).unwrap();
        routes.layer(tokens.responder(explain))
    } else {
        routes
    };
    (routes.layer(sessions.build().unwrap()), runs)
}

/// A page that attacks `service` as soon as it is opened: `/WAY`. Its heading says when it has.
fn evil_site(service: &str) -> Router {
    let page = async |State(service): State<String>, Path(way): Path<String>| {
        Html(format!(
            r#"<!doctype html><title>Kittens</title><h1>Kittens</h1><iframe name="hidden"></iframe>
            <form method="post" action="{service}/plain" target="hidden"><input name="to" value="mallory"></form>
            <script>
            const done = () => document.querySelector('h1').textContent = 'Tried';
            const send = (path, options) =>
                fetch('{service}' + path, {{ method: 'POST', credentials: 'include', ...options }}).finally(done);
            const ways = {{
                leave() {{
                    document.forms[0].target = '_self';
                    document.forms[0].submit();
                }},
                form() {{
                    document.querySelector('iframe').onload = done;
                    document.forms[0].submit();
                }},
                fetch() {{ send('/plain', {{ mode: 'no-cors', body: 'to=mallory' }}); }},
                guess() {{ send('/plain', {{ headers: {{ 'X-CSRF-Token': 'guess' }} }}); }},
                grpc() {{
                    const frame = new Blob([new Uint8Array(5)], {{ type: 'text/plain' }});
                    send('/grpc.health.v1.Health/Check', {{ mode: 'no-cors', body: frame }});
                }},
                socket() {{
                    const socket = new WebSocket('{service}'.replace('http', 'ws') + '/socket');
                    socket.onopen = socket.onerror = done;
                }},
            }};
            ways['{way}']();
            </script>"#
        ))
    };
    Router::new().route("/{way}", get(page)).with_state(service.to_owned())
}

async fn sign_in(browser: &Browser, service: &str) {
    browser.visit(&format!("{service}/who")).await;
    login_elsewhere(browser, "ada").await;
    browser.visit(&format!("{service}/who")).await;
    assert_eq!(browser.text("p").await, "You are ada.");
}

/// Signs somebody in by a script, so that the page's own form is as old as it was.
async fn login_elsewhere(browser: &Browser, user: &str) {
    let login = format!("return fetch('/login/{user}', {{ method: 'POST' }}).then(answer => answer.text())");
    assert_eq!(browser.script(&login).await, "in");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pages_of_other_origins_try_does_nothing_in_anybodys_name() {
    let browser = Browser::open().await;
    for guarded in [false, true] {
        let (bank, runs) = bank(guarded);
        let service = format!("http://localhost:{}", serve(bank).await);
        let evil = serve(evil_site(&service)).await;
        sign_in(&browser, &service).await;
        assert_eq!(runs.swap(0, Ordering::SeqCst), 0);
        // A neighbour, of the same site; and somebody from anywhere, whose pages get a cookie sent along only when they
        // are left for the service.
        let sites = [
            ("localhost", &["leave", "form", "fetch", "guess", "grpc", "socket"][..]),
            ("127.0.0.1", &["leave"]),
        ];
        for (site, way) in sites.iter().flat_map(|(site, ways)| ways.iter().map(move |way| (site, *way))) {
            println!("{site} tries {way}, guarded: {guarded}");
            browser.visit(&format!("http://{site}:{evil}/{way}")).await;
            browser
                .sees(match (way, guarded) {
                    ("leave", true) => "Refused",
                    ("leave", false) => "Done",
                    _ => "Tried",
                })
                .await;
            // What needs a preflight does not get through even there.
            let expected = usize::from(!guarded && way != "guess");
            assert_eq!(runs.swap(0, Ordering::SeqCst), expected, "{site} {way}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_services_own_page_sends_arrives() {
    let (bank, runs) = bank(true);
    let service = format!("http://localhost:{}", serve(bank).await);
    let browser = Browser::open().await;
    sign_in(&browser, &service).await;
    browser.visit(&format!("{service}/page")).await;
    browser.press("Send").await;
    browser.sees("Sent").await;
    assert_eq!(browser.text("p").await, "ada to bob");

    browser.visit(&format!("{service}/page")).await;
    let send = |path: &str, options: &str| {
        format!("return fetch('{path}', {{ method: 'POST', {options} }}).then(answer => answer.status)")
    };
    let token = "document.querySelector('meta[name=csrf-token]').content";
    let form = format!(
        "headers: {{ 'X-CSRF-Token': {token} }}, body: new URLSearchParams({{ to: 'bob' }}), referrerPolicy: 'no-referrer'"
    );
    assert_eq!(browser.script(&send("/transfer", &form)).await, 200);
    assert_eq!(browser.script(&send("/plain", "body: 'to=bob'")).await, 200);
    let frame = "headers: { 'content-type': 'application/grpc' }, body: new Uint8Array(5)";
    assert_eq!(browser.script(&send("/grpc.health.v1.Health/Check", frame)).await, 200);
    let socket = "return new Promise(done => {
        const socket = new WebSocket(location.origin.replace('http', 'ws') + '/socket');
        socket.onopen = () => done('opened');
        socket.onerror = () => done('refused');
    })";
    assert_eq!(browser.script(socket).await, "opened");
    assert_eq!(runs.load(Ordering::SeqCst), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_before_a_login_in_another_tab_says_what_to_do() {
    let (bank, runs) = bank(true);
    let service = format!("http://localhost:{}", serve(bank).await);
    let browser = Browser::open().await;
    sign_in(&browser, &service).await;
    browser.visit(&format!("{service}/page")).await;
    login_elsewhere(&browser, "grace").await;
    browser.press("Send").await;
    browser.sees("Refused").await;
    let message = browser.text("p").await;
    assert!(message.contains("another tab") && message.contains("load it again"), "{message}");
    assert_eq!(runs.load(Ordering::SeqCst), 0);

    browser.visit(&format!("{service}/page")).await;
    browser.press("Send").await;
    browser.sees("Sent").await;
    assert_eq!(browser.text("p").await, "grace to bob");
}
