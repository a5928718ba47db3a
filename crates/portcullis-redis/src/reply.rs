//! Replies of the server, read. Values are matched by hand: an error of the redis crate's own conversions prints the
//! value, and that may be a session.

use portcullis_store::{
    Enrolled, HeaderError, Locator, Record, StoreError, StoreErrorKind, Timestamp, TokenEpoch,
};
use redis::Value;

use crate::script::answer::{DONE, STALE, TAKEN};
use crate::verdict::Failure;

/// What one of our scripts answers.
pub(crate) enum Answer {
    /// One of [`answer`](crate::script::answer).
    Code(i64),
    /// A record, or a number too large for the other.
    Bytes(Vec<u8>),
}

/// The reply, unless it is the server's error.
pub(crate) fn accepted(reply: Value) -> Result<Value, StoreError> {
    if let Value::ServerError(error) = reply { Err(Failure::refused(&error).into()) } else { Ok(reply) }
}

/// The reply of a script.
pub(crate) fn answer(reply: Value) -> Result<Answer, StoreError> {
    let reply = accepted(reply)?;
    if let Value::Int(code) = reply {
        return Ok(Answer::Code(code));
    }
    bytes(reply).map(Answer::Bytes)
}

/// The record in the reply to a GET.
pub(crate) fn record(reply: Value) -> Result<Option<Record>, StoreError> {
    let reply = accepted(reply)?;
    if reply == Value::Nil { Ok(None) } else { decode(&bytes(reply)?).map(Some) }
}

/// A text of any bytes.
pub(crate) fn octets(reply: Value) -> Result<Vec<u8>, StoreError> {
    bytes(reply)
}

fn bytes(reply: Value) -> Result<Vec<u8>, StoreError> {
    if let Value::BulkString(bytes) = reply { Ok(bytes) } else { Err(unexpected()) }
}

/// The answer of a script that enters a session in an index.
pub(crate) fn enrolled(reply: Value) -> Result<Enrolled, StoreError> {
    let reply = accepted(reply)?;
    let Value::Int(code) = reply else { return locators(reply).map(Enrolled::Full) };
    match code {
        DONE => Ok(Enrolled::Done),
        TAKEN => Ok(Enrolled::Taken),
        STALE => Ok(Enrolled::StaleCredential),
        _ => Err(unexpected()),
    }
}

/// A number in decimal; what is none was not written by us.
pub(crate) fn number(reply: Value) -> Result<u64, StoreError> {
    let text = bytes(reply)?;
    std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable)
}

/// The moment in the reply to a GET, or one of an MGET; nothing stands for never.
pub(crate) fn epoch(reply: Value) -> Result<TokenEpoch, StoreError> {
    if reply == Value::Nil {
        Ok(TokenEpoch::default())
    } else {
        number(reply).map(|at| TokenEpoch(Timestamp::from_millis(at)))
    }
}

/// The locators in a list.
pub(crate) fn locators(reply: Value) -> Result<Vec<Locator>, StoreError> {
    let Value::Array(members) = accepted(reply)? else { return Err(unexpected()) };
    members.iter().map(|member| locator(member).ok_or_else(unreadable)).collect()
}

fn locator(member: &Value) -> Option<Locator> {
    let Value::BulkString(text) = member else { return None };
    Locator::parse(std::str::from_utf8(text).ok()?)
}

/// A text, of whatever kind.
pub(crate) fn text(value: &Value) -> Option<&str> {
    if let Value::SimpleString(text) = value {
        return Some(text);
    }
    let Value::BulkString(bytes) = value else { return None };
    std::str::from_utf8(bytes).ok()
}

/// The value beside `name`, in an array of names and values by turns.
pub(crate) fn beside<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Array(entries) = value else { return None };
    let (pairs, _) = entries.as_chunks::<2>();
    pairs.iter().find(|[key, _]| text(key) == Some(name)).map(|[_, value]| value)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Record, StoreError> {
    Record::decode(bytes)
        .map_err(|error: HeaderError| StoreError::with_source(StoreErrorKind::Corrupt, error))
}

/// There is something else than a record.
pub(crate) fn unreadable() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
}

/// No server of the right kind answers like this.
pub(crate) fn unexpected() -> StoreError {
    StoreError::with_source(StoreErrorKind::Config, "a reply of another type than the command has")
}
