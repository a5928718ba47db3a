//! What the tests share: stores of every kind, and a small application.

pub mod app;
pub mod logs;
pub mod realms;
pub mod store;
