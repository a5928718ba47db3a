//! Sessions without a framework: a counter of one's own for every visitor, on hyper 1.
//!
//! ```sh
//! cargo run --example hyper_session                        # PORT, or 3001
//! curl -sS -c jar -b jar http://localhost:3001/            # the page
//! curl -sS -c jar -b jar -H 'Origin: http://localhost:3001' -X POST http://localhost:3001/ -i   # 303, counted
//! curl -sS -c jar -b jar http://localhost:3001/            # the page, one more
//! curl -sS -c jar -b jar -H 'Origin: https://evil.example' -X POST http://localhost:3001/ -i    # 403
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use portcullis::session::{MemoryBackend, SessionError, SessionKey};
use portcullis::{CsrfLayer, Session, SessionLayer};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

use self::start::{Failure, listen};

type Page = Response<Full<Bytes>>;

const COUNT: SessionKey<i64> = SessionKey::new("count");

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = listen(3001).await?;
    println!("Open http://localhost:{}/", listener.local_addr()?.port());
    Ok(run(listener).await?)
}

/// Serves each connection by itself, HTTP/1.1 and HTTP/2.
pub(crate) async fn run(listener: TcpListener) -> io::Result<()> {
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(MemoryBackend::new()))
        // Nobody signs in here, and what visitors have in their sessions is theirs all the same.
        .layer(CsrfLayer::new().always())
        .service(service_fn(serve));
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                println!("a connection broke: {error}");
            }
        });
    }
}

async fn serve(request: Request<Incoming>) -> Result<Page, Infallible> {
    // SessionLayer has put it there, for every request.
    let Some(session) = request.extensions().get::<Session>() else {
        return Ok(text(StatusCode::INTERNAL_SERVER_ERROR, "SessionLayer is missing"));
    };
    let answer = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => show(session),
        (&Method::POST, "/") => count(session).await,
        (_, "/") => Ok(not_allowed()),
        _ => Ok(text(StatusCode::NOT_FOUND, "there is only /")),
    };
    Ok(answer.unwrap_or_else(|error| text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())))
}

fn show(session: &Session) -> Result<Page, SessionError> {
    let count = session.get(&COUNT)?.unwrap_or_default();
    let page = format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Counter</title>\
         <p>You have counted to {count}.</p><form method=post><button>Count</button></form></html>\n"
    );
    let mut response = Response::new(page.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}

/// Exact, however many requests count at once.
async fn count(session: &Session) -> Result<Page, SessionError> {
    session.increment(&COUNT, 1)?;
    session.commit().await?;
    let mut response = text(StatusCode::SEE_OTHER, "counted");
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    Ok(response)
}

fn not_allowed() -> Page {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or POST");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    response
}

fn text(status: StatusCode, text: &str) -> Page {
    let mut response = Response::new(format!("{text}\n").into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
