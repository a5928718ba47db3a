//! [`Cause`]: who makes a browser send a request, and how; it decides what the browser says about it.

use http::{HeaderMap, Method};
use portcullis_store::Timestamp;

use super::jar::Visit;
use super::origin::{Origin, Relation, Url};

#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) initiator: Initiator,
    mode: Mode,
    /// `Sec-Fetch-Dest`.
    pub(super) destination: &'static str,
}

/// Who causes a request.
#[derive(Clone, Debug)]
pub(super) enum Initiator {
    /// By typing the address, or from a bookmark.
    User,
    Page(Origin),
    /// A page with an origin that nothing equals, such as a sandboxed frame: `Origin: null`.
    Opaque,
}

/// A request's mode (Fetch, section 2.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Navigate,
    Cors,
    NoCors,
    WebSocket,
}

impl Cause {
    pub(super) const fn fetch_by(page: Origin) -> Self {
        Self { initiator: Initiator::Page(page), mode: Mode::Cors, destination: "empty" }
    }

    pub(super) const fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.destination = match mode {
            Mode::Navigate => "document",
            Mode::Cors | Mode::NoCors => "empty",
            Mode::WebSocket => "websocket",
        };
    }

    /// How the initiator is related to this target.
    pub(super) fn relation(&self, url: &Url) -> Relation {
        match &self.initiator {
            Initiator::User => Relation::None,
            Initiator::Page(origin) => origin.relation_to(&url.origin),
            Initiator::Opaque => Relation::CrossSite,
        }
    }

    /// Whether the response becomes the page in the address bar.
    fn is_top_level(&self) -> bool {
        self.mode == Mode::Navigate && self.destination == "document"
    }

    /// What the cookie jar has to know.
    pub(super) fn visit<'a>(&self, url: &'a Url, method: &Method, now: Timestamp) -> Visit<'a> {
        let top_level = self.is_top_level();
        let top_site = match &self.initiator {
            Initiator::Page(origin) if !top_level => origin.site(),
            Initiator::Page(_) | Initiator::Opaque | Initiator::User => url.origin.site(),
        };
        // Redirects on the way count for Sec-Fetch-Site, not here: browsers gave that up.
        let relation = self.relation(url);
        Visit { url, relation, top_level, safe_method: method.is_safe(), top_site, now }
    }

    /// `Origin` and `Sec-Fetch-*`, given the worst relation on the way to `url`.
    pub(super) fn headers(&self, url: &Url, method: &Method, relation: Relation) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: &str| {
            headers.insert(name, value.parse().expect("an origin and the words of Fetch are legal values"));
        };
        if let Some(origin) = self.origin_header(method, relation) {
            add("origin", &origin);
        }
        if url.origin.is_trustworthy() {
            add("sec-fetch-site", relation.as_str());
            add("sec-fetch-mode", self.mode.as_str());
            add("sec-fetch-dest", self.destination);
            if self.is_top_level() {
                add("sec-fetch-user", "?1");
            }
        }
        headers
    }

    /// Fetch, section 3.1, "append a request Origin header".
    fn origin_header(&self, method: &Method, relation: Relation) -> Option<String> {
        let unsafe_method = *method != Method::GET && *method != Method::HEAD;
        let cors = self.mode == Mode::Cors && relation > Relation::SameOrigin;
        let due = unsafe_method || self.mode == Mode::WebSocket || cors;
        match &self.initiator {
            Initiator::Page(origin) if due => Some(origin.to_string()),
            Initiator::Opaque if due => Some("null".to_owned()),
            Initiator::Page(_) | Initiator::Opaque | Initiator::User => None,
        }
    }
}

impl Mode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Navigate => "navigate",
            Self::Cors => "cors",
            Self::NoCors => "no-cors",
            Self::WebSocket => "websocket",
        }
    }
}
