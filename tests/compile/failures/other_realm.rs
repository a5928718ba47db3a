//! A policy about one realm's callers in a guard of another realm.

use portcullis::require::{Decision, Policy};
use portcullis::{Identity, Realm, RequireLayer};

enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

fn main() {
    let customers = Policy::predicate(|_: &Identity, _| Decision::Allow);
    let _ = RequireLayer::authenticated().realm::<Staff>().policy(customers);
}
