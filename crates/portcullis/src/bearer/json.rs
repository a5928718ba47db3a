//! [`read`]: JSON, as serde_json reads it; at less cost where it is plain, as that of tokens is.
//!
//! * Text without a backslash and without a control character is read here: a string in it ends at the next quote, and
//!   stands for itself.
//! * All other text is left to serde_json. So are, in plain text, numbers that are not natural, `true`, `false` and `null`,
//!   and what is nested deeply.
//! * It is for types that have visitors of their own: options, enums and newtypes are not known here.

mod members;
mod text;

pub(in crate::bearer) use self::members::Members;
pub(in crate::bearer) use self::text::{Text, Texts, next_text};
use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// The text is no JSON, or not of the type that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Reads all of a text.
pub(super) fn read<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, Unreadable> {
    if !is_plain(text) {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = seed.deserialize(&mut deserializer)?;
        return deserializer.end().map(|()| value).map_err(Unreadable::from);
    }
    let mut rest = Rest { text, at: 0 };
    let value = seed.deserialize(Value { rest: &mut rest, levels: LEVELS })?;
    if rest.peek().is_none() { Ok(value) } else { Err(Unreadable) }
}

/// How many objects and lists around one another are read here: such as `{"realm_access": {"roles": []}}`.
const LEVELS: usize = 3;

/// The lowest bit of each of eight bytes.
const LOWEST: u64 = u64::MAX / 255;

/// Without a way out in between, so that the compiler can look at many bytes at once.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |all, byte| all & (byte >= b' ') & (byte != b'\\'))
}

/// Where the next quote is, eight bytes at a time.
#[inline]
fn quote(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        // The lowest byte that is zero then is marked by its topmost bit; of those above nothing is said.
        let zeros = u64::from_le_bytes(*eight) ^ (LOWEST * u64::from(b'"'));
        let marks = zeros.wrapping_sub(LOWEST) & !zeros & (LOWEST << 7);
        if marks != 0 {
            return Some(bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8);
        }
        rest = behind;
    }
    let at = rest.iter().position(|&byte| byte == b'"')?;
    Some(bytes.len() - rest.len() + at)
}

/// What has not been read yet of a plain text.
struct Rest<'de> {
    text: &'de str,
    at: usize,
}

/// What stands next.
struct Value<'r, 'de> {
    rest: &'r mut Rest<'de>,
    /// How many objects and lists may be opened.
    levels: usize,
}

/// The members of an object, or the elements of a list.
struct Items<'r, 'de> {
    rest: &'r mut Rest<'de>,
    levels: usize,
    next: Next,
}

/// What comes next among items.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    First,
    Another,
    Nothing,
}

impl<'de> Rest<'de> {
    /// The next byte that is no space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    #[inline]
    fn skip(&mut self, expected: u8) -> Result<(), Unreadable> {
        let is_there = self.peek() == Some(expected);
        self.at += 1;
        if is_there { Ok(()) } else { Err(Unreadable) }
    }

    /// A function by itself, because its answer then comes back in two registers: compiled into those that call it, it makes
    /// them so large that theirs come back by way of memory.
    #[inline(never)]
    fn string(&mut self) -> Result<&'de str, Unreadable> {
        let rest = self.text.get(self.at..).and_then(|rest| rest.strip_prefix('"')).ok_or(Unreadable)?;
        let (string, _) =
            rest.split_at_checked(quote(rest.as_bytes()).ok_or(Unreadable)?).ok_or(Unreadable)?;
        self.at += string.len() + 2;
        Ok(string)
    }

    /// The digits that come next, if they are a number.
    fn natural(&mut self) -> Option<u64> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let (mut number, mut len) = (0u64, 0);
        while let Some(digit @ b'0'..=b'9') = rest.get(len) {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            len += 1;
        }
        let is_part =
            matches!(rest.get(len), Some(b'.' | b'e' | b'E')) || len > 1 && rest.first() == Some(&b'0');
        if is_part {
            return None;
        }
        self.at += len;
        Some(number)
    }

    /// Whatever comes next, left to serde_json.
    fn foreign(&mut self) -> Result<&'de str, Unreadable> {
        let rest = self.text.get(self.at..).ok_or(Unreadable)?;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        values.next().ok_or(Unreadable)??;
        let value = rest.get(..values.byte_offset()).ok_or(Unreadable)?;
        self.at += value.len();
        Ok(value)
    }
}

