//! Signing in and out: `GET|POST /login`, `POST /logout`.

use axum::extract::{Query, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use maud::html;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis::respond::SafePath;
use portcullis::{Identity, Session};
use serde::Deserialize;

use super::AppState;
use super::failure::{CHALLENGE, Failure};
use super::page::page;
use super::users::Credentials;

/// What a parameter's value may hold as it is.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/login", get(form).post(sign_in)).route("/logout", post(sign_out))
}

#[derive(Deserialize)]
struct Wanted {
    next: Option<SafePath>,
}

#[derive(Deserialize)]
struct SignIn {
    username: String,
    password: String,
    next: Option<SafePath>,
}

async fn form(me: Option<Identity>, Query(wanted): Query<Wanted>) -> impl IntoResponse {
    login_page(me.as_ref(), wanted.next.as_ref(), "", None)
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
            Ok(Redirect::to(page_after(next.as_ref())).into_response())
        }
        None => {
            let page =
                login_page(me.as_ref(), next.as_ref(), &typed, Some("Unknown user, or wrong password."));
            Ok((StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, CHALLENGE)], page).into_response())
        }
    }
}

/// Where to go after signing in.
fn page_after(next: Option<&SafePath>) -> &str {
    next.map_or("/account", SafePath::as_str)
}

/// The login page, which leads back to `wanted` if that is a page of this site.
pub(crate) fn login_path(wanted: &Uri) -> String {
    match SafePath::of(wanted) {
        Ok(wanted) => format!("/login?next={}", utf8_percent_encode(wanted.as_str(), VALUE)),
        Err(_) => "/login".to_owned(),
    }
}

async fn sign_out(session: Session) -> Result<Redirect, Failure> {
    session.logout().await?;
    Ok(Redirect::to("/"))
}

fn login_page(
    me: Option<&Identity>,
    next: Option<&SafePath>,
    username: &str,
    problem: Option<&str>,
) -> impl IntoResponse + use<> {
    let content = html! {
        @if let Some(problem) = problem { p role="alert" { (problem) } }
        form.stacked method="post" action="/login" {
            input type="hidden" name="next" value=(page_after(next));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_one_parameter() {
        let rows = [
            ("plain", "/account", "/login?next=/account"),
            ("with a query", "/account?a=1&b=2", "/login?next=/account%3Fa%3D1%26b%3D2"),
            ("absolute", "http://evil.example/account", "/login?next=/account"),
            ("two slashes", "//evil.example/", "/login"),
        ];
        for (name, wanted, expected) in rows {
            assert_eq!(login_path(&wanted.parse().unwrap()), expected, "{name}");
        }
    }
}
