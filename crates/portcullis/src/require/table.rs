//! [`PolicyTable`]: who may call what, all in one place, and nobody what is not in it.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::{Extensions, Method};
use portcullis_store::Clock;
use tower_layer::Layer;

use super::policy::Policy;
use super::{Require, RequireLayer};
use crate::guard::{Check, Guard, GuardLayer, Head, Pass};
use crate::realm::{DefaultRealm, Realm};
use crate::rejection::{Lack, Rejection};
use crate::respond::DefaultResponder;

/// Who may call what, all in one place.
///
/// * What is not in the table is refused, with 403 or gRPC 7; a route that was forgotten is logged.
/// * A row is of one method or of all; that of one method counts first. A HEAD is judged as the GET, unless it has a row.
/// * Of two rows for the same thing the table is not built.
/// * A row of the table is no less than a [`RequireLayer`]: anonymous callers get 401, and so on.
///
/// For gRPC, and where routes are paths, it goes by the request's path. For axum it goes by the route, put inside the
/// router, with [`Router::layer`](https://docs.rs/axum/latest/axum/struct.Router.html#method.layer):
///
/// ```
/// use axum::{Router, body::Body, extract::MatchedPath, routing::get};
/// use http::{Method, Request};
/// use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
/// use portcullis::require::{Policy, PolicyTable};
/// use tower::ServiceExt;
///
/// # struct Nobody;
/// # impl Authenticator for Nobody {
/// #     type Visit = ();
/// #     fn open<B>(&self, _: &mut Request<B>) -> Opening<()> { Opening::anonymous(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let table = PolicyTable::by(|extensions| extensions.get::<MatchedPath>().map(MatchedPath::as_str))
///     .public("/")
///     .rule("/users/{id}", Policy::authenticated())
///     .rule_for(Method::DELETE, "/users/{id}", Policy::role("admin"))
///     .build()?;
/// let app = Router::new()
///     .route("/", get(async || "welcome"))
///     .route("/users/{id}", get(async || "a user"))
///     .route("/forgotten", get(async || "a secret"))
///     .layer(table)
///     .layer(AuthenticateLayer::new(Nobody));
/// for (path, status) in [("/", 200), ("/users/7", 401), ("/forgotten", 403), ("/elsewhere", 403)] {
///     let request = Request::get(path).body(Body::empty())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status, "{path}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct PolicyTable<R = DefaultResponder> {
    table: Table,
    responder: R,
}

/// Gathers the rows of a [`PolicyTable`].
#[must_use]
pub struct PolicyTableBuilder<M = DefaultRealm> {
    key: Key,
    rows: Vec<(Option<Method>, String, Option<Policy<M>>)>,
    clock: Option<Arc<dyn Clock>>,
}

/// Two rows of a [`PolicyTable`] are for the same thing, or there is none.
#[derive(Clone, PartialEq, Eq)]
pub struct PolicyTableError {
    twice: Option<String>,
}

/// The check that a [`PolicyTable`] makes.
#[derive(Clone)]
pub struct Table {
    key: Key,
    rows: Arc<HashMap<String, Row>>,
}

#[derive(Clone)]
enum Key {
    Path,
    Route(Arc<FindRoute>),
}

type FindRoute = dyn Fn(&Extensions) -> Option<&str> + Send + Sync;

/// What is said of one path.
#[derive(Default)]
struct Row {
    any: Option<Entry>,
    by_method: Vec<(Method, Entry)>,
}

enum Entry {
    Public,
    Guarded(Require),
}

impl PolicyTable {
    /// By the request's path, as it stands in its URI: for gRPC, whose paths are `/package.Service/Method`.
    pub fn by_path() -> PolicyTableBuilder {
        PolicyTableBuilder::new(Key::Path)
    }

    /// By the route that the framework has found, which `find` reads from the extensions. Where it finds none the request
    /// is refused.
    pub fn by(find: impl Fn(&Extensions) -> Option<&str> + Send + Sync + 'static) -> PolicyTableBuilder {
        PolicyTableBuilder::new(Key::Route(Arc::new(find)))
    }
}

impl<R> PolicyTable<R> {
    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> PolicyTable<T> {
        PolicyTable { table: self.table, responder }
    }
}

impl PolicyTableBuilder {
    fn new(key: Key) -> Self {
        Self { key, rows: Vec::new(), clock: None }
    }

    /// All callers are looked for in this [realm](crate::realm). Said before the first row. Default: [`DefaultRealm`].
    pub fn realm<N: Realm>(self) -> PolicyTableBuilder<N> {
        PolicyTableBuilder { key: self.key, rows: Vec::new(), clock: self.clock }
    }
}

impl<M: Realm> PolicyTableBuilder<M> {
    /// Whoever meets `policy` may call `path`, by any method that has no row of its own.
    pub fn rule(self, path: impl Into<String>, policy: Policy<M>) -> Self {
        self.row(None, path.into(), Some(policy))
    }