impl<'r, 'de> Value<'r, 'de> {
    /// What is in an object or a list that begins here.
    fn open(self) -> Items<'r, 'de> {
        self.rest.at += 1;
        Items { rest: self.rest, levels: self.levels - 1, next: Next::First }
    }
}

impl Items<'_, '_> {
    /// Whether there is one more before the end.
    #[inline]
    fn go_on(&mut self, end: u8) -> Result<bool, Unreadable> {
        let byte = self.rest.peek().ok_or(Unreadable)?;
        self.next = match self.next {
            Next::First if byte != end => {
                self.next = Next::Another;
                return Ok(true);
            }
            Next::First | Next::Another if byte == end => Next::Nothing,
            Next::Another if byte == b',' => Next::Another,
            Next::First | Next::Another | Next::Nothing => return Err(Unreadable),
        };
        self.rest.at += 1;
        self.rest.peek();
        Ok(self.next == Next::Another)
    }

    /// The value that was made of all of them.
    fn close<T>(&self, value: T) -> Result<T, Unreadable> {
        if self.next == Next::Nothing { Ok(value) } else { Err(Unreadable) }
    }
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Unreadable;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.rest.peek() {
            Some(b'"') => return visitor.visit_borrowed_str(self.rest.string()?),
            Some(b'{') if self.levels > 0 => {
                let mut members = self.open();
                let value = visitor.visit_map(&mut members)?;
                return members.close(value);
            }
            Some(b'[') if self.levels > 0 => {
                let mut elements = self.open();
                let value = visitor.visit_seq(&mut elements)?;
                return elements.close(value);
            }
            Some(b'0'..=b'9') => {
                if let Some(number) = self.rest.natural() {
                    return visitor.visit_u64(number);
                }
            }
            _ => {}
        }
        Ok(serde_json::Deserializer::from_str(self.rest.foreign()?).deserialize_any(visitor)?)
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.rest.peek() {
            Some(b'"') => _ = self.rest.string()?,
            _ => _ = self.rest.foreign()?,
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Unreadable;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        if !self.go_on(b'}')? {
            return Ok(None);
        }
        let name = self.rest.string()?;
        self.rest.skip(b':')?;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unreadable> {
        seed.deserialize(Value { rest: &mut *self.rest, levels: self.levels })
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Unreadable;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unreadable> {
        if !self.go_on(b']')? {
            return Ok(None);
        }
        seed.deserialize(Value { rest: &mut *self.rest, levels: self.levels }).map(Some)
    }
}

impl std::error::Error for Unreadable {}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no JSON of the type that is asked for")
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// What is wrong is not written down: nobody is told, and whoever sends such a text may want nothing but to cause work.
impl Error for Unreadable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use serde_json::Value as Json;

    use super::*;

    /// What serde_json makes of a text, or that it makes nothing of it, and whether it skips it.
    fn reference(text: &str) -> (Option<Json>, bool) {
        (serde_json::from_str(text).ok(), serde_json::from_str::<IgnoredAny>(text).is_ok())
    }

    fn ours(text: &str) -> (Option<Json>, bool) {
        (read(text, PhantomData).ok(), read(text, PhantomData::<IgnoredAny>).is_ok())
    }

    const PAYLOAD: &str = r#"{"iss":"https://idp.example", "aud":["api","web"],"exp":1700000000,"nbf":0, "ok":true,
        "n":[-1,0.5,1e3,18446744073709551615,18446744073709551616,null,{"a":[[{"b":[1,"é"]}]]}],"":"","x":{"roles":[]} }"#;

