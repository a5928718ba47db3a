//! The workspace as `cargo metadata` tells it: members, their features and who depends on whom.

use crate::command::Tool;
use crate::failure::Failure;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) members: Vec<Package>,
    /// Every package of the lock file, members included, by id.
    packages: BTreeMap<String, Package>,
    /// Normal dependencies with all features on, for all platforms: id -> ids.
    edges: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    pub(crate) published: bool,
    pub(crate) features: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
    /// As in the manifest: "1.88" or "1.88.0".
    pub(crate) rust_version: Option<String>,
}

/// A normal dependency as the manifest declares it, optional ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) package: String,
    /// The name that the code uses.
    pub(crate) crate_name: String,
}

impl Workspace {
    pub(crate) fn read() -> Result<Self, Failure> {
        let json =
            Tool::cargo(["metadata", "--format-version", "1", "--all-features", "--locked"]).output()?;
        let metadata = serde_json::from_slice(&json)
            .map_err(|error| Failure::Said(format!("cargo metadata: {error}")))?;
        Ok(Self::parse(&metadata))
    }

    pub(crate) fn parse(metadata: &Value) -> Self {
        let packages: BTreeMap<_, _> = list(metadata, "packages")
            .map(Package::parse)
            .map(|package| (package.id.clone(), package))
            .collect();
        let member = |id: &Value| packages.get(id.as_str()?).cloned();
        Self {
            root: text(metadata, "workspace_root").into(),
            members: list(metadata, "workspace_members").filter_map(member).collect(),
            edges: list(metadata.get("resolve").unwrap_or(&Value::Null), "nodes").map(edges).collect(),
            packages,
        }
    }

    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().filter(|member| member.published)
    }

    /// Everything that a package pulls in by normal dependencies, itself excluded.
    pub(crate) fn reached_from(&self, package: &Package) -> Vec<&Package> {
        let mut seen = BTreeSet::from([package.id.as_str()]);
        let mut next = vec![package.id.as_str()];
        while let Some(id) = next.pop() {
            let to = self.edges.get(id).into_iter().flatten().map(String::as_str);
            next.extend(to.filter(|to| seen.insert(to)));
        }
        seen.remove(package.id.as_str());
        seen.into_iter().filter_map(|id| self.packages.get(id)).collect()
    }
}

impl Package {
    fn parse(package: &Value) -> Self {
        let manifest = PathBuf::from(text(package, "manifest_path"));
        let features = package.get("features").and_then(Value::as_object);
        Self {
            id: text(package, "id"),
            name: text(package, "name"),
            directory: manifest.parent().map(PathBuf::from).unwrap_or_default(),
            // `publish = false` is an empty list of registries; no restriction is null.
            published: package.get("publish").and_then(Value::as_array).is_none_or(|to| !to.is_empty()),
            features: features.into_iter().flat_map(|features| features.keys().cloned()).collect(),
            dependencies: list(package, "dependencies")
                .filter(|d| is_normal(d))
                .map(Dependency::parse)
                .collect(),
            rust_version: package.get("rust_version").and_then(Value::as_str).map(str::to_owned),
        }
    }
}

impl Dependency {
    fn parse(dependency: &Value) -> Self {
        let package = text(dependency, "name");
        let rename = dependency.get("rename").and_then(Value::as_str);
        Self { crate_name: rename.unwrap_or(&package).replace('-', "_"), package }
    }
}

fn edges(node: &Value) -> (String, Vec<String>) {
    let normal = |dep: &&Value| list(dep, "dep_kinds").any(is_normal);
    (text(node, "id"), list(node, "deps").filter(normal).map(|dep| text(dep, "pkg")).collect())
}

/// `cargo metadata` writes null for a normal dependency, "dev" and "build" for the others.
fn is_normal(dependency: &Value) -> bool {
    dependency.get("kind").is_none_or(Value::is_null)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A workspace of `(name, published, normal dependencies)`; a dependency "dev:x" is a dev-dependency.
    pub(crate) fn workspace(members: &[(&str, bool, &[&str])]) -> Workspace {
        let kind = |dependency: &str| if dependency.starts_with("dev:") { json!("dev") } else { Value::Null };
        let bare = |dependency: &str| dependency.trim_start_matches("dev:").to_owned();
        let packages = members.iter().map(|(name, published, dependencies)| {
            json!({
                "id": name, "name": name, "manifest_path": format!("/w/{name}/Cargo.toml"),
                "publish": if *published { Value::Null } else { json!([]) },
                "rust_version": "1.88",
                "features": { "default": ["a"], "a": [], "b": [] },
                "dependencies": dependencies.iter()
                    .map(|d| json!({ "name": bare(d), "kind": kind(d), "rename": null })).collect::<Vec<_>>(),
            })
        });
        let nodes = members.iter().map(|(name, _, dependencies)| {
            let deps =
                dependencies.iter().map(|d| json!({ "pkg": bare(d), "dep_kinds": [{ "kind": kind(d) }] }));
            json!({ "id": name, "deps": deps.collect::<Vec<_>>() })
        });
        Workspace::parse(&json!({
            "workspace_root": "/w",
            "workspace_members": members.iter().map(|(name, ..)| name).collect::<Vec<_>>(),
            "packages": packages.collect::<Vec<_>>(),
            "resolve": { "nodes": nodes.collect::<Vec<_>>() },
        }))
    }

    #[test]
    fn publish_false_and_dev_dependencies_are_told_apart() {
        let workspace = workspace(&[("lib", true, &["http-body", "dev:tokio"]), ("xtask", false, &[])]);
        let lib: Vec<_> = workspace.published().collect();
        assert_eq!(lib.len(), 1);
        assert_eq!(lib[0].name, "lib");
        assert_eq!(lib[0].directory, PathBuf::from("/w/lib"));
        assert_eq!(
            lib[0].dependencies,
            [Dependency { package: "http-body".into(), crate_name: "http_body".into() }]
        );
    }

    #[test]
    fn what_a_package_reaches_goes_through_normal_dependencies_only() {
        let workspace = workspace(&[
            ("a", true, &["b", "dev:d"]),
            ("b", true, &["c", "dev:a"]),
            ("c", true, &[]),
            ("d", true, &[]),
        ]);
        let reached: Vec<_> = workspace.reached_from(&workspace.members[0]).iter().map(|p| &p.name).collect();
        assert_eq!(reached, ["b", "c"]);
    }
}
