//! What the house promises about its two services and the layers that need no store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;
#[cfg(feature = "csrf")]
mod csrf;
