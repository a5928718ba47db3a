//! The backend against a real redis-server, private to this run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected is to fail at that place"
)]

mod check;
mod cluster;
mod commands;
mod conformance;
mod durable;
mod families;
mod key_sets;
mod outages;
mod permissions;
mod proofs;
mod refusals;
mod resends;
mod sentinel;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
mod told;
mod watching;
