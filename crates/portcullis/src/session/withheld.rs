//! [`Withheld`]: a session that was taken out of a request's reach, and the empty one in its place.

use std::sync::Arc;

use http::Extensions;
use portcullis_store::Locator;

use super::handle::Session;
use super::shared::Shared;
use super::state::Held;
use crate::identity::Carrier;
use crate::realm::{Guest, Hold, Presence, Realm};

/// The handle that a request's handlers must not have. In the extensions, where only [`Hold::give_back`] finds it.
struct Withheld<M>(Session<M>);

impl<M> Clone for Withheld<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// How others find this realm's handle.
pub(crate) const fn hold<M: Realm>() -> &'static Hold {
    const { &Hold { presence: presence::<M>, withhold: withhold::<M>, give_back: give_back::<M> } }
}

impl Presence for Shared {
    fn session(&self) -> Option<Locator> {
        self.peek(|state| {
            let stored = state.stored()?;
            let by_cookie = stored.identity()?.carrier() == Carrier::Ambient;
            by_cookie.then_some(stored.locator)
        })
    }

    fn guest(&self) -> &Guest {
        &self.guest
    }
}

impl Shared {
    /// An empty one, that cannot be written to. It belongs to no layer, so no response says anything of it.
    fn empty(&self) -> Arc<Self> {
        Arc::new(Self::new(Arc::clone(&self.core), Held::Withheld, false, false, || self.head.clone()))
    }
}

fn presence<M: Realm>(extensions: &Extensions) -> Option<Arc<dyn Presence>> {
    let withheld = extensions.get::<Withheld<M>>().map(|Withheld(session)| session);
    let session = withheld.or_else(|| extensions.get::<Session<M>>())?;
    Some(Arc::<Shared>::clone(session.shared()))
}

fn withhold<M: Realm>(extensions: &mut Extensions) {
    let Some(session) = extensions.get_mut::<Session<M>>() else { return };
    let empty = Session::of(session.shared().empty());
    let session = std::mem::replace(session, empty);
    // Withheld twice, the first one is the request's.
    if extensions.get::<Withheld<M>>().is_none() {
        extensions.insert(Withheld(session));
    }
}

fn give_back<M: Realm>(extensions: &mut Extensions) {
    if let Some(Withheld(session)) = extensions.remove::<Withheld<M>>() {
        extensions.insert(session);
    }
}
