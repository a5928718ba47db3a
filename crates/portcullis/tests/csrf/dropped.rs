//! `OnFailure::DropIdentity`: a request that proves nothing goes on as nobody's, and nothing is done to whose it was.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Extension;
use axum::routing::{get, post};
use http::Extensions;
use http::request::Parts;
use portcullis::authenticate::{AuthenticateLayer, Authenticator, OnConflict, Opening};
use portcullis::axum::CsrfForm;
use portcullis::bearer::{ForwardedToken, TokenSource};
use portcullis::csrf::{CsrfToken, CsrfVerdict, OnFailure};
use portcullis::identity::{AuthMethod, Authentication, IdentityExt, Outcome};
use portcullis::rejection::CsrfReason::{self, CrossSite, HostNotAllowed, TokenMismatch};
use portcullis::session::{MemoryBackend, SessionError, SessionErrorKind as Kind, SessionKey, SessionLayer};
use portcullis::{CsrfLayer, Identity, Realm, RequireLayer, Session};
use portcullis_testkit::client::Client;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::site::{NOTE, Program, Request, Transfer, assert_refused, bare, layer, name, routes, token};

const COUNT: SessionKey<i64> = SessionKey::new("count");

enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

fn dropping() -> CsrfLayer {
    layer().on_failure(OnFailure::DropIdentity)
}

/// What a page of a neighbouring site makes a browser send, cookies and all.
fn forged(request: Request) -> Request {
    request.from_origin("https://neighbour.app.example").header("sec-fetch-site", "cross-site")
}

/// Tries all that a handle can do, and says what came of each.
async fn attempts<M: Realm>(session: Session<M>) -> Vec<(&'static str, Result<(), SessionError>)> {
    vec![
        ("set", session.set(&NOTE, &"stolen".to_owned())),
        ("remove", session.remove(&NOTE)),
        ("increment", session.increment(&COUNT, 1)),
        ("update", session.update(&NOTE, |_| Some("stolen".to_owned()))),
        ("login", session.login(Identity::<portcullis::realm::DefaultRealm>::new("mallory")).await),
        ("logout", session.logout().await),
        ("rotate", session.rotate().await),
        ("reauthenticated", session.reauthenticated().await),
        ("watch", session.watch().map(drop)),
        ("detach", session.detach().map(drop)),
        ("devices", session.devices().list().await.map(drop)),
        ("revoke", session.devices().revoke("AAAAAAAAAAAAAAAAAAAAAA").await),
        ("revoke_others", session.devices().revoke_others().await.map(drop)),
        ("revoke_all", session.devices().revoke_all().await.map(drop)),
    ]
}

/// What one handler saw.
#[derive(Default)]
struct Seen {
    attempts: Vec<(&'static str, Option<Kind>)>,
    found: Vec<&'static str>,
    verdict: Option<CsrfVerdict>,
}

fn outcome<M>(authentication: &Authentication<M>) -> &'static str {
    match authentication.outcome() {
        Outcome::Anonymous => "anonymous",
        Outcome::Authenticated(_) => "authenticated",
        Outcome::Unavailable { .. } | _ => "unavailable",
    }
}

#[tokio::test]
async fn dropping_leaves_no_handle_on_the_victims_sessions_in_any_realm() {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let see = Arc::clone(&seen);
    type Both<'a> = (Authentication, Authentication<Staff>);
    let handler = async move |session: Session,
                              staff: Session<Staff>,
                              (one, other): Both<'_>,
                              me: Option<Identity>,
                              grace: Option<Identity<Staff>>,
                              verdict: Option<Extension<CsrfVerdict>>| {
        assert!(me.is_none() && grace.is_none());
        assert!(session.identity().is_none() && session.session_ref().is_none());
        assert_eq!(session.get(&NOTE).unwrap(), None);
        assert_eq!(session.take(&NOTE).await.unwrap(), None, "nothing is there to be taken");
        let found = vec![outcome(&one), outcome(&other)];
        let mut attempts = attempts(session.clone()).await;
        attempts.extend(self::attempts(staff).await);
        // Nothing is recorded, so there is nothing to commit.
        session.commit().await.unwrap();
        let attempts =
            attempts.into_iter().map(|(what, done)| (what, done.err().map(|error| error.kind()))).collect();
        *see.lock().unwrap() = Seen { attempts, found, verdict: verdict.map(|Extension(it)| it) };
    };
    let staffed = SessionLayer::builder(MemoryBackend::new()).realm::<Staff>().build().unwrap();
    let (router, _) = routes();
    let router = router
        .route("/attempt", post(handler))
        .route("/staff", post(async |session: Session<Staff>| session.login(Identity::new("grace")).await))
        .route("/note", get(async |session: Session| session.get(&NOTE).unwrap().unwrap_or_default()))
        .layer(
            ServiceBuilder::new()
                .layer(SessionLayer::new(MemoryBackend::new()))
                .layer(staffed)
                .layer(dropping()),
        );
    let victim = Client::new(router);
    for path in ["/login/ada", "/staff", "/note"] {
        victim.post(path).await.assert_status(200);
    }
    let before = victim.jar().copy();

    let response = forged(victim.post("/attempt")).await.assert_status(200);
    assert_eq!(response.set_cookies(), [""; 0]);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.found, ["anonymous", "anonymous"]);
    assert_eq!(seen.verdict, Some(CsrfVerdict::Refused(CrossSite)));
    assert_eq!(seen.attempts.len(), 28);
    for (what, error) in seen.attempts {
        assert_eq!(error, Some(Kind::Withheld), "{what}");
    }
    for name in ["__Host-id", "__Host-staff-id"] {
        assert!(before.get(name).is_some());
        assert_eq!(victim.jar().get(name), before.get(name), "{name}");
    }
    assert_eq!(victim.get("/note").await.assert_status(200).text(), "mine");
    assert_eq!(victim.post("/run").await.assert_status(200).text(), "ada");
}

