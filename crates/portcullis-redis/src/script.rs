//! [`Script`]: a Lua script and how it is run.
//!
//! * EVALSHA, and EVAL when the server does not know the script: two round trips once per server and script.
//!   SCRIPT LOAD is not used, because in a cluster it goes to every node and fails with any of them.
//! * No `#!lua` line: a full server refuses such a script before its first command, reads included.
//! * Scripts write before they delete and what grows first, and touch declared keys only.
//! * The offsets of a record and the answers are written into the scripts from here, so that they cannot drift.

use std::sync::LazyLock;

use portcullis_store::{StoreError, offset};
use redis::{Cmd, Value};

use crate::client::Call;
use crate::command::command;

/// A Lua script. It is sent whole only to a server that does not know it.
pub(crate) struct Script {
    source: String,
    sha1: String,
}

/// What the scripts answer, next to records and times.
pub(crate) mod answer {
    /// There is no record under the key.
    pub(crate) const GONE: i64 = 0;
    /// It is done, now or by an earlier send.
    pub(crate) const DONE: i64 = 1;
    /// Another record is there.
    pub(crate) const TAKEN: i64 = 2;
    /// What is there is no record, or one of an unknown format.
    pub(crate) const UNREADABLE: i64 = 3;
    /// The user's credentials were changed.
    pub(crate) const STALE: i64 = 4;
}

/// The last moment that is written: later ones are not exact in Lua's numbers. It is in the year 144683.
pub(crate) const LAST_TIME: u64 = 1 << 52;

pub(crate) static SAVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[RECORD, include_str!("lua/save.lua")]));
pub(crate) static DESTROY_UNCHANGED: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[RECORD, include_str!("lua/destroy_unchanged.lua")]));
pub(crate) static UNLINK: LazyLock<Script> = LazyLock::new(|| Script::new(&[include_str!("lua/unlink.lua")]));
pub(crate) static TOUCH: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[RECORD, TIME, include_str!("lua/touch.lua")]));
pub(crate) static CREATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[RECORD, TIME, INDEX, include_str!("lua/create.lua")]));
pub(crate) static ENROL: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[TIME, INDEX, include_str!("lua/enrol.lua")]));
pub(crate) static MEMBERS: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[TIME, include_str!("lua/members.lua")]));

pub(crate) static BUMP: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[TIME, include_str!("lua/bump.lua")]));

const RECORD: &str = include_str!("lua/record.lua");
const TIME: &str = include_str!("lua/time.lua");
const INDEX: &str = include_str!("lua/index.lua");

impl Script {
    fn new(parts: &[&str]) -> Self {
        let source = [constants().as_str(), &parts.join("\n")].concat();
        let sha1 = redis::Script::new(&source).get_hash().to_owned();
        Self { source, sha1 }
    }

    /// The command that runs the script on a server that need not know it.
    pub(crate) fn whole(&self, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        running("EVAL", &self.source, keys, arguments)
    }

    /// Runs the script; errors of the server are part of the reply.
    pub(crate) async fn run(
        &self,
        call: &mut Call<'_>,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Value, StoreError> {
        let reply = call.send(&running("EVALSHA", &self.sha1, keys, arguments)).await?;
        if is_unknown_script(&reply) {
            return call.send(&self.whole(keys, arguments)).await;
        }
        Ok(reply)
    }
}

fn running(name: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let count = keys.len().to_string();
    let head = [script.as_bytes(), count.as_bytes()];
    let keys = keys.iter().map(|key| key.as_bytes());
    command(name, head.into_iter().chain(keys).chain(arguments.iter().copied()))
}

fn is_unknown_script(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

fn constants() -> String {
    let constants = [
        ("VERSION", offset::VERSION as u64),
        ("FORMAT", offset::FORMAT.into()),
        ("TAGS", offset::TAGS as u64),
        ("ABSOLUTE_DEADLINE", offset::ABSOLUTE_DEADLINE as u64),
        ("IDLE", offset::IDLE as u64),
        ("IDLE_DEADLINE", offset::IDLE_DEADLINE as u64),
        ("PAYLOAD", offset::PAYLOAD as u64),
        ("LAST_TIME", LAST_TIME),
        ("GONE", answer::GONE.unsigned_abs()),
        ("DONE", answer::DONE.unsigned_abs()),
        ("TAKEN", answer::TAKEN.unsigned_abs()),
        ("UNREADABLE", answer::UNREADABLE.unsigned_abs()),
        ("STALE", answer::STALE.unsigned_abs()),
    ];
    let mut lines: String =
        constants.iter().map(|(name, value)| format!("local {name} = {value}\n")).collect();
    // Text, or it would be made anew each time that it is an argument.
    lines.push_str(&format!("local HEADER_END = '{}'\n", offset::PAYLOAD - 1));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_of_a_script_is_written_into_it() {
        let constants = constants();
        let defined = |name: &str| constants.contains(&format!("local {name} = "));
        for script in [&SAVE, &DESTROY_UNCHANGED, &UNLINK, &TOUCH, &CREATE, &ENROL, &MEMBERS, &BUMP] {
            let code = script.source.lines().filter(|line| !line.trim_start().starts_with("--"));
            let code: String = code.flat_map(|line| [line, "\n"]).collect();
            let words = code.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
            let capitals =
                words.filter(|word| word.len() > 2 && !word.contains(|c: char| c.is_ascii_lowercase()));
            for word in capitals.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())) {
                let of_redis = code.contains(&format!("'{word}'")) || matches!(word, "KEYS" | "ARGV");
                assert!(of_redis || defined(word), "{word}");
            }
        }
    }

    #[test]
    fn the_offsets_are_those_of_the_contract() {
        let constants = constants();
        for (name, offset) in [
            ("VERSION", offset::VERSION),
            ("FORMAT", offset::FORMAT.into()),
            ("TAGS", offset::TAGS),
            ("ABSOLUTE_DEADLINE", offset::ABSOLUTE_DEADLINE),
            ("IDLE", offset::IDLE),
            ("IDLE_DEADLINE", offset::IDLE_DEADLINE),
            ("PAYLOAD", offset::PAYLOAD),
        ] {
            assert!(constants.contains(&format!("local {name} = {offset}\n")), "{name}");
        }
    }

    #[test]
    fn no_script_asks_to_be_refused_by_a_full_server() {
        for script in [&SAVE, &DESTROY_UNCHANGED, &UNLINK, &TOUCH, &CREATE, &ENROL, &MEMBERS, &BUMP] {
            assert!(!script.source.contains("#!"));
        }
    }
}
