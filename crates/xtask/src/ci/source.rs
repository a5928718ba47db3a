//! The source files of a crate: found by following `mod` from its root, test modules left out.

use crate::failure::Failure;
use std::path::{Path, PathBuf};
use syn::{Attribute, Item, ItemMod};

pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) file: syn::File,
}

pub(super) fn read(root: &Path) -> Result<Vec<Source>, Failure> {
    let directory = root.parent().unwrap_or(root);
    let mut sources = Vec::new();
    read_module(root.to_owned(), directory, &mut sources)?;
    Ok(sources)
}

/// Whether an item is there for the crate's own tests only.
pub(super) fn is_test_only(attributes: &[Attribute]) -> bool {
    let exactly_test = |a: &Attribute| a.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test");
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && exactly_test(attribute))
}

fn read_module(path: PathBuf, directory: &Path, sources: &mut Vec<Source>) -> Result<(), Failure> {
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::Said(format!("{}: {error}", path.display())))?;
    let file = syn::parse_file(&text).map_err(|error| {
        Failure::Said(format!("{}:{}: {error}", path.display(), error.span().start().line))
    })?;
    read_children(&file.items, directory, sources)?;
    sources.push(Source { path, file });
    Ok(())
}

/// `directory` is where the files of child modules lie.
fn read_children(items: &[Item], directory: &Path, sources: &mut Vec<Source>) -> Result<(), Failure> {
    for module in items.iter().filter_map(module).filter(|module| !is_test_only(&module.attrs)) {
        let inside = directory.join(module.ident.to_string());
        match &module.content {
            Some((_, items)) => read_children(items, &inside, sources)?,
            None => read_module(file_of(&inside), &inside, sources)?,
        }
    }
    Ok(())
}

fn module(item: &Item) -> Option<&ItemMod> {
    if let Item::Mod(module) = item { Some(module) } else { None }
}

fn file_of(inside: &Path) -> PathBuf {
    let beside = inside.with_extension("rs");
    if beside.is_file() { beside } else { inside.join("mod.rs") }
}
