//! Crates depend on each other in one direction, and each keeps what it must not know out of its tree.

use super::Note;
use crate::failure::Failure;
use crate::workspace::{Package, Workspace};

/// What a published crate may depend on in this workspace, and what it may never reach outside, however far down.
struct Rule {
    package: &'static str,
    may_use: &'static [&'static str],
    never: Never,
}

enum Never {
    /// The standard library alone.
    Anything,
    These(&'static [&'static str]),
}

/// Normal dependencies only: what tests use is their own affair.
const RULES: &[Rule] = &[
    Rule { package: "portcullis-store", may_use: &[], never: Never::Anything },
    Rule {
        package: "portcullis",
        may_use: &["portcullis-store"],
        never: Never::These(&["redis", "hyper", "tonic", "axum", "tower-http", "rustls", "reqwest"]),
    },
    Rule {
        package: "portcullis-redis",
        may_use: &["portcullis-store"],
        never: Never::These(&["http", "hyper", "tower-layer", "jsonwebtoken"]),
    },
    Rule {
        package: "portcullis-jwks",
        may_use: &["portcullis", "portcullis-store"],
        never: Never::These(&["redis", "axum", "tonic"]),
    },
    Rule { package: "portcullis-testkit", may_use: &["portcullis-store"], never: Never::These(&["redis"]) },
];

pub(super) fn check(workspace: &Workspace) -> Result<Note, Failure> {
    let findings: Vec<String> =
        workspace.published().flat_map(|package| findings(package, workspace)).collect();
    Failure::unless_empty(&findings).map(|()| None)
}

fn findings(package: &Package, workspace: &Workspace) -> Vec<String> {
    match RULES.iter().find(|rule| rule.package == package.name) {
        None => vec![format!("{}: a published crate without a rule in {}", package.name, file!())],
        Some(rule) => sideways(rule, package, workspace).chain(forbidden(rule, package, workspace)).collect(),
    }
}

fn sideways<'a>(
    rule: &'a Rule,
    package: &'a Package,
    workspace: &'a Workspace,
) -> impl Iterator<Item = String> + 'a {
    let names = package.dependencies.iter().map(|dependency| &dependency.package);
    names
        .filter(|name| workspace.members.iter().any(|member| member.name == **name))
        .filter(|name| !rule.may_use.contains(&name.as_str()))
        .map(|name| format!("{} must not depend on {name}", rule.package))
}

fn forbidden<'a>(
    rule: &'a Rule,
    package: &'a Package,
    workspace: &'a Workspace,
) -> impl Iterator<Item = String> + 'a {
    let reached = workspace.reached_from(package).into_iter();
    reached
        .filter(|theirs| rule.never.includes(&theirs.name))
        .map(|theirs| format!("{} must not reach {} by any path", rule.package, theirs.name))
}

impl Never {
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::These(names) => names.contains(&name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::workspace;

    #[test]
    fn a_dependency_in_the_wrong_direction_is_found() {
        type Member = (&'static str, bool, &'static [&'static str]);
        let rows: [(&str, &[Member], bool); 8] = [
            (
                "as agreed",
                &[("portcullis", true, &["portcullis-store"]), ("portcullis-store", true, &[])],
                true,
            ),
            (
                "the contract depends on a crate",
                &[("portcullis-store", true, &["serde"]), ("serde", false, &[])],
                false,
            ),
            (
                "redis, two steps down",
                &[("portcullis", true, &["pool"]), ("pool", false, &["redis"]), ("redis", false, &[])],
                false,
            ),
            ("the backend knows http", &[("portcullis-redis", true, &["http"]), ("http", false, &[])], false),
            (
                "sideways",
                &[("portcullis", true, &["portcullis-testkit"]), ("portcullis-testkit", true, &[])],
                false,
            ),
            (
                "the test kit, for tests",
                &[("portcullis", true, &["dev:portcullis-testkit"]), ("portcullis-testkit", true, &[])],
                true,
            ),
            ("a published crate that no rule knows", &[("portcullis-core", true, &[])], false),
            (
                "an unpublished crate needs no rule",
                &[("portcullis-bench", false, &["redis"]), ("redis", false, &[])],
                true,
            ),
        ];
        for (name, members, holds) in rows {
            let checked = check(&workspace(members));
            assert_eq!(checked.is_ok(), holds, "{name}: {checked:?}");
        }
    }
}
