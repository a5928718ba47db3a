//! The testkit's own tests, with a real redis-server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests a panic is the report"
)]

mod board;
mod client;
mod family_conformance;
mod family_toy;
mod faults;
mod idp;
mod jwt;
mod key_set_conformance;
mod key_set_toy;
mod redis;
mod replay_conformance;
mod replay_toy;
mod session_conformance;
mod session_toy;
mod spy;
mod token_conformance;
mod token_toy;
