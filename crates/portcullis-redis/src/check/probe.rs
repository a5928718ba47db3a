//! [`Probes`]: one use of every command, and what the answers mean.

use redis::{ServerError, Value};

use super::report::ServerReport;
use crate::command::{Command, Commands, words};
use crate::keys::Keys;
use crate::reply::text;
use crate::verdict::Failure;

/// What is asked of a server besides what is asked of all.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) is_cluster: bool,
    pub(super) follows_sentinels: bool,
}

/// Commands in the order in which they are sent.
pub(super) struct Probes(Vec<Probe>);

struct Probe {
    /// As in an ACL line.
    name: &'static str,
    command: Command,
    purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// We cannot do without.
    Needed,
    /// It says something about the server, if we may ask.
    Asked(Question),
    /// It leaves nothing behind.
    CleanUp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Role,
    Info,
    Eviction,
    Snapshots,
}

/// A probe's key lives no longer, however the check ends.
const LIFETIME_MS: &str = "60000";

/// What a script does may be refused: that is found by the command's own probe.
const SCRIPT: &str = "redis.pcall('GET', KEYS[1]) return 1";

impl Probes {
    /// `key` holds a number for a moment; `{key}:none` is never there, which is no matter to permissions.
    pub(super) fn of(key: &str, keys: &Keys, kind: Kind, can_listen: bool) -> Self {
        let (none, channel) = (format!("{key}:none"), keys.probe_channel());
        let (key, none, channel) = (key, none.as_str(), channel.as_str());
        let sha1 = redis::Script::new(SCRIPT);
        let mut probes = Self(Vec::with_capacity(40));
        probes.need("set", &["SET", key, "0", "PX", LIFETIME_MS]);
        probes.need("incr", &["INCR", key]);
        probes.need("pexpire", &["PEXPIRE", key, LIFETIME_MS]);
        probes.need("get", &["GET", key]);
        probes.need("mget", &["MGET", key]);
        probes.need("getrange", &["GETRANGE", key, "0", "0"]);
        probes.need("setrange", &["SETRANGE", none, "0", ""]);
        probes.need("pttl", &["PTTL", key]);
        probes.need("pexpireat", &["PEXPIREAT", none, "1"]);
        probes.need("time", &["TIME"]);
        probes.need("eval", &["EVAL", SCRIPT, "1", key]);
        probes.need("evalsha", &["EVALSHA", sha1.get_hash(), "1", key]);
        // GT is of Redis 6.2. With XX nothing is added.
        probes.need("zadd", &["ZADD", none, "XX", "GT", "1", "member"]);
        probes.need("zrem", &["ZREM", none, "member"]);
        probes.need("zrangebyscore", &["ZRANGEBYSCORE", none, "1", "+inf"]);
        probes.need("zremrangebyscore", &["ZREMRANGEBYSCORE", none, "-inf", "1"]);
        probes.need("zscore", &["ZSCORE", none, "member"]);
        probes.need("publish", &["PUBLISH", channel, ""]);
        probes.need("ping", &["PING"]);
        probes.need("wait", &["WAIT", "0", "1"]);
        if kind.is_cluster {
            probes.need("cluster|slots", &["CLUSTER", "SLOTS"]);
            probes.need("asking", &["ASKING"]);
        } else if can_listen {
            probes.need("scan", &["SCAN", "0", "MATCH", none, "COUNT", "1"]);
        }
        if kind.follows_sentinels {
            probes.need("role", &["ROLE"]);
        }
        probes.ask(Question::Role, &["ROLE"]);
        probes.ask(Question::Info, &["INFO"]);
        probes.ask(Question::Eviction, &["CONFIG", "GET", "maxmemory-policy"]);
        probes.ask(Question::Snapshots, &["CONFIG", "GET", "save"]);
        probes.need("unlink", &["UNLINK", key]);
        // If that was refused, a time in the past does the same.
        probes.push("pexpireat", &["PEXPIREAT", key, "1"], Purpose::CleanUp);
        if can_listen {
            // Last, because the connection does nothing else after it.
            probes.need("subscribe", &["SUBSCRIBE", channel]);
            probes.need("unsubscribe", &["UNSUBSCRIBE", channel]);
        }
        probes
    }

