//! What is measured, in the order of the report.

mod axum_csrf;
mod bearer;
mod csrf;
pub(crate) mod issue;
mod others;
mod peers;
mod session;
pub(crate) mod tokens;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, ORIGIN, REFERER,
    USER_AGENT,
};
use http::{Method, Request};

use crate::Failure;
use crate::harness::{Bound, Bounds, Candidate, Label};
use crate::threads::Concurrent;

pub(crate) use self::tokens::Group;

/// The candidates that are measured for one request at a time.
pub(crate) fn all() -> Result<Vec<Candidate>, Failure> {
    let groups = [
        session::candidates()?,
        csrf::candidates()?,
        bearer::candidates()?,
        peers::candidates()?,
        others::candidates()?,
    ];
    Ok(groups.into_iter().flatten().collect())
}

/// The candidates that are measured on two threads against one.
pub(crate) fn concurrent() -> Result<Vec<Concurrent>, Failure> {
    Ok(session::concurrent()?.into_iter().chain(peers::concurrent()?).collect())
}

/// What a browser sends with a request that a page of the service's own makes, with the cookie of a session
/// if there is one, and two others.
pub(crate) fn browser(method: Method, session: Option<&str>) -> Result<Request<()>, Failure> {
    let is_unsafe = method == Method::POST;
    let mut request = Request::builder()
        .method(method)
        .uri("/cart")
        .header(HOST, "shop.example")
        .header(USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header(ACCEPT, "application/json, text/plain, */*")
        .header(ACCEPT_LANGUAGE, "en-GB,en;q=0.7,de;q=0.3")
        .header(ACCEPT_ENCODING, "gzip, deflate, br, zstd")
        .header(REFERER, "https://shop.example/")
        .header("sec-fetch-dest", "empty")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", "same-origin");
    if is_unsafe {
        request = request
            .header(ORIGIN, "https://shop.example")
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, "2");
    }
    let cookies = match session {
        Some(session) => format!("theme=dark; {session}; seen=2026-01-01"),
        None => "theme=dark; seen=2026-01-01".to_owned(),
    };
    Ok(request.header(COOKIE, cookies).body(())?)
}

/// A candidate of ours.
fn ours(name: &'static str, peer: Option<&'static str>, bounds: Bounds) -> Label {
    Label { name, peer, bounds }
}

fn bound(nanos: f64, allocations: i64) -> Option<Bound> {
    Some(Bound { nanos, allocations })
}

/// The `name=value` that a response sets.
fn cookie_of(response: &http::Response<()>) -> Result<String, Failure> {
    let value = response.headers().get(http::header::SET_COOKIE).ok_or("no cookie was set")?;
    Ok(value.to_str()?.split(';').next().unwrap_or_default().to_owned())
}
