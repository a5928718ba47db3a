//! [`KnownHeaders`]: headers that need not be read again, because tokens with the same ones were verified before.
//!
//! An issuer sends one header over and over, for each key that it signs with. What is known is what such a text says, and
//! nothing else: which key is meant, and whether its algorithm is allowed, is found out for each token.

use std::sync::OnceLock;

use crate::bearer::jws::JoseHeader;

/// The first few headers of tokens that keys of one set have verified; with the set they go. None makes room for another,
/// so that there is no lock; and whoever has no key puts nothing here.
#[derive(Default)]
pub(in crate::bearer) struct KnownHeaders([OnceLock<Known>; MOST]);

struct Known {
    /// In base64url.
    text: Box<[u8]>,
    header: JoseHeader<'static>,
}

/// How many are kept, each of 1 KiB at most: an issuer signs with one key or two at a time.
const MOST: usize = 4;

impl KnownHeaders {
    /// None yet.
    pub(in crate::bearer) const fn new() -> Self {
        Self([const { OnceLock::new() }; MOST])
    }

    /// What the same text was found to say.
    #[inline]
    pub(in crate::bearer) fn find(&self, text: &[u8]) -> Option<&JoseHeader<'static>> {
        let mut known = self.0.iter().map_while(OnceLock::get);
        known.find(|known| *known.text == *text).map(|known| &known.header)
    }

    /// Keeps the header of a token that was verified, if there is room for it.
    #[cold]
    pub(in crate::bearer) fn keep(&self, text: &[u8], header: &JoseHeader<'_>) {
        let known = || Known { text: text.into(), header: header.to_owned() };
        // Two threads may come with the same one at once: the second finds the first one's.
        _ = self.0.iter().find(|place| *place.get_or_init(known).text == *text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kid: &str) -> String {
        format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT"}}"#)
    }

    /// The text is compared only, so it need not be in base64url here.
    fn keep(known: &KnownHeaders, json: &str) {
        known.keep(json.as_bytes(), &JoseHeader::parse(json.as_bytes()).unwrap());
    }

    fn kids(known: &KnownHeaders) -> Vec<&str> {
        known.0.iter().map_while(OnceLock::get).filter_map(|known| known.header.kid.as_deref()).collect()
    }

    #[test]
    fn the_same_text_is_known_and_one_that_is_nearly_alike_is_not() {
        let (known, text) = (KnownHeaders::new(), header("key-1"));
        assert!(known.find(text.as_bytes()).is_none());
        keep(&known, &text);
        let found = known.find(text.as_bytes()).unwrap();
        assert_eq!((found.kid.as_deref(), found.typ.as_deref()), (Some("key-1"), Some("JWT")));
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut other = text.clone().into_bytes();
                other[at] ^= 1 << bit;
                assert!(known.find(&other).is_none(), "{at} {bit}");
            }
            assert!(known.find(&text.as_bytes()[..at]).is_none(), "{at}");
            assert!(known.find(&text.as_bytes()[at + 1..]).is_none(), "{at}");
        }
        assert!(known.find(format!("{text} ").as_bytes()).is_none());
    }

    #[test]
    fn the_first_few_are_kept_each_once() {
        let known = KnownHeaders::new();
        for kid in ["a", "a", "b", "a", "c", "b", "d", "e", "f", "a"] {
            keep(&known, &header(kid));
        }
        assert_eq!(kids(&known), ["a", "b", "c", "d"]);
        assert!(known.find(header("d").as_bytes()).is_some() && known.find(header("e").as_bytes()).is_none());
    }

    #[test]
    fn what_many_threads_keep_at_once_is_there_once() {
        let known = KnownHeaders::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| ["a", "b", "c"].iter().for_each(|kid| keep(&known, &header(kid))));
            }
        });
        let mut kids = kids(&known);
        kids.sort_unstable();
        assert_eq!(kids, ["a", "b", "c"]);
    }
}
