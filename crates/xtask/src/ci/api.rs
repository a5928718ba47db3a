//! Public signatures name the standard library, http, tower, bytes and serde only, so that no other crate's major
//! version is ours.
//!
//! Read from the source, because rustdoc's JSON needs a nightly compiler. A path is foreign when its first segment,
//! through `use`, renames, aliases and `pub(crate) use`, is a dependency of the crate. What a macro writes is not
//! seen, except for the items handed to a macro such as `pin_project!`.

use super::Note;
use super::names::{self, Finder, Foreign, Names};
use super::source::{self, Source};
use super::surface::{self, Private};
use crate::failure::Failure;
use crate::workspace::{Package, Workspace};

/// What every published crate may name. Crates of this workspace are ours to version.
const EVERYWHERE: &[&str] = &["http", "bytes", "serde", "tower", "tower_layer", "tower_service"];

/// What one crate may name besides; with a file, in that file only.
const EXCEPTIONS: &[Exception] = &[
    Exception { package: "portcullis", krate: "axum_core", file: Some("axum.rs") },
    Exception { package: "portcullis", krate: "axum_core", file: Some("axum/csrf.rs") },
    Exception { package: "portcullis", krate: "axum_core", file: Some("axum/session.rs") },
    // The traits of streams and of bodies, which std lacks; no types.
    Exception { package: "portcullis", krate: "futures_core", file: Some("ending.rs") },
    Exception { package: "portcullis", krate: "futures_core", file: Some("bearer/expiry.rs") },
    Exception { package: "portcullis", krate: "futures_core", file: Some("session/watch/stream.rs") },
    Exception { package: "portcullis", krate: "http_body", file: Some("csrf/form.rs") },
    Exception { package: "portcullis", krate: "http_body", file: Some("ending.rs") },
    Exception { package: "portcullis", krate: "http_body", file: Some("bearer/expiry.rs") },
    Exception { package: "portcullis", krate: "http_body", file: Some("session/watch/stream.rs") },
    // Endpoints read forms, of whatever body.
    Exception { package: "portcullis", krate: "http_body", file: Some("issue/endpoint/service.rs") },
    // An application brings its own connections.
    Exception { package: "portcullis-redis", krate: "redis", file: Some("provider.rs") },
    // A client of services with bodies cannot name less than the trait of bodies, and one body to begin with.
    Exception { package: "portcullis-testkit", krate: "http_body", file: None },
    Exception { package: "portcullis-testkit", krate: "http_body_util", file: None },
    // Claims that a test breaks on purpose are arbitrary JSON.
    Exception { package: "portcullis-testkit", krate: "serde_json", file: None },
];

struct Exception {
    package: &'static str,
    krate: &'static str,
    file: Option<&'static str>,
}

pub(super) fn check(workspace: &Workspace) -> Result<Note, Failure> {
    let mut findings = Vec::new();
    for package in workspace.published() {
        let mut sources = source::read(&package.directory.join("src/lib.rs"))?;
        for source in &mut sources {
            source.path = source.path.strip_prefix(&workspace.root).unwrap_or(&source.path).to_owned();
        }
        findings.extend(leaks(&package.name, &forbidden(package, workspace), &sources));
    }
    Failure::unless_empty(&findings).map(|()| None)
}

/// The dependencies that no signature of the package may name, exceptions for single files aside.
fn forbidden(package: &Package, workspace: &Workspace) -> Foreign {
    let is_ours = |name: &str| workspace.members.iter().any(|member| member.name == name);
    let theirs = package.dependencies.iter().filter(|dependency| !is_ours(&dependency.package));
    let names = theirs.map(|dependency| dependency.crate_name.clone());
    names.filter(|name| !EVERYWHERE.contains(&name.as_str())).collect()
}

fn leaks(package: &str, foreign: &Foreign, sources: &[Source]) -> Vec<String> {
    let relayed: Names = sources.iter().flat_map(|source| names::relays(&source.file, foreign)).collect();
    let private: Private = sources.iter().flat_map(|source| surface::private(&source.file.items)).collect();
    sources.iter().flat_map(|source| leaks_of_file(package, foreign, &relayed, &private, source)).collect()
}

fn leaks_of_file(
    package: &str,
    foreign: &Foreign,
    relayed: &Names,
    private: &Private,
    source: &Source,
) -> Vec<String> {
    let names = names::names(&source.file, foreign, relayed);
    let mut finder = Finder::new(foreign, &names, relayed);
    surface::visit(&source.file.items, private, &mut finder);
    let found = finder.found.into_iter().filter(|(krate, _)| !is_exception(package, krate, source));
    found
        .map(|(krate, line)| format!("{}:{line}: a public signature names {krate}", source.path.display()))
        .collect()
}

