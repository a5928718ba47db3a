//! [`Presence`]: who is there in a request as of now, for layers further in that bind something to it. [`Hold`]: the way
//! to it, and to a session's handle, for code without a type parameter. [`Forwarded`]: a credential that handlers hand on.
//! The layers that find out who is calling and `CsrfLayer` meet here.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::{Extensions, HeaderMap, HeaderValue};
use portcullis_store::Locator;

use crate::Identity;
use crate::guard::Words;

/// Who is there in a request, also after a login or logout of its own.
pub(crate) trait Presence: Words {
    /// The session that somebody is signed in by, if browsers send its token by themselves.
    fn session(&self) -> Option<Locator>;

    /// What stands for a visitor who is not signed in.
    fn guest(&self) -> &Guest;
}

/// What a layer further in keeps of one request. Where there is a session's handle it lies beside that, so that keeping
/// it costs nothing.
#[derive(Default)]
pub(crate) struct Guest {
    left: OnceLock<(Arc<dyn Any + Send + Sync>, Farewell)>,
    name: Mutex<Option<Name>>,
    used: AtomicBool,
}

/// What is said with the response of whoever is there by then.
type Farewell = fn(&dyn Presence, &mut HeaderMap);

/// What a visitor is called who is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) locator: Locator,
    pub(crate) origin: NameOrigin,
}

/// Where a visitor's name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameOrigin {
    /// The request has brought it.
    Presented,
    /// The request has brought it, and somebody is signed in who needs none.
    Stale,
    /// It was made for this request.
    New,
}

/// The credential that a request came with, as it goes on to another service. In the extensions, and taken away with whoever
/// it names.
#[cfg_attr(
    not(any(feature = "bearer", feature = "rust-crypto")),
    allow(dead_code, reason = "only bearer tokens are handed on")
)]
#[derive(Clone, Debug)]
pub(crate) struct Forwarded(pub(crate) HeaderValue);

/// How a layer that leaves a handle in the extensions lets it be found, taken away and given back, in its realm.
pub(crate) struct Hold {
    /// Who is there, by the handle; also by one that was withheld.
    pub(crate) presence: fn(&Extensions) -> Option<Arc<dyn Presence>>,
    /// Puts an empty handle in the place of the one that is there.
    pub(crate) withhold: fn(&mut Extensions),
    /// The same, for good, if it is that of somebody else's session.
    pub(crate) withhold_from: fn(&mut Extensions, &Identity),
    /// Puts the handle back.
    pub(crate) give_back: fn(&mut Extensions),
}

impl<P: Presence> Words for P {
    fn say(&self, headers: &mut HeaderMap) {
        if let Some((_, farewell)) = self.guest().left.get() {
            farewell(self, headers);
        }
    }
}

impl Guest {
    /// Leaves something for handlers to use, and for the response; what was left first stays.
    pub(crate) fn leave(&self, what: Arc<dyn Any + Send + Sync>, farewell: Farewell) {
        let _ = self.left.set((what, farewell));
    }

    /// What was left, if it is a `T`.
    pub(crate) fn left<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let (left, _) = self.left.get()?;
        Arc::clone(left).downcast().ok()
    }

    /// What the visitor is called.
    pub(crate) fn name(&self) -> MutexGuard<'_, Option<Name>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left here was used.
    pub(crate) fn note_use(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").field("name", &*self.name()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}
