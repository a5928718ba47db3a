//! [`verify`]: decides by a request's head whether it proved where it came from. Pure.

use http::header::{HOST, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::SameSite;
use super::ambient::Credential;
use super::authority::{Authority, Host};
use super::origin::Origin;
use crate::guard::Head;
use crate::rejection::CsrfReason;

/// What a [`CsrfLayer`](super::CsrfLayer) was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    pub(super) trusted: Vec<Origin>,
    pub(super) public: Option<Origin>,
    pub(super) hosts: Option<Vec<Host>>,
    pub(super) same_site: SameSite,
    pub(super) allow_missing: bool,
    pub(super) always: bool,
}

/// What browsers say of the relation between a request and the page that made it (Fetch Metadata, section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    SameOrigin,
    /// The user's own doing: a bookmark, the address bar.
    ByUser,
    SameSite,
    /// `cross-site`, and whatever browsers may come to say.
    CrossSite,
}

/// What `Origin` says.
enum Source<'a> {
    /// `null`, or an origin that is hidden.
    Opaque,
    Page(Origin<&'a [u8]>),
}

const SAME_ORIGIN: &str = "same-origin";

const SEC_FETCH_SITE_NAME: &str = "sec-fetch-site";

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static(SEC_FETCH_SITE_NAME);

/// What a token says that came along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    Nothing,
    /// It is good for this request.
    Good,
    Bad,
}

/// What must not be there twice, because the decision hangs on it.
static DECISIVE: [HeaderName; 3] = [ORIGIN, HeaderName::from_static(SEC_FETCH_SITE_NAME), HOST];
static DESTINATION: [HeaderName; 1] = [HOST];

/// The decision, in the order of the module page's table.
///
/// `credential` says what came along of who is calling, and `token` what a token that came along is good for. They are asked
/// only where that matters, because they cost something.
pub(super) fn verify(
    policy: &Policy,
    head: Head<'_>,
    credential: impl FnOnce() -> Credential,
    token: impl FnOnce() -> Offered,
) -> Result<(), CsrfReason> {
    policy.admit_host(head)?;
    let is_handshake = is_handshake(head);
    if is_safe(head.method) && !is_handshake {
        return Ok(());
    }
    let credential = credential();
    let is_asked = match credential {
        Credential::Ambient => true,
        Credential::Explicit => false,
        Credential::None => policy.always,
    };
    if !is_asked {
        return Ok(());
    }
    let ambient = credential == Credential::Ambient;
    once_each(head.headers, &DECISIVE)?;
    if is_handshake {
        return policy.admit_handshake(head);
    }
    match token() {
        Offered::Good => Ok(()),
        Offered::Nothing => verify_metadata(policy, head, ambient),
        // Whoever sends one means to prove their origin by it, and has to hear what is wrong with it.
        Offered::Bad => verify_metadata(policy, head, ambient).map_err(|_| CsrfReason::TokenMismatch),
    }
}

/// The steps for requests without a good token.
fn verify_metadata(policy: &Policy, head: Head<'_>, ambient: bool) -> Result<(), CsrfReason> {
    match Relation::of(head.headers)? {
        Some(Relation::SameOrigin | Relation::ByUser) => Ok(()),
        Some(Relation::SameSite) if policy.same_site == SameSite::Allow => Ok(()),
        Some(site) => policy.admit_other_site(head, site),
        None => match Source::of(head.headers)? {
            Some(source) => policy.admit_source(head, source),
            None if policy.allow_missing || !ambient => Ok(()),
            None => Err(CsrfReason::MissingMetadata),
        },
    }
}

/// Every other method is unsafe: custom ones; QUERY, which may be taken for safe but has a body to act upon; TRACE.
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether this opens a WebSocket: with a safe method and `Upgrade` (RFC 6455, section 4.1), or with CONNECT, which
/// HTTP/2 and HTTP/3 use (RFC 8441, RFC 9220). No other use of CONNECT reaches a service.
fn is_handshake(head: Head<'_>) -> bool {
    if !is_safe(head.method) {
        return *head.method == Method::CONNECT;
    }
    head.headers.contains_key(UPGRADE) && head.headers.get_all(UPGRADE).iter().any(names_websocket)
}

fn names_websocket(upgrade: &HeaderValue) -> bool {
    let protocols = upgrade.as_bytes().split(|&byte| byte == b',');
    // A version may follow the name (RFC 9110, section 7.8).
    protocols.map(<[u8]>::trim_ascii).any(|it| {
        it.split(|&byte| byte == b'/').next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
    })
}

/// Whether [`verify`] lets the request pass whatever came along with it, under any policy without hosts: it is no handshake,
/// and its method is safe, or a page of the service's own has made it. Of the latter, `and` may say no.
///
/// The names are gone through. With the few that there are that takes less time than to look one up, which hashes it.
#[inline]
pub(super) fn passes_at_a_glance(head: Head<'_>, and: impl FnOnce() -> bool) -> bool {
    if is_safe(head.method) {
        return !head.headers.keys().any(|name| *name == UPGRADE);
    }
    *head.method != Method::CONNECT && and() && is_of_own_page(head.headers)
}

