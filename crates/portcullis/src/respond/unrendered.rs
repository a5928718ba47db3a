//! [`Unrendered`]: a refusal that an extractor made, for a layer to render.

use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, VARY};

use super::{RequestHead, Responder, finish};
use crate::rejection::Rejection;

/// In the extensions of a response that an extractor made, which knows no responder: the outermost layer renders it.
#[derive(Clone)]
pub(crate) struct Unrendered(pub(crate) RequestHead);

/// Whether it is a refusal that an extractor made. Asked by itself, because a response is large, and hardly any is one.
#[inline]
pub(crate) fn is_unrendered<B>(response: &Response<B>) -> bool {
    !response.extensions().is_empty() && response.extensions().get::<Unrendered>().is_some()
}

/// Renders a refusal that an extractor made, with this layer's responder; the next layer out may do it again.
pub(crate) fn render<B>(responder: &impl Responder<B>, response: Response<B>) -> Response<B> {
    let Some((rejection, unrendered)) = unrendered(&response) else { return response };
    let mut rendered = responder.respond(&rejection, &unrendered.0);
    // What inner layers have put on the response stays; what the responder says takes its place.
    let (mut left, _) = response.into_parts();
    left.headers.remove(CONTENT_TYPE);
    left.headers.remove(CONTENT_LENGTH);
    for name in rendered.headers().keys().filter(|name| ![SET_COOKIE, VARY].contains(name)) {
        left.headers.remove(name);
    }
    for (name, value) in &left.headers {
        rendered.headers_mut().append(name, value.clone());
    }
    left.extensions.extend(std::mem::take(rendered.extensions_mut()));
    *rendered.extensions_mut() = left.extensions;
    finish(&mut rendered, rejection, &unrendered.0);
    rendered
}

fn unrendered<B>(response: &Response<B>) -> Option<(Rejection, Unrendered)> {
    let unrendered = response.extensions().get::<Unrendered>()?;
    Some((response.extensions().get::<Rejection>()?.clone(), unrendered.clone()))
}
