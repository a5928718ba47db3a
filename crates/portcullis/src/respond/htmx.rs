//! [`Htmx`]: that a request was made by htmx, and from which page.

use http::{HeaderMap, HeaderName, Uri};

use super::SafePath;

/// What htmx says of its request (htmx reference, "Request Headers").
#[derive(Clone, Debug)]
pub(super) struct Htmx {
    /// The page that it is part of, if it has said so and that is a page of this site: of its address nothing but the
    /// path is taken.
    pub(super) page: Option<SafePath>,
}

static HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
static HX_CURRENT_URL: HeaderName = HeaderName::from_static("hx-current-url");

impl Htmx {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.get(&HX_REQUEST)? != "true" {
            return None;
        }
        let url = headers.get(&HX_CURRENT_URL).and_then(|url| Uri::try_from(url.as_bytes()).ok());
        Some(Self { page: url.and_then(|url| SafePath::of(&url).ok()) })
    }
}
