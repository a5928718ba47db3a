//! [`Event`]: one request of the stress test, what it asked, what it was told, and between which two moments.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Before it was sent, in nanoseconds of the machine's monotonic clock, which all its processes share.
    pub(crate) start: u64,
    /// After it was answered.
    pub(crate) end: u64,
    /// The cookie that it presented.
    pub(crate) presented: Option<Token>,
    pub(crate) call: Call,
    pub(crate) outcome: Outcome,
}

/// A cookie's two halves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) session: String,
    pub(crate) secret: String,
}

/// What was asked. Values are unique numbers, so that each tells who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Begins an anonymous session: one increment, and the value in slot 0.
    Start {
        value: u64,
    },
    Increment,
    /// Adds one by `update`, to a number of its own.
    Update,
    Set {
        slot: usize,
        value: u64,
    },
    Take {
        slot: usize,
    },
    Remove {
        slot: usize,
    },
    Read,
    Rotate,
    Logout,
    /// Signs the user in. Records one increment first, which goes along.
    Login {
        remember: bool,
    },
    RevokeOthers,
    RevokeAll,
    /// As an administrator: needs no session.
    RevokeUser,
    /// As after a change of password.
    Bump,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Done(Report),
    /// It was not done: no session was found, or it ended meanwhile.
    Refused {
        seen: Option<String>,
    },
    /// It may have been done.
    Unknown,
}

/// What a handler saw when it was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The session that the request came with, if it was found.
    pub(crate) seen: Option<String>,
    /// The session that it left with.
    pub(crate) now: Option<String>,
    /// What that session held.
    pub(crate) held: Held,
    /// What a take got.
    pub(crate) taken: Option<u64>,
    /// When the credential version had been read that a login named.
    pub(crate) checked: Option<u64>,
    /// The cookie that the response sets.
    pub(crate) issued: Option<Token>,
}

/// What a session held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) increments: Option<u64>,
    pub(crate) updates: Option<u64>,
    pub(crate) slots: [Option<u64>; SLOTS],
}

pub(crate) const SLOTS: usize = 3;

/// The machine's monotonic clock, in nanoseconds.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

impl Event {
    pub(crate) fn report(&self) -> Option<&Report> {
        if let Outcome::Done(report) = &self.outcome { Some(report) } else { None }
    }

    /// The session that it came with, if that was found.
    pub(crate) fn seen(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Done(report) => report.seen.as_deref(),
            Outcome::Refused { seen } => seen.as_deref(),
            Outcome::Unknown => None,
        }
    }

    /// The session that it was meant for, found or not.
    pub(crate) fn session(&self) -> Option<&str> {
        self.presented.as_ref().map(|token| token.session.as_str())
    }
}

/// Writes a history as lines.
pub(crate) fn write(path: &Path, history: &[Event]) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for event in history {
        writeln!(file, "{}", serde_json::to_string(event).unwrap()).unwrap();
    }
}

/// Reads what [`write`] wrote.
pub(crate) fn read(path: &Path) -> Vec<Event> {
    let lines = BufReader::new(std::fs::File::open(path).unwrap()).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}
