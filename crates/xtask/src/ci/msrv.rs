//! The published crates build with the Rust version that their manifests state.

use super::Note;
use crate::command::Tool;
use crate::failure::Failure;
use crate::workspace::{Package, Workspace};

/// Holds twice: no dependency states a later version, and that compiler builds us, where it can be had.
pub(super) fn check(workspace: &Workspace) -> Result<Note, Failure> {
    Failure::unless_empty(&findings(workspace))?;
    let Some(version) = workspace.published().find_map(|package| package.rust_version.as_deref()) else {
        return Err(Failure::Said("the published crates state no rust-version".to_owned()));
    };
    let toolchain = toolchain(version);
    if !is_installed(&toolchain) && install(&toolchain).is_err() {
        return Ok(Some(format!("only by what dependencies state: rustup has no {toolchain} here")));
    }
    let names = workspace.published().flat_map(|package| ["-p", &package.name]);
    let check = ["run", &toolchain, "cargo", "check", "--all-features", "--locked"];
    Tool::rustup(check).args(names).run().map(|()| None)
}

fn findings(workspace: &Workspace) -> Vec<String> {
    let mut findings: Vec<String> = workspace.published().flat_map(|ours| too_new(ours, workspace)).collect();
    findings.sort();
    findings.dedup();
    findings
}

fn too_new(ours: &Package, workspace: &Workspace) -> Vec<String> {
    let limit = version(ours);
    let reached = workspace.reached_from(ours).into_iter().filter(|theirs| version(theirs) > limit);
    reached
        .map(|theirs| format!("{} needs a later Rust than {}: {theirs:?}", theirs.name, ours.name))
        .collect()
}

/// A package that states nothing promises nothing, so the compiler has to tell.
fn version(package: &Package) -> Vec<u32> {
    let parts = package.rust_version.as_deref().unwrap_or("0").split('.');
    let mut numbers: Vec<u32> = parts.map(|part| part.parse().unwrap_or(0)).collect();
    numbers.resize(3, 0);
    numbers
}

/// rustup names toolchains by three numbers; by two it would follow patch releases.
fn toolchain(version: &str) -> String {
    if version.matches('.').count() < 2 { format!("{version}.0") } else { version.to_owned() }
}

fn is_installed(toolchain: &str) -> bool {
    Tool::rustup(["which", "--toolchain", toolchain, "cargo"]).succeeds()
}

fn install(toolchain: &str) -> Result<(), Failure> {
    Tool::rustup(["toolchain", "install", toolchain, "--profile", "minimal"]).run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::workspace;

    #[test]
    fn a_dependency_that_states_a_later_version_is_found() {
        let mut workspace = workspace(&[("lib", true, &["dep"]), ("dep", false, &[])]);
        assert_eq!(findings(&workspace), [""; 0]);
        workspace.members[0].rust_version = Some("1.87".to_owned());
        assert_eq!(findings(&workspace).len(), 1);
        workspace.members[0].rust_version = Some("1.88.1".to_owned());
        assert_eq!(findings(&workspace), [""; 0]);
    }

    #[test]
    fn a_toolchain_has_three_numbers() {
        assert_eq!(toolchain("1.88"), "1.88.0");
        assert_eq!(toolchain("1.88.1"), "1.88.1");
    }
}
