//! [`Durable`]: has replicas confirm that sessions have ended.
//!
//! * WAIT holds up everything behind it on its connection, another WAIT included. So each call makes connections of its
//!   own, one to each server concerned, and closes them.
//! * The deletion is sent once more in front of the WAIT. Then it does not matter which connection it first went on, nor
//!   whether another server is the master since: this one has deleted, and its replicas are counted up to there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::client::error_in;
use crate::cluster::slot_of;
use crate::command::{Command, Commands, NONE, words};
use crate::link::Link;
use crate::route::Route;
use crate::verdict::Failure;
use crate::{counters, script};

/// Has replicas confirm that sessions have ended. Clones share their turns.
#[derive(Clone)]
pub(crate) struct Durable {
    route: Route,
    turns: Arc<Semaphore>,
    /// How long before the end a WAIT gives up, so that its answer arrives in time.
    reserve: Duration,
}

/// A server that has nothing else to do looks for WAITs that are over ten times a second (`hz`).
const LATE: Duration = Duration::from_millis(100);

/// So many calls wait at once, each with a connection to each server concerned.
const TURNS: usize = 32;

impl Durable {
    pub(crate) fn new(route: Route, attempt_timeout: Duration) -> Self {
        Self { route, turns: Arc::new(Semaphore::new(TURNS)), reserve: LATE + attempt_timeout / 4 }
    }

    /// How many replicas have confirmed until `deadline` that these keys, which have been deleted, are gone: of the key
    /// that fewest have, and 0 if that cannot be found out.
    pub(crate) async fn confirmed(&self, names: &[String], replicas: u32, deadline: Instant) -> u32 {
        let confirming = timeout_at(deadline, self.confirm(names, replicas, deadline)).await;
        match confirming.unwrap_or_else(|_| Err(Failure::timeout())) {
            Ok(confirmed) => {
                counters::confirmed(if confirmed < replicas { "too_few" } else { "enough" });
                confirmed
            }
            Err(failure) => {
                let (kind, cause) = (failure.kind().label(), failure.cause());
                warn!(target: "portcullis_redis", kind, %cause, "cannot have an ended session confirmed");
                counters::confirmed("unknown");
                0
            }
        }
    }

    async fn confirm(&self, names: &[String], replicas: u32, deadline: Instant) -> Result<u32, Failure> {
        // It is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| Failure::unavailable())?;
        let batches = self.batches(names, deadline).await?;
        let confirming = batches.iter().map(|batch| self.confirm_by(batch, replicas, deadline));
        let counts = try_join_all(confirming).await?;
        Ok(counts.into_iter().min().unwrap_or(0))
    }

    /// The deletions, by the server that they belong to.
    async fn batches(&self, names: &[String], deadline: Instant) -> Result<Vec<Batch>, Failure> {
        let mut batches: Vec<Batch> = Vec::new();
        for name in names {
            let unlink = script::UNLINK.whole(&[name], &NONE);
            let link = self.route.link(|| slot_of(unlink.words()), deadline).await?;
            match batches.iter_mut().find(|batch| Arc::ptr_eq(&batch.link, &link)) {
                Some(batch) => batch.deletions.push(unlink),
                None => batches.push(Batch { link, deletions: vec![unlink] }),
            }
        }
        Ok(batches)
    }

    async fn confirm_by(&self, batch: &Batch, replicas: u32, deadline: Instant) -> Result<u32, Failure> {
        let connector = batch.link.connector();
        if connector.is_shared() {
            return Ok(0);
        }
        let line = connector.connect().await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = left.saturating_sub(self.reserve).max(left / 2).as_millis();
        if patience == 0 {
            // To WAIT a zero is for ever.
            return Err(Failure::timeout());
        }
        let mut commands = Commands::default();
        batch.deletions.iter().for_each(|deletion| commands.add(deletion));
        commands.add(&wait(replicas, patience));
        count(&line.send_all(&commands, deadline).await.map_err(Failure::unanswered)?)
    }
}

/// What is to be gone from one server.
struct Batch {
    link: Arc<Link>,
    deletions: Vec<Command>,
}

fn wait(replicas: u32, patience: u128) -> Command {
    words("WAIT", &[&replicas.to_string(), &patience.to_string()])
}

/// What WAIT has answered, if all deletions before it were done. A slot that is on its way to another node is refused
/// (ASK): which of the two has deleted, and so whose replicas would have to be asked, cannot be told.
fn count(replies: &[Value]) -> Result<u32, Failure> {
    let refusal = replies.iter().find_map(error_in);
    match (refusal, replies.last()) {
        (Some(error), _) => Err(Failure::refused(error)),
        (None, Some(Value::Int(count))) => u32::try_from(*count).map_err(|_| Failure::unavailable()),
        (None, _) => Err(Failure::unavailable()),
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durable").field("turns", &self.turns.available_permits()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(lines: &str) -> Vec<Value> {
        lines.split_inclusive("\r\n").map(|line| redis::parse_redis_value(line.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn replicas_count_only_if_everything_was_deleted() {
        let cases = [
            ("all done", ":1\r\n:1\r\n:2\r\n", Some(2)),
            ("nobody yet", ":1\r\n:0\r\n", Some(0)),
            ("one on its way", ":1\r\n-ASK 7 127.0.0.1:7001\r\n:2\r\n", None),
            ("another's", "-MOVED 7 127.0.0.1:7001\r\n:2\r\n", None),
            ("no permission to wait", ":1\r\n-NOPERM this user has no permissions\r\n", None),
            ("a replica", "-READONLY You can't write\r\n-ERR WAIT cannot be used\r\n", None),
            ("no answer", "", None),
        ];
        for (name, lines, expected) in cases {
            assert_eq!(count(&replies(lines)).ok(), expected, "{name}");
        }
    }
}