    /// Whoever meets `policy` may call `path` by this method.
    pub fn rule_for(self, method: Method, path: impl Into<String>, policy: Policy<M>) -> Self {
        self.row(Some(method), path.into(), Some(policy))
    }

    /// Everybody may call `path`, by any method that has no row of its own.
    pub fn public(self, path: impl Into<String>) -> Self {
        self.row(None, path.into(), None)
    }

    /// Everybody may call `path` by this method.
    pub fn public_for(self, method: Method, path: impl Into<String>) -> Self {
        self.row(Some(method), path.into(), None)
    }

    /// The clock by which [`Policy::fresh`] goes. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The table.
    ///
    /// # Errors
    /// When two rows are for the same path and method, or there is none.
    pub fn build(self) -> Result<PolicyTable, PolicyTableError> {
        let Self { key, rows, clock } = self;
        if rows.is_empty() {
            return Err(PolicyTableError { twice: None });
        }
        let mut table: HashMap<String, Row> = HashMap::new();
        for (method, path, policy) in rows {
            let entry = policy.map_or(Entry::Public, |policy| Entry::guarded(policy, clock.clone()));
            let twice = table.entry(path.clone()).or_default().add(method, entry).is_err();
            if twice {
                return Err(PolicyTableError { twice: Some(path) });
            }
        }
        Ok(PolicyTable { table: Table { key, rows: Arc::new(table) }, responder: DefaultResponder })
    }

    fn row(mut self, method: Option<Method>, path: String, policy: Option<Policy<M>>) -> Self {
        self.rows.push((method, path, policy));
        self
    }
}

impl Entry {
    fn guarded<M: Realm>(policy: Policy<M>, clock: Option<Arc<dyn Clock>>) -> Self {
        let mut require = RequireLayer::authenticated().realm::<M>().policy(policy).require;
        require.clock = clock.unwrap_or(require.clock);
        Self::Guarded(require)
    }
}

impl Row {
    fn add(&mut self, method: Option<Method>, entry: Entry) -> Result<(), ()> {
        match method {
            None if self.any.is_some() => return Err(()),
            None => self.any = Some(entry),
            Some(method) if self.of(&method).is_some() => return Err(()),
            Some(method) => self.by_method.push((method, entry)),
        }
        Ok(())
    }

    fn find(&self, method: &Method) -> Option<&Entry> {
        let as_get = || if *method == Method::HEAD { self.of(&Method::GET) } else { None };
        self.of(method).or_else(as_get).or(self.any.as_ref())
    }

    fn of(&self, method: &Method) -> Option<&Entry> {
        self.by_method.iter().find(|(of, _)| of == method).map(|(_, entry)| entry)
    }
}

impl Key {
    fn of<'a>(&self, head: Head<'a>) -> Option<&'a str> {
        match self {
            Self::Path => Some(head.uri.path()),
            Self::Route(find) => find(head.extensions),
        }
    }
}

impl Check for Table {
    fn check(&self, head: Head<'_>) -> Result<Pass, Rejection> {
        let path = self.key.of(head);
        let entry = path.and_then(|path| self.rows.get(path)).and_then(|row| row.find(head.method));
        match entry {
            Some(Entry::Public) => Ok(Pass::public()),
            Some(Entry::Guarded(require)) => require.check(head),
            None => {
                // A path may be anything that a client has thought of; a route is one that the application has.
                if let (Some(route), Key::Route(_)) = (path, &self.key) {
                    tracing::warn!(route, method = %head.method, "the route is in no row of the PolicyTable");
                }
                Err(Rejection::forbidden(Lack::Policy))
            }
        }
    }
}

impl<S, R: Clone> Layer<S> for PolicyTable<R> {
    type Service = Guard<S, Table, R>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardLayer::with_responder(self.table.clone(), self.responder.clone()).layer(inner)
    }
}

impl fmt::Display for PolicyTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.twice {
            Some(path) => write!(f, "two rows are for {path:?} and the same method"),
            None => f.write_str("a table without rows refuses everything"),
        }
    }
}

/// With the text: it is this that a `main` prints that gives the error back.
impl fmt::Debug for PolicyTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyTableError({self})")
    }
}

impl Error for PolicyTableError {}

impl<R> fmt::Debug for PolicyTable<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyTable").field(&self.table).finish()
    }
}

impl<M> fmt::Debug for PolicyTableBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyTableBuilder").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.rows.iter()).finish()
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = self.any.iter().map(|entry| ("any method", entry));
        f.debug_map()
            .entries(any)
            .entries(self.by_method.iter().map(|(method, entry)| (method, entry)))
            .finish()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("Public"),
            Self::Guarded(require) => require.fmt(f),
        }
    }
}
