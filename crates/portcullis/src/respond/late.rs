//! [`LateHead`]: of a request that was let in, what it takes to answer it in the handler's place.

use http::{Extensions, HeaderValue, Method, Uri};
use smallvec::SmallVec;

use super::head::{Asked, Protocol, RequestHead};
use crate::guard::Head;

/// Of a request that was let in, what it takes to say that a store has failed.
///
/// It is noted of every request whose session can be written to, and hardly ever needed. So texts are copied, which costs
/// less than to count another owner of each, and is told apart later.
#[derive(Clone)]
pub(crate) struct LateHead {
    method: Method,
    protocol: Protocol,
    navigates: Option<bool>,
    /// Path and query, and behind them `Accept`, if the request has one.
    texts: SmallVec<[u8; 192]>,
    target_len: usize,
    accepts: bool,
}

impl LateHead {
    #[inline]
    pub(crate) fn of(head: Head<'_>) -> Self {
        let Asked { protocol, accept, navigates } = Asked::by(head);
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut late = Self {
            method: head.method.clone(),
            protocol,
            navigates,
            texts: SmallVec::new(),
            target_len: target.len(),
            accepts: accept.is_some(),
        };
        late.texts.extend_from_slice(target.as_bytes());
        late.texts.extend_from_slice(accept.map_or(&[], |accept| accept.as_bytes()));
        late
    }

    /// For a responder. The extensions, and what htmx says of itself, have gone with the request.
    pub(crate) fn head(&self) -> RequestHead {
        let (target, accept) = self.texts.split_at_checked(self.target_len).unwrap_or_default();
        RequestHead {
            method: self.method.clone(),
            uri: Uri::try_from(target).unwrap_or_default(),
            protocol: self.protocol.clone(),
            accept: if self.accepts { HeaderValue::from_bytes(accept).ok() } else { None },
            navigates: self.navigates,
            htmx: None,
            extensions: Extensions::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// Method, target and headers.
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

    #[test]
    fn a_late_head_tells_a_responder_what_an_early_one_does() {
        let long = format!("/{}", "a".repeat(4000));
        let rows: [Row<'_>; 7] = [
            ("GET", "/", &[]),
            ("GET", "/orders?page=2", &[("accept", "text/html"), ("sec-fetch-mode", "navigate")]),
            ("POST", "/orders", &[("accept", ""), ("sec-fetch-mode", "cors")]),
            ("GET", &long, &[("accept", "application/json"), ("accept", "text/html")]),
            ("POST", "/shop.Orders/List", &[("content-type", "application/grpc+proto")]),
            ("POST", "/shop.Orders/List", &[("content-type", "application/grpc-web-text")]),
            ("OPTIONS", "*", &[]),
        ];
        for (method, uri, headers) in rows {
            let mut request = Request::builder().method(method).uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap();
            let (early, late) = (RequestHead::of(&request), LateHead::of(Head::from(&request)).head());
            assert_eq!((early.method(), early.uri()), (late.method(), late.uri()), "{method} {uri}");
            assert_eq!(
                (early.protocol(), early.accept()),
                (late.protocol(), late.accept()),
                "{method} {uri}"
            );
            assert_eq!(early.is_navigation(), late.is_navigation(), "{method} {uri}");
        }
    }
}
