//! A session layer of one realm in a stack of another.

use portcullis::session::{MemoryBackend, SessionLayer};
use portcullis::{AuthLayer, Realm};

enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

fn main() {
    let customers = SessionLayer::new(MemoryBackend::new());
    let _ = AuthLayer::builder().realm::<Staff>().session(customers);
}
