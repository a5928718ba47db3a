//! [`Response`]: an answer, read to its end.

use std::fmt;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Extensions, HeaderMap, StatusCode, response};
use http_body::Body;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

/// An answer, read to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The header fields after the body, such as gRPC's status.
    pub trailers: HeaderMap,
    /// What the service left for layers outside of it.
    pub extensions: Extensions,
}

impl Response {
    pub(super) async fn read<B>(head: response::Parts, body: B) -> Self
    where
        B: Body,
        B::Error: fmt::Debug,
    {
        let collected = body.collect().await.expect("the response's body can be read");
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let response::Parts { status, headers, extensions, .. } = head;
        Self { status, headers, body: collected.to_bytes(), trailers, extensions }
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not, or not of this shape.
    #[must_use]
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the body {:?}", self.text()))
    }

    /// The first header field of this name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `Set-Cookie` lines, in order.
    #[must_use]
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok()).collect()
    }

    /// The response itself, if it has this status.
    ///
    /// # Panics
    /// When it has another; with the whole response.
    #[track_caller]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "headers {:?}, body {:?}", self.headers, self.text());
        self
    }
}
