//! gRPC with bearer tokens, on tonic: one layer finds out who is calling, one table says which scope each method demands.
//!
//! ```sh
//! cargo run --example tonic_bearer                    # server and client in one: makes six calls, prints the answers
//! cargo run --example tonic_bearer -- server          # PORT, or 3019; prints three tokens
//! TOKEN=... cargo run --example tonic_bearer -- client
//! ```
//!
//! Any gRPC client can call it, with the schema in `tonic_bearer/reports.proto`:
//!
//! ```sh
//! grpcurl -plaintext -proto examples/tonic_bearer/reports.proto -H "authorization: Bearer $TOKEN" \
//!     -d '{"year": 2026}' 127.0.0.1:3019 demo.Reports/Read
//! ```
#![allow(clippy::print_stdout, reason = "a program says what it gets")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

#[path = "quickstart/authority.rs"]
pub(crate) mod authority;
#[path = "tonic_bearer/reports.rs"]
pub(crate) mod reports;
mod start;

use std::env;
use std::error::Error;
use std::future::Future;
use std::net::Ipv4Addr;

use portcullis::BearerLayer;
use portcullis::identity::IdentityExt;
use portcullis::issue::Grant;
use portcullis::require::{Policy, PolicyTable};
use tokio::net::TcpListener;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use self::authority::Authority;
use self::reports::{DELETE, READ, ReadReply, ReadRequest, Reports, ReportsClient, ReportsServer};
use self::start::{Failure, listen, port};

type BoxError = Box<dyn Error + Send + Sync>;

/// What each method demands. What is not in here nobody may call, so no method can be forgotten. Whoever watches the
/// server's health needs no token.
fn policies() -> Result<PolicyTable, BoxError> {
    let table = PolicyTable::by_path()
        .public("/grpc.health.v1.Health/Check")
        .rule(READ, Policy::scope("reports.read"))
        .rule(DELETE, Policy::scope("reports.delete"));
    Ok(table.build()?)
}

struct Archive;

impl Reports for Archive {
    /// Who is calling stands in the request's extensions.
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadReply>, Status> {
        let me = request.extensions().identity().ok_or_else(|| Status::internal("BearerLayer is missing"))?;
        let text = format!("the report of {}, for {}", request.get_ref().year, me.subject());
        Ok(Response::new(ReadReply { text }))
    }

    async fn delete(&self, request: Request<ReadRequest>) -> Result<Response<ReadReply>, Status> {
        let text = format!("the report of {} is gone", request.get_ref().year);
        Ok(Response::new(ReadReply { text }))
    }
}

/// Serves until `stopped`. `BearerLayer` refuses bad tokens and lets calls without one pass; the table inside of it decides
/// who may make which.
pub(crate) async fn serve(
    listener: TcpListener,
    tokens: &Authority,
    stopped: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<ReportsServer<Archive>>().await;
    Server::builder()
        .layer(BearerLayer::new([tokens.issuer()])?)
        .layer(policies()?)
        .add_service(health_service)
        .add_service(ReportsServer::new(Archive))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stopped)
        .await?;
    Ok(())
}

/// What it is called in the output, the method, and the token.
type Call<'a> = (&'a str, &'static str, Option<&'a str>);

/// Makes one call, and says how it went.
async fn call(channel: &Channel, (name, method, token): Call<'_>) -> Result<(), BoxError> {
    let mut request = Request::new(ReadRequest { year: 2026 });
    if let Some(token) = token {
        let value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        request.metadata_mut().insert("authorization", value);
    }
    match ReportsClient::new(channel.clone()).call(method, request).await {
        Ok(reply) => println!("{name}: OK (0), {:?}", reply.into_inner().text),
        Err(status) => {
            println!("{name}: {:?} ({}), {:?}", status.code(), status.code() as i32, status.message())
        }
    }
    Ok(())
}

async fn client(address: &str, calls: &[Call<'_>]) -> Result<(), BoxError> {
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await?;
    println!("health, without a token: {:?}", health.into_inner().status());
    for it in calls {
        call(&channel, *it).await?;
    }
    Ok(())
}

/// What ada is given, but for scopes.
fn ada() -> Grant {
    Grant::new("ada", "tonic-cli")
}

async fn demo() -> Result<(), BoxError> {
    let tokens = tokens()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    let [unscoped, reads, deletes] = three(&tokens).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap_or_default() };
        serve(listener, &tokens, stopped).await
    });
    client(
        &address,
        &[
            ("Read, without a token", READ, None),
            ("Read, with a bad token", READ, Some("a.b.c")),
            ("Read, without a scope", READ, Some(&unscoped)),
            ("Read, with its scope", READ, Some(&reads)),
            ("Delete, with the scope of Read", DELETE, Some(&reads)),
            ("Delete, with its scope", DELETE, Some(&deletes)),
        ],
    )
    .await?;
    drop(stop);
    server.await?
}

async fn server() -> Result<(), Failure> {
    let tokens = tokens()?;
    let listener = listen(3019).await?;
    println!("Listening on {}. Three tokens of ada's:", listener.local_addr()?);
    for (name, token) in ["without a scope", "for Read", "for Delete"].iter().zip(three(&tokens).await?) {
        println!("{name}: TOKEN={token}");
    }
    serve(listener, &tokens, async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await?;
    Ok(())
}

/// One without a scope, and one for each method.
async fn three(tokens: &Authority) -> Result<[String; 3], BoxError> {
    let grants = [ada(), ada().scope("reports.read"), ada().scope("reports.delete")];
    let mut texts = [const { String::new() }; 3];
    for (text, grant) in texts.iter_mut().zip(&grants) {
        tokens.mint(grant).await?.as_str().clone_into(text);
    }
    Ok(texts)
}

fn tokens() -> Result<Authority, BoxError> {
    Authority::new("https://tonic.example", "reports")
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match env::args().nth(1).as_deref() {
        None | Some("demo") => Ok(demo().await?),
        Some("server") => server().await,
        Some("client") => {
            let address = format!("127.0.0.1:{}", port(3019)?);
            let token = env::var("TOKEN").ok();
            Ok(client(&address, &[("Reports/Read", READ, token.as_deref())]).await?)
        }
        Some(other) => Err(format!("{other:?} is none of server, client, demo").into()),
    }
}
