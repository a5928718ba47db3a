//! The service `demo.Reports` and its client, as `tonic-prost-build` would make them from `reports.proto`. They are written
//! by hand so that the example builds without `protoc`.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, StdError, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// The path of the method `Read`.
pub(crate) const READ: &str = "/demo.Reports/Read";

/// The path of the method `Delete`.
pub(crate) const DELETE: &str = "/demo.Reports/Delete";

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadRequest {
    #[prost(uint32, tag = "1")]
    pub(crate) year: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadReply {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

pub(crate) trait Reports: Send + Sync + 'static {
    fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> impl Future<Output = Result<Response<ReadReply>, Status>> + Send;

    fn delete(
        &self,
        request: Request<ReadRequest>,
    ) -> impl Future<Output = Result<Response<ReadReply>, Status>> + Send;
}

pub(crate) struct ReportsServer<T>(Arc<T>);

impl<T> ReportsServer<T> {
    pub(crate) fn new(reports: T) -> Self {
        Self(Arc::new(reports))
    }
}

impl<T> Clone for ReportsServer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> NamedService for ReportsServer<T> {
    const NAME: &'static str = "demo.Reports";
}

impl<T: Reports> Service<http::Request<Body>> for ReportsServer<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let reports = Arc::clone(&self.0);
        Box::pin(async move {
            Ok(match request.uri().path() {
                READ => tonic::server::Grpc::new(ProstCodec::default()).unary(Read(reports), request).await,
                DELETE => {
                    tonic::server::Grpc::new(ProstCodec::default()).unary(Delete(reports), request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Read<T>(Arc<T>);

impl<T: Reports> UnaryService<ReadRequest> for Read<T> {
    type Response = ReadReply;
    type Future = BoxFuture<Response<ReadReply>, Status>;

    fn call(&mut self, request: Request<ReadRequest>) -> Self::Future {
        let reports = Arc::clone(&self.0);
        Box::pin(async move { reports.read(request).await })
    }
}

struct Delete<T>(Arc<T>);

impl<T: Reports> UnaryService<ReadRequest> for Delete<T> {
    type Response = ReadReply;
    type Future = BoxFuture<Response<ReadReply>, Status>;

    fn call(&mut self, request: Request<ReadRequest>) -> Self::Future {
        let reports = Arc::clone(&self.0);
        Box::pin(async move { reports.delete(request).await })
    }
}

pub(crate) struct ReportsClient(tonic::client::Grpc<Channel>);

impl ReportsClient {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(tonic::client::Grpc::new(channel))
    }

    pub(crate) async fn call(
        &mut self,
        method: &'static str,
        request: Request<ReadRequest>,
    ) -> Result<Response<ReadReply>, Status> {
        self.0.ready().await.map_err(|error| {
            let error: StdError = error.into();
            Status::unavailable(error.to_string())
        })?;
        self.0.unary(request, http::uri::PathAndQuery::from_static(method), ProstCodec::default()).await
    }
}
