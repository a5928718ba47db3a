//! [`Misassembly`]: what is wrong with how a service's layers are put together.

use std::fmt;

/// What is wrong with how a service's layers are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misassembly {
    /// A layer is missing.
    Missing {
        /// Which one.
        layer: &'static str,
        /// In which [realm](crate::realm).
        realm: &'static str,
    },
    /// Two different session layers of one realm stand on one path: which one's session is meant cannot be told.
    RealmTwice {
        /// Which realm.
        realm: &'static str,
    },
    /// Session layers of two realms stand on one path and read the same cookie or header field, so that each would hand
    /// out what the other takes away.
    CarrierTwice {
        /// Which realms, from outside to inside.
        realms: [&'static str; 2],
    },
    /// The peer's address is needed and nobody has left it with the request.
    PeerUnknown,
}

impl fmt::Display for Misassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { layer, realm } => write!(f, "a layer is missing in the realm {realm}: {layer}"),
            Self::RealmTwice { realm } => {
                write!(f, "two different session layers of the realm {realm} stand on one path")
            }
            Self::CarrierTwice { realms: [one, other] } => write!(
                f,
                "session layers of the realms {one} and {other} stand on one path and read the same cookie or header \
                 field; give one of them another name"
            ),
            Self::PeerUnknown => f.write_str(
                "RequireHttpsLayer finds no address of the peer; under axum serve with \
                 into_make_service_with_connect_info",
            ),
        }
    }
}
