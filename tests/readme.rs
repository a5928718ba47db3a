//! The README's code, compiled as doctests; so is that of the guides that need more than their own crate.
#![doc = include_str!("../README.md")]

#[cfg(doctest)]
#[doc = include_str!("../crates/portcullis-store/src/guide.md")]
mod backend_guide {}

#[cfg(doctest)]
#[doc = include_str!("../crates/portcullis-store/src/token_guide.md")]
mod token_backend_guide {}

#[cfg(doctest)]
#[doc = include_str!("../crates/portcullis-store/src/family_guide.md")]
mod family_backend_guide {}

#[cfg(doctest)]
#[doc = include_str!("../crates/portcullis/src/migration.md")]
mod migration {}

#[cfg(doctest)]
#[doc = include_str!("../crates/portcullis/src/operations.md")]
mod operations {}

#[cfg(doctest)]
#[doc = include_str!("../crates/portcullis/src/deployment.md")]
mod deployment {}
