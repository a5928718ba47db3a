//! [`Jar`]: the cookies of a browser.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use portcullis_store::{Clock, SystemClock, Timestamp};

use super::origin::{Origin, Relation, Site, Url, domain_matches};

/// Cookies, kept, refused and sent by the rules of RFC 6265bis. A clone shares them; [`copy`](Self::copy) does not.
///
/// * Kept under name, domain and path; host-only without `Domain`; the default path is the directory of the request.
/// * Refused: a foreign domain; `Secure` over plain http (except from this machine); `SameSite=None` or `Partitioned`
///   without `Secure`; a `__Secure-` or `__Host-` name, in any case, without what it promises; over 4096 bytes; control
///   characters; a plain http cookie over a `Secure` one; and cookies for cross-site subresources but `SameSite=None`.
/// * Sent: the longest path first, then the oldest. From another site, `Lax` cookies go with navigations by safe methods
///   only, `Strict` ones never; a cookie without `SameSite` is `Lax`, but for two minutes goes with a POST too, as in
///   Chromium. `Partitioned` cookies go where the top-level site is the one under which they were set.
///
/// ```
/// use portcullis_testkit::client::Jar;
///
/// let jar = Jar::default();
/// jar.add("https://app.example/", "__Host-id=stolen; Secure; Path=/");
/// jar.add("https://app.example/", "__Host-x=1; Secure; Path=/; Domain=app.example"); // refused
/// let thief = jar.copy();
/// jar.clear();
/// assert_eq!(thief.get("__Host-id").as_deref(), Some("stolen"));
/// assert_eq!(thief.names(), ["__Host-id"]);
/// ```
#[derive(Clone, Default)]
pub struct Jar(Arc<Mutex<Contents>>);

#[derive(Clone, Default)]
struct Contents {
    cookies: Vec<Kept>,
    /// Numbers cookies in the order of their creation, which a clock that stands still cannot.
    received: u64,
}

#[derive(Clone)]
struct Kept {
    name: String,
    value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
    same_site: Option<SameSite>,
    partition: Option<Site>,
    /// `None` until the browser is closed.
    expires: Option<Timestamp>,
    created: Timestamp,
    number: u64,
}

/// What a jar has to know of a request.
pub(super) struct Visit<'a> {
    pub(super) url: &'a Url,
    pub(super) relation: Relation,
    pub(super) top_level: bool,
    pub(super) safe_method: bool,
    /// The site in the address bar.
    pub(super) top_site: Site,
    pub(super) now: Timestamp,
}

/// RFC 6265bis, section 5.5.
const LONGEST_LIFE: Duration = Duration::from_secs(400 * 24 * 3600);
/// RFC 6265bis, section 5.6.7.2, "Lax-Allowing-Unsafe".
const LAX_GRACE: Duration = Duration::from_secs(120);

