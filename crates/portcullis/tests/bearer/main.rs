//! What `BearerLayer` claims about tokens, keys and requests. Each test is named as a claim.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what is wanted"
)]

mod mint;
mod slice;
