//! [`SessionStream`] and [`SessionBody`]: what goes out for longer than a request, and stops with the session.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::watch::{SessionEnd, SessionWatch};

impl SessionWatch {
    /// Does `work`, unless the session ends first: then it is dropped where it stands.
    ///
    /// # Errors
    /// How the session has ended.
    pub async fn race<F: Future>(&mut self, work: F) -> Result<F::Output, SessionEnd> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            // The end first: what comes after it is no longer done.
            if let Poll::Ready(end) = Pin::new(&mut *self).poll(cx) {
                return Poll::Ready(Err(end));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
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
        SessionStream { stream: Some(stream), watch: self, at_end: Some(at_end) }
    }

    /// The frames of `body` until the session ends, as if it ended there. It should be one without `Content-Length`.
    pub fn body<B: Body>(self, body: B) -> SessionBody<B> {
        SessionBody { body: Some(body), watch: self }
    }
}

pin_project! {
    /// A stream that ends with a session. From [`SessionWatch::stream`].
    #[must_use = "streams do nothing unless polled"]
    pub struct SessionStream<S, F> {
        // Dropped when the session has ended, with all that it holds.
        #[pin]
        stream: Option<S>,
        watch: SessionWatch,
        at_end: Option<F>,
    }
}

pin_project! {
    /// A response body that ends with a session. From [`SessionWatch::body`].
    #[must_use = "bodies do nothing unless polled"]
    pub struct SessionBody<B> {
        #[pin]
        body: Option<B>,
        watch: SessionWatch,
    }
}

impl<S, F> Stream for SessionStream<S, F>
where
    S: Stream,
    F: FnOnce(SessionEnd) -> Option<S::Item>,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(end) = Pin::new(this.watch).poll(cx) {
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

impl<B: Body> Body for SessionBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if Pin::new(this.watch).poll(cx).is_ready() {
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

impl<S, F> fmt::Debug for SessionStream<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStream").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for SessionBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBody").field("watch", &self.watch).finish_non_exhaustive()
    }
}
