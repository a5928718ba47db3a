//! What users and backend authors of Portcullis test with.
//!
//! | to test | use |
//! | --- | --- |
//! | that a store was asked for nothing, or fails, or hangs | [`spy::Spy`], around any backend |
//! | with time that stands still | [`clock::ManualClock`] |
//! | against a real Redis | [`redis::RedisServer`], private to the test run; [`redis::Proxy`] to break the network |
//!
//! It is a dev-dependency. Whatever goes wrong while a test is being set up panics with the reason, so that helpers
//! need no `unwrap`.

#![allow(clippy::expect_used, clippy::panic, reason = "test support: a set-up that fails is a failed test")]

pub mod client;
pub mod clock;
pub mod conformance;
pub mod jwt;
mod percent;
#[cfg(unix)]
pub mod redis;
pub mod spy;