    fn need(&mut self, name: &'static str, words: &[&str]) {
        self.push(name, words, Purpose::Needed);
    }

    fn ask(&mut self, question: Question, words: &[&str]) {
        self.push("", words, Purpose::Asked(question));
    }

    fn push(&mut self, name: &'static str, command: &[&str], purpose: Purpose) {
        let (verb, arguments) = command.split_first().map_or(("PING", &[][..]), |(verb, rest)| (*verb, rest));
        self.0.push(Probe { name, command: words(verb, arguments), purpose });
    }

    pub(super) fn commands(&self) -> Commands {
        self.0.iter().map(|probe| probe.command.clone()).collect()
    }

    /// What the answers say, in the order of the probes.
    pub(super) fn report(&self, server: String, replies: Vec<Value>) -> Result<ServerReport, Failure> {
        let mut report = ServerReport::of(server);
        for (probe, reply) in self.0.iter().zip(replies) {
            match (probe.purpose, reply) {
                (Purpose::Needed, Value::ServerError(error)) => note(&mut report, probe.name, &error)?,
                (Purpose::Asked(question), reply) => question.note(&mut report, &reply),
                (Purpose::Needed | Purpose::CleanUp, _) => {}
            }
        }
        Ok(report)
    }
}

/// What an error says of the server; an error if it says that it cannot be asked now.
fn note(report: &mut ServerReport, name: &str, error: &ServerError) -> Result<(), Failure> {
    let detail = error.details().unwrap_or_default();
    if let Some(missing) = refused(error, name) {
        if !report.missing.contains(&missing) {
            report.missing.push(missing);
        }
        return Ok(());
    }
    match error.code() {
        "READONLY" => report.is_replica = true,
        "ERR" if detail.starts_with("WAIT cannot be used") => report.is_replica = true,
        "OOM" => report.is_full = true,
        "ERR" if detail.starts_with("syntax error") => report.is_too_old = true,
        // EVAL, which would have made it known, was refused.
        "NOSCRIPT" => {}
        _ => return Err(Failure::refused(error)),
    }
    Ok(())
}

/// The part of an ACL line that is missing, if that is the error: the command of this name, keys, or channels.
pub(crate) fn refused(error: &ServerError, name: &str) -> Option<String> {
    let detail = error.details().unwrap_or_default();
    let is_unknown = error.code() == "ERR" && detail.starts_with("unknown command");
    if error.code() != "NOPERM" && !is_unknown {
        return None;
    }
    if is_unknown {
        return Some(name.to_owned());
    }
    // "User app has no permissions to run the 'get' command", in 6.2 "this user has ..": the words of Redis and Valkey.
    let quoted =
        detail.split_once("to run the '").and_then(|(_, rest)| rest.split_once('\'')).map(|(it, _)| it);
    Some(match quoted {
        // Older servers name the command and not its subcommand.
        Some(command) if name.starts_with(command) => name.to_owned(),
        Some(command) => command.to_owned(),
        None if detail.contains("channel") => "&channels".to_owned(),
        None if detail.contains("key") => "~keys".to_owned(),
        None => name.to_owned(),
    })
}

impl Question {
    fn note(self, report: &mut ServerReport, answer: &Value) {
        match (self, answer) {
            (Self::Role, Value::Array(parts)) => {
                report.is_replica |= parts.first().and_then(text).is_some_and(|role| role != "master");
            }
            (Self::Info, info) => {
                if let Some(info) = text(info) {
                    report.read_info(info);
                }
            }
            (Self::Eviction, Value::Array(parts)) => {
                let policy = parts.get(1).and_then(text).map(str::to_owned);
                report.eviction = policy.or_else(|| report.eviction.take());
            }
            (Self::Snapshots, Value::Array(parts)) => {
                // INFO says nothing of snapshots that are to come.
                let has_any = parts.get(1).and_then(text).map(|save| !save.is_empty());
                report.snapshots(has_any);
            }
            _ => {}
        }
    }
}
