//! [`WithinBudget`]: a call of a store that a request waits for, and not for long.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use portcullis_store::{StoreError, StoreErrorKind};
use tokio::time::Sleep;

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
