//! [`SessionStream`] and [`SessionBody`]: what goes out for longer than a request, and stops with the session.

use std::future::Future;

use futures_core::Stream;
use http_body::Body;

use super::{SessionEnd, SessionWatch};
use crate::ending::{self, EndingBody, EndingStream};

/// A stream that ends with a session. From [`SessionWatch::stream`].
pub type SessionStream<S, F> = EndingStream<S, SessionWatch, F>;

/// A response body that ends with a session. From [`SessionWatch::body`].
pub type SessionBody<B> = EndingBody<B, SessionWatch>;

impl SessionWatch {
    /// Does `work`, unless the session ends first: then it is dropped where it stands.
    ///
    /// # Errors
    /// How the session has ended.
    pub async fn race<F: Future>(&mut self, work: F) -> Result<F::Output, SessionEnd> {
        ending::race(self, work).await
    }

    /// The items of `stream` until the session ends, then what `at_end` makes of it, and then no more.
    ///
    /// For server-sent events that is a last event, so that the browser need not ask again; for a gRPC stream the status
    /// 16:
    ///
    /// ```
    /// # use portcullis::session::SessionWatch;
    /// # struct Status; impl Status { fn unauthenticated(_: &str) -> Self { Self } }
    /// # fn of(watch: SessionWatch, stream: impl futures_core::Stream<Item = Result<(), Status>>) {
    /// let stream = watch.stream(stream, |_| Some(Err(Status::unauthenticated("the session has ended"))));
    /// # }
    /// ```
    pub fn stream<S, F>(self, stream: S, at_end: F) -> SessionStream<S, F>
    where
        S: Stream,
        F: FnOnce(SessionEnd) -> Option<S::Item>,
    {
        EndingStream::new(stream, self, at_end)
    }

    /// The frames of `body` until the session ends, as if it ended there. It should be one without `Content-Length`.
    pub fn body<B: Body>(self, body: B) -> SessionBody<B> {
        EndingBody::new(body, self)
    }
}