/// Whether `Sec-Fetch-Site` says so, and no header is there twice.
///
/// The values are gone through, for no other header is likely to have this one.
fn is_of_own_page(headers: &HeaderMap) -> bool {
    let says_so = |(name, value): (&HeaderName, &HeaderValue)| {
        value.as_bytes() == SAME_ORIGIN.as_bytes() && name.as_str() == SEC_FETCH_SITE_NAME
    };
    no_header_twice(headers) && headers.iter().any(says_so)
}

impl Policy {
    /// Refuses a host that is not allowed, against DNS rebinding. A host that cannot be told is not allowed.
    fn admit_host(&self, head: Head<'_>) -> Result<(), CsrfReason> {
        let Some(allowed) = &self.hosts else { return Ok(()) };
        let own = own_authority(head).ok().flatten();
        let is_allowed = own.is_some_and(|own| allowed.iter().any(|host| host.is(&own.host)));
        if is_allowed { Ok(()) } else { Err(CsrfReason::HostNotAllowed) }
    }

    fn admit_handshake(&self, head: Head<'_>) -> Result<(), CsrfReason> {
        match Source::of(head.headers)? {
            Some(Source::Page(origin)) if self.is_own(&origin, head)? || self.trusts(&origin) => Ok(()),
            Some(_) | None => Err(CsrfReason::WebSocketOrigin),
        }
    }

    fn admit_other_site(&self, head: Head<'_>, site: Relation) -> Result<(), CsrfReason> {
        match Source::of(head.headers)? {
            Some(Source::Page(origin)) if self.trusts(&origin) => Ok(()),
            Some(_) | None if site == Relation::SameSite => Err(CsrfReason::SameSite),
            Some(_) | None => Err(CsrfReason::CrossSite),
        }
    }

    fn admit_source(&self, head: Head<'_>, source: Source<'_>) -> Result<(), CsrfReason> {
        match source {
            Source::Page(origin) if self.is_own(&origin, head)? || self.trusts(&origin) => Ok(()),
            Source::Page(_) | Source::Opaque => Err(CsrfReason::OriginMismatch),
        }
    }

    fn is_own(&self, origin: &Origin<&[u8]>, head: Head<'_>) -> Result<bool, CsrfReason> {
        let is_public = self.public.as_ref().is_some_and(|public| public.is(origin));
        Ok(is_public || own_authority(head)?.is_some_and(|own| origin.is_at(&own)))
    }

    fn trusts(&self, origin: &Origin<&[u8]>) -> bool {
        self.trusted.iter().any(|trusted| trusted.is(origin))
    }
}

/// Where the request goes to: its target, then `Host` (RFC 9112, section 3.2.2).
fn own_authority(head: Head<'_>) -> Result<Option<Authority<&[u8]>>, CsrfReason> {
    once_each(head.headers, &DESTINATION)?;
    let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let named = target.or_else(|| Some(head.headers.get(HOST)?.as_bytes()));
    named.map(|text| Authority::parse(text).ok_or(CsrfReason::MalformedMetadata)).transpose()
}

/// Refuses a header of these that is there twice.
fn once_each(headers: &HeaderMap, names: &[HeaderName]) -> Result<(), CsrfReason> {
    let is_once = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_none();
    if no_header_twice(headers) || names.iter().all(is_once) {
        Ok(())
    } else {
        Err(CsrfReason::MalformedMetadata)
    }
}

/// As many names as values: no header at all is there twice. That is usual, and costs no look-up.
fn no_header_twice(headers: &HeaderMap) -> bool {
    headers.len() == headers.keys_len()
}

impl Relation {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, CsrfReason> {
        let Some(value) = headers.get(&SEC_FETCH_SITE) else { return Ok(None) };
        match value.as_bytes() {
            b"" => Err(CsrfReason::MalformedMetadata),
            site if site == SAME_ORIGIN.as_bytes() => Ok(Some(Self::SameOrigin)),
            b"none" => Ok(Some(Self::ByUser)),
            b"same-site" => Ok(Some(Self::SameSite)),
            _ => Ok(Some(Self::CrossSite)),
        }
    }
}

impl<'a> Source<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Option<Self>, CsrfReason> {
        let Some(value) = headers.get(ORIGIN) else { return Ok(None) };
        match value.as_bytes() {
            b"null" => Ok(Some(Self::Opaque)),
            text => Origin::parse(text)
                .map(|origin| Some(Self::Page(origin)))
                .ok_or(CsrfReason::MalformedMetadata),
        }
    }
}

#[cfg(test)]
mod tests;
