//! Time that stands still until a test moves it.
//!
//! [`ManualClock`] is the one of `portcullis-store`; layers and embedded backends take it as their
//! clock, and clones share one time.
//!
//! ```
//! use portcullis_testkit::clock::{Clock, ManualClock};
//! use std::time::Duration;
//!
//! let clock = ManualClock::default();
//! let service = clock.clone();
//! let before = service.now();
//! clock.advance(Duration::from_secs(31 * 60));
//! assert_eq!(service.now().since(before).as_secs(), 1860);
//! ```

pub use portcullis_store::{Clock, ManualClock, SystemClock, Timestamp};
