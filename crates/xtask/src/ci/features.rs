//! Every feature of every published crate builds alone: none of them leans on what another one brought in.

use super::Note;
use crate::command::Tool;
use crate::failure::Failure;
use crate::workspace::{Package, Workspace};

pub(super) fn check(workspace: &Workspace) -> Result<Note, Failure> {
    let selections = workspace.published().flat_map(selections);
    let failed: Vec<String> = selections
        .filter_map(|args| Tool::cargo(["check", "--locked", "--quiet"]).args(args).run().err())
        .map(|failure| failure.to_string())
        .collect();
    Failure::unless_empty(&failed).map(|()| None)
}

/// As users write it, with nothing, and with each feature by itself.
fn selections(package: &Package) -> Vec<Vec<String>> {
    let select =
        |flags: &[&str]| ["-p", &package.name].iter().chain(flags).map(ToString::to_string).collect();
    let single = package.features.iter().filter(|feature| *feature != "default");
    let mut all: Vec<Vec<String>> = vec![select(&["--no-default-features"])];
    all.extend(single.map(|feature| select(&["--no-default-features", "--features", feature])));
    // Without features, the default is the same as nothing.
    if !package.features.is_empty() {
        all.push(select(&[]));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::workspace;

    #[test]
    fn none_each_and_default_are_checked() {
        let workspace = workspace(&[("lib", true, &[])]);
        let lines: Vec<_> =
            workspace.published().flat_map(selections).map(|selection| selection.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "-p lib --no-default-features",
                "-p lib --no-default-features --features a",
                "-p lib --no-default-features --features b",
                "-p lib",
            ]
        );
    }
}
