//! `application/x-www-form-urlencoded`, as forms are written (RFC 6749, appendix B).

/// Appends a text, with everything escaped but letters, digits, `-`, `.`, `_` and `*`; a space is a plus.
pub(crate) fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                into.push(char::from(byte))
            }
            b' ' => into.push('+'),
            other => {
                into.push('%');
                into.extend([other >> 4, other & 15].map(digit));
            }
        }
    }
}

fn digit(half: u8) -> char {
    char::from_digit(half.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        let mut encoded = String::new();
        encode(text, &mut encoded);
        encoded
    }

    #[test]
    fn a_text_is_escaped_as_rfc_6749_says() {
        // The example of appendix B.
        assert_eq!(encoded(" %&+\u{a3}\u{20ac}"), "+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(encoded("aZ09-._*~/=:"), "aZ09-._*%7E%2F%3D%3A");
    }
}
