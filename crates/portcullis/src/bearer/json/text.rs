//! Strings of a JSON text, borrowed from it where they hold no escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

/// One string.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::bearer) struct Text<'a>(pub(in crate::bearer) Cow<'a, str>);

/// A string or a list of strings, as `aud` has it (RFC 7519, section 4.1.3).
#[derive(Debug)]
pub(in crate::bearer) enum Texts<'a> {
    One(Cow<'a, str>),
    Many(SmallVec<[Cow<'a, str>; 4]>),
}

impl<'a> Texts<'a> {
    pub(in crate::bearer) fn as_slice(&self) -> &[Cow<'a, str>] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The value of a member that is a string.
#[inline]
pub(in crate::bearer) fn next_text<'de, A: MapAccess<'de>>(
    members: &mut A,
) -> Result<Cow<'de, str>, A::Error> {
    members.next_value::<Text<'de>>().map(|Text(text)| text)
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Texts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Texts::One(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Texts::One(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut many = SmallVec::new();
        while let Some(Text(text)) = list.next_element()? {
            many.push(text);
        }
        Ok(Texts::Many(many))
    }
}
