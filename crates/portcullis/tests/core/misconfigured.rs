//! What a configuration error says where a `main` gives it back: the runtime prints its Debug.

use std::fmt::Debug;

use portcullis::CsrfLayer;
use portcullis::bearer::{Audience, BearerLayer, Issuer};
use portcullis::https::RequireHttpsLayer;
use portcullis::issue::SigningKey;
use portcullis::require::PolicyTable;
use portcullis::session::{Lifetime, MemoryBackend, SessionLayer};

fn printed<T, E: Debug>(built: Result<T, E>) -> String {
    built.err().map(|error| format!("{error:?}")).unwrap_or_default()
}

#[test]
fn an_error_that_a_main_gives_back_says_what_is_wrong() {
    let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"]));
    let never = Lifetime { idle: std::time::Duration::ZERO, absolute: std::time::Duration::ZERO };
    for (name, printed, says) in [
        (
            "bearer",
            printed(BearerLayer::new([issuer])),
            "issuer \"https://idp.example\": no keys are configured",
        ),
        ("csrf", printed(CsrfLayer::new().allowed_hosts([""; 0])), "allowed_hosts names no host"),
        (
            "https",
            printed(RequireHttpsLayer::builder("http://a.example").build()),
            "not of the form https://",
        ),
        ("issue", printed(SigningKey::jwk("none")), "the key cannot be read"),
        ("table", printed(PolicyTable::by_path().build()), "a table without rows"),
        ("session", printed(SessionLayer::builder(MemoryBackend::new()).lifetime(never).build()), "lifetime"),
    ] {
        assert!(printed.contains(says), "{name}: {printed}");
    }
}
