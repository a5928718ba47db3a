//! [`Watcher`]: who is told by a backend that sessions have ended, whichever process ended them.

use std::fmt;

use crate::Locator;

/// Who is told that sessions have ended. See [`SessionBackend::watch`](crate::SessionBackend::watch).
pub trait Watcher: Send + Sync + 'static {
    /// Something is to be known. It returns at once and does not call the backend, which may hold a lock meanwhile.
    fn notice(&self, notice: Notice<'_>);
}

/// What a watcher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// These sessions were destroyed. It may be told more than once.
    Ended(&'a [Locator]),
    /// From here on every end is told. What ended before is not: the watcher looks for itself.
    Hearing,
    /// From here on ends may go untold, until the next [`Hearing`](Self::Hearing). A watcher begins like this.
    Deaf,
}

/// A watch that goes on until this is dropped.
#[must_use = "dropped, it ends the watch"]
pub struct Watching(Box<dyn Send + Sync>);

impl Watching {
    /// The watch ends by dropping `guard`.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watching").field(&std::ptr::from_ref(&*self.0)).finish()
    }
}
