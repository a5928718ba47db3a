//! Customers and staff in one application, who are never taken for each other: two realms, as types.
//!
//! ```sh
//! cargo run --example two_realms                           # PORT, or 3008; DEMO_PASSWORD, or one that it prints
//! URL=http://localhost:3008 PASSWORD=...                   # as printed
//! curl() { command curl -sS -b jar -c jar -H "Origin: $URL" "$@"; }
//! curl $URL/login -d username=ada --data-urlencode "password=$PASSWORD" -i            # the cookie __Host-id
//! curl $URL/                                                                        # hello ada
//! curl $URL/staff -i                                                                # 401: a customer is nobody here
//! curl $URL/staff/login -d username=grace --data-urlencode "password=$PASSWORD" -i    # a second cookie, __Host-staff-id
//! curl $URL/staff                                                                   # hello grace
//! curl $URL/                                                                        # hello ada, still
//! command curl -sS -b jar -X POST $URL/staff/sign-out/ada -i                        # 403: where does it come from?
//! curl -X POST $URL/staff/sign-out/ada                                              # 1
//! curl $URL/                                                                        # hello stranger
//! curl -X POST $URL/staff/logout && curl $URL/staff -i                              # 401
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Form, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::identity::IdentityBuilder;
use portcullis::realm::DefaultRealm;
use portcullis::session::{Lifetime, MemoryBackend, SameSite, SessionError, Sessions, User};
use portcullis::{CsrfLayer, Identity, Realm, RequireLayer, Session, SessionLayer};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tower::ServiceBuilder;

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

const MINUTE: Duration = Duration::from_secs(60);

/// Customers are in the default realm, which needs no name; staff have one of their own.
pub(crate) enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

#[derive(Clone)]
struct Shop {
    password: Arc<str>,
    /// To sign customers out. The type says whose sessions these are.
    customers: Sessions,
}

pub(crate) fn app(password: &str) -> Result<Router, BoxError> {
    let backend = MemoryBackend::new();
    let customers = SessionLayer::new(backend.clone());
    // Each realm has its own rules; both may keep their sessions in one store.
    let staff = SessionLayer::builder(backend)
        .realm::<Staff>()
        .same_site(SameSite::Strict)
        .lifetime(Lifetime { idle: 15 * MINUTE, absolute: 8 * 60 * MINUTE })
        .build()?;
    let shop = Shop { password: password.into(), customers: Sessions::of(&customers) };

    let managers = RequireLayer::authenticated().role("manager").realm::<Staff>();
    let back_office = Router::new()
        .route("/", get(async |me: Identity<Staff>| format!("hello {}\n", me.subject())))
        .route("/sign-out/{customer}", post(sign_out_customer))
        .layer(managers)
        // Behind no guard: whoever signs in is not signed in yet.
        .route("/login", post(sign_in::<Staff>))
        .route("/logout", post(sign_out::<Staff>));
    Ok(Router::new()
        .route("/", get(home))
        .route("/login", post(sign_in::<DefaultRealm>))
        .route("/logout", post(sign_out::<DefaultRealm>))
        .nest("/staff", back_office)
        // One CsrfLayer inside of both: the cookie of either realm needs proof of origin.
        .layer(ServiceBuilder::new().layer(customers).layer(staff).layer(CsrfLayer::new().always()))
        .layer(DefaultBodyLimit::max(1024))
        .with_state(shop))
}

async fn home(me: Option<Identity>) -> String {
    format!("hello {}\n", me.as_ref().map_or("stranger", Identity::subject))
}

/// Ends all sessions of a customer, and says how many there were.
async fn sign_out_customer(
    State(shop): State<Shop>,
    Path(customer): Path<String>,
) -> Result<String, SessionError> {
    let ended = shop.customers.revoke_all(&User::new(customer)).await?;
    Ok(format!("{ended}\n"))
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// Where the users of a realm are kept.
trait Directory: Realm {
    /// Who it is, with what roles; `None` if nobody has this name.
    fn find(username: &str) -> Option<IdentityBuilder>;
}

impl Directory for DefaultRealm {
    fn find(username: &str) -> Option<IdentityBuilder> {
        (username == "ada").then(|| Identity::new("ada"))
    }
}

impl Directory for Staff {
    fn find(username: &str) -> Option<IdentityBuilder> {
        (username == "grace").then(|| Identity::new("grace").role("manager"))
    }
}

/// One handler for each realm.
async fn sign_in<M: Directory>(
    State(shop): State<Shop>,
    session: Session<M>,
    Form(form): Form<Credentials>,
) -> Result<Result<StatusCode, (StatusCode, &'static str)>, SessionError> {
    match M::find(&form.username).filter(|_| is_right(&form.password, &shop.password)) {
        None => Ok(Err((StatusCode::UNAUTHORIZED, "unknown user, or wrong password\n"))),
        Some(user) => session.login(user).await.map(|()| Ok(StatusCode::NO_CONTENT)),
    }
}

async fn sign_out<M: Realm>(session: Session<M>) -> Result<StatusCode, SessionError> {
    session.logout().await.map(|()| StatusCode::NO_CONTENT)
}

/// For a demo. An application keeps a hash of each password that is slow to make: see `quickstart/users.rs`.
fn is_right(password: &str, right: &str) -> bool {
    Sha256::digest(password).ct_eq(&Sha256::digest(right)).into()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let password = env::var("DEMO_PASSWORD").or_else(|_| random_text())?;
    let listener = listen(3008).await?;
    let url = format!("http://localhost:{}", listener.local_addr()?.port());
    println!("{url}/login is for ada, a customer, and {url}/staff/login for grace, of the staff.");
    println!("Their password: {password}");
    axum::serve(listener, app(&password)?).await?;
    Ok(())
}

fn random_text() -> Result<String, BoxError> {
    let mut random = [0; 9];
    rand::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
