//! [`Expiry`]: the end of a token, awaited by what outlives its request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use http_body::Body;
use portcullis_store::{Clock, SystemClock, Timestamp};
use tokio::time::{Sleep, sleep};

use crate::ending::{self, EndingBody, EndingStream};
use crate::identity::Identity;

/// The end of a token, to be awaited by what outlives its request: a WebSocket, a server-sent event stream, a gRPC stream.
/// From [`Identity::expired`].
///
/// * It ends when the token does, at its `exp` and without leeway. Of a token that was good by the leeway only, that is at
///   once.
/// * It is told by the [clock](Self::clock), which is looked at once more every 30 seconds at least: one that is set
///   forward, as after a machine was asleep, is noticed then.
/// * It is the end that the token had when it came. A client that goes on opens another stream with another token.
/// * Whether the token was taken back is not asked again.
///
/// It borrows nothing, and needs a tokio runtime when it is polled.
///
/// ```
/// # struct CloseFrame { code: u16, reason: &'static str } enum Message { Close(Option<CloseFrame>) }
/// # struct WebSocket; impl WebSocket {
/// #     async fn recv(&mut self) -> Option<Result<Message, ()>> { None }
/// #     async fn send(&mut self, _: Message) -> Result<(), ()> { Ok(()) }
/// # }
/// # struct Upgrade; impl Upgrade { fn on_upgrade<F: Future>(self, _: impl FnOnce(WebSocket) -> F) {} }
/// use portcullis::Identity;
/// use portcullis::bearer::Expired;
///
/// async fn chat(upgrade: Upgrade, me: Identity) {
///     upgrade.on_upgrade(move |socket| me.expired().serve(socket, echo, close))
/// }
///
/// async fn echo(socket: &mut WebSocket) {
///     while let Some(Ok(message)) = socket.recv().await {
///         let _ = socket.send(message).await;
///     }
/// }
///
/// async fn close(socket: &mut WebSocket, end: Expired) {
///     let frame = CloseFrame { code: Expired::CLOSE_CODE, reason: end.reason() };
///     let _ = socket.send(Message::Close(Some(frame))).await;
/// }
/// ```
#[must_use = "an expiry does nothing unless it is awaited"]
pub struct Expiry {
    /// `None` for a credential that does not end on its own.
    at: Option<Timestamp>,
    clock: Arc<dyn Clock>,
    waiting: Option<Pin<Box<Sleep>>>,
}

/// A token has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expired;

/// A stream that ends with a token. From [`Expiry::stream`].
pub type ExpiringStream<S, F> = EndingStream<S, Expiry, F>;

/// A response body that ends with a token. From [`Expiry::body`].
pub type ExpiringBody<B> = EndingBody<B, Expiry>;

/// For how long the clock is not looked at.
const LOOK: Duration = Duration::from_secs(30);

/// However soon the end is.
const SHORTEST: Duration = Duration::from_millis(1);

impl<M> Identity<M> {
    /// The end of the token that this is known by, as a future. Of a credential that does not end on its own it never comes.
    ///
    /// It goes by [`expires_at`](Self::expires_at), which a session moves on: what a session has to do with belongs to
    /// `Session::watch`.
    pub fn expired(&self) -> Expiry {
        Expiry { at: self.expires_at(), clock: Arc::new(SystemClock), waiting: None }
    }
}

impl Expiry {
    /// The clock that it is told by; the one of the layer, if that has its own. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Does `work`, unless the token ends first: then it is dropped where it stands.
    ///
    /// # Errors
    /// When the token has ended.
    pub async fn race<F: Future>(&mut self, work: F) -> Result<F::Output, Expired> {
        ending::race(self, work).await
    }

    /// The items of `stream` until the token ends, then what `at_end` makes of it, and then no more.
    ///
    /// For server-sent events that is a last event, for a gRPC stream the status 16:
    ///
    /// ```
    /// # struct Status; impl Status { fn unauthenticated(_: &str) -> Self { Self } }
    /// # fn of(me: portcullis::Identity, stream: impl futures_core::Stream<Item = Result<(), Status>>) {
    /// let stream = me.expired().stream(stream, |end| Some(Err(Status::unauthenticated(end.reason()))));
    /// # }
    /// ```
    pub fn stream<S, F>(self, stream: S, at_end: F) -> ExpiringStream<S, F>
    where
        S: Stream,
        F: FnOnce(Expired) -> Option<S::Item>,
    {
        EndingStream::new(stream, self, at_end)
    }

