//! Tests only: the layers on salvo and warp, and what must not compile.
