//! What minting claims about keys, rings and tokens. Each test is named as a claim.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that panics has failed, which is what is wanted"
)]

mod common;
mod documents;
mod dpop;
mod endpoints;
mod jobs;
mod keys;
mod logins;
mod refresh;
mod ring;
mod spy;
mod tokens;
