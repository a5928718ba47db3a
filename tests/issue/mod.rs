//! The application as its own authority, on a real redis-server and before independent verifiers.

mod bound;
mod families;
mod verifiers;
