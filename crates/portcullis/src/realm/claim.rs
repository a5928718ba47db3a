//! [`Claim`]: what a session layer says of itself to another on the same path. Layers cannot see one another when they
//! are built, so it is the first request through both that finds out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use http::Extensions;

use super::{Slot, looks};
use crate::rejection::Misassembly;

/// Which session layer has looked at a request, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    layer: u64,
    /// A hash of the cookie's or header field's name: two layers compare it on every request.
    carrier: u64,
}

/// What a session layer finds of others when a request comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// None that it has to know of.
    Apart,
    /// A copy of itself.
    Copy,
    /// One that it must not stand with.
    Clash(Misassembly),
}

impl Claim {
    /// Of a layer that is none of those before.
    pub(crate) fn new(carrier: impl Hash) -> Self {
        static LAYERS: AtomicU64 = AtomicU64::new(1);
        let mut hasher = DefaultHasher::new();
        carrier.hash(&mut hasher);
        Self { layer: LAYERS.fetch_add(1, Ordering::Relaxed), carrier: hasher.finish() }
    }

    /// Where a layer in the realm of `slot` with this claim stands, by what layers further out have left.
    pub(crate) fn standing(self, slot: &Slot, extensions: &Extensions) -> Standing {
        let held = looks(extensions).filter_map(|(other, look)| Some((other, look.claim()?)));
        let clash = |(other, claim): (&'static Slot, Self)| {
            if claim.layer == self.layer {
                Some(Standing::Copy)
            } else if other.name == slot.name {
                Some(Standing::Clash(Misassembly::RealmTwice { realm: slot.name }))
            } else if claim.carrier == self.carrier {
                Some(Standing::Clash(Misassembly::CarrierTwice { realms: [other.name, slot.name] }))
            } else {
                None
            }
        };
        held.filter_map(clash).next().unwrap_or(Standing::Apart)
    }
}
