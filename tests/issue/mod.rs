//! The application as its own authority, on a real redis-server and before independent verifiers.

mod families;
mod verifiers;
