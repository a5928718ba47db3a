//! [`Dependents`]: what a login has brought forth besides its session, and what ends with it.

use std::future::Future;
use std::pin::Pin;

use portcullis_store::{Locator, StoreError};

/// What ends with a session: the tokens of the same login.
///
/// A session layer that was [given](crate::session::SessionLayerBuilder::dependents) one has it end what hangs on a session
/// *before* the session ends, by logout, by revocation or by another login in its place. If that fails, the session goes on
/// and whoever wanted it ended is told so: nothing outlives a session that has ended. A session that has lain idle for too
/// long ends nothing else.
///
/// [`Revocations`](crate::bearer::Revocations) is one: it revokes the tokens whose `sid` is the session's public name, and
/// whose user is the session's, issuer included; and all of the user's when everything of the user ends.
///
/// Each call may be made twice, and ends within a budget of its own.
pub trait Dependents: Send + Sync + 'static {
    /// Ends what hangs on these sessions of one user. The user is named as everywhere in a store.
    fn end<'a>(&'a self, user: Locator, sessions: &'a [Locator]) -> EndingDependents<'a>;

    /// Ends all that the user has, whichever session it hangs on, and if on none: when all of the user's sessions end, or
    /// the credentials were changed.
    fn end_all<'a>(&'a self, user: Locator) -> EndingDependents<'a>;
}

/// The future of an end.
pub type EndingDependents<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;
