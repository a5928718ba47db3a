//! What the house promises about its two services and the layers that need no store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod authenticate;
mod combine;
mod common;
mod cost;
mod counters;
#[cfg(feature = "csrf")]
mod csrf;
#[cfg(feature = "axum")]
mod extractors;
mod grpc;
mod guard;
mod https;
#[cfg(all(feature = "csrf", feature = "issue", feature = "session"))]
mod misconfigured;
#[cfg(all(feature = "axum", feature = "session"))]
mod policy;
mod require;
#[cfg(feature = "axum")]
mod respond;
#[cfg(all(feature = "bearer", feature = "csrf", feature = "session"))]
mod stack;
#[cfg(feature = "axum")]
mod table;
