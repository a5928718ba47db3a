//! [`Form`]: the parameters of a request, from a body that is read to a bound.

use std::future::poll_fn;
use std::pin::pin;

use bytes::{Buf, BufMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Body;
use zeroize::Zeroizing;

use super::answer::{Answer, Fault};

/// The parameters of a form (`application/x-www-form-urlencoded`). They hold credentials, and are wiped when they are dropped.
pub(super) struct Form(Vec<(Zeroizing<String>, Zeroizing<String>)>);

/// The longest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

impl Form {
    /// Reads the body, if it is said to be a form.
    pub(super) async fn read<T: Body>(headers: &HeaderMap, body: T) -> Result<Self, Answer> {
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Answer::Refused(Fault::InvalidRequest));
        }
        let bytes = read(body).await?;
        Self::parse(&bytes).ok_or(Answer::Refused(Fault::InvalidRequest))
    }

    /// `None` if it is malformed, or a parameter stands twice (RFC 6749, section 3.2). Empty ones count as absent.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut parameters: Vec<(Zeroizing<String>, Zeroizing<String>)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.iter().any(|(other, _)| *other == name) {
                return None;
            }
            parameters.push((name, value));
        }
        Some(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other.as_str() == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// The whole body, up to the bound.
async fn read<T: Body>(body: T) -> Result<Zeroizing<Vec<u8>>, Answer> {
    let mut body = pin!(body);
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        // Whoever hangs up does not hear the answer.
        let Ok(frame) = frame else { return Err(Answer::Refused(Fault::InvalidRequest)) };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > MAX_FORM {
            return Err(Answer::TooLong);
        }
        bytes.put(data);
    }
    Ok(bytes)
}

/// Undoes the encoding of a form's names and values; `None` if it is malformed, or not UTF-8.
pub(super) fn decode(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next()?)? * 16 + digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_strictly() {
        for (name, text, parameter, expected) in [
            ("plain", "a=1&b=2", "b", Some(Some("2"))),
            ("encoded", "a=%C3%a9+x%26", "a", Some(Some("é x&"))),
            ("an encoded name", "%61=1", "a", Some(Some("1"))),
            ("an empty value", "a=", "a", Some(None)),
            ("no value", "a", "a", Some(None)),
            ("absent", "a=1", "b", Some(None)),
            ("empty pairs", "&&a=1&", "a", Some(Some("1"))),
            ("an equals sign in it", "a=b=c", "a", Some(Some("b=c"))),
            ("twice", "a=1&a=1", "a", None),
            ("twice by an escape", "a=1&%61=2", "a", None),
            ("half an escape", "a=%4", "a", None),
            ("no escape", "a=%zz", "a", None),
            ("not UTF-8", "a=%ff", "a", None),
        ] {
            let form = Form::parse(text.as_bytes());
            assert_eq!(form.as_ref().map(|form| form.get(parameter)), expected, "{name}");
        }
        assert!(Form::parse(b"a=\xff").is_none());
    }
}
