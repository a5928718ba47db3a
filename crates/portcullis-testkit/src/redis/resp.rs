//! One command to a Redis server and its reply, in the RESP2 protocol, blocking.

use std::io::{self, BufRead, BufReader, Read, Write};

/// Sends a command and reads its reply. `Ok(Err(..))` is the server's own error.
pub(super) fn call(
    stream: &mut (impl Read + Write),
    arguments: &[&str],
) -> io::Result<Result<String, String>> {
    let mut request = format!("*{}\r\n", arguments.len());
    for argument in arguments {
        request.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
    }
    stream.write_all(request.as_bytes())?;
    // The server says nothing unasked, so nothing behind the reply is lost with the buffer.
    reply(&mut BufReader::new(stream))
}

/// Elements of an array are joined with line feeds, nil is empty text.
fn reply(stream: &mut impl BufRead) -> io::Result<Result<String, String>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end_matches("\r\n");
    let mut characters = line.chars();
    let kind = characters.next();
    let rest = characters.as_str();
    match kind {
        Some('+' | ':') => Ok(Ok(rest.to_owned())),
        Some('-') => Ok(Err(rest.to_owned())),
        Some('$') => bulk(stream, number(rest)?).map(Ok),
        Some('*') => array(stream, number(rest)?),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
        Some(other) => Err(io::Error::other(format!("a reply of unknown type {other:?}"))),
    }
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(io::Error::other)
}

fn bulk(stream: &mut impl BufRead, len: i64) -> io::Result<String> {
    let Ok(len) = usize::try_from(len) else { return Ok(String::new()) };
    let mut bytes = vec![0; len + 2];
    stream.read_exact(&mut bytes)?;
    bytes.truncate(len);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn array(stream: &mut impl BufRead, len: i64) -> io::Result<Result<String, String>> {
    let mut elements = Vec::new();
    for _ in 0..len {
        match reply(stream)? {
            Ok(element) => elements.push(element),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(elements.join("\n")))
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
            let got = reply(&mut wire.as_bytes()).unwrap();
            assert_eq!(got.as_ref().map(String::as_str).map_err(String::as_str), expected, "{name}");
        }
    }

    #[test]
    fn a_connection_that_ends_early_is_an_error() {
        for wire in ["", "$4\r\nab", "*2\r\n+a\r\n"] {
            assert!(reply(&mut wire.as_bytes()).is_err(), "{wire:?}");
        }
    }
}
