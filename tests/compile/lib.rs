//! Tests only: what does not compile.
