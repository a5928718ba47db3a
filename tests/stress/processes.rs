//! [`Worker`]: another process that takes part. It is this test binary, started once more for its test [`worker`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use portcullis_store::{Header, Timestamp, offset};
use portcullis_testkit::redis::RedisServer;
use serde::{Deserialize, Serialize};

use crate::app::{app, redis};
use crate::browsers::Browsers;
use crate::checker::Snapshot;
use crate::history::{self, Event};
use crate::workload::{Part, run};

/// Another process, at work. It is ended when it is dropped.
pub(crate) struct Worker {
    child: Child,
    history: PathBuf,
}

/// What a worker is to do; it is told by its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    server: String,
    directory: PathBuf,
    history: PathBuf,
    seed: u64,
    process: u64,
    until: u64,
}

impl Worker {
    pub(crate) fn start(server: &RedisServer, directory: &Path, seed: u64, process: u64, until: u64) -> Self {
        let history = directory.join(format!("history-{process}"));
        let server = server.url();
        let task =
            Task { server, directory: directory.to_owned(), history: history.clone(), seed, process, until };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["processes::worker", "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&serde_json::to_vec(&task).unwrap()).unwrap();
        Self { child, history }
    }

    /// What it did, once it has ended.
    pub(crate) async fn history(mut self) -> Vec<Event> {
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            assert!(status.success(), "a worker failed: {status}");
            history::read(&self.history)
        });
        ended.await.unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process that the stress test starts"]
async fn worker() {
    let Ok(task) = serde_json::from_reader::<_, Task>(std::io::stdin()) else { return };
    let browsers = Browsers::in_directory(&task.directory);
    let part = Part { browsers, seed: task.seed, process: task.process, tasks: 6, until: task.until };
    // Each has a connection of its own.
    let apps = [(); 2].map(|()| app(redis(&task.server), true));
    history::write(&task.history, &run(&apps, &part).await);
}

/// Everything that the server holds, at one moment: sessions' names and headers, all members, and keys without an end.
const EVERYTHING: &str = "
local found = {}
for _, name in ipairs(redis.call('KEYS', '*')) do
  if redis.call('PTTL', name) == -1 then found[#found + 1] = 'eternal ' .. name end
  if string.find(name, ':s:', 1, true) and not string.find(name, ':r:', 1, true) then
    local header = redis.call('GETRANGE', name, 0, ARGV[1] - 1)
    found[#found + 1] = 'session ' .. name .. ' ' .. (string.gsub(header, '.', function(byte)
      return string.format('%02x', string.byte(byte))
    end))
  elseif string.find(name, ':u:', 1, true) then
    for _, member in ipairs(redis.call('ZRANGE', name, 0, -1)) do found[#found + 1] = 'member ' .. member end
  end
end
return found";

/// What the server holds.
pub(crate) fn snapshot(server: &RedisServer) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for line in server.command(&["EVAL", EVERYTHING, "0", &offset::PAYLOAD.to_string()]).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["eternal", name] => _ = snapshot.eternal.insert(name.to_owned()),
            ["member", locator] => _ = snapshot.members.insert(locator.to_owned()),
            ["session", name, header] if authenticated(header).is_some() => {
                snapshot.signed_in.insert(name.rsplit(':').next().unwrap().to_owned());
            }
            _ => {}
        }
    }
    snapshot
}

fn authenticated(header: &str) -> Option<Timestamp> {
    let bytes: Vec<u8> = (0..header.len() / 2)
        .map(|at| u8::from_str_radix(&header[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    Header::decode(&bytes).unwrap().authenticated
}
