//! Redis goes away under load, in every way that it does, and comes back. Each test has servers of its own, and the layer
//! has the budgets that users get.
//!
//! * [`load`]: tasks that read, write, sign in, sign out and revoke, through the real layers;
//! * [`tally`]: what their requests met, and what must not happen to any;
//! * [`ledger`]: which writes were acknowledged, and what is therefore stored, once each;
//! * [`checks`]: whether it is;
//! * [`trial`]: the common course of all tests, and the line that each prints;
//! * [`standalone`], [`network`], [`sentinel`], [`cluster`], [`tls`]: what goes wrong, and what is promised then;
//! * [`soak`]: all of it by chance, for minutes.
//!
//! A binary of its own, whose tests run one after the other: what they say about time they say of a machine that does
//! nothing else.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests: what goes wrong is a failed test"
)]

mod app;
mod checks;
mod cluster;
mod ledger;
mod load;
mod network;
mod random;
mod sentinel;
mod soak;
mod standalone;
mod tally;
mod tls;
mod trial;
