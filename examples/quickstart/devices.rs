//! A user's sessions, on all devices: `GET /devices`, `POST /devices/{session_ref}/revoke`,
//! `POST /devices/revoke-others`.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use maud::{Markup, html};
use portcullis::identity::AuthMethod;
use portcullis::session::Device;
use portcullis::{Identity, RequireLayer, Session};
use portcullis_store::{Clock, SystemClock, Timestamp};

use super::AppState;
use super::failure::{Failure, refuse};
use super::page::page;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/devices", get(list))
        .route("/devices/revoke-others", post(revoke_others))
        .route("/devices/{session_ref}/revoke", post(revoke))
        .route_layer(RequireLayer::authenticated().method(AuthMethod::Session).responder(refuse))
}

async fn list(me: Identity, session: Session) -> Result<impl IntoResponse, Failure> {
    let devices = session.devices().list().await?;
    let now = SystemClock.now();
    let content = html! {
        table {
            thead { tr { th { "Session" } th { "Signed in" } th { "Last used" } th {} } }
            tbody { @for device in &devices { (row(device, now)) } }
        }
        form method="post" action="/devices/revoke-others" {
            p { button { "Sign out everywhere else" } }
        }
    };
    Ok(page("Devices", Some(&me), &content))
}

fn row(device: &Device, now: Timestamp) -> Markup {
    html! {
        tr {
            td {
                code { (device.session_ref) }
                @if device.current { " (this one)" }
            }
            td { (ago(device.created, now)) }
            td { (ago(device.last_seen, now)) }
            td {
                form method="post" action={ "/devices/" (device.session_ref) "/revoke" } {
                    button { "Sign out" }
                }
            }
        }
    }
}

/// To the minute: when a session was last used is known to within five.
fn ago(then: Timestamp, now: Timestamp) -> String {
    match now.as_secs().saturating_sub(then.as_secs()) / 60 {
        0 => "just now".to_owned(),
        minutes @ 1..120 => format!("{minutes} min ago"),
        minutes => format!("{} h ago", minutes / 60),
    }
}

/// Revoking the current session signs out.
async fn revoke(session: Session, Path(session_ref): Path<String>) -> Result<Redirect, Failure> {
    session.devices().revoke(&session_ref).await?;
    Ok(Redirect::to("/devices"))
}

async fn revoke_others(session: Session) -> Result<Redirect, Failure> {
    session.devices().revoke_others().await?;
    Ok(Redirect::to("/devices"))
}
