//! One command to a Redis server and its reply, in the RESP2 protocol, blocking.

use std::io::{self, BufRead, BufReader, Read, Write};

/// What a server answers, if it does not refuse.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Of any type that is not an array. Nil is empty.
    Bytes(Vec<u8>),
    Array(Vec<Self>),
}

impl Reply {
    /// The elements of an array are joined with line feeds.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Self::Array(elements) => elements.into_iter().map(Self::into_text).collect::<Vec<_>>().join("\n"),
        }
    }

    /// The elements of an array, as they are; of any other reply the only one.
    pub(super) fn into_elements(self) -> Vec<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => vec![bytes],
            Self::Array(elements) => elements.into_iter().flat_map(Self::into_elements).collect(),
        }
    }
}

/// Sends a command and reads its reply. `Ok(Err(..))` is the server's own error.
pub(super) fn call<A: AsRef<[u8]>>(
    stream: &mut (impl Read + Write),
    arguments: &[A],
) -> io::Result<Result<Reply, String>> {
    let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments.iter().map(AsRef::as_ref) {
        request.extend(format!("${}\r\n", argument.len()).into_bytes());
        request.extend(argument);
        request.extend(b"\r\n");
    }
    stream.write_all(&request)?;
    // The server says nothing unasked, so nothing behind the reply is lost with the buffer.
    reply(&mut BufReader::new(stream))
}

fn reply(stream: &mut impl BufRead) -> io::Result<Result<Reply, String>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end_matches("\r\n");
    let mut characters = line.chars();
    let kind = characters.next();
    let rest = characters.as_str();
    match kind {
        Some('+' | ':') => Ok(Ok(Reply::Bytes(rest.into()))),
        Some('-') => Ok(Err(rest.to_owned())),
        Some('$') => bulk(stream, number(rest)?).map(|bytes| Ok(Reply::Bytes(bytes))),
        Some('*') => array(stream, number(rest)?),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
        Some(other) => Err(io::Error::other(format!("a reply of unknown type {other:?}"))),
    }
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(io::Error::other)
}

fn bulk(stream: &mut impl BufRead, len: i64) -> io::Result<Vec<u8>> {
    let Ok(len) = usize::try_from(len) else { return Ok(Vec::new()) };
    let mut bytes = vec![0; len + 2];
    stream.read_exact(&mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

fn array(stream: &mut impl BufRead, len: i64) -> io::Result<Result<Reply, String>> {
    let mut elements = Vec::new();
    for _ in 0..len {
        match reply(stream)? {
            Ok(element) => elements.push(element),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(Reply::Array(elements)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_reply_is_read() {
        let cases: [(&str, &str, Result<&str, &str>); 6] = [
            ("simple", "+OK\r\n", Ok("OK")),
            ("error", "-ERR no\r\n", Err("ERR no")),
            ("integer", ":-7\r\n", Ok("-7")),
            ("bulk", "$4\r\na\r\nb\r\n", Ok("a\r\nb")),
            ("nil", "$-1\r\n", Ok("")),
            ("nested", "*3\r\n$1\r\na\r\n:2\r\n*1\r\n+c\r\n", Ok("a\n2\nc")),
        ];
        for (name, wire, expected) in cases {
            let got = reply(&mut wire.as_bytes()).unwrap().map(Reply::into_text);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{name}");
        }
    }

    #[test]
    fn elements_keep_their_bytes() {
        let wire = b"*3\r\n$3\r\na\nb\r\n$1\r\n\xff\r\n$0\r\n\r\n";
        let elements = reply(&mut &wire[..]).unwrap().unwrap().into_elements();
        assert_eq!(elements, [&b"a\nb"[..], b"\xff", b""]);
    }

    #[test]
    fn a_connection_that_ends_early_is_an_error() {
        for wire in ["", "$4\r\nab", "*2\r\n+a\r\n"] {
            assert!(reply(&mut wire.as_bytes()).is_err(), "{wire:?}");
        }
    }
}
