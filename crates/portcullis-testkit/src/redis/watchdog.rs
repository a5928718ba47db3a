//! [`Watched`]: a server process that ends when the process that started it does, however that ends.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

/// The shell is the server's parent and holds the reading end of a pipe whose writing end is ours alone. The kernel
/// closes ours when this process ends, on SIGKILL and abort too, and the shell then kills the server.
///
/// PR_SET_PDEATHSIG would do the same on Linux only, and asks for `unsafe`. Because the shell is the parent, the
/// server's pid cannot be given to another process before the shell has collected it, so no signal goes astray.
///
/// The trap: writing to us after we died, or the end of our terminal, must not end the shell before the server.
const WATCHDOG: &str = r#"
directory=$1 log=$2
shift 2
"$@" </dev/null >>"$log" &
server=$!
exec 2>/dev/null
trap '' HUP INT TERM PIPE
echo "$server"
while read -r signal && [ "$signal" != KILL ]; do
    kill -"$signal" "$server"
    echo sent
done
kill -KILL "$server"
wait "$server"
[ "$signal" = KILL ] || rm -rf -- "$directory"
"#;

#[derive(Debug)]
pub(super) struct Watched {
    shell: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    /// Reads the server's standard error. Nobody but the server holds its other end, so it finishes with the server.
    complaints: JoinHandle<String>,
    pid: u32,
    is_paused: bool,
}

impl Watched {
    /// Starts `command`; its output goes to the file `log`. `directory` is removed if this process dies.
    pub(super) fn spawn<A: AsRef<OsStr>>(command: &[A], directory: &Path, log: &Path) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .args([directory, log])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C reaches the tests, and the server by way of the pipe.
            .process_group(0)
            .spawn()
            .expect("sh can be started");
        let orders = shell.stdin.take().expect("stdin is piped");
        let mut replies = BufReader::new(shell.stdout.take().expect("stdout is piped"));
        let mut stderr = shell.stderr.take().expect("stderr is piped");
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let pid = line(&mut replies).parse().expect("the watchdog says the server's pid");
        Self { shell, orders, replies, complaints, pid, is_paused: false }
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn has_ended(&self) -> bool {
        self.complaints.is_finished()
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(super) fn pause(&mut self) {
        self.signal("STOP");
        self.is_paused = true;
    }

    pub(super) fn resume(&mut self) {
        self.signal("CONT");
        self.is_paused = false;
    }

    /// Sends the signal of this name; it has been sent when this returns.
    fn signal(&mut self, name: &str) {
        writeln!(self.orders, "{name}").expect("the watchdog listens");
        assert_eq!(line(&mut self.replies), "sent", "the watchdog answers");
    }

    /// SIGKILL. The server has ended when this returns, with what it wrote to its standard error.
    pub(super) fn kill(self) -> String {
        let Self { mut shell, mut orders, complaints, .. } = self;
        writeln!(orders, "KILL").expect("the watchdog listens");
        drop(orders);
        shell.wait().expect("the watchdog can be waited for");
        complaints.join().unwrap_or_default()
    }
}

fn line(replies: &mut impl BufRead) -> String {
    let mut line = String::new();
    replies.read_line(&mut line).expect("the watchdog answers");
    line.trim_end().to_owned()
}
