//! An API on axum that takes the access tokens of an OpenID provider, whichever it is: all that it is told is the
//! provider's name, which leads to its keys.
//!
//! ```sh
//! # A provider to try it with, in a directory of its own; it needs Node.js 22.
//! mkdir /tmp/provider && cp examples/axum_oidc_api/provider.mjs /tmp/provider && cd /tmp/provider
//! npm install oidc-provider && node provider.mjs
//!
//! # In another terminal:
//! ISSUER=http://localhost:8080 AUDIENCE=notes cargo run --example axum_oidc_api      # PORT, or 3016
//!
//! # And in a third one:
//! URL=http://localhost:3016
//! curl $URL/ready                                                                # yes
//! curl $URL/notes -i                                                             # 401
//! token() { curl -sS -u job:secret localhost:8080/token -d grant_type=client_credentials \
//!     -d "resource=$URL/${2-notes}" -d "scope=$1"; }
//! bearer() { echo "Authorization: Bearer $(token "$@" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')"; }
//! curl $URL/notes -H "$(bearer notes.read)"                                      # the notes of job
//! curl $URL/notes -X POST -H "$(bearer notes.read)" -i                           # 403: insufficient_scope
//! curl $URL/notes -X POST -H "$(bearer 'notes.read notes.write')"                # a note of job's is kept
//! curl $URL/notes -H "$(bearer notes.read mail)" -i                              # 401: meant for another audience
//! ```
//!
//! What else can be seen with it:
//!
//! * End the provider: tokens that it has given go on to be accepted, since its keys are known. A key is known for a day, and
//!   the API, started now, would answer 503 until the provider is back.
//! * Start the provider again, which gives it another key: its new tokens are accepted at once, after one look at its keys.
//!   Those of the key before are 401 from then on.
//! * Start it with `TTL=5`: five seconds later, and the five that clocks may be apart, its tokens are 401.
//!
//! For keys that it does not know, such as those of each start and of the tokens from before, the API asks twice at once and
//! then once in 30 seconds, whoever makes up tokens. New tokens can be 401 for as long, so leave half a minute between starts.
//!
//! # With a provider of your own
//!
//! Whichever it is, Keycloak, Auth0, Okta, Entra or another:
//!
//! 1. Register an API (a resource, an audience) and have access tokens for it signed as JWTs by an asymmetric algorithm.
//!    Some give opaque tokens until an audience is asked for.
//! 2. Open `<issuer>/.well-known/openid-configuration`. `ISSUER` is what its member `issuer` says, to the letter; a slash at
//!    the end counts. It has to be `https://`, unless it is on this machine.
//! 3. Decode a token (`cut -d. -f2 | base64 -d`). `AUDIENCE` is what its `aud` says, or one of the names there. An ID token
//!    is none: its `aud` is the client, so a client's id must not be the `AUDIENCE`, or ID tokens would do.
//! 4. Have `notes.read` and `notes.write` granted; they are looked for in `scope` and in `scp`.
//!
//! Some providers need more than that, or say it by other claims: see the presets of `portcullis::bearer::Issuer`.
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;
use std::error::Error;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use portcullis::bearer::{Audience, BearerLayer, Issuer, TokenCache};
use portcullis::{Identity, RequireLayer};
use portcullis_jwks::RemoteJwks;

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

pub(crate) fn app(issuer: &str, audience: &str) -> Result<Router, BoxError> {
    // Asks nobody yet: the API starts while the provider is away, and answers 503 until it knows its keys.
    let keys = RemoteJwks::discovery(issuer);
    // Without TLS only a provider on this machine is asked, whatever is said here.
    let keys = if issuer.starts_with("http://") { keys.insecure_http() } else { keys };
    let issuer = Issuer::new(issuer, Audience::one_of([audience])).keys(keys.build()?);
    let bearer = BearerLayer::new([issuer])?.cache(TokenCache::default());

    let scope = |scope: &str| RequireLayer::authenticated().scope(scope);
    let notes = Router::new()
        .merge(Router::new().route("/notes", get(read)).layer(scope("notes.read")))
        .merge(Router::new().route("/notes", post(write)).layer(scope("notes.write")));
    let ready = Router::new().route("/ready", get(ready)).with_state(bearer.clone());
    Ok(notes.layer(bearer).merge(ready))
}

async fn read(me: Identity) -> String {
    format!("the notes of {}\n", me.subject())
}

async fn write(me: Identity) -> String {
    format!("a note of {}'s is kept\n", me.subject())
}

/// For whoever sends requests here: whether the provider's keys are known.
async fn ready(State(bearer): State<BearerLayer>) -> (StatusCode, &'static str) {
    match bearer.ready().await {
        Ok(()) => (StatusCode::OK, "yes\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not yet\n"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let issuer = env::var("ISSUER").map_err(|_| "ISSUER is missing: see the first lines of this example")?;
    let audience =
        env::var("AUDIENCE").map_err(|_| "AUDIENCE is missing: what the provider calls this API")?;
    let app = app(&issuer, &audience)?;
    let listener = listen(3016).await?;
    println!("Listening on http://localhost:{}/notes for tokens of {issuer}", listener.local_addr()?.port());
    axum::serve(listener, app).await?;
    Ok(())
}