fn is_exception(package: &str, krate: &str, source: &Source) -> bool {
    let in_file = |file: &str| source.path.ends_with(std::path::Path::new("src").join(file));
    EXCEPTIONS.iter().any(|e| e.package == package && e.krate == krate && e.file.is_none_or(in_file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(package: &str, files: &[(&str, &str)]) -> Vec<String> {
        let foreign = ["jsonwebtoken", "redis", "axum_core", "cookie"].map(str::to_owned).into();
        let source = |(path, text): &(&str, &str)| Source {
            path: format!("src/{path}").into(),
            file: syn::parse_file(text).unwrap(),
        };
        leaks(package, &foreign, &files.iter().map(source).collect::<Vec<_>>())
    }

    #[test]
    fn a_foreign_type_in_a_public_signature_is_found() {
        let rows = [
            ("argument", "pub fn f(k: &jsonwebtoken::DecodingKey) {}"),
            ("answer", "pub fn f() -> Result<(), ::jsonwebtoken::errors::Error> { todo() }"),
            ("nested in a generic", "pub fn f(k: Option<Vec<jsonwebtoken::Header>>) {}"),
            ("import", "use jsonwebtoken::DecodingKey; pub fn f(k: DecodingKey) {}"),
            ("renamed import", "use jsonwebtoken::{errors::{self, Error as E}}; pub fn f(e: E) {}"),
            ("imported module", "use jsonwebtoken::errors::{self}; pub fn f(e: errors::Error) {}"),
            ("renamed crate", "use jsonwebtoken as jwt; pub fn f(k: jwt::Header) {}"),
            ("private alias", "type K = jsonwebtoken::Header; pub fn f(k: K) {}"),
            ("public field", "pub struct S { pub key: jsonwebtoken::Header }"),
            ("tuple field", "pub struct S(pub jsonwebtoken::Header);"),
            ("variant", "pub enum E { A(jsonwebtoken::Header) }"),
            ("bound", "pub struct S<T: jsonwebtoken::Crypto>(T);"),
            ("where clause", "pub fn f<T>(t: T) where T: redis::ConnectionLike {}"),
            ("impl Trait", "pub fn f(c: impl redis::ConnectionLike) {}"),
            ("method", "pub struct S; impl S { pub fn f(&self) -> cookie::Cookie<'static> { x() } }"),
            ("trait method", "pub trait T { fn f(&self, c: redis::Cmd); }"),
            ("supertrait", "pub trait T: redis::ConnectionLike {}"),
            ("conversion", "pub struct S; impl From<redis::RedisError> for S { fn from(_: E) -> S { S } }"),
            ("associated type", "pub struct S; impl Deref for S { type Target = redis::Cmd; }"),
            ("foreign trait", "pub struct S; impl redis::ToRedisArgs for S {}"),
            ("our trait on a foreign type", "pub trait T {} impl T for redis::Client {}"),
            ("re-export", "pub use jsonwebtoken::Algorithm;"),
            ("glob re-export", "pub use jsonwebtoken::*;"),
            ("glob import", "use jsonwebtoken::*; pub fn f(h: Header) {}"),
            ("constant", "pub const A: jsonwebtoken::Algorithm = A;"),
            ("public module inside", "pub mod m { pub fn f(c: redis::Cmd) {} }"),
            ("macro around items", "pin_project! { pub struct S<T: redis::Trait> { #[pin] inner: T } }"),
        ];
        for (name, text) in rows {
            assert!(!found("portcullis", &[("lib.rs", text)]).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_foreign_type_that_users_cannot_see_is_not_found() {
        let rows = [
            ("body", "pub fn f() { let k: jsonwebtoken::Header = jsonwebtoken::encode(); }"),
            ("private function", "fn f(k: jsonwebtoken::Header) {}"),
            ("crate's own", "pub(crate) fn f(k: jsonwebtoken::Header) {}"),
            ("private field", "pub struct S { key: jsonwebtoken::Header, pub n: u8 }"),
            ("private method", "pub struct S; impl S { fn f(k: jsonwebtoken::Header) {} }"),
            ("impl of a private type", "struct S; impl From<redis::RedisError> for S {}"),
            ("impl of a private trait", "trait T {} impl T for redis::Client {}"),
            ("tests", "#[cfg(test)] mod tests { pub fn f(k: jsonwebtoken::Header) {} }"),
            ("default body", "pub trait T { fn f(&self) { redis::cmd() } }"),
            ("allowed crates", "pub fn f(r: http::Request<bytes::Bytes>) -> std::io::Result<()> { x() }"),
            ("our type of the same name", "pub struct Header; pub fn f(h: Header) {}"),
            ("attribute", "#[cookie::instrument] pub fn f() {}"),
        ];
        for (name, text) in rows {
            assert_eq!(found("portcullis", &[("lib.rs", text)]), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_foreign_type_passed_on_inside_the_crate_is_found() {
        let rows = [
            ("pub(crate) use", "pub(crate) use jsonwebtoken::Header as H;"),
            ("alias", "pub(crate) type H = jsonwebtoken::Header;"),
        ];
        for (name, relay) in rows {
            for user in [
                "use crate::keys::H; pub fn f(h: H) {}",
                "pub fn f(h: crate::keys::H) {}",
                "use super::*; pub fn f(h: H) {}",
            ] {
                let found = found("portcullis", &[("keys.rs", relay), ("lib.rs", user)]);
                assert_eq!(found, ["src/lib.rs:1: a public signature names jsonwebtoken"], "{name}: {user}");
            }
        }
    }

    #[test]
    fn an_exception_holds_in_its_crate_and_file_only() {
        let axum = "use axum_core::extract::FromRequestParts; impl<S> FromRequestParts<S> for Identity {}";
        let redis = "pub fn from_connection(c: impl redis::aio::ConnectionLike) {}";
        assert_eq!(found("portcullis", &[("axum.rs", axum)]), [""; 0]);
        assert!(!found("portcullis", &[("session/axum.rs", axum)]).is_empty());
        assert_eq!(found("portcullis-redis", &[("provider.rs", redis)]), [""; 0]);
        assert!(!found("portcullis-redis", &[("client.rs", redis)]).is_empty());
        assert!(!found("portcullis", &[("provider.rs", redis)]).is_empty());
    }
}
