//! [`Driver`]: a chromedriver of the test's own, which ends with the test, however that ends.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a browser may take for anything: generous, because test machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The process, which leads a group that its browser is in too, and a directory for both.
pub struct Driver {
    process: Child,
    watchdog: Child,
    directory: PathBuf,
    port: u16,
}

/// Its standard input is ours alone. The kernel closes it when this process ends, on SIGKILL too.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM PIPE
read -r _
kill -s KILL -- "-$1"
rm -rf -- "$2"
"#;

impl Driver {
    /// Starts it on a port that it finds for itself.
    pub fn start() -> Self {
        let program = program("CHROMEDRIVER_BIN", &["chromedriver"]);
        let directory = tempfile::Builder::new().prefix("chromium-").tempdir().unwrap().keep();
        let log = directory.join("log");
        let mut process = Command::new(&program)
            .arg("--port=0")
            .env("HOME", &directory)
            .env("TMPDIR", &directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let told = port(process.stdout.take().unwrap());
        let watchdog = watch(&process, &directory);
        let mut driver = Self { process, watchdog, directory, port: 0 };
        driver.port = told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!(
                "{} did not start: {}",
                program.display(),
                std::fs::read_to_string(&log).unwrap_or_default()
            )
        });
        driver
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// It is removed with the driver.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        let _ = self.process.wait();
    }
}

fn watch(process: &Child, directory: &Path) -> Child {
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog", &process.id().to_string()])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own: Ctrl-C reaches the tests, and the watchdog by way of the pipe.
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Reads to the end what the driver writes, and tells the port that it names.
fn port(output: ChildStdout) -> mpsc::Receiver<u16> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let named = line.strip_prefix("ChromeDriver was started successfully on port ");
            if let Some(port) = named.and_then(|rest| rest.trim_end_matches('.').parse().ok()) {
                let _ = tell.send(port);
            }
        }
    });
    told
}

/// The browser.
pub fn chromium() -> PathBuf {
    program("CHROMIUM_BIN", &["chromium", "chromium-browser", "google-chrome"])
}

#[expect(clippy::disallowed_methods, reason = "the caller's machine says which browser to test with")]
fn program(variable: &str, names: &[&str]) -> PathBuf {
    if let Some(named) = std::env::var_os(variable).filter(|named| !named.is_empty()) {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut files = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!(
            "this test needs a real Chromium, and neither ${variable} nor {} on the PATH is there; \
             `cargo xtask test` installs what is missing",
            names.join(" nor ")
        )
    })
}
