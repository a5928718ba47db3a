//! [`When`]: an order in the making. [`Order`]: what a spy does in place of a call, or around it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use portcullis_store::StoreErrorKind;

use super::{Operation, Spy};

/// An order in the making: which calls, and how many of them. See [`Spy::on`].
#[derive(Debug)]
#[must_use = "an order says what to do: fail, hang, ..."]
pub struct When<'a, B> {
    pub(super) spy: &'a Spy<B>,
    pub(super) operation: Option<Operation>,
    pub(super) times: usize,
}

pub(super) struct Order {
    operation: Option<Operation>,
    pub(super) left: usize,
    pub(super) effect: Effect,
}

type Hook = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Clone)]
pub(super) enum Effect {
    Fail(StoreErrorKind),
    LoseAnswer(StoreErrorKind),
    Hang,
    Before(Hook),
    After(Hook),
}

impl<B> When<'_, B> {
    /// Only the next `times` such calls. Without it, all of them.
    pub const fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// They fail as `kind`, and nothing is done.
    pub fn fail(self, kind: StoreErrorKind) {
        self.give(Effect::Fail(kind));
    }

    /// They are carried out, and fail as `kind` all the same: the answer was lost.
    pub fn lose_answer(self, kind: StoreErrorKind) {
        self.give(Effect::LoseAnswer(kind));
    }

    /// They never end, and nothing is done.
    pub fn hang(self) {
        self.give(Effect::Hang);
    }

    /// `hook` runs before they are carried out.
    pub fn before<F: Future<Output = ()> + Send + 'static>(
        self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) {
        self.give(Effect::Before(Arc::new(move || Box::pin(hook()))));
    }

    /// `hook` runs after they were carried out, before their answer arrives.
    pub fn after<F: Future<Output = ()> + Send + 'static>(
        self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) {
        self.give(Effect::After(Arc::new(move || Box::pin(hook()))));
    }

    fn give(self, effect: Effect) {
        let order = Order { operation: self.operation, left: self.times, effect };
        self.spy.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
    }
}

impl Order {
    pub(super) fn fits(&self, operation: Operation) -> bool {
        self.left > 0 && self.operation.is_none_or(|ordered| ordered == operation)
    }
}
