//! The README's code, compiled as doctests.
#![doc = include_str!("../README.md")]