impl Jar {
    /// The value of the cookie of this name, on whatever host and path. Expired cookies count until the jar is used.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.lock().cookies.iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value.clone())
    }

    /// The names of all cookies, in the order in which they came.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().cookies.iter().map(|cookie| cookie.name.clone()).collect()
    }

    /// Takes a `Set-Cookie` line as if a page at `url` had sent it. Lifetimes start by the operating system's clock.
    ///
    /// # Panics
    /// When `url` is no absolute URL.
    #[track_caller]
    pub fn add(&self, url: &str, line: &str) {
        let url = Url::parse(url);
        let top_site = url.origin.site();
        let now = SystemClock.now();
        let relation = Relation::SameOrigin;
        self.take(line, &Visit { url: &url, relation, top_level: true, safe_method: true, top_site, now });
    }

    /// Deletes all cookies of this name.
    pub fn remove(&self, name: &str) {
        self.lock().cookies.retain(|cookie| cookie.name != name);
    }

    /// Deletes everything.
    pub fn clear(&self) {
        self.lock().cookies.clear();
    }

    /// Deletes the cookies without a lifetime, as when the browser is closed.
    pub fn close(&self) {
        self.lock().cookies.retain(|cookie| cookie.expires.is_some());
    }

    /// A jar of its own with the same cookies: what a thief would have.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// The `Cookie` header of a request.
    pub(super) fn header(&self, visit: &Visit<'_>) -> Option<HeaderValue> {
        let mut contents = self.lock();
        contents.cookies.retain(|cookie| !cookie.has_expired(visit.now));
        let mut sent: Vec<&Kept> = contents.cookies.iter().filter(|cookie| cookie.goes_with(visit)).collect();
        sent.sort_by_key(|cookie| (usize::MAX - cookie.path.len(), cookie.number));
        let pairs: Vec<String> =
            sent.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if pairs.is_empty() { None } else { pairs.join("; ").parse().ok() }
    }

    pub(super) fn take_all(&self, headers: &HeaderMap, visit: &Visit<'_>) {
        for line in headers.get_all(SET_COOKIE) {
            self.take(&String::from_utf8_lossy(line.as_bytes()), visit);
        }
    }

    fn take(&self, line: &str, visit: &Visit<'_>) {
        let Some(mut cookie) = Kept::parse(line, visit) else { return };
        let mut contents = self.lock();
        if !cookie.secure && !visit.url.origin.is_trustworthy() && contents.shields(&cookie) {
            return;
        }
        contents.received += 1;
        cookie.number = contents.received;
        if let Some(at) = contents.cookies.iter().position(|kept| kept.is_replaced_by(&cookie)) {
            let old = contents.cookies.remove(at);
            (cookie.created, cookie.number) = (old.created, old.number);
        }
        if !cookie.has_expired(visit.now) {
            contents.cookies.push(cookie);
            contents.cookies.sort_by_key(|cookie| cookie.number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// "Leave secure cookies alone" (RFC 6265bis, section 5.7, step 16).
    fn shields(&self, new: &Kept) -> bool {
        self.cookies.iter().any(|kept| {
            kept.secure
                && kept.name == new.name
                && (domain_matches(&kept.domain, &new.domain) || domain_matches(&new.domain, &kept.domain))
                && path_matches(&new.path, &kept.path)
        })
    }
}

impl Kept {
    /// The cookie of a `Set-Cookie` line, unless it is to be refused (RFC 6265bis, sections 5.6 and 5.7).
    fn parse(line: &str, visit: &Visit<'_>) -> Option<Self> {
        if line.chars().any(|character| character.is_ascii_control() && character != '\t') {
            return None;
        }
        let parsed = Cookie::parse(line).ok()?;
        let (name, value) = parsed.name_value();
        let origin = &visit.url.origin;
        let domain = parsed.domain().filter(|domain| !domain.is_empty()).map(str::to_ascii_lowercase);
        let secure = parsed.secure() == Some(true);
        let partitioned = parsed.partitioned() == Some(true);
        let cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            host_only: domain.is_none(),
            domain: domain.unwrap_or_else(|| origin.host.clone()),
            path: attribute_path(&parsed).map_or_else(|| default_path(visit.url.path()), str::to_owned),
            secure,
            same_site: parsed.same_site(),
            partition: partitioned.then(|| visit.top_site.clone()),
            expires: expiry(&parsed, visit.now),
            created: visit.now,
            number: 0,
        };
        let refused = name.len() + value.len() > 4096
            || cookie.is_foreign(origin)
            || (secure && !origin.is_trustworthy())
            || (!secure && (cookie.same_site == Some(SameSite::None) || partitioned))
            || !cookie.keeps_promise_of_name(attribute_path(&parsed))
            || cookie.is_third_party(visit);
        (!refused).then_some(cookie)
    }

    fn is_foreign(&self, origin: &Origin) -> bool {
        // A domain of one label is a public suffix, unless it is the host itself.
        let suffix = !self.domain.contains('.') && self.domain != origin.host;
        suffix || !domain_matches(&origin.host, &self.domain)
    }

    /// Name prefixes are compared without case (RFC 6265bis, section 5.7, steps 21 and 22).
    fn keeps_promise_of_name(&self, path: Option<&str>) -> bool {
        let name = self.name.to_ascii_lowercase();
        let host = self.secure && self.host_only && path == Some("/");
        (!name.starts_with("__secure-") || self.secure) && (!name.starts_with("__host-") || host)
    }

    fn is_third_party(&self, visit: &Visit<'_>) -> bool {
        visit.relation == Relation::CrossSite && !visit.top_level && self.same_site != Some(SameSite::None)
    }

    fn is_replaced_by(&self, new: &Self) -> bool {
        (&self.name, &self.domain, self.host_only, &self.path, &self.partition)
            == (&new.name, &new.domain, new.host_only, &new.path, &new.partition)
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn goes_with(&self, visit: &Visit<'_>) -> bool {
        let origin = &visit.url.origin;
        let host = if self.host_only {
            origin.host == self.domain
        } else {
            domain_matches(&origin.host, &self.domain)
        };
        host && path_matches(visit.url.path(), &self.path)
            && (!self.secure || origin.is_trustworthy())
            && self.partition.as_ref().is_none_or(|site| *site == visit.top_site)
            && (visit.relation != Relation::CrossSite || self.crosses_sites(visit))
    }

    /// Whether a request from another site carries it (RFC 6265bis, section 5.8.3, and 5.6.7.2 for the grace).
    fn crosses_sites(&self, visit: &Visit<'_>) -> bool {
        let fresh = visit.now.since(self.created) < LAX_GRACE;
        match self.same_site {
            Some(SameSite::None) => true,
            Some(SameSite::Strict) => false,
            Some(SameSite::Lax) => visit.top_level && visit.safe_method,
            None => visit.top_level && (visit.safe_method || fresh),
        }
    }
}

fn attribute_path<'a>(cookie: &'a Cookie<'_>) -> Option<&'a str> {
    cookie.path().filter(|path| path.starts_with('/'))
}

/// RFC 6265bis, section 5.1.4.
fn default_path(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((directory, _)) if directory.starts_with('/') => directory.to_owned(),
        _ => "/".to_owned(),
    }
}

/// "Path-match" (RFC 6265bis, section 5.1.4).
fn path_matches(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// `Max-Age` goes before `Expires`; neither goes beyond 400 days.
fn expiry(cookie: &Cookie<'_>, now: Timestamp) -> Option<Timestamp> {
    let longest = now.saturating_add(LONGEST_LIFE);
    let at = match (cookie.max_age(), cookie.expires_datetime()) {
        (Some(age), _) => now.saturating_add(age.try_into().unwrap_or(Duration::ZERO)),
        (None, Some(date)) => Timestamp::from_secs(u64::try_from(date.unix_timestamp()).unwrap_or(0)),
        (None, None) => return None,
    };
    Some(at.min(longest))
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jar").field(&self.names()).finish()
    }
}

#[cfg(test)]
mod tests;
