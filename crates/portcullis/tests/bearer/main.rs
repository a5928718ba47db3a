//! What `BearerLayer` claims about tokens, keys and requests. Each test is named as a claim.
//!
//! They hold with either cryptographic library: `cargo xtask test` runs them a second time in pure Rust.
#![cfg(all(feature = "csrf", any(feature = "bearer", feature = "rust-crypto")))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what is wanted"
)]

mod algorithms;
mod cache;
mod certificate;
mod challenges;
mod claims;
mod config;
mod counters;
mod dpop;
mod form;
mod fuzz;
mod independent;
mod introspection;
mod issuers;
mod keys;
mod log;
mod metadata;
mod mint;
mod places;
mod proof;
mod providers;
mod push;
mod revocation;
mod slice;
mod sources;
mod stack;
mod store;
mod time;
mod vectors;