    #[test]
    fn what_is_plain_is_read_as_serde_json_reads_it() {
        let payload = PAYLOAD.replace('\n', " ");
        assert!(is_plain(&payload) && ours(&payload).1);
        for text in [&*payload, "", " ", "7", "\"\"", "{}", "[]", "[ ]", "{ }", " [1 , 2] ", "{\"a\" : 1}"] {
            assert_eq!(ours(text), reference(text), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_plain_is_read_as_serde_json_reads_it() {
        for text in
            [PAYLOAD, r#"{"\u0061":"\ud83d\ude00"}"#, r#"["\x"]"#, "[\"\u{1f}\"]", "[\"\u{7f}\"]", "[1]\n"]
        {
            assert_eq!(ours(text), reference(text), "{text:?}");
        }
    }

    /// A character that is put in, taken out or changed, at each place.
    #[test]
    fn what_is_almost_json_is_refused_where_serde_json_refuses_it() {
        let payload = PAYLOAD.replace('\n', " ");
        let mut accepted = 0;
        for (at, old) in payload.char_indices() {
            let (before, after) = payload.split_at(at);
            let behind = after.strip_prefix(old).unwrap();
            for new in "{}[]\",:\\ -+.eE019tn/\u{1f}\u{7f}é".chars().map(Some).chain([None]) {
                let new = new.map(String::from).unwrap_or_default();
                for text in [format!("{before}{new}{after}"), format!("{before}{new}{behind}")] {
                    let expected = reference(&text);
                    accepted += usize::from(expected.1);
                    assert_eq!(ours(&text), expected, "{text}");
                }
            }
        }
        assert!(accepted > 1000, "{accepted}");
    }

    #[test]
    fn a_text_that_ends_early_is_refused() {
        let payload = PAYLOAD.replace('\n', " ");
        for (at, _) in payload.char_indices() {
            assert_eq!(ours(payload.split_at(at).0), (None, false), "{at}");
        }
    }

    #[test]
    fn a_string_ends_at_the_first_quote_wherever_that_is() {
        for len in 0..40 {
            // Next to a quote in the eight bytes, a byte that differs from it by one.
            for filling in ['!', '#', 'é'] {
                let text = format!("[\"{}\",\"#\"]", filling.to_string().repeat(len));
                assert_eq!(ours(&text), reference(&text), "{text}");
            }
        }
    }

    #[test]
    fn a_number_is_what_its_digits_say_or_too_large() {
        for len in 1..30 {
            for digit in ["1", "9"] {
                let text = digit.repeat(len);
                assert_eq!(ours(&text), reference(&text), "{text}");
            }
        }
        let most = u128::from(u64::MAX);
        for number in [most / 10, most - 1, most, most + 1, most * 10, (most + 1) * 10, 1 << 65] {
            let text = number.to_string();
            assert_eq!(ours(&text), reference(&text), "{text}");
            assert_eq!(read(&text, PhantomData::<u64>).ok(), u64::try_from(number).ok(), "{text}");
        }
    }

    #[test]
    fn what_is_nested_without_end_is_refused() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth| format!("{}0{}", open.repeat(depth), close.repeat(depth));
            for depth in [1, LEVELS, LEVELS + 1, 100] {
                assert_eq!(ours(&nested(depth)), reference(&nested(depth)), "{depth}");
            }
            assert_eq!(read(&nested(100_000), PhantomData::<Json>), Err(Unreadable));
        }
    }

    /// A visitor that leaves elements behind has not read what it says to have read.
    #[test]
    fn what_is_not_read_to_its_end_is_refused() {
        struct First;

        impl<'de> Visitor<'de> for First {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
                list.next_element::<IgnoredAny>().map(drop)
            }
        }

        impl<'de> DeserializeSeed<'de> for First {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_seq(self)
            }
        }

        assert_eq!(read("[]", First), Ok(()));
        assert_eq!(read("[1,2]", First), Err(Unreadable));
    }
}
