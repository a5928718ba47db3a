//! [`verify`]: decides by a request's head whether it proved where it came from. Pure.

use http::header::{HOST, ORIGIN, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};

use super::SameSite;
use super::origin::{Authority, Host, Origin};
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

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The decision, in the order of the module page's table.
///
/// `ambient` says whether a credential came along that browsers send by themselves. It is asked only where that
/// matters, because it costs a look-up.
pub(super) fn verify(
    policy: &Policy,
    head: &Parts,
    ambient: impl FnOnce() -> bool,
) -> Result<(), CsrfReason> {
    policy.admit_host(head)?;
    let is_handshake = is_handshake(head);
    if is_safe(&head.method) && !is_handshake {
        return Ok(());
    }
    let ambient = ambient();
    if !ambient && !policy.always {
        return Ok(());
    }
    let site = Relation::of(&head.headers)?;
    let origin = single(&head.headers, &ORIGIN)?;
    single(&head.headers, &HOST)?;
    if is_handshake {
        return policy.admit_handshake(head, origin);
    }
    match (site, origin) {
        (Some(Relation::SameOrigin | Relation::ByUser), _) => Ok(()),
        (Some(Relation::SameSite), _) if policy.same_site == SameSite::Allow => Ok(()),
        (Some(site), origin) => policy.admit_other_site(site, origin),
        (None, Some(origin)) => policy.admit_origin(head, origin),
        (None, None) if policy.allow_missing || !ambient => Ok(()),
        (None, None) => Err(CsrfReason::MissingMetadata),
    }
}

/// Every other method is unsafe: custom ones; QUERY, which may be taken for safe but has a body to act upon; TRACE.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether this opens a WebSocket: with a safe method and `Upgrade` (RFC 6455, section 4.1), or with CONNECT, which
/// HTTP/2 and HTTP/3 use (RFC 8441, RFC 9220). No other use of CONNECT reaches a service.
fn is_handshake(head: &Parts) -> bool {
    if !is_safe(&head.method) {
        return head.method == Method::CONNECT;
    }
    head.headers.contains_key(UPGRADE) && head.headers.get_all(UPGRADE).iter().any(names_websocket)
}

fn names_websocket(upgrade: &http::HeaderValue) -> bool {
    let protocols = upgrade.as_bytes().split(|&byte| byte == b',');
    // A version may follow the name (RFC 9110, section 7.8).
    protocols.map(<[u8]>::trim_ascii).any(|it| {
        it.split(|&byte| byte == b'/').next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
    })
}

impl Policy {
    /// Refuses a host that is not allowed, against DNS rebinding. A host that cannot be told is not allowed.
    fn admit_host(&self, head: &Parts) -> Result<(), CsrfReason> {
        let Some(allowed) = &self.hosts else { return Ok(()) };
        let own = own_authority(head).ok().flatten();
        let is_allowed = own.is_some_and(|own| allowed.iter().any(|host| host.is(own.host())));
        if is_allowed { Ok(()) } else { Err(CsrfReason::HostNotAllowed) }
    }

    fn admit_handshake(&self, head: &Parts, origin: Option<&[u8]>) -> Result<(), CsrfReason> {
        match origin.map(Source::parse).transpose()? {
            Some(Source::Page(origin)) if self.is_own(&origin, head)? || self.trusts(&origin) => Ok(()),
            Some(_) | None => Err(CsrfReason::WebSocketOrigin),
        }
    }

    fn admit_other_site(&self, site: Relation, origin: Option<&[u8]>) -> Result<(), CsrfReason> {
        match origin.map(Source::parse).transpose()? {
            Some(Source::Page(origin)) if self.trusts(&origin) => Ok(()),
            Some(_) | None if site == Relation::SameSite => Err(CsrfReason::SameSite),
            Some(_) | None => Err(CsrfReason::CrossSite),
        }
    }

    fn admit_origin(&self, head: &Parts, origin: &[u8]) -> Result<(), CsrfReason> {
        match Source::parse(origin)? {
            Source::Page(origin) if self.is_own(&origin, head)? || self.trusts(&origin) => Ok(()),
            Source::Page(_) | Source::Opaque => Err(CsrfReason::OriginMismatch),
        }
    }

    fn is_own(&self, origin: &Origin<&[u8]>, head: &Parts) -> Result<bool, CsrfReason> {
        let is_public = self.public.as_ref().is_some_and(|public| public.is(origin));
        Ok(is_public || own_authority(head)?.is_some_and(|own| origin.is_at(&own)))
    }

    fn trusts(&self, origin: &Origin<&[u8]>) -> bool {
        self.trusted.iter().any(|trusted| trusted.is(origin))
    }
}

/// Where the request goes to: its target, then `Host` (RFC 9112, section 3.2.2).
fn own_authority(head: &Parts) -> Result<Option<Authority<&[u8]>>, CsrfReason> {
    let host = single(&head.headers, &HOST)?;
    let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    target.or(host).map(|text| Authority::parse(text).ok_or(CsrfReason::MalformedMetadata)).transpose()
}

/// A header that must not be there twice.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, CsrfReason> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.as_bytes())),
        (_, Some(_)) => Err(CsrfReason::MalformedMetadata),
    }
}

impl Relation {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, CsrfReason> {
        match single(headers, &SEC_FETCH_SITE)? {
            None => Ok(None),
            Some(b"") => Err(CsrfReason::MalformedMetadata),
            Some(b"same-origin") => Ok(Some(Self::SameOrigin)),
            Some(b"none") => Ok(Some(Self::ByUser)),
            Some(b"same-site") => Ok(Some(Self::SameSite)),
            Some(_) => Ok(Some(Self::CrossSite)),
        }
    }
}

impl<'a> Source<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, CsrfReason> {
        match text {
            b"null" => Ok(Self::Opaque),
            text => Origin::parse(text).map(Self::Page).ok_or(CsrfReason::MalformedMetadata),
        }
    }
}

#[cfg(test)]
mod tests;
