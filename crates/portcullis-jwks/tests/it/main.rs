//! Remote key sets against a provider on a real socket, through `BearerLayer` on axum. Each test is named as a claim.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what is wanted"
)]

mod cold;
mod config;
mod discovery;
mod fleet;
mod flood;
mod front;
mod hostile;
mod introspection;
mod life;
mod outage;
mod proxy;
mod report;
mod rotation;
mod stage;
mod time;
mod tls;
