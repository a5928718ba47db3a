//! [`Withheld`]: a session that was taken out of a request's reach, and the empty one in its place.

use std::sync::Arc;

use http::Extensions;
use portcullis_store::Locator;

use super::Session;
use crate::Identity;
use crate::identity::Carrier;
use crate::realm::{Guest, Hold, Presence, Realm};
use crate::session::shared::Shared;
use crate::session::state::Held;

/// The handle that a request's handlers must not have. In the extensions, where only [`Hold::give_back`] finds it.
struct Withheld<M> {
    session: Session<M>,
    /// It is not whose request it is, whatever that proves.
    for_good: bool,
}

impl<M> Clone for Withheld<M> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), for_good: self.for_good }
    }
}

/// How others find this realm's handle.
pub(crate) const fn hold<M: Realm>() -> &'static Hold {
    const {
        &Hold {
            presence: presence::<M>,
            withhold: withhold::<M>,
            withhold_from: withhold_from::<M>,
            give_back: give_back::<M>,
        }
    }
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
    let withheld = extensions.get::<Withheld<M>>().map(|withheld| &withheld.session);
    let session = withheld.or_else(|| extensions.get::<Session<M>>())?;
    Some(Arc::<Shared>::clone(session.shared()))
}

fn withhold<M: Realm>(extensions: &mut Extensions) {
    put_away::<M>(extensions, false);
}

fn withhold_from<M: Realm>(extensions: &mut Extensions, who: &Identity) {
    let others = |session: &Session<M>| {
        session.shared().peek(|state| state.identity().is_some_and(|holder| !holder.is_same_user(who)))
    };
    if extensions.get::<Session<M>>().is_some_and(others) {
        put_away::<M>(extensions, true);
    }
}

fn put_away<M: Realm>(extensions: &mut Extensions, for_good: bool) {
    let Some(session) = extensions.get_mut::<Session<M>>() else { return };
    let empty = Session::of(session.shared().empty());
    let session = std::mem::replace(session, empty);
    // Withheld twice, the first one is the request's.
    if extensions.get::<Withheld<M>>().is_none() {
        extensions.insert(Withheld { session, for_good });
    }
}

fn give_back<M: Realm>(extensions: &mut Extensions) {
    if extensions.get::<Withheld<M>>().is_some_and(|withheld| withheld.for_good) {
        return;
    }
    if let Some(Withheld { session, .. }) = extensions.remove::<Withheld<M>>() {
        extensions.insert(session);
    }
}
