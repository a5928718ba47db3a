//! Where a request's token is found: in the header, or where a layer further out has left it.

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName};

/// A token that came along in a body. In the extensions, left by whoever has read it.
#[derive(Clone)]
pub(super) struct FormToken(pub(super) Bytes);

static X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// The token that came along, if one did.
pub(super) fn offered_text<'a>(headers: &'a HeaderMap, extensions: &'a Extensions) -> Option<&'a [u8]> {
    let in_form = || extensions.get::<FormToken>().map(|FormToken(token)| &**token);
    headers.get(&X_CSRF_TOKEN).map(|token| token.as_bytes()).or_else(in_form)
}
