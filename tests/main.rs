//! End-to-end tests: real layers on real frameworks, with sessions in memory and in a real redis-server.
//!
//! `quickstart` asks the example's service everything that it promises; `chromium` uses it with a real browser.
//!
//! Test names are claims; those of the modules `session`, `bearer`, `csrf` and `stack` are rows of the catalogue of
//! attacks.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::duplicate_mod,
    reason = "tests: what goes wrong is a failed test; each example is a program with modules of its own"
)]

mod bearer;
mod chromium;
/// The service that the tests of `quickstart` and `chromium` talk to, as its program has it.
#[path = "../examples/quickstart/mod.rs"]
mod example;
mod examples;
mod hyper;
mod integration;
mod issue;
mod quickstart;
mod session;
mod stack;
mod support;
mod tonic;
mod websocket;
