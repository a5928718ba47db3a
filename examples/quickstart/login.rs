//! Signing in and out: `GET|POST /login`, `POST /logout`.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use maud::html;
use portcullis::{Identity, Session};
use serde::Deserialize;

use super::AppState;
use super::failure::{CHALLENGE, Failure};
use super::page::page;
use super::safe_path::SafePath;
use super::users::Credentials;

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/login", get(form).post(sign_in)).route("/logout", post(sign_out))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    next: SafePath,
}

#[derive(Deserialize)]
struct SignIn {
    username: String,
    password: String,
    #[serde(default)]
    next: SafePath,
}

async fn form(me: Option<Identity>, Query(wanted): Query<Wanted>) -> impl IntoResponse {
    login_page(me.as_ref(), &wanted.next, "", None)
}

async fn sign_in(
    State(app): State<AppState>,
    me: Option<Identity>,
    session: Session,
    Form(SignIn { username, password, next }): Form<SignIn>,
) -> Result<Response, Failure> {
    let typed = username.clone();
    match app.users.verify(Credentials { username, password }).await? {
        Some(user) => {
            session.login(user.identity()).await?;
            Ok(Redirect::to(next.as_str()).into_response())
        }
        None => {
            let page = login_page(me.as_ref(), &next, &typed, Some("Unknown user, or wrong password."));
            Ok((StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, CHALLENGE)], page).into_response())
        }
    }
}

async fn sign_out(session: Session) -> Result<Redirect, Failure> {
    session.logout().await?;
    Ok(Redirect::to("/"))
}

fn login_page(
    me: Option<&Identity>,
    next: &SafePath,
    username: &str,
    problem: Option<&str>,
) -> impl IntoResponse + use<> {
    let content = html! {
        @if let Some(problem) = problem { p role="alert" { (problem) } }
        form.stacked method="post" action="/login" {
            input type="hidden" name="next" value=(next.as_str());
            label {
                "User name"
                input name="username" value=(username) autocomplete="username" autocapitalize="none" required autofocus;
            }
            label {
                "Password"
                input name="password" type="password" autocomplete="current-password" required;
            }
            button { "Sign in" }
        }
    };
    page("Sign in", me, &content)
}
