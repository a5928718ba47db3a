//! One API for several customers, each with an issuer of its own: whose token it is decides whose data are seen.
//!
//! ```sh
//! cargo run --example multi_tenant                  # PORT, or 3017; prints a token of each customer's
//! URL=http://localhost:3017; ACME=...; GLOBEX=...    # as printed
//! curl $URL/orders -H "Authorization: Bearer $ACME"                  # acme: anvils
//! curl $URL/orders -H "Authorization: Bearer $GLOBEX"                # globex: a moon
//! curl $URL/orders -H "Authorization: Bearer $GLOBEX" -H "X-Tenant: acme"    # globex: a moon
//! curl $URL/orders -H "Authorization: Bearer ${ACME}x" -i            # 401
//! ```
//!
//! * Two customers may have users of one name: a user is issuer and subject together, never the subject alone.
//! * A customer's key verifies tokens of that customer's issuer and no others, so none can speak in another's name.
//! * Nothing that a client chooses, such as a header, a path or a host name, says who the customer is.
//!
//! Where one provider has many tenants under addresses of one form, as Microsoft Entra has, `Issuer::templated` and
//! `Tenants` are one issuer for all of them.
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

#[path = "quickstart/authority.rs"]
pub(crate) mod authority;
mod start;

use std::error::Error;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use portcullis::issue::Grant;
use portcullis::{BearerLayer, Identity};

use self::authority::Authority;
use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

/// A customer. A real application keeps them in a database, and makes the layer anew when one comes or goes.
#[derive(Debug)]
pub(crate) struct Tenant {
    name: &'static str,
    issuer: &'static str,
    orders: &'static str,
}

pub(crate) static TENANTS: [Tenant; 2] = [
    Tenant { name: "acme", issuer: "https://login.acme.example", orders: "anvils" },
    Tenant { name: "globex", issuer: "https://sso.globex.example", orders: "a moon" },
];

/// Handlers ask for the tenant, and so cannot forget it. It also says who of the tenant's people it is.
pub(crate) struct Member {
    tenant: &'static Tenant,
    me: Identity,
}

impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Response;

    /// The layer accepts tokens of these issuers only, so of one that it has accepted the tenant is known.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let me = Identity::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let tenant = TENANTS.iter().find(|tenant| me.issuer() == Some(tenant.issuer));
        let tenant = tenant.ok_or_else(|| StatusCode::FORBIDDEN.into_response())?;
        Ok(Self { tenant, me })
    }
}

pub(crate) fn app(minting: &[Authority]) -> Result<Router, BoxError> {
    let bearer = BearerLayer::new(minting.iter().map(Authority::issuer))?.required();
    Ok(Router::new().route("/orders", get(orders)).route("/me", get(me)).layer(bearer))
}

async fn orders(Member { tenant, .. }: Member) -> String {
    format!("{}: {}\n", tenant.name, tenant.orders)
}

async fn me(Member { tenant, me }: Member) -> String {
    format!("{} of {}\n", me.subject(), tenant.name)
}

/// What the customers' own identity providers would do.
pub(crate) fn minting() -> Result<Vec<Authority>, BoxError> {
    TENANTS.iter().map(|tenant| Authority::new(tenant.issuer, "orders")).collect()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let minting = minting()?;
    let app = app(&minting)?;
    let listener = listen(3017).await?;
    println!(
        "Listening on http://localhost:{}/orders. A token of each customer's:",
        listener.local_addr()?.port()
    );
    for (tenant, tokens) in TENANTS.iter().zip(&minting) {
        let token = tokens.mint(&Grant::new("ada", "demo").scope("orders")).await?;
        println!("{}={}", tenant.name.to_uppercase(), token.as_str());
    }
    axum::serve(listener, app).await?;
    Ok(())
}
