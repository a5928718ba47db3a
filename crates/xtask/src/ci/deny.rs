//! What the dependencies may be: `deny.toml`, held by cargo-deny.

use super::Note;
use crate::command::Tool;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Pinned, because the meaning of `deny.toml` follows it.
const VERSION: &str = "^0.20";

/// The advisories are left out: their database is a download that not every machine may make, and what they say
/// changes without a commit.
pub(super) fn check(_: &Workspace) -> Result<Note, Failure> {
    if !Tool::cargo(["deny", "--version"]).succeeds() {
        install()?;
    }
    let scope = ["deny", "--workspace", "--all-features", "--locked"];
    Tool::cargo(scope)
        .args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .run()
        .map(|()| None)
}

/// A debug build: it takes a third of the time, and the check takes a second either way.
fn install() -> Result<(), Failure> {
    Tool::cargo(["install", "--locked", "--debug", "--version", VERSION, "cargo-deny"])
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .run()
}
