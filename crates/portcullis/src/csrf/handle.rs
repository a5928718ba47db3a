//! [`CsrfToken`]: puts tokens into pages.

use std::fmt;
use std::sync::Arc;

use http::Extensions;
use portcullis_store::Locator;
use smallvec::SmallVec;

use super::binding::{Binding, session_of};
use super::tokens::Tokens;
use super::withhold::looks_or_withheld;
use crate::identity::Look;
use crate::realm::{Guest, Name, NameOrigin, Presence};
use crate::secret::{NoEntropy, random};

/// Puts tokens into pages, for forms and scripts to send back. From [`CsrfToken::of`], or an axum extractor.
///
/// A token is good for whoever is signed in when it is made, in whatever process, until they sign out, sign in again, or
/// the layer's keys change; a session's new secret does not matter. For a visitor who is not signed in, the response sets
/// the cookie `__Host-csrf` (a session cookie: `Secure`, `HttpOnly`, `SameSite=Lax`), and the token is good together with
/// that. Each text is masked anew, so two are never alike, and each costs some 600 ns; nothing is stored.
///
/// ```
/// use http::{Request, Response};
/// use portcullis::CsrfLayer;
/// use portcullis::csrf::{CsrfKeys, CsrfToken};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let page = service_fn(|request: Request<String>| async move {
///     let token = CsrfToken::of(request.extensions()).ok_or("CsrfLayer::tokens is missing")?;
///     let field = token.field();
///     Ok::<_, Box<dyn std::error::Error>>(Response::new(format!("<form method=post>{field}<button>Go</button></form>")))
/// });
/// let service = CsrfLayer::new().tokens(CsrfKeys::new([7; 32]))?.layer(page);
/// let response = service.oneshot(Request::get("/").body(String::new())?).await?;
/// assert!(response.body().contains(r#"<input type="hidden" name="csrf_token" value=""#));
/// assert!(response.headers()["set-cookie"].to_str()?.starts_with("__Host-csrf="));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct CsrfToken {
    tokens: Arc<Tokens>,
    there: There,
    /// Where the visitor's name is kept.
    host: Arc<dyn Presence>,
}

/// Who is there in a request, in all realms.
#[derive(Clone, Default)]
struct There {
    /// Those whose sessions may change during the request.
    present: SmallVec<[Arc<dyn Presence>; 1]>,
    /// Sessions that this request can only read.
    fixed: SmallVec<[Locator; 1]>,
}

/// Who is there in a request without a session's handle.
#[derive(Debug, Default)]
struct Lone(Guest);

/// In the extensions of such a request.
#[derive(Clone)]
struct LoneHandle(Arc<Lone>);

impl Presence for Lone {
    fn session(&self) -> Option<Locator> {
        None
    }

    fn guest(&self) -> &Guest {
        &self.0
    }
}

/// Where something can be kept of a request. What is new has to go along in its extensions.
pub(super) fn host(
    extensions: &Extensions,
) -> (Arc<dyn Presence>, Option<impl Clone + Send + Sync + 'static>) {
    let mut first = None;
    looks_or_withheld(extensions, |look| first = first.take().or_else(|| present(look, extensions)));
    match first.or_else(|| lone(extensions)) {
        Some(host) => (host, None),
        None => {
            let lone = Arc::new(Lone::default());
            (Arc::<Lone>::clone(&lone), Some(LoneHandle(lone)))
        }
    }
}

fn lone(extensions: &Extensions) -> Option<Arc<dyn Presence>> {
    extensions.get::<LoneHandle>().map(|LoneHandle(lone)| Arc::<Lone>::clone(lone) as _)
}

/// Whoever holds the session that a layer has found, and may change it during the request.
pub(super) fn present(look: Look<'_>, extensions: &Extensions) -> Option<Arc<dyn Presence>> {
    look.hold().and_then(|hold| (hold.presence)(extensions))
}

impl There {
    fn of(extensions: &Extensions) -> Self {
        let mut there = Self::default();
        looks_or_withheld(extensions, |look| match present(look, extensions) {
            Some(presence) => there.present.push(presence),
            None => there.fixed.extend(session_of(look)),
        });
        there
    }

    fn sessions(&self) -> SmallVec<[Locator; 1]> {
        let present = self.present.iter().filter_map(|presence| presence.session());
        present.chain(self.fixed.iter().copied()).collect()
    }
}

impl CsrfToken {
    /// The token of a request with these extensions; `None` where no [`CsrfLayer`](crate::CsrfLayer) with
    /// [tokens](crate::CsrfLayer::tokens) stands around.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        let there = There::of(extensions);
        let mut hosts = there.present.iter().cloned().chain(lone(extensions));
        let (host, tokens) = hosts.find_map(|host| Some((host.clone(), host.guest().left::<Tokens>()?)))?;
        Some(Self { tokens, there, host })
    }

    /// A token's text: 86 characters of base64url. Send it back as a form's field `csrf_token`, or in the header
    /// `X-CSRF-Token`.
    ///
    /// Made for whoever is signed in now: after a login in this request, for its user. Should the operating system have no
    /// random bytes, it is empty, which no layer accepts, and that is logged.
    #[must_use]
    pub fn value(&self) -> String {
        self.host.guest().note_use();
        let minted = self.binding().and_then(|binding| self.tokens.mint(&binding));
        minted.unwrap_or_else(|NoEntropy| {
            tracing::error!("no CSRF token can be made: the operating system gave no random bytes");
            String::new()
        })
    }

    /// `<input type="hidden" name="csrf_token" value="...">`, to stand in a form. It is markup already.
    #[must_use]
    pub fn field(&self) -> String {
        format!(r#"<input type="hidden" name="csrf_token" value="{}">"#, self.value())
    }

    /// `<meta name="csrf-token" content="...">`, to stand in a page's head, for scripts to find. It is markup already.
    #[must_use]
    pub fn meta(&self) -> String {
        format!(r#"<meta name="csrf-token" content="{}">"#, self.value())
    }

    /// `{"X-CSRF-Token":"..."}`, a JSON object of headers: for `hx-headers`, or for a script's `fetch`.
    #[must_use]
    pub fn header(&self) -> String {
        format!(r#"{{"X-CSRF-Token":"{}"}}"#, self.value())
    }

    /// What they are made and verified by.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "only extractors verify forms"))]
    pub(super) fn into_tokens(self) -> Arc<Tokens> {
        self.tokens
    }

    fn binding(&self) -> Result<Binding, NoEntropy> {
        let sessions = self.there.sessions();
        let visitor = if sessions.is_empty() { Some(self.visitor()?) } else { None };
        Ok(Binding::of(sessions, || visitor))
    }

    fn visitor(&self) -> Result<Locator, NoEntropy> {
        let mut name = self.host.guest().name();
        match *name {
            Some(Name { locator, origin: NameOrigin::Presented | NameOrigin::New }) => Ok(locator),
            Some(Name { origin: NameOrigin::Stale, .. }) | None => {
                let locator = Locator::from_bytes(random()?);
                *name = Some(Name { locator, origin: NameOrigin::New });
                Ok(locator)
            }
        }
    }
}

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsrfToken").finish_non_exhaustive()
    }
}
