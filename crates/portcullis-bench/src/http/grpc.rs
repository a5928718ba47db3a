//! The gRPC servers that are measured: tonic's health service, and who may call it.
#![expect(clippy::wildcard_enum_match_arm, reason = "any other state is a failure")]

use portcullis::bearer::TokenCache;
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Failure;
use crate::candidates::tokens;

/// The method that is called.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// Serves what is asked for by this name, until the process ends.
pub(super) async fn serve(name: &str, listener: TcpListener, issuer: &TestIssuer) -> Result<(), Failure> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let bearer = tokens::layer(issuer, Algorithm::Es256)?.required();
    let mut server = Server::builder();
    match name {
        "gRPC: bare, sent a token" => server.add_service(health).serve_with_incoming(incoming).await?,
        "gRPC: BearerLayer, ES256, known" => {
            let bearer = bearer.cache(TokenCache::default());
            server.layer(bearer).add_service(health).serve_with_incoming(incoming).await?;
        }
        "gRPC: BearerLayer, ES256, verified" => {
            server.layer(bearer).add_service(health).serve_with_incoming(incoming).await?;
        }
        _ => return Err(format!("there is no server {name:?}").into()),
    }
    Ok(())
}

/// Makes one call by a client that reads the status, which whoever puts the load on does not.
pub(super) fn check(port: u16, token: &str) -> Result<(), Failure> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let channel = Channel::from_shared(format!("http://127.0.0.1:{port}"))?.connect().await?;
        let mut request = Request::new(HealthCheckRequest::default());
        let value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        request.metadata_mut().insert("authorization", value);
        let answer = HealthClient::new(channel).check(request).await?;
        match answer.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(format!("the server is {other:?}").into()),
        }
    })
}