fn app(csrf: CsrfLayer) -> Client<Router> {
    let (router, _) = routes();
    let router = router
        .route("/kept", post(async |session: Session| session.set(&NOTE, &"x".to_owned())))
        .route("/mine", post(async |me: Identity| me.subject().to_owned()))
        .route("/guarded", post(async || "in").layer(RequireLayer::authenticated()));
    Client::new(router.layer(csrf).layer(SessionLayer::new(MemoryBackend::new())))
}

#[tokio::test]
async fn who_proves_nothing_is_nobody_and_who_does_is_not_dropped() {
    let browser = app(dropping());
    browser.post("/login/ada").await.assert_status(200);
    assert_eq!(forged(browser.post("/run")).await.assert_status(200).text(), "nobody");
    forged(browser.post("/mine")).await.assert_status(401);
    forged(browser.post("/guarded")).await.assert_status(401);
    forged(browser.post("/kept")).await.assert_status(403);
    forged(browser.post("/login/mallory")).await.assert_status(403);
    assert_eq!(browser.post("/run").await.assert_status(200).text(), "ada");
    let by_token = bare(browser.post("/mine")).header("x-csrf-token", token(&browser).await);
    assert_eq!(by_token.await.assert_status(200).text(), "ada");
    assert_eq!(forged(browser.get("/plain")).await.assert_status(200).text(), "no token here");
}

#[tokio::test]
async fn reporting_drops_nobody() {
    let browser = app(dropping().report_only());
    browser.post("/login/ada").await.assert_status(200);
    assert_eq!(forged(browser.post("/mine")).await.assert_status(200).text(), "ada");
}

#[tokio::test]
async fn where_nobody_can_be_dropped_the_request_is_refused() {
    let strict = dropping().allowed_hosts(["app.example"]).unwrap();
    let browser = app(strict);
    browser.post("/login/ada").await.assert_status(200);
    let rebound = browser.post("/run").header("host", "evil.example").await;
    assert_refused("another host", &rebound, HostNotAllowed);

    // Outside of the session layer there is nobody yet.
    let (router, _) = routes();
    let outside = router.layer(SessionLayer::new(MemoryBackend::new())).layer(dropping());
    let browser = Client::new(outside);
    browser.post("/login/ada").await.assert_status(200);
    assert_refused("outside", &forged(browser.post("/run")).await, CrossSite);

    // Alone, it cannot know what the application makes of the cookie.
    let alone = Client::new(routes().0.layer(dropping()));
    alone.jar().add("https://app.example", "id=1; Path=/; Secure; SameSite=None");
    assert_refused("alone", &forged(alone.post("/page")).await, CrossSite);
}

