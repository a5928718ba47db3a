//! Suites that a backend author runs against an implementation of a contract in `portcullis-store`.
//!
//! See [`session`] for the one of `SessionBackend`, [`token`] for that of `TokenBackend`, [`family`] for that of
//! `FamilyBackend`, and [`replay`] for that of `ReplayBackend`.

pub mod family;
mod outcome;
pub mod replay;
pub mod session;
pub mod token;

/// What became of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The backend kept it.
    Kept,
    /// The harness does not offer what the check needs.
    NotChecked,
    /// The backend broke it; how.
    Broken(String),
}

/// One table for the names, the sentences and the checks of all promises, so that none can lack one of them.
macro_rules! promises {
    ($( #[doc = $sentence:literal] $name:ident => $check:path, )+) => {
        /// What a backend promises. The sentence is also its `Display`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Promise {
            $( #[doc = $sentence] $name, )+
        }

        impl Promise {
            /// Every promise, in the order in which the suite checks them.
            pub const ALL: &[Self] = &[$( Self::$name ),+];

            async fn check<H: Harness>(self, stage: &Stage<'_, H>) -> Result<(), Stop> {
                match self {
                    $( Self::$name => $check(stage).await, )+
                }
            }
        }

        impl std::fmt::Display for Promise {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $( Self::$name => $sentence.trim_ascii(), )+
                })
            }
        }
    };
}
use promises;
