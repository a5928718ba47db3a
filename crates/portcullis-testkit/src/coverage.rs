//! [`Coverage`]: whether every route of a service is guarded, or public on purpose.
//!
//! A list of routes is walked by somebody who is not signed in. Each must refuse them, or say of itself that it is public;
//! one that just answers was forgotten. The two types by which Portcullis says so stand in the response's extensions:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use axum::extract::Extension;
//! use axum::{Router, routing::get};
//! use http::{Response, StatusCode};
//! use portcullis_testkit::coverage::{Coverage, Uncovered};
//!
//! // In an application: portcullis::rejection::Rejection and portcullis::guard::Public.
//! #[derive(Clone)] struct Rejection;
//! #[derive(Clone)] struct Public;
//!
//! let app = Router::new()
//!     .route("/", get(async || { let mut it = Response::new(String::new()); it.extensions_mut().insert(Public); it }))
//!     .route("/me", get(async || {
//!         let mut it = Response::new(String::new());
//!         *it.status_mut() = StatusCode::UNAUTHORIZED;
//!         it.extensions_mut().insert(Rejection);
//!         it
//!     }))
//!     .route("/forgotten", get(async || "a secret"));
//!
//! let found = Coverage::<Rejection, Public>::new().get("/").get("/me").get("/forgotten").find_uncovered(app).await;
//! assert_eq!(found, [Uncovered { route: "GET /forgotten".into(), status: StatusCode::OK, is_refusal: false }]);
//! # }
//! ```

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use crate::client::Client;

/// The routes that must be guarded or public, and the two types that say so: `R` is in the extensions of a refusal, `P` in
/// those of a response of a public route.
#[must_use]
pub struct Coverage<R, P> {
    routes: Vec<(Method, String, Option<&'static str>)>,
    said_by: PhantomData<fn() -> (R, P)>,
}

/// A route that neither refused somebody who was not signed in, nor said that it is public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// Method and path.
    pub route: String,
    /// What it answered.
    pub status: StatusCode,
    /// Whether that was a refusal, but none that says who may: a service that is put together wrongly, a store that is
    /// away.
    pub is_refusal: bool,
}

impl<R: Clone + Send + Sync + 'static, P: Clone + Send + Sync + 'static> Coverage<R, P> {
    /// No routes yet.
    pub fn new() -> Self {
        Self { routes: Vec::new(), said_by: PhantomData }
    }

    /// A route; parameters are filled in: `/users/7`.
    pub fn route(mut self, method: Method, path: impl Into<String>) -> Self {
        self.routes.push((method, path.into(), None));
        self
    }

    /// A route that is asked by GET.
    pub fn get(self, path: impl Into<String>) -> Self {
        self.route(Method::GET, path)
    }

    /// A route that is asked by POST.
    pub fn post(self, path: impl Into<String>) -> Self {
        self.route(Method::POST, path)
    }

    /// A method of a gRPC service, `/package.Service/Method`.
    pub fn grpc(mut self, path: impl Into<String>) -> Self {
        self.routes.push((Method::POST, path.into(), Some("application/grpc")));
        self
    }

    /// Asks each route, by scripts of the service's own pages and without a credential.
    ///
    /// # Panics
    /// When the service fails, or a path is none.
    pub async fn find_uncovered<S, B>(self, service: S) -> Vec<Uncovered>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: fmt::Debug> + Clone,
        B: Body<Error: fmt::Debug>,
    {
        let mut found = Vec::new();
        for (method, path, content_type) in self.routes {
            let mut request = Client::<S>::new(service.clone()).request(method.clone(), &path);
            if let Some(content_type) = content_type {
                request = request.header(http::header::CONTENT_TYPE, content_type);
            }
            let response = request.send().await;
            let is_refusal = response.extensions.get::<R>().is_some();
            let is_public = response.extensions.get::<P>().is_some();
            let is_guarded = is_refusal && says_who_may(response.status, response.header("grpc-status"));
            if !is_guarded && !is_public {
                found.push(Uncovered {
                    route: format!("{method} {path}"),
                    status: response.status,
                    is_refusal,
                });
            }
        }
        found
    }

    /// As [`find_uncovered`](Self::find_uncovered), and fails the test with a list.
    ///
    /// # Panics
    /// When a route is neither guarded nor public.
    pub async fn assert<S, B>(self, service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: fmt::Debug> + Clone,
        B: Body<Error: fmt::Debug>,
    {
        let uncovered = self.find_uncovered(service).await;
        assert!(uncovered.is_empty(), "neither guarded nor public: {uncovered:#?}");
    }
}

/// 401, 403, the way to a login page, or gRPC's 16 and 7; neither an outage nor a mistake.
fn says_who_may(status: StatusCode, grpc_status: Option<&str>) -> bool {
    match grpc_status {
        Some(code) => matches!(code, "7" | "16"),
        None => matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SEE_OTHER),
    }
}

impl<R: Clone + Send + Sync + 'static, P: Clone + Send + Sync + 'static> Default for Coverage<R, P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R, P> fmt::Debug for Coverage<R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coverage").field("routes", &self.routes).finish()
    }
}
