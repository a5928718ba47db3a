//! Fuzz targets: bytes that a stranger chooses, and what must hold whatever they are.
//!
//! `cargo xtask fuzz` builds them with the coverage counters of LLVM, which a stable compiler has, and runs libFuzzer on
//! them for some seconds each; `cargo xtask fuzz TARGET --seconds N` goes on for longer with one. What it finds along the
//! way stays in `target`; inputs that are worth keeping are committed to `fuzz/corpus/TARGET`, and are replayed by the
//! tests of this package without libFuzzer.
//!
//! A target panics when something does not hold:
//!
//! * With healthy keys and a healthy store no input gives a panic or a 5xx.
//! * What is accepted, a reference accepts too, which shares no code with the layer and has other cryptography.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a target that panics has found something, which is what is wanted"
)]

mod ask;
mod bearer;
mod cookie;
mod dpop;
mod keys;
mod origin;
mod proof;
mod reference;

use std::env;
use std::sync::OnceLock;

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The bytes of `Authorization`.
    Authorization,
    /// The header of a token, which is then signed.
    Header,
    /// The claims of a token, which is then signed.
    Claims,
    /// A JWK set.
    Jwks,
    /// The bytes of `Cookie`.
    Cookie,
    /// `Origin`, `Host` and `Sec-Fetch-Site`, a line each.
    Origin,
    /// The bytes of `DPoP`, a line for each field.
    Dpop,
    /// The header of a proof, which is then signed.
    DpopHeader,
    /// The claims of a proof, which is then signed.
    DpopClaims,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Authorization,
        Self::Header,
        Self::Claims,
        Self::Jwks,
        Self::Cookie,
        Self::Origin,
        Self::Dpop,
        Self::DpopHeader,
        Self::DpopClaims,
    ];

    /// What it is called on the command line and in the corpus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Header => "header",
            Self::Claims => "claims",
            Self::Jwks => "jwks",
            Self::Cookie => "cookie",
            Self::Origin => "origin",
            Self::Dpop => "dpop",
            Self::DpopHeader => "dpop_header",
            Self::DpopClaims => "dpop_claims",
        }
    }

    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Tries one input.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn run(self, input: &[u8]) {
        match self {
            Self::Authorization => bearer::authorization(input),
            Self::Header => bearer::header(input),
            Self::Claims => bearer::claims(input),
            Self::Jwks => keys::jwks(input),
            Self::Cookie => cookie::cookie(input),
            Self::Origin => origin::origin(input),
            Self::Dpop => dpop::dpop(input),
            Self::DpopHeader => dpop::dpop_header(input),
            Self::DpopClaims => dpop::dpop_claims(input),
        }
    }
}

/// The target that the environment variable `PORTCULLIS_FUZZ_TARGET` names.
///
/// # Panics
/// When it names none.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "whoever starts it says which; libFuzzer has the arguments")]
pub fn chosen() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = env::var("PORTCULLIS_FUZZ_TARGET").unwrap_or_default();
        Target::named(&name).unwrap_or_else(|| panic!("PORTCULLIS_FUZZ_TARGET names no target: {name:?}"))
    })
}
