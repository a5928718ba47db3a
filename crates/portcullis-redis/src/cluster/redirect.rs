//! [`Redirect`]: what a node answers that does not serve a slot.

use redis::ServerError;

use crate::server::Place;

/// Where a node sends a command that it does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) slot: u16,
    pub(crate) to: Place,
    /// The slot stays there. Else it is on its way, and only this command is to go there, after an ASKING.
    pub(crate) to_stay: bool,
}

impl Redirect {
    /// Reads `MOVED 3999 127.0.0.1:6381` and `ASK 3999 127.0.0.1:6381`. `asked` is who answered.
    pub(crate) fn read(error: &ServerError, asked: &Place) -> Option<Self> {
        let to_stay = match error.code() {
            "MOVED" => true,
            "ASK" => false,
            _ => return None,
        };
        let (slot, to) = error.details()?.split_once(' ')?;
        Some(Self { slot: slot.parse().ok()?, to: Place::of_node(to, asked)?, to_stay })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Redirect> {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let redis::Value::ServerError(error) = reply else { panic!("{reply:?} is no error") };
        Redirect::read(&error, &Place::tcp("10.0.0.1", 7000))
    }

    #[test]
    fn redirects_are_read() {
        let to = |host: &str, to_stay| Some(Redirect { slot: 3999, to: Place::tcp(host, 6381), to_stay });
        let cases = [
            ("MOVED 3999 127.0.0.1:6381", to("127.0.0.1", true)),
            ("ASK 3999 127.0.0.1:6381", to("127.0.0.1", false)),
            ("MOVED 3999 :6381", to("10.0.0.1", true)),
            ("MOVED 3999 fd00::1:6381", to("fd00::1", true)),
            ("MOVED", None),
            ("MOVED x 127.0.0.1:6381", None),
            ("MOVED 3999 127.0.0.1", None),
            ("CLUSTERDOWN Hash slot not served", None),
        ];
        for (line, redirect) in cases {
            assert_eq!(read(line), redirect, "{line}");
        }
    }
}
