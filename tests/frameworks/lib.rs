//! Tests only: the layers on salvo and warp.
