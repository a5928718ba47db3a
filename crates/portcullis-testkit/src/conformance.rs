//! Suites that a backend author runs against an implementation of a contract in `portcullis-store`.
//!
//! See [`session`] for the one of `SessionBackend`.

pub mod session;
