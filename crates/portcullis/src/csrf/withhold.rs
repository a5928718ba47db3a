//! What becomes of a request that may go on, but as nobody's ([`OnFailure::DropIdentity`](super::OnFailure)): who was
//! found, the sessions' handles, and a token that handlers would hand on, are put where only a verified form finds them.

use http::Extensions;
use smallvec::SmallVec;

use crate::identity::{Authentication, Look};
use crate::realm::{Forwarded, Slot, looks};
use crate::rejection::Unproven;

/// Whom the layers had found, in each realm. In the extensions of a request that goes on as nobody's.
#[derive(Clone)]
struct Withheld {
    found: SmallVec<[(&'static Slot, Authentication); 1]>,
    forwarded: Option<Forwarded>,
}

/// Nobody is signed in any more, and no handle leads to a session, in whatever realm.
pub(super) fn withhold(extensions: &mut Extensions) {
    let slots: SmallVec<[&'static Slot; 2]> = looks(extensions).map(|(slot, _)| slot).collect();
    let mut found = SmallVec::new();
    for slot in slots {
        if let Some(authentication) = slot.take(extensions) {
            if let Some(hold) = authentication.look().hold() {
                (hold.withhold)(extensions);
            }
            slot.put(extensions, authentication.clone().without_identity());
            found.push((slot, authentication));
        }
    }
    let forwarded = extensions.remove();
    // Withheld twice, what was found is what the first one has taken.
    if extensions.get::<Withheld>().is_none() {
        extensions.insert(Withheld { found, forwarded });
    }
}

/// The request has proved its origin after all.
#[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "only the extractor of forms gives back"))]
pub(crate) fn give_back(extensions: &mut Extensions) {
    let Some(Withheld { found, forwarded }) = extensions.remove() else { return };
    for (slot, authentication) in found {
        if let Some(hold) = authentication.look().hold() {
            (hold.give_back)(extensions);
        }
        slot.put(extensions, authentication);
    }
    if let Some(forwarded) = forwarded {
        extensions.insert(forwarded);
    }
    extensions.remove::<Unproven>();
}

/// What the layers have found, whether or not it was withheld.
pub(super) fn looks_or_withheld<'a>(extensions: &'a Extensions, mut see: impl FnMut(Look<'a>)) {
    match extensions.get::<Withheld>() {
        Some(Withheld { found, .. }) => found.iter().for_each(|(_, found)| see(found.look())),
        None => looks(extensions).for_each(|(_, look)| see(look)),
    }
}