    /// The frames of `body` until the token ends, as if it ended there. It should be one without `Content-Length`.
    pub fn body<B: Body>(self, body: B) -> ExpiringBody<B> {
        EndingBody::new(body, self)
    }

    /// Serves a WebSocket until the token ends. Then `serve` is dropped where it stands, and `close` says goodbye: it sends
    /// a close frame with [`Expired::CLOSE_CODE`], within two seconds. When `serve` returns first, nothing more is done. The
    /// socket is dropped in the end.
    pub async fn serve<S>(
        self,
        socket: S,
        serve: impl AsyncFnOnce(&mut S),
        close: impl AsyncFnOnce(&mut S, Expired),
    ) {
        ending::serve(self, socket, serve, close).await;
    }
}

impl Expired {
    /// The code that a WebSocket is closed with: 401 in the range that applications define (RFC 6455, section 7.4.2).
    pub const CLOSE_CODE: u16 = ending::CLOSE_CODE;

    /// `token expired`: the reason beside [`CLOSE_CODE`](Self::CLOSE_CODE), the message beside gRPC's status 16.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        "token expired"
    }
}

impl Future for Expiry {
    type Output = Expired;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Expired> {
        let Some(at) = self.at else { return Poll::Pending };
        loop {
            let left = at.since(self.clock.now());
            if left.is_zero() {
                return Poll::Ready(Expired);
            }
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(left.clamp(SHORTEST, LOOK))));
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expiry").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::ManualClock;
    use tokio::time::{Instant, advance, timeout};

    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    /// The end of somebody's token by a clock that stands at 1000 seconds.
    fn expiry(expires: Option<u64>) -> (Expiry, ManualClock) {
        let (clock, mut who) = (ManualClock::at(at(1000)), Identity::new("ada"));
        if let Some(expires) = expires {
            who = who.expires_at(at(expires));
        }
        (who.build().expired().clock(clock.clone()), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_ends_at_its_end_and_not_before() {
        let (mut expiry, clock) = expiry(Some(1010));
        assert!(timeout(Duration::from_millis(9_999), &mut expiry).await.is_err());
        clock.set(Timestamp::from_millis(1_009_999));
        assert!(timeout(Duration::from_micros(900), &mut expiry).await.is_err());
        clock.set(at(1010));
        let began = Instant::now();
        assert_eq!((&mut expiry).await, Expired);
        assert!(began.elapsed() <= Duration::from_millis(2));
        assert_eq!(expiry.await, Expired, "and says so again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_over_at_once_and_what_has_no_end_never_ends() {
        for expires in [0, 999, 1000] {
            let began = Instant::now();
            assert_eq!((expiry(Some(expires)).0.await, began.elapsed()), (Expired, Duration::ZERO));
        }
        assert!(timeout(Duration::from_secs(1 << 30), expiry(None).0).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_is_noticed_within_30_seconds() {
        let (expiry, clock) = expiry(Some(100_000));
        let mut waiting = tokio::spawn(expiry);
        assert!(timeout(Duration::from_secs(40), &mut waiting).await.is_err());
        clock.set(at(100_000));
        assert_eq!(timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap(), Expired);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_gives_the_token_its_time() {
        let (mut expiry, clock) = expiry(Some(1020));
        assert!(timeout(Duration::from_secs(19), &mut expiry).await.is_err());
        clock.set(at(900));
        assert!(timeout(Duration::from_secs(100), &mut expiry).await.is_err());
        clock.set(at(1020));
        advance(Duration::from_secs(30)).await;
        assert_eq!(expiry.await, Expired);
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_dropped_where_it_stands() {
        let (mut early, _) = expiry(Some(2000));
        assert_eq!(early.race(async { 7 }).await, Ok(7));
        let (mut late, _) = expiry(Some(1000));
        let mut done = false;
        assert_eq!(late.race(async { done = true }).await, Err(Expired));
        assert!(!done, "what is over does no work");
    }
}
