//! [`EndingStream`] and [`EndingBody`]: what goes out for longer than a request, and stops when something else has ended: a
//! session, or a token.
//!
//! `SessionWatch` and `Expiry` are such ends, and their methods `stream` and `body` make these types.
#![cfg_attr(
    any(feature = "bearer", feature = "rust-crypto"),
    doc = r#"
```
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use portcullis::Identity;
use portcullis_store::Timestamp;

# #[tokio::main(flavor = "current_thread")] async fn main() {
let somebody = Identity::new("ada").expires_at(Timestamp::EPOCH).build(); // long ago
let mut body = somebody.expired().body(Full::new(Bytes::from("for ada")));
assert!(body.frame().await.is_none());
# }
```
"#
)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The code that a WebSocket is closed with: 401 in the range that applications define (RFC 6455, section 7.4.2).
pub(crate) const CLOSE_CODE: u16 = 4401;

/// How long closing may take: a client that reads nothing must not hold the socket.
const FAREWELL: Duration = Duration::from_secs(2);

pin_project! {
    /// The items of a stream until `E` has ended, and then what is made of that.
    #[must_use = "streams do nothing unless polled"]
    pub struct EndingStream<S, E, F> {
        // Dropped at the end, with all that it holds.
        #[pin]
        stream: Option<S>,
        end: E,
        at_end: Option<F>,
    }
}

pin_project! {
    /// The frames of a response body until `E` has ended.
    #[must_use = "bodies do nothing unless polled"]
    pub struct EndingBody<B, E> {
        #[pin]
        body: Option<B>,
        end: E,
    }
}

/// Does `work`, unless `end` comes first: then it is dropped where it stands.
pub(crate) async fn race<E, F>(end: &mut E, work: F) -> Result<F::Output, E::Output>
where
    E: Future + Unpin,
    F: Future,
{
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        // The end first: what comes after it is no longer done.
        if let Poll::Ready(end) = Pin::new(&mut *end).poll(cx) {
            return Poll::Ready(Err(end));
        }
        work.as_mut().poll(cx).map(Ok)
    })
    .await
}

/// Serves a socket until the end, and then says goodbye.
pub(crate) async fn serve<E, S>(
    mut end: E,
    mut socket: S,
    serve: impl AsyncFnOnce(&mut S),
    close: impl AsyncFnOnce(&mut S, E::Output),
) where
    E: Future + Unpin,
{
    if let Err(end) = race(&mut end, serve(&mut socket)).await {
        let _ = tokio::time::timeout(FAREWELL, close(&mut socket, end)).await;
    }
}

impl<S, E, F> EndingStream<S, E, F> {
    pub(crate) const fn new(stream: S, end: E, at_end: F) -> Self {
        Self { stream: Some(stream), end, at_end: Some(at_end) }
    }
}

impl<B, E> EndingBody<B, E> {
    pub(crate) const fn new(body: B, end: E) -> Self {
        Self { body: Some(body), end }
    }
}

impl<S, E, F> Stream for EndingStream<S, E, F>
where
    S: Stream,
    E: Future + Unpin,
    F: FnOnce(E::Output) -> Option<S::Item>,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(end) = Pin::new(this.end).poll(cx) {
            this.stream.set(None);
            return Poll::Ready(this.at_end.take().and_then(|at_end| at_end(end)));
        }
        let item = ready!(stream.poll_next(cx));
        if item.is_none() {
            this.stream.set(None);
        }
        Poll::Ready(item)
    }
}

impl<B: Body, E: Future + Unpin> Body for EndingBody<B, E> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if Pin::new(this.end).poll(cx).is_ready() {
            this.body.set(None);
            return Poll::Ready(None);
        }
        body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    /// At most what it would be: it may end at any time.
    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        let upper = self.body.as_ref().map_or(Some(0), |body| body.size_hint().upper());
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<S, E: fmt::Debug, F> fmt::Debug for EndingStream<S, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndingStream").field("end", &self.end).finish_non_exhaustive()
    }
}

impl<B, E: fmt::Debug> fmt::Debug for EndingBody<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndingBody").field("end", &self.end).finish_non_exhaustive()
    }
}
