//! What users and backend authors of Portcullis test with.
//!
//! | to test | use |
//! | --- | --- |
//! | a service, as a browser sees it | [`client::Client`]: cookie jar, `Origin`, Fetch Metadata |
//! | that no route was forgotten | [`coverage::Coverage`]: each is guarded, or public on purpose |
//! | bearer tokens, good and bad | [`jwt::TestIssuer`]: keys of each algorithm, everything can be broken |
//! | where its keys come from | [`idp::FakeIdp`]: a provider on a real socket that rotates, hangs and lies |
//! | processes that share an issuer's keys | [`key_sets::MemoryKeySets`], which goes away when it is told to |
//! | what passes with time | [`clock::ManualClock`], which stands still until it is moved |
//! | what a store is asked, and what happens when it fails | [`spy::Spy`], around any backend |
//! | a session backend of your own | [`conformance::session`]: its contract as a suite |
//! | one for revocations, refresh tokens, used proofs or key sets | [`conformance::token`], [`conformance::family`], [`conformance::replay`], [`conformance::key_set`] |
//! | against a real Redis | [`redis::RedisServer`], private to the test run; [`redis::Proxy`] breaks the network |
//! | against Redis Cluster or Sentinel, and their failovers | [`redis::RedisCluster`], [`redis::RedisSentinel`] |
//!
//! Each module's page has an example that runs. The crate depends on the contract in `portcullis-store` and on
//! nothing else of Portcullis, so that every part of it can be tested with this.
//!
//! Tokens need the feature `jwt`, and servers `redis`; both are on by default, and both bring a cryptographic library that a C
//! compiler has to build. Whoever tests a backend of their own needs neither: `default-features = false`.
//!
//! It is a dev-dependency. Whatever goes wrong while a test is being set up panics with the reason, so that helpers
//! need no `unwrap`.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(clippy::expect_used, clippy::panic, reason = "test support: a set-up that fails is a failed test")]

pub mod client;
pub mod clock;
pub mod conformance;
pub mod coverage;
#[cfg(feature = "jwt")]
pub mod idp;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod key_sets;
mod percent;
#[cfg(all(unix, feature = "redis"))]
pub mod redis;
pub mod spy;
