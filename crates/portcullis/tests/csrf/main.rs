//! Tokens and forms, and what becomes of callers who prove nothing: on axum and on services of no framework.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod buffered;
mod cost;
mod counters;
mod dropped;
mod forms;
mod page;
mod realms;
mod site;
mod tokens;
