//! What those are told who watch for revocations: texts, of which a script adds the numbers, since it alone knows them. Pure.
//!
//! | text | says that |
//! | --- | --- |
//! | `t:<user>:<token>:<keep>` | a token is revoked, for so many milliseconds yet |
//! | `f:<user>:<family>:<keep>` | a family is |
//! | `e:<user>:<epoch>:<keep>` | all of a user's tokens are |
//! | `a:<epoch>:<keep>` | all of the realm's are |

use std::time::Duration;

use portcullis_store::{Locator, Revocation, Revoked, Timestamp, TokenEpoch};

pub(crate) fn of_token(user: Locator, token: Locator) -> String {
    format!("t:{user}:{token}:")
}

pub(crate) fn of_family(user: Locator, family: Locator) -> String {
    format!("f:{user}:{family}:")
}

pub(crate) fn of_user(user: Locator) -> String {
    format!("e:{user}:")
}

pub(crate) fn of_everyone() -> String {
    "a:".to_owned()
}

/// What is told; `None` of what no version before this one has written.
pub(crate) fn parse(text: &[u8]) -> Option<Revocation> {
    let mut parts = std::str::from_utf8(text).ok()?.split(':');
    let what = match parts.next()? {
        "t" => Revoked::Token { user: locator(parts.next())?, token: locator(parts.next())? },
        "f" => Revoked::Family { user: locator(parts.next())?, family: locator(parts.next())? },
        "e" => Revoked::User { user: locator(parts.next())?, epoch: epoch(parts.next())? },
        "a" => Revoked::Everyone { epoch: epoch(parts.next())? },
        _ => return None,
    };
    let keep = Duration::from_millis(number(parts.next())?);
    parts.next().is_none().then_some(Revocation { what, keep })
}

fn locator(text: Option<&str>) -> Option<Locator> {
    Locator::parse(text?)
}

fn epoch(text: Option<&str>) -> Option<TokenEpoch> {
    number(text).map(|at| TokenEpoch(Timestamp::from_millis(at)))
}

fn number(text: Option<&str>) -> Option<u64> {
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_whole_or_not_at_all() {
        let [user, name] = [[1; 16], [2; 16]].map(Locator::from_bytes);
        let epoch = TokenEpoch(Timestamp::from_millis(1_700_000_000_123));
        let rows = [
            ("a token", of_token(user, name) + "5000", Some(Revoked::Token { user, token: name })),
            ("a family", of_family(user, name) + "5000", Some(Revoked::Family { user, family: name })),
            ("a user", of_user(user) + "1700000000123:5000", Some(Revoked::User { user, epoch })),
            ("everyone", of_everyone() + "1700000000123:5000", Some(Revoked::Everyone { epoch })),
            ("without a time", of_token(user, name), None),
            ("without an epoch", of_user(user) + "5000", None),
            ("a negative time", of_token(user, name) + "-1", None),
            ("a time with a sign", of_token(user, name) + "+1", None),
            ("a time with an exponent", of_token(user, name) + "1e+15", None),
            ("more than all", of_token(user, name) + "5000:1", None),
            ("another kind", "x:5000".to_owned(), None),
            ("nothing", String::new(), None),
        ];
        for (name, text, expected) in rows {
            let keep = Duration::from_secs(5);
            let expected = expected.map(|what| Revocation { what, keep });
            assert_eq!(parse(text.as_bytes()), expected, "{name}");
        }
        assert_eq!(parse(&[b'a', b':', 0xff]), None);
    }
}
