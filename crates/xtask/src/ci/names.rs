//! Which names of a source file come from a foreign crate: its `use` lines and type aliases, read.

use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Expr, ItemType, ItemUse, Path, UseTree, Visibility};

/// The crates that a public signature must not name.
pub(super) type Foreign = BTreeSet<String>;

/// A local name and the foreign crate that it stands for.
pub(super) type Names = BTreeMap<String, String>;

/// One name that a `use` brings in.
pub(super) struct Import {
    /// The path, without a final `self`; a glob ends in `*`.
    path: Vec<String>,
    /// What the file calls it.
    name: String,
}

/// Finds the foreign crates that a piece of syntax names.
pub(super) struct Finder<'a> {
    pub(super) foreign: &'a Foreign,
    pub(super) names: &'a Names,
    /// What other modules of the crate pass on: `pub(crate) use` and type aliases.
    pub(super) relayed: &'a Names,
    /// Crate and line.
    pub(super) found: Vec<(String, usize)>,
}

/// Everything a file passes on to its siblings under a name of the crate's own.
pub(super) fn relays(file: &syn::File, foreign: &Foreign) -> Names {
    let mut collector = Collector { foreign, names: Names::new(), relayed: &Names::new(), private: false };
    collector.visit_file(file);
    collector.names
}

/// Everything a file calls by a short name.
pub(super) fn names(file: &syn::File, foreign: &Foreign, relayed: &Names) -> Names {
    let mut collector = Collector { foreign, names: Names::new(), relayed, private: true };
    // Twice, because an alias may stand above the `use` that it builds on.
    collector.visit_file(file);
    collector.visit_file(file);
    collector.names
}

pub(super) fn imports(tree: &UseTree) -> Vec<Import> {
    fn walk(tree: &UseTree, path: &[String], all: &mut Vec<Import>) {
        let join = |last: String| path.iter().cloned().chain([last]).collect::<Vec<_>>();
        let mut add = |last: String, name: Option<String>| {
            let path = if last == "self" { path.to_vec() } else { join(last) };
            let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
            all.push(Import { path, name });
        };
        match tree {
            UseTree::Path(step) => walk(&step.tree, &join(step.ident.to_string()), all),
            UseTree::Name(last) => add(last.ident.to_string(), None),
            UseTree::Rename(last) => add(last.ident.to_string(), Some(last.rename.to_string())),
            UseTree::Glob(_) => add("*".to_owned(), None),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, path, all)),
        }
    }
    let mut all = Vec::new();
    walk(tree, &[], &mut all);
    all
}

impl Import {
    pub(super) fn is_glob(&self) -> bool {
        self.name == "*"
    }

    fn is_of_this_crate(&self) -> bool {
        self.path.first().is_some_and(|first| is_of_this_crate(first))
    }

    /// The foreign crate that it comes from, if it does.
    pub(super) fn root(&self, foreign: &Foreign, relayed: &Names) -> Option<String> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        root(&path, foreign, &Names::new(), relayed)
    }
}

fn root(path: &[&str], foreign: &Foreign, names: &Names, relayed: &Names) -> Option<String> {
    let (first, last) = (path.first()?, path.last()?);
    if is_of_this_crate(first) {
        return relayed.get(*last).cloned();
    }
    names.get(*first).or_else(|| foreign.get(*first)).cloned()
}

fn is_of_this_crate(first: &str) -> bool {
    matches!(first, "crate" | "self" | "super")
}

struct Collector<'a> {
    foreign: &'a Foreign,
    names: Names,
    relayed: &'a Names,
    private: bool,
}

impl Collector<'_> {
    fn add(&mut self, import: Import) {
        if import.is_glob() && import.is_of_this_crate() {
            self.names.extend(self.relayed.clone());
        } else if let Some(root) = import.root(self.foreign, self.relayed) {
            self.names.insert(import.name, root);
        }
    }

    fn counts(&self, visibility: &Visibility) -> bool {
        self.private || !matches!(visibility, Visibility::Inherited)
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if self.counts(&item.vis) {
            for import in imports(&item.tree) {
                self.add(import);
            }
        }
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        if self.counts(&item.vis) {
            let mut finder = Finder::new(self.foreign, &self.names, self.relayed);
            finder.visit_type(&item.ty);
            if let Some((root, _)) = finder.found.into_iter().next() {
                self.names.insert(item.ident.to_string(), root);
            }
        }
    }

    /// What a function imports for itself is not in its signature.
    fn visit_block(&mut self, _: &'ast Block) {}
}

impl<'a> Finder<'a> {
    pub(super) fn new(foreign: &'a Foreign, names: &'a Names, relayed: &'a Names) -> Self {
        Self { foreign, names, relayed, found: Vec::new() }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_path(&mut self, path: &'ast Path) {
        let idents: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let segments: Vec<&str> = idents.iter().map(String::as_str).collect();
        let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        let root = root(&segments, self.foreign, self.names, self.relayed);
        self.found.extend(root.map(|root| (root, line)));
        visit::visit_path(self, path);
    }

    /// Only signatures are public, not what computes their values.
    fn visit_block(&mut self, _: &'ast Block) {}
    fn visit_expr(&mut self, _: &'ast Expr) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}
