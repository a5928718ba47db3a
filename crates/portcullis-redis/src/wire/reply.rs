//! [`read`]: a server's replies (RESP2), as far as they have arrived. Pure.

use redis::Value;

/// The bytes are no reply. What follows them cannot be told either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Why there is no reply.
enum Stop {
    /// Not all of it has arrived.
    Early,
    Malformed,
}

/// A line is a status, a number or an error: more than this is none of them.
const LONGEST_LINE: usize = 64 * 1024;
/// Lists of lists of lists: `CLUSTER SLOTS` has four levels.
const DEEPEST: usize = 8;

/// The first reply in these bytes, and how many of them it is; `None` while it is not whole.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.value(DEEPEST) {
        Ok(value) => Ok(Some((value, reader.at))),
        Err(Stop::Early) => Ok(None),
        Err(Stop::Malformed) => Err(Malformed),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        let mark = *self.rest().first().ok_or(Stop::Early)?;
        if !b"$:+-*".contains(&mark) {
            return Err(Stop::Malformed);
        }
        let start = self.at;
        self.at += 1;
        let line = self.line()?;
        match mark {
            b'$' => self.bulk(line),
            b':' => number(line).map(Value::Int),
            b'+' if line == b"OK" => Ok(Value::Okay),
            b'+' => text(line).map(|text| Value::SimpleString(text.to_owned())),
            b'-' => self.error(start),
            _ => self.list(line, depth),
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Up to the end of the line.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = self.rest();
        let Some(end) = rest.iter().position(|byte| *byte == b'\r') else {
            return Err(if rest.len() > LONGEST_LINE { Stop::Malformed } else { Stop::Early });
        };
        let (line, end) = rest.split_at_checked(end).ok_or(Stop::Early)?;
        self.at += line.len();
        self.end(end).map(|()| line)
    }

    /// The end of a line, or of a text.
    fn end(&mut self, rest: &[u8]) -> Result<(), Stop> {
        match rest {
            [b'\r', b'\n', ..] => {
                self.at += 2;
                Ok(())
            }
            [] | [b'\r'] => Err(Stop::Early),
            _ => Err(Stop::Malformed),
        }
    }

    fn bulk(&mut self, len: &[u8]) -> Result<Value, Stop> {
        let Some(len) = length(len)? else { return Ok(Value::Nil) };
        let (text, rest) = self.rest().split_at_checked(len).ok_or(Stop::Early)?;
        self.at += len;
        self.end(rest)?;
        Ok(Value::BulkString(text.to_vec()))
    }

    fn list(&mut self, len: &[u8], depth: usize) -> Result<Value, Stop> {
        let Some(len) = length(len)? else { return Ok(Value::Nil) };
        let depth = depth.checked_sub(1).ok_or(Stop::Malformed)?;
        // Room is made for what has arrived, whatever is said to come: three bytes are the shortest value.
        let mut values = Vec::with_capacity(len.min(self.rest().len() / 3));
        for _ in 0..len {
            values.push(self.value(depth)?);
        }
        Ok(Value::Array(values))
    }

    /// The redis crate takes a code and its details apart; nobody else can make its errors.
    fn error(&self, start: usize) -> Result<Value, Stop> {
        let line = self.bytes.get(start..self.at).ok_or(Stop::Malformed)?;
        redis::parse_redis_value(line).map_err(|_| Stop::Malformed)
    }
}

/// `-1` is nil.
fn length(line: &[u8]) -> Result<Option<usize>, Stop> {
    match number(line)? {
        -1 => Ok(None),
        len => usize::try_from(len).map(Some).map_err(|_| Stop::Malformed),
    }
}

fn number(line: &[u8]) -> Result<i64, Stop> {
    text(line)?.parse().map_err(|_| Stop::Malformed)
}

fn text(line: &[u8]) -> Result<&str, Stop> {
    std::str::from_utf8(line).map_err(|_| Stop::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [&str; 14] = [
        "+OK\r\n",
        "+PONG\r\n",
        "+\r\n",
        ":0\r\n",
        ":-9223372036854775808\r\n",
        "$-1\r\n",
        "$0\r\n\r\n",
        "$5\r\n\r\n+O\r\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*3\r\n$1\r\na\r\n:1\r\n*1\r\n$-1\r\n",
        "-ERR unknown command 'X'\r\n",
        "-NOSCRIPT No matching script.\r\n",
        "-MOVED 3999 127.0.0.1:6381\r\n",
    ];

    #[test]
    fn replies_are_read_as_the_redis_crate_reads_them() {
        for reply in WHOLE {
            let expected = redis::parse_redis_value(reply.as_bytes()).unwrap();
            let followed = [reply, ":7\r\n"].concat();
            assert_eq!(read(followed.as_bytes()), Ok(Some((expected, reply.len()))), "{reply:?}");
        }
    }

    #[test]
    fn a_reply_is_waited_for_until_it_is_whole() {
        for reply in WHOLE {
            for len in 0..reply.len() {
                assert_eq!(read(&reply.as_bytes()[..len]), Ok(None), "{len} bytes of {reply:?}");
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        let deep = "*1\r\n".repeat(DEEPEST + 1);
        let long = format!("+{}", "a".repeat(LONGEST_LINE + 1));
        let cases = [
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "$-2\r\n",
            "$x\r\n",
            ":\r\n",
            ":1\rx",
            "$1\r\nab\r\n",
            "*-2\r\n",
            "_\r\n",
            "+a\rx",
            &deep,
            &long,
        ];
        for bytes in cases {
            assert_eq!(read(bytes.as_bytes()), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(read(b"+\xff\r\n"), Err(Malformed), "a status is text");
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        assert_eq!(read(b"*9223372036854775807\r\n"), Ok(None));
        assert_eq!(read(b"$9223372036854775807\r\nabc"), Ok(None));
    }

    #[test]
    fn no_bytes_whatever_panic() {
        let mut seed = 1u64;
        for reply in WHOLE {
            for _ in 0..2000 {
                let mut bytes = reply.as_bytes().to_vec();
                for _ in 0..2 {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let at = (seed >> 33) as usize % bytes.len();
                    bytes[at] = (seed >> 25) as u8;
                }
                let _ = read(&bytes);
            }
        }
    }
}
