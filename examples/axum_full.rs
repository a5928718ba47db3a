//! All of it on one axum router: people with sessions, programs with bearer tokens, CSRF, rules per route, and a gRPC service
//! that pages call with their user's cookie.
//!
//! ```sh
//! cargo run --example axum_full                             # PORT, or 3010; DEMO_PASSWORD, or one that it prints
//! URL=http://localhost:3010 PASSWORD=... TOKEN=...          # as printed
//! curl -i $URL/account -H 'Accept: text/html'               # 303 to /login?next=/account
//! curl -i $URL/account                                      # 401, application/problem+json
//! curl -i -c jar $URL/login -H "Origin: $URL" -d username=ada --data-urlencode "password=$PASSWORD" -d next=/account
//! curl -b jar $URL/account                                  # hello ada
//! curl -i -b jar -X POST $URL/notes/ada                     # 403: where does it come from?
//! curl -i -b jar -X POST $URL/notes/ada -H "Origin: $URL"   # 204
//! curl -i -b jar -X POST $URL/notes/grace -H "Origin: $URL" # 403: somebody else's
//! curl -i -b jar $URL/admin                                 # 403: a role is missing
//! curl -i $URL/reports/7 -H "Authorization: Bearer $TOKEN"  # report 7, for robot
//! curl -i -b jar $URL/reports/7                             # 403: a session has no scopes
//! # Of gRPC; sign in as grace for it. The message is {year: 2026}, behind five bytes: a flag, and the length.
//! read() { printf '\0\0\0\0\3\10\352\17' | curl -isb jar $URL/demo.Reports/Read --data-binary @- "$@" | cat -v; }
//! read -H 'Content-Type: application/grpc' -H "Origin: $URL"   # the report
//! read -H 'Content-Type: application/grpc'                     # grpc-status: 7: where does it come from?
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

#[path = "quickstart/authority.rs"]
pub(crate) mod authority;
#[path = "tonic_bearer/reports.rs"]
#[allow(dead_code, reason = "the client is for programs")]
mod reports;
mod start;

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use axum::extract::{DefaultBodyLimit, MatchedPath, Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Form, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{DOCTYPE, Markup, html};
use portcullis::guard::Head;
use portcullis::identity::AuthMethod;
use portcullis::issue::Grant;
use portcullis::require::{Decision, Policy, PolicyTable};
use portcullis::respond::{LoginRedirect, ProblemResponder, SafePath};
use portcullis::session::{MemoryBackend, SessionError};
use portcullis::{AuthLayer, BearerLayer, CsrfLayer, Identity, Session, SessionLayer};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tower::ServiceBuilder;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use self::authority::Authority;
use self::reports::{ReadReply, ReadRequest, Reports, ReportsServer};
use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

/// Who may call what; what is not here nobody may.
fn rules() -> Result<PolicyTable, BoxError> {
    let own = |who: &Identity, head: Head<'_>| match head.uri.path().strip_prefix("/notes/") {
        Some(owner) if owner == who.subject() => Decision::Allow,
        _ => Decision::Deny("somebody else's notes"),
    };
    let recently = Policy::fresh(Duration::from_secs(5 * 60));
    let table = PolicyTable::by(|extensions| extensions.get::<MatchedPath>().map(MatchedPath::as_str))
        .public("/")
        .public("/login")
        .rule("/logout", Policy::authenticated())
        .rule("/account", Policy::authenticated())
        .rule("/notes/{owner}", Policy::predicate(own).or(Policy::role("admin")))
        .rule("/admin", Policy::role("admin"))
        .rule_for(Method::DELETE, "/admin", Policy::role("admin").and(recently))
        .rule("/demo.Reports/{*rest}", Policy::role("admin"))
        .rule("/reports/{id}", Policy::scope("reports.read").and(Policy::method(AuthMethod::Bearer)));
    Ok(table.build()?)
}

