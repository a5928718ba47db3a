//! Suites that a backend author runs against an implementation of a contract in `portcullis-store`.
//!
//! See [`session`] for the one of `SessionBackend`, [`token`] for that of `TokenBackend`, [`family`] for that of
//! `FamilyBackend`, [`replay`] for that of `ReplayBackend`, and [`key_set`] for that of `KeySetBackend`. All of them
//! reach the store by one [`Harness`].

pub mod family;
mod harness;
pub mod key_set;
mod outcome;
pub mod replay;
pub mod session;
pub mod token;

pub use self::harness::Harness;

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

/// One table for the names, the sentences and the checks of all promises, so that none can lack one of them; and what runs
/// them, by the `Harness` and the `Stage` of the module that it stands in.
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

        /// Checks every promise.
        ///
        /// # Panics
        /// When one is broken, naming each that is.
        pub async fn run<H: Harness>(harness: &H) {
            let mut broken = String::new();
            for (promise, verdict) in report(harness).await {
                if let Verdict::Broken(how) = verdict {
                    broken.push_str(&format!("\n  {promise:?} ({promise}): {how}"));
                }
            }
            assert!(broken.is_empty(), "the backend breaks its contract:{broken}");
        }

        /// Checks every promise, in the order of [`Promise::ALL`].
        pub async fn report<H: Harness>(harness: &H) -> Vec<(Promise, Verdict)> {
            let mut verdicts = Vec::with_capacity(Promise::ALL.len());
            for &promise in Promise::ALL {
                verdicts.push((promise, check(harness, promise).await));
            }
            verdicts
        }

        /// Checks one promise.
        pub async fn check<H: Harness>(harness: &H, promise: Promise) -> Verdict {
            let mut unit = harness.unit();
            for _ in 0..5 {
                let stage = Stage::new(harness, unit).await;
                match promise.check(&stage).await {
                    Ok(()) => return Verdict::Kept,
                    Err(Stop::NotChecked) => return Verdict::NotChecked,
                    Err(Stop::Broken(how)) => return Verdict::Broken(how),
                    // The machine stalled past a deadline: neither kept nor broken.
                    Err(Stop::Late) => unit *= 2,
                }
            }
            Verdict::Broken(format!("each call took longer than the {unit:?} that something was to last"))
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
