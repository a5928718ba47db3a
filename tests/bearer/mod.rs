//! Rows of the catalogue that are about bearer tokens, on real frameworks and a real redis-server.

pub(crate) mod bound;
mod revocation;
mod streams;
mod tls;