pub(crate) fn app(password: &str, tokens: &Authority) -> Result<Router, BoxError> {
    // People are sent to sign in and come back; programs are told what is wrong.
    let responder = || LoginRedirect::to("/login").otherwise(ProblemResponder);
    let auth = AuthLayer::builder()
        .session(SessionLayer::new(MemoryBackend::new()))
        .bearer(BearerLayer::new([tokens.issuer()])?)
        .csrf(CsrfLayer::new())
        .responder(responder())
        .build()?;
    // Without the fallback of gRPC's, which would answer every path that there is not.
    let reports = Routes::new(ReportsServer::new(Archive::default())).into_axum_router().reset_fallback();
    Ok(Router::new()
        .route("/", get(async || "welcome\n"))
        // Stricter here: another site must not sign its visitors in to an account of its own.
        .route("/login", get(login_page).post(sign_in).layer(CsrfLayer::new().always()))
        .route("/logout", post(sign_out))
        .route("/account", get(async |me: Identity| format!("hello {}\n", me.subject())))
        .route("/notes/{owner}", post(async |Path(_): Path<String>| StatusCode::NO_CONTENT))
        .route("/admin", get(async || "all is well\n").delete(async || "all is gone\n"))
        .route("/reports/{id}", get(report))
        .merge(reports.with_state(()))
        .layer(
            ServiceBuilder::new() // top to bottom = outside to inside
                .layer(TraceLayer::new_for_http())
                .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(10)))
                .layer(DefaultBodyLimit::max(1024))
                .layer(auth) // who is calling, and where from
                .layer(rules()?.responder(responder())), // who may
        )
        .with_state(Arc::from(password)))
}

async fn report(me: Identity, Path(id): Path<u32>) -> String {
    format!("report {id}, for {}\n", me.subject())
}

/// The reports of all years but those that were deleted, by gRPC.
#[derive(Default)]
struct Archive {
    deleted: Mutex<BTreeSet<u32>>,
}

impl Archive {
    fn deleted(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reports for Archive {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadReply>, Status> {
        let year = request.get_ref().year;
        if self.deleted().contains(&year) {
            return Err(Status::not_found("it was deleted"));
        }
        Ok(Response::new(ReadReply { text: format!("the report of {year}") }))
    }

    async fn delete(&self, request: Request<ReadRequest>) -> Result<Response<ReadReply>, Status> {
        self.deleted().insert(request.get_ref().year);
        Ok(Response::new(ReadReply { text: "it is gone".to_owned() }))
    }
}

#[derive(Deserialize)]
struct Wanted {
    /// Only a path of this site is taken.
    next: Option<SafePath>,
}

async fn login_page(Query(wanted): Query<Wanted>) -> Markup {
    login_form(wanted.next.as_ref(), None)
}

fn login_form(next: Option<&SafePath>, problem: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Sign in" } }
            body {
                h1 { "Sign in" }
                @if let Some(problem) = problem { p role="alert" { (problem) } }
                form method="post" action="/login" {
                    @if let Some(next) = next { input type="hidden" name="next" value=(next); }
                    label { "User " input name="username" autocomplete="username" required autofocus; }
                    " "
                    label { "Password " input name="password" type="password" autocomplete="current-password" required; }
                    " "
                    button { "Sign in" }
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
    next: Option<SafePath>,
}

async fn sign_in(
    State(password): State<Arc<str>>,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Result<Redirect, (StatusCode, Markup)>, SessionError> {
    let user = match form.username.as_str() {
        "ada" => Some(Identity::new("ada")),
        "grace" => Some(Identity::new("grace").role("admin")),
        _ => None,
    };
    let Some(user) = user.filter(|_| is_right(&form.password, &password)) else {
        let form = login_form(form.next.as_ref(), Some("Unknown user, or wrong password."));
        return Ok(Err((StatusCode::UNAUTHORIZED, form)));
    };
    session.login(user).await?;
    // 303: the page is fetched by GET, and the password is not posted once more.
    Ok(Ok(Redirect::to(form.next.as_ref().map_or("/account", SafePath::as_str))))
}

async fn sign_out(session: Session) -> Result<StatusCode, SessionError> {
    session.logout().await.map(|()| StatusCode::NO_CONTENT)
}

/// For a demo. An application keeps a hash of each password that is slow to make: see `quickstart/users.rs`.
fn is_right(password: &str, right: &str) -> bool {
    Sha256::digest(password).ct_eq(&Sha256::digest(right)).into()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let password = env::var("DEMO_PASSWORD").or_else(|_| random_text())?;
    let tokens = Authority::new("https://full.example", "reports")?;
    let listener = listen(3010).await?;
    let url = format!("http://localhost:{}", listener.local_addr()?.port());
    println!(
        "Open {url}/account and sign in as ada, or as grace, who is an admin. Their password: {password}"
    );
    let token = tokens.mint(&Grant::new("robot", "demo").scope("reports.read")).await?;
    println!("For programs, TOKEN={}", token.as_str());
    axum::serve(listener, app(&password, &tokens)?).await?;
    Ok(())
}

fn random_text() -> Result<String, BoxError> {
    let mut random = [0; 9];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
