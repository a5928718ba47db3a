//! gRPC-web for pages in browsers beside gRPC for programs, on one tonic server, with bearer tokens.
//!
//! ```sh
//! cargo run --example tonic_web                             # PORT, or 3018; prints a token
//! URL=http://127.0.0.1:3018 TOKEN=...                       # as printed
//! # the message {year: 2026} behind gRPC's five bytes: a flag, and the length
//! printf '\0\0\0\0\3\10\352\17' | curl -si $URL/demo.Reports/Read --data-binary @- -H 'Content-Type: application/grpc-web+proto' \
//!     -H "Authorization: Bearer $TOKEN" | cat -v            # the report, and grpc-status:0 in the body's last frame
//! printf '\0\0\0\0\3\10\352\17' | curl -si $URL/demo.Reports/Read --data-binary @- -H 'Content-Type: application/grpc-web+proto'
//!                                                           # grpc-status: 16 in the header
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

#[path = "quickstart/authority.rs"]
pub(crate) mod authority;
#[path = "tonic_bearer/reports.rs"]
#[allow(dead_code, reason = "the client is for programs")]
mod reports;
mod start;

use std::error::Error;
use std::future::Future;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use portcullis::identity::IdentityExt;
use portcullis::issue::Grant;
use portcullis::{BearerLayer, RequireLayer};
use tokio::net::TcpListener;
use tonic::service::LayerExt;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_web::GrpcWebLayer;
use tower_http::cors::CorsLayer;

use self::authority::Authority;
use self::reports::{ReadReply, ReadRequest, Reports, ReportsServer};
use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

const SCOPE: &str = "reports.read";

struct Archive;

impl Reports for Archive {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadReply>, Status> {
        let me = request.extensions().identity().ok_or_else(|| Status::internal("BearerLayer is missing"))?;
        let text = format!("the report of {}, for {}", request.get_ref().year, me.subject());
        Ok(Response::new(ReadReply { text }))
    }

    async fn delete(&self, _: Request<ReadRequest>) -> Result<Response<ReadReply>, Status> {
        Err(Status::unimplemented("reports are kept here"))
    }
}

/// Serves until `stopped`, for pages of `origin` and for programs.
///
/// `GrpcWebLayer` outside: what our layers refuse is put into gRPC-web with all else. Inside it works as well, and then our
/// layers answer in gRPC-web themselves.
pub(crate) async fn serve(
    listener: TcpListener,
    tokens: &Authority,
    origin: &'static str,
    stopped: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let page = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(origin))
        .allow_methods([Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("x-grpc-web")])
        .expose_headers([HeaderName::from_static("grpc-status"), HeaderName::from_static("grpc-message")]);
    Server::builder()
        .accept_http1(true)
        .layer(page)
        .layer(GrpcWebLayer::new())
        .layer(BearerLayer::new([tokens.issuer()])?)
        .add_service(RequireLayer::authenticated().scope(SCOPE).named_layer(ReportsServer::new(Archive)))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stopped)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let tokens = Authority::new("https://tonic.example", "reports")?;
    let listener = listen(3018).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    println!("TOKEN={}", tokens.mint(&Grant::new("ada", "demo").scope(SCOPE)).await?.as_str());
    let stopped = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    serve(listener, &tokens, "http://localhost:3000", stopped).await?;
    Ok(())
}
