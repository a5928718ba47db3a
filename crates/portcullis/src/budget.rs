//! [`WithinBudget`]: a call of a store that a request waits for, and not for long.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use portcullis_store::{StoreError, StoreErrorKind};
use tokio::time::{Instant, Sleep};

pin_project! {
    /// A future under a budget. The timer is set only when there is something to wait for, so that an embedded
    /// backend pays nothing for it.
    pub(crate) struct WithinBudget<F> {
        #[pin]
        future: F,
        // None: it minds the time itself.
        budget: Option<Duration>,
        // In a box, because most futures that could have one never do.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// What comes of `future`, and since when it was waited for; `None` if there was nothing to wait for. An embedded backend so
/// does not pay for the time either.
#[cfg_attr(
    not(feature = "session"),
    expect(dead_code, reason = "only sessions share a budget among several calls")
)]
pub(crate) async fn waited<F: Future>(future: F) -> (F::Output, Option<Instant>) {
    let (mut future, mut since) = (pin!(future), None);
    let output = poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            since.get_or_insert_with(Instant::now);
        }
        polled
    });
    (output.await, since)
}

impl<F> WithinBudget<F> {
    /// Ends with [`StoreErrorKind::Timeout`] when `future` takes longer than the budget. Without one, it minds the time
    /// itself.
    pub(crate) const fn new(future: F, budget: Option<Duration>) -> Self {
        Self { future, budget, timer: None }
    }
}

impl<T, E, F> Future for WithinBudget<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<StoreError>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(output);
        }
        if this.timer.is_none()
            && let Some(budget) = *this.budget
        {
            *this.timer = Some(Box::pin(tokio::time::sleep(budget)));
        }
        match this.timer {
            Some(timer) => {
                timer.as_mut().poll(cx).map(|()| Err(StoreError::new(StoreErrorKind::Timeout).into()))
            }
            None => Poll::Pending,
        }
    }
}