/// The layer of one realm stands outside, that of another inside, where it finds a session, and perhaps somebody.
#[tokio::test]
async fn a_session_that_is_found_further_in_is_refused_there() {
    let router = || {
        Router::new()
            .route("/login", post(async |session: Session| session.login(Identity::new("ada")).await))
            .route("/note", post(async |session: Session| session.set(&NOTE, &"x".to_owned())))
            .layer(SessionLayer::new(MemoryBackend::new()))
    };
    // What the outer layer has dropped, a milder one further in does not make good.
    let stacks = [("alone", router()), ("around a milder one", router().layer(layer()))];
    for (stack, router) in stacks {
        let staffed = SessionLayer::builder(MemoryBackend::new()).realm::<Staff>().build().unwrap();
        let browser = Client::new(router.layer(dropping().always()).layer(staffed));
        browser.post("/note").await.assert_status(200);
        let forged = || forged(browser.post("/note"));
        assert_refused(&format!("{stack}: nobody's session"), &forged().await, CrossSite);
        browser.post("/login").await.assert_status(200);
        assert_refused(&format!("{stack}: somebody's"), &forged().await, CrossSite);
        browser.post("/note").await.assert_status(200);
    }
}

#[tokio::test]
async fn a_form_that_is_verified_gives_back_who_has_sent_it() {
    let (router, _) = routes();
    type Wanted = (Identity, Session);
    let keep = async |early: Session, CsrfForm((me, session), form): CsrfForm<Transfer, Wanted>| {
        assert!(early.set(&NOTE, &"early".to_owned()).is_err(), "before the form was verified");
        session.set(&NOTE, &format!("{} to {}", me.subject(), form.to))
    };
    let show = async |session: Session| session.get(&NOTE).unwrap().unwrap_or_default();
    let forgetful = async |me: Option<Identity>, _: axum::Form<Transfer>| name(me.as_ref());
    let router = router.route("/keep", post(keep).get(show)).route("/forgetful", post(forgetful));
    let browser = Client::new(router.layer(dropping()).layer(SessionLayer::new(MemoryBackend::new())));
    browser.post("/login/ada").await.assert_status(200);
    let own = token(&browser).await;
    let fields = [("to", "bob"), ("csrf_token", &*own)];
    bare(browser.post_form("/keep", &fields)).await.assert_status(200);
    assert_eq!(browser.get("/keep").await.text(), "ada to bob");

    let guessed = bare(browser.post_form("/keep", &[("to", "mallory"), ("csrf_token", "guess")])).await;
    assert_eq!((guessed.status.as_u16(), crate::site::reason(&guessed)), (403, Some(TokenMismatch)));
    assert_eq!(browser.get("/keep").await.text(), "ada to bob");
    // A handler that forgets to verify has nobody to act for.
    let forgotten = bare(browser.post_form("/forgetful", &[("to", "mallory")])).await;
    assert_eq!(forgotten.assert_status(200).text(), "nobody");
}

/// Of two copies the inner one finds nobody left to drop, and keeps whom the outer one has dropped.
#[tokio::test]
async fn two_copies_give_back_whom_the_outer_one_has_dropped() {
    let (router, _) = routes();
    let layers = router.layer(dropping().always()).layer(dropping().always());
    let browser = Client::new(layers.layer(SessionLayer::new(MemoryBackend::new())));
    browser.post("/login/ada").await.assert_status(200);
    let own = token(&browser).await;
    let send = |token: &str| {
        let request = browser.post_form("/form", &[("to", "bob"), ("csrf_token", token)]);
        request.without_header("sec-fetch-site").header("origin", "null")
    };
    assert_eq!(send(&own).await.assert_status(200).text(), "ada to bob");
    assert_refused("a guess", &send("guess").await, TokenMismatch);
}

/// A handler that hands the request on, to a service with a session layer of its own.
#[tokio::test]
async fn who_was_given_back_is_nobody_unproven_any_more() {
    let sessions = SessionLayer::new(MemoryBackend::new());
    let inner = sessions.clone().layer(service_fn(async |request: http::Request<()>| {
        Ok::<_, Infallible>(http::Response::new(name(request.identity()).into_bytes()))
    }));
    let hand_on = async move |CsrfForm(head, _): CsrfForm<Transfer, Parts>| {
        let Ok(response) = inner.clone().oneshot(http::Request::from_parts(head, ())).await;
        (response.status(), response.into_body())
    };
    let (router, _) = routes();
    let browser = Client::new(router.route("/on", post(hand_on)).layer(dropping()).layer(sessions));
    browser.post("/login/ada").await.assert_status(200);
    let own = token(&browser).await;
    let sent = bare(browser.post_form("/on", &[("to", "bob"), ("csrf_token", &*own)])).await;
    assert_eq!(sent.assert_status(200).text(), "ada");
}

