//! [`Script`]: a Lua script and how it is run.
//!
//! * EVALSHA, and EVAL when the server does not know the script: two round trips once per server and script.
//!   SCRIPT LOAD is not used, because in a cluster it goes to every node and fails with any of them.
//! * No `#!lua` line: a full server refuses such a script before its first command, reads included.
//! * Scripts write before they delete and what grows first, and touch declared keys only.
//! * The offsets of a record and the answers are written into the scripts from here, so that they cannot drift.
//! * Each call of a command costs about half a microsecond of the server, and each function that is defined a tenth: what is
//!   usual comes first, and what it does not need after it.

use std::sync::LazyLock;

use portcullis_store::{StoreError, offset};
use redis::Value;

use crate::client::Call;
use crate::command::{Command, Word, command_of};

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
    /// Not in one step.
    pub(crate) const APART: i64 = 5;
}

/// The last moment that is written: later ones are not exact in Lua's numbers. It is in the year 144683.
pub(crate) const LAST_TIME: u64 = 1 << 52;

pub(crate) static SAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/save.lua")));
pub(crate) static DESTROY_UNCHANGED: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/destroy_unchanged.lua")));
pub(crate) static UNLINK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/unlink.lua")));
pub(crate) static TOUCH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/touch.lua")));
pub(crate) static CREATE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/create.lua")));
pub(crate) static SUPERSEDE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/supersede.lua")));
pub(crate) static ENROL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/enrol.lua")));
pub(crate) static MEMBERS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/members.lua")));
pub(crate) static MARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/mark.lua")));
pub(crate) static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/claim.lua")));
pub(crate) static EPOCH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/epoch.lua")));
pub(crate) static BUMP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/bump.lua")));
pub(crate) static LOAD_KEY_SET: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/load_key_set.lua")));
pub(crate) static SAVE_KEY_SET: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/save_key_set.lua")));
pub(crate) static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/lease.lua")));
pub(crate) static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/release.lua")));

pub(crate) static BEGIN_FAMILY: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/begin_family.lua")));
pub(crate) static ROTATE_FAMILY: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/rotate_family.lua")));

/// The first byte of a stored family.
pub(crate) const FAMILY_FORMAT: u8 = 1;

/// Where the current secret stands in a stored family, and after it the one before, and then the payload. In front of them are
/// the format and, in eight bytes each, generation, time of rotation, end, idle time, epoch of the user, and beginning.
pub(crate) const FAMILY_SECRETS: usize = 1 + 6 * 8;

/// Where the epoch of the user stands.
const FAMILY_EPOCH: usize = 1 + 4 * 8;

/// What a script has in the place of a line with the name after [`PART`].
const PARTS: [(&str, &str); 5] = [
    ("record.lua", include_str!("lua/record.lua")),
    ("time.lua", include_str!("lua/time.lua")),
    ("decimal.lua", include_str!("lua/decimal.lua")),
    ("enter.lua", include_str!("lua/enter.lua")),
    ("index.lua", include_str!("lua/index.lua")),
];
const PART: &str = "--! ";

impl Script {
    fn new(text: &str) -> Self {
        let source = with_constants(&with_parts(text));
        let sha1 = redis::Script::new(&source).get_hash().to_owned();
        Self { source, sha1 }
    }

    /// The command that runs the script on a server that need not know it.
    pub(crate) fn whole(&self, keys: &[impl Word], arguments: &[impl Word]) -> Command {
        running("EVAL", &self.source, keys, arguments)
    }

    /// Runs the script; errors of the server are part of the reply.
    pub(crate) async fn run(
        &self,
        call: &mut Call<'_>,
        keys: &[impl Word],
        arguments: &[impl Word],
    ) -> Result<Value, StoreError> {
        let reply = call.send(&running("EVALSHA", &self.sha1, keys, arguments)).await?;
        if is_unknown_script(&reply) {
            let whole = self.whole(keys, arguments);
            return Box::pin(call.send(&whole)).await;
        }
        Ok(reply)
    }
}

fn running(name: &str, script: &str, keys: &[impl Word], arguments: &[impl Word]) -> Command {
    let count = COUNTS.get(keys.len()).copied().unwrap_or_default();
    command_of(&[name, script, count], keys, arguments.iter())
}

/// No script has more keys.
const COUNTS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];

