//! Tower layers that decide who is calling.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod authenticate;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "bearer")]
pub mod bearer;
#[cfg(feature = "csrf")]
pub mod csrf;
pub mod guard;
pub mod identity;
mod packed;
pub mod rejection;
pub mod require;
pub mod respond;
mod secret;
#[cfg(feature = "session")]
pub mod session;

#[cfg(feature = "bearer")]
pub use bearer::BearerLayer;
#[cfg(feature = "csrf")]
pub use csrf::CsrfLayer;
pub use identity::Identity;
pub use require::RequireLayer;
#[cfg(feature = "session")]
pub use session::{Session, SessionLayer};
