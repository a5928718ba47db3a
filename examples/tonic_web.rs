//! gRPC-web for pages in browsers beside gRPC for programs, on one tonic server, with bearer tokens.
//!
//! ```sh
//! cargo run --example tonic_web                             # PORT, or 3012; prints a token
//! URL=http://127.0.0.1:3012 TOKEN=...                       # as printed
//! # the message {year: 2026} behind gRPC's five bytes: a flag, and the length
//! printf '\0\0\0\0\3\10\352\17' | curl -si $URL/demo.Reports/Read --data-binary @- -H 'Content-Type: application/grpc-web+proto' \
//!     -H "Authorization: Bearer $TOKEN" | cat -v            # the report, and grpc-status:0 in the body's last frame
//! printf '\0\0\0\0\3\10\352\17' | curl -si $URL/demo.Reports/Read --data-binary @- -H 'Content-Type: application/grpc-web+proto'
//!                                                           # grpc-status: 16 in the header
//! ```
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

#[path = "tonic_bearer/reports.rs"]
#[expect(dead_code, reason = "the client is for programs")]
mod reports;
#[path = "quickstart/tokens.rs"]
pub(crate) mod tokens;

use std::env;
use std::error::Error;
use std::future::Future;
use std::net::Ipv4Addr;

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

use self::reports::{ReadReply, ReadRequest, Reports, ReportsServer};
use self::tokens::Tokens;

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
    tokens: &Tokens,
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
async fn main() -> Result<(), BoxError> {
    let port = env::var("PORT").map_or(Ok(3012), |port| port.parse())?;
    let tokens = Tokens::new("https://tonic.example", "reports")?;
    println!("TOKEN={}", tokens.mint(&Grant::new("ada", "demo").scope(SCOPE)).await?.as_str());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let stopped = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    serve(listener, &tokens, "http://localhost:3000", stopped).await
}