fn is_unknown_script(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// The parts stand where they are needed: a function costs as much to define as to call, each time that the script runs.
fn with_parts(text: &str) -> String {
    let part = |line: &str| {
        let name = line.trim_start().strip_prefix(PART)?;
        PARTS.iter().find(|(known, _)| *known == name).map(|(_, part)| *part)
    };
    text.lines().flat_map(|line| [part(line).unwrap_or(line), "\n"]).collect()
}

/// Values in the place of names: a local that a function uses costs more than the rest of most scripts.
fn with_constants(text: &str) -> String {
    let constants = constants();
    let is_end = |character: char| !character.is_ascii_alphanumeric() && character != '_';
    let value = |word: &str| {
        let name = word.trim_end_matches(is_end);
        let (_, value) = constants.iter().find(|(known, _)| *known == name)?;
        Some([value, word.strip_prefix(name)?].concat())
    };
    text.split_inclusive(is_end).map(|word| value(word).unwrap_or_else(|| word.to_owned())).collect()
}

fn constants() -> [(&'static str, String); 18] {
    let number = |value: u64| value.to_string();
    [
        ("VERSION", number(offset::VERSION as u64)),
        ("FORMAT", number(offset::FORMAT.into())),
        ("TAGS", number(offset::TAGS as u64)),
        ("ABSOLUTE_DEADLINE", number(offset::ABSOLUTE_DEADLINE as u64)),
        ("IDLE", number(offset::IDLE as u64)),
        ("IDLE_DEADLINE", number(offset::IDLE_DEADLINE as u64)),
        ("PAYLOAD", number(offset::PAYLOAD as u64)),
        // Text, or it would be made anew each time that it is an argument.
        ("HEADER_END", format!("'{}'", offset::PAYLOAD - 1)),
        ("FAMILY_FORMAT", number(FAMILY_FORMAT.into())),
        ("FAMILY_SECRETS", number(FAMILY_SECRETS as u64)),
        ("FAMILY_EPOCH", number(FAMILY_EPOCH as u64)),
        ("LAST_TIME", number(LAST_TIME)),
        ("GONE", answer::GONE.to_string()),
        ("DONE", answer::DONE.to_string()),
        ("TAKEN", answer::TAKEN.to_string()),
        ("UNREADABLE", answer::UNREADABLE.to_string()),
        ("STALE", answer::STALE.to_string()),
        ("APART", answer::APART.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [&'static Script; 18] {
        [
            &SAVE,
            &DESTROY_UNCHANGED,
            &UNLINK,
            &TOUCH,
            &CREATE,
            &SUPERSEDE,
            &ENROL,
            &MEMBERS,
            &BUMP,
            &MARK,
            &CLAIM,
            &EPOCH,
            &BEGIN_FAMILY,
            &ROTATE_FAMILY,
            &LOAD_KEY_SET,
            &SAVE_KEY_SET,
            &LEASE,
            &RELEASE,
        ]
    }

    #[test]
    fn every_constant_and_every_part_of_a_script_is_written_into_it() {
        for script in all() {
            assert!(!script.source.contains(PART), "{}", script.source);
            let code = script.source.lines().filter(|line| !line.trim_start().starts_with("--"));
            let code: String = code.flat_map(|line| [line, "\n"]).collect();
            let words = code.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
            let capitals =
                words.filter(|word| word.len() > 2 && !word.contains(|c: char| c.is_ascii_lowercase()));
            for word in capitals.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())) {
                let of_redis = code.contains(&format!("'{word}'")) || matches!(word, "KEYS" | "ARGV");
                assert!(of_redis, "{word}");
            }
        }
    }

    #[test]
    fn a_constant_is_a_word_of_its_own() {
        let rows = [
            ("IDLE", "138"),
            ("IDLE_DEADLINE + 1", "146 + 1"),
            ("f(TAGS)", "f(2)"),
            ("IDLE_TIME MIDLE TAGS2", "IDLE_TIME MIDLE TAGS2"),
            ("'0', HEADER_END)", "'0', '153')"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(with_constants(text), expected, "{text}");
        }
    }

    #[test]
    fn no_script_asks_to_be_refused_by_a_full_server() {
        for script in all() {
            assert!(!script.source.contains("#!"));
        }
    }
}
