//! [`PublicLayer`]: a route that anybody may call, on purpose.

use tower_layer::Layer;

use crate::guard::{Check, Guard, GuardLayer, Head, Pass};
use crate::rejection::Rejection;

/// Says that a route is public on purpose. It refuses nothing; it marks responses with
/// [`Public`](crate::guard::Public), so that a test that walks all routes can tell what is public from what was forgotten:
/// `portcullis_testkit::coverage`.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct PublicLayer(());

/// The check that a [`PublicLayer`] makes: none.
#[derive(Clone, Copy, Debug)]
pub struct Everybody(());

impl PublicLayer {
    /// A route that anybody may call.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for PublicLayer {
    type Service = Guard<S, Everybody>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardLayer::new(Everybody(())).layer(inner)
    }
}

impl Check for Everybody {
    fn check(&self, _: Head<'_>) -> Result<Pass, Rejection> {
        Ok(Pass::public())
    }
}
