//! The public surface of a source file: every signature that a user of the crate can name.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "syn's enums are non-exhaustive; what is not public is passed over"
)]

use super::names::{Finder, imports};
use super::source::is_test_only;
use std::collections::BTreeSet;
use syn::visit::Visit;
use syn::{Fields, Ident, ImplItem, Item, ItemImpl, ItemUse, Path, Type, Visibility};

/// Types and traits that the crate keeps to itself.
pub(super) type Private = BTreeSet<String>;

/// Lets the finder look at every public signature among the items.
///
/// The workspace denies `unreachable_pub`, so `pub` means that a user can reach it.
pub(super) fn visit(items: &[Item], private: &Private, finder: &mut Finder<'_>) {
    for item in items {
        visit_item(item, private, finder);
    }
}

pub(super) fn private(items: &[Item]) -> Private {
    let mut names = Private::new();
    for item in items {
        match declared(item) {
            Some((visibility, ident)) if !is_public(visibility) => {
                names.insert(ident.to_string());
            }
            _ => with_inner(item, |items| names.extend(private(items))),
        }
    }
    names
}

fn declared(item: &Item) -> Option<(&Visibility, &Ident)> {
    match item {
        Item::Struct(item) => Some((&item.vis, &item.ident)),
        Item::Enum(item) => Some((&item.vis, &item.ident)),
        Item::Trait(item) => Some((&item.vis, &item.ident)),
        _ => None,
    }
}

/// Hands on the items inside a module, or inside a macro whose input is items, as `pin_project!` has it.
fn with_inner(item: &Item, act: impl FnOnce(&[Item])) {
    match item {
        Item::Mod(module) if !is_test_only(&module.attrs) => {
            act(module.content.as_ref().map_or(&[], |(_, items)| items));
        }
        Item::Macro(call) => {
            act(&call.mac.parse_body::<syn::File>().map_or_else(|_| Vec::new(), |file| file.items))
        }
        _ => {}
    }
}

fn visit_item(item: &Item, private: &Private, finder: &mut Finder<'_>) {
    match item {
        Item::Fn(item) if is_public(&item.vis) => finder.visit_signature(&item.sig),
        Item::Struct(item) if is_public(&item.vis) => {
            finder.visit_generics(&item.generics);
            visit_public_fields(&item.fields, finder);
        }
        Item::Enum(item) if is_public(&item.vis) => finder.visit_item_enum(item),
        Item::Trait(item) if is_public(&item.vis) => finder.visit_item_trait(item),
        Item::Type(item) if is_public(&item.vis) => finder.visit_item_type(item),
        Item::Const(item) if is_public(&item.vis) => finder.visit_type(&item.ty),
        Item::Static(item) if is_public(&item.vis) => finder.visit_type(&item.ty),
        Item::Use(item) => visit_use(item, finder),
        Item::Impl(item) if !is_test_only(&item.attrs) => visit_impl(item, private, finder),
        _ => with_inner(item, |items| visit(items, private, finder)),
    }
}

fn visit_public_fields(fields: &Fields, finder: &mut Finder<'_>) {
    for field in fields.iter().filter(|field| is_public(&field.vis)) {
        finder.visit_type(&field.ty);
    }
}

/// What is passed on, and what a glob brings in unnamed, so that nobody could tell later where a name is from.
fn visit_use(item: &ItemUse, finder: &mut Finder<'_>) {
    let line = item.use_token.span.start().line;
    for import in imports(&item.tree).into_iter().filter(|import| is_public(&item.vis) || import.is_glob()) {
        let root = import.root(finder.foreign, finder.relayed);
        finder.found.extend(root.map(|root| (root, line)));
    }
}

/// An impl is public when its type is, and for a trait's impl the trait too.
fn visit_impl(item: &ItemImpl, private: &Private, finder: &mut Finder<'_>) {
    let of_private_trait = item.trait_.as_ref().is_some_and(|(path, _)| names_private(path, private));
    if of_private_trait || matches!(&*item.self_ty, Type::Path(ty) if names_private(&ty.path, private)) {
        return;
    }
    match &item.trait_ {
        Some(_) => finder.visit_item_impl(item),
        None => item.items.iter().for_each(|inherent| visit_inherent(inherent, item, finder)),
    }
}

fn visit_inherent(inherent: &ImplItem, item: &ItemImpl, finder: &mut Finder<'_>) {
    match inherent {
        ImplItem::Fn(function) if is_public(&function.vis) => {
            finder.visit_generics(&item.generics);
            finder.visit_signature(&function.sig);
        }
        ImplItem::Const(constant) if is_public(&constant.vis) => finder.visit_type(&constant.ty),
        _ => {}
    }
}

fn names_private(path: &Path, private: &Private) -> bool {
    path.segments.last().is_some_and(|last| private.contains(&last.ident.to_string()))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}
