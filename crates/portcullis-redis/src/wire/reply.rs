//! [`Reader`]: a server's replies (RESP2), read as they arrive. Pure.
//!
//! What has been read of a list is kept until the rest of it arrives, so that each value is read once, in however many
//! pieces a reply comes.

use redis::Value;

/// Reads one reply after the other.
#[derive(Default)]
pub(super) struct Reader {
    /// The lists that are not whole yet, the outermost first.
    open: Vec<List>,
}

/// The bytes are no reply. What follows them cannot be told either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A list, and how many values are still to come.
struct List {
    values: Vec<Value>,
    left: usize,
}

/// Why there is no value.
enum Stop {
    /// A list begins here, and its values come next.
    List(List),
    /// Not all of it has arrived.
    Early,
    Malformed,
}

/// A line is a status, a number or an error: more than this is none of them.
const LONGEST_LINE: usize = 64 * 1024;
/// Lists of lists of lists: `CLUSTER SLOTS` has four levels.
const DEEPEST: usize = 8;

impl Reader {
    /// Reads on: how many of these bytes have been read, and the reply if that has made it whole. The others are to be shown
    /// again when more have arrived behind them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Value>), Malformed> {
        let mut cursor = Cursor { bytes, at: 0 };
        loop {
            let read = cursor.at;
            let whole = match cursor.value() {
                // As nearly all are.
                Ok(value) if self.open.is_empty() => return Ok((cursor.at, Some(value))),
                Ok(value) => self.put(value),
                Err(Stop::List(list)) => self.begin(list)?,
                Err(Stop::Early) => return Ok((read, None)),
                Err(Stop::Malformed) => return Err(Malformed),
            };
            if whole.is_some() {
                return Ok((cursor.at, whole));
            }
        }
    }

    /// The values of a list come next, if it has any.
    fn begin(&mut self, list: List) -> Result<Option<Value>, Malformed> {
        if self.open.len() == DEEPEST {
            return Err(Malformed);
        }
        if list.left == 0 {
            return Ok(self.put(Value::Array(list.values)));
        }
        self.open.push(list);
        Ok(None)
    }

    /// Puts a value where it belongs. The reply, if that was all that it lacked.
    fn put(&mut self, mut whole: Value) -> Option<Value> {
        // A list that becomes whole is the next value of the one around it.
        while let Some(list) = self.open.last_mut() {
            list.values.push(whole);
            list.left -= 1;
            if list.left > 0 {
                return None;
            }
            whole = Value::Array(std::mem::take(&mut list.values));
            self.open.pop();
        }
        Some(whole)
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn value(&mut self) -> Result<Value, Stop> {
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
            _ => self.list(line),
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

    fn list(&self, len: &[u8]) -> Result<Value, Stop> {
        let Some(left) = length(len)? else { return Ok(Value::Nil) };
        // Room is made for what has arrived, whatever is said to come: three bytes are the shortest value.
        let values = Vec::with_capacity(left.min(self.rest().len() / 3));
        Err(Stop::List(List { values, left }))
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

    /// The first reply in these bytes, and how many of them it is.
    fn read(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
        let (read, reply) = Reader::default().read(bytes)?;
        Ok(reply.map(|reply| (reply, read)))
    }

    /// What bytes that arrive in pieces of this length are read as, how often and how many bytes were looked through.
    fn in_pieces(bytes: &[u8], len: usize) -> (Vec<Value>, usize, usize) {
        let (mut reader, mut arrived, mut replies) = (Reader::default(), Vec::new(), Vec::new());
        let (mut times, mut shown) = (0, 0);
        for piece in bytes.chunks(len) {
            arrived.extend_from_slice(piece);
            loop {
                (times, shown) = (times + 1, shown + arrived.len());
                let (read, reply) = reader.read(&arrived).unwrap();
                arrived.drain(..read);
                let Some(reply) = reply else { break };
                replies.push(reply);
            }
        }
        assert_eq!((arrived.len(), reader.open.len()), (0, 0), "something is left");
        (replies, times, shown)
    }

    #[test]
    fn replies_are_the_same_in_whatever_pieces_they_come() {
        let deep = format!("{}:1\r\n", "*1\r\n".repeat(DEEPEST));
        let all = [WHOLE.as_slice(), &["*2\r\n*0\r\n*2\r\n-ERR no\r\n+OK\r\n", &deep]].concat();
        let expected: Vec<Value> =
            all.iter().map(|reply| redis::parse_redis_value(reply.as_bytes()).unwrap()).collect();
        let bytes = all.concat();
        for len in 1..=bytes.len() {
            assert_eq!(in_pieces(bytes.as_bytes(), len).0, expected, "pieces of {len}");
        }
    }

    #[test]
    fn each_value_of_a_list_is_read_once_in_however_many_pieces_it_comes() {
        let value = "$10\r\n0123456789\r\n";
        let inner = format!("*100\r\n{}", value.repeat(100));
        let reply = format!("*100\r\n{}", inner.repeat(100));
        for len in [1, 16, 1000, 16 * 1024] {
            let (replies, times, shown) = in_pieces(reply.as_bytes(), len);
            assert_eq!(replies.len(), 1);
            // Of what was read before, nothing is looked through again but the value that lacks something.
            assert!(shown <= reply.len() + times * value.len(), "{shown} bytes of {} by {len}", reply.len());
        }
    }

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