/// A token in a cookie comes along by itself, and to hand it on would be to act in its name.
#[tokio::test]
async fn a_token_is_not_handed_on_for_who_proves_nothing() {
    let program = Program::new();
    let source = TokenSource::cookie("__Host-at").unwrap();
    let bearer = program.layer().add_source(source).strip_token().forward_token();
    let seen = |extensions: &Extensions| {
        ForwardedToken::of(extensions).map_or("none".to_owned(), |token| token.as_str().to_owned())
    };
    let given_back = async move |early: Extensions, CsrfForm(head, _): CsrfForm<Transfer, Parts>| {
        format!("{} {}", seen(&early), seen(&head.extensions))
    };
    let router = Router::new()
        .route("/page", get(async |token: CsrfToken| token.value()))
        .route("/plain", post(async move |extensions: Extensions| seen(&extensions)))
        .route("/form", post(given_back))
        .layer(dropping())
        .layer(bearer);
    let browser = Client::new(router);
    let token = program.token();
    browser.jar().add("https://app.example", &format!("__Host-at={token}; Path=/; Secure"));
    assert_eq!(browser.post("/plain").await.assert_status(200).text(), token);
    assert_eq!(bare(browser.post("/plain")).await.assert_status(200).text(), "none");

    let own = self::token(&browser).await;
    let fields = [("to", "bob"), ("csrf_token", &*own)];
    let sent = bare(browser.post_form("/form", &fields)).await.assert_status(200);
    assert_eq!(sent.text(), format!("none {token}"), "the form has proved its origin");
}

/// A page that shows the form again, because something in it was wrong, holds a token that is good.
#[tokio::test]
async fn a_page_for_nobody_holds_a_token_of_the_browsers_own() {
    let browser = app(dropping());
    browser.post("/login/ada").await.assert_status(200);
    let page = forged(browser.post("/page")).await.assert_status(200);
    assert_eq!(page.set_cookies(), [""; 0]);
    let sent = bare(browser.post("/mine")).header("x-csrf-token", page.text()).await;
    assert_eq!(sent.assert_status(200).text(), "ada");
}

#[tokio::test]
async fn a_forged_login_signs_nobody_in() {
    let browser = app(dropping().always());
    let forged_login = forged(browser.post("/login/mallory")).await;
    assert_eq!(forged_login.status, 403);
    assert_eq!((forged_login.set_cookies(), browser.jar().names()), (vec![], vec![]));
    let reason: Option<CsrfReason> = crate::site::reason(&forged_login);
    assert_eq!(reason, None, "the handler ran, and could do nothing");
}

/// Whose key it is, which browsers send by themselves.
struct ByKey;

impl Authenticator for ByKey {
    type Visit = ();

    fn on_conflict(&self) -> OnConflict {
        OnConflict::Prefer(AuthMethod::Custom("key"))
    }

    fn open<B>(&self, request: &mut http::Request<B>) -> Opening<()> {
        let lines = request.headers().get_all("cookie").iter().filter_map(|line| line.to_str().ok());
        let key = lines.filter_map(|line| line.split_once("key=")?.1.split(';').next()).next();
        let who = key.map(|name| Identity::new(name).method(AuthMethod::Custom("key")));
        let found = who.map_or_else(Authentication::anonymous, Authentication::authenticated);
        Opening::Ready(Ok((found, ())))
    }
}

#[tokio::test]
async fn a_form_works_beside_another_credential_and_gives_nobody_the_session_of_another_user() {
    type Wanted = (Identity, Session);
    let handler = async |CsrfForm((me, session), form): CsrfForm<Transfer, Wanted>| {
        let set = session.set(&NOTE, &form.to).map_err(|error| error.kind());
        format!("{} {:?} {set:?}", me.subject(), session.get(&NOTE).unwrap())
    };
    let (router, _) = routes();
    let layers = ServiceBuilder::new()
        .layer(SessionLayer::new(MemoryBackend::new()))
        .layer(AuthenticateLayer::new(ByKey))
        .layer(dropping());
    let browser = Client::new(router.route("/keep", post(handler)).layer(layers));
    for path in ["/login/ada", "/note"] {
        browser.post(path).await.assert_status(200);
    }
    let send = async || {
        let token = token(&browser).await;
        bare(browser.post_form("/keep", &[("to", "bob"), ("csrf_token", &token)]))
            .await
            .assert_status(200)
            .text()
    };
    assert_eq!(send().await, r#"ada Some("bob") Ok(())"#);
    for (key, expected) in [("ada", r#"ada Some("bob") Ok(())"#), ("grace", "grace None Err(Withheld)")] {
        browser.jar().add("https://app.example/", &format!("key={key}; Path=/; Secure"));
        assert_eq!(send().await, expected, "{key}");
    }
}
