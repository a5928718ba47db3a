//! A program to run: shown before it runs, its exit code kept.

use crate::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitStatus, Stdio};

pub(crate) struct Tool(Command);

impl Tool {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self(Command::new(program))
    }

    /// The cargo that runs us, without the facts about *this* package that it put into our environment:
    /// build scripts that watch them would run again each time a plain `cargo` and `cargo xtask` take turns.
    pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(var_os("CARGO").unwrap_or_else(|| "cargo".into())).without_our_package().args(args)
    }

    /// rustup, to run another toolchain's cargo.
    pub(crate) fn rustup<'a>(args: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new("rustup").without_our_package().args(args)
    }

    fn without_our_package(mut self) -> Self {
        for (name, _) in std::env::vars_os().filter(|(name, _)| describes_this_package(name)) {
            self.0.env_remove(name);
        }
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn envs(mut self, vars: impl IntoIterator<Item = (&'static str, OsString)>) -> Self {
        self.0.envs(vars);
        self
    }

    /// Shows the command, runs it on our terminal and fails with its exit code.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        println!("$ {}", self.shown());
        match self.0.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Child { command: self.shown(), code: code(status) }),
            Err(error) => Err(Failure::Said(format!("{}: {error}", self.shown()))),
        }
    }

    /// What the program writes, when it succeeds; its complaints go to our terminal.
    pub(crate) fn output(mut self) -> Result<Vec<u8>, Failure> {
        let shown = self.shown();
        match self.0.stdin(Stdio::null()).stderr(Stdio::inherit()).output() {
            Ok(output) if output.status.success() => Ok(output.stdout),
            Ok(output) => Err(Failure::Child { command: shown, code: code(output.status) }),
            Err(error) => Err(Failure::Said(format!("{shown}: {error}"))),
        }
    }

    /// Whether the program is there and succeeds; what it writes is dropped.
    pub(crate) fn succeeds(mut self) -> bool {
        let quiet = self.0.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    fn shown(&self) -> String {
        let program = std::path::Path::new(self.0.get_program());
        let name = program.file_stem().unwrap_or(program.as_os_str());
        let words = std::iter::once(name).chain(self.0.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

/// Reads the environment: the one place of the workspace that may, since a developer's command has no other caller.
#[expect(clippy::disallowed_methods, reason = "this is a program, not a library")]
pub(crate) fn var_os(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn describes_this_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// A program that a signal ended has no exit code; 101 is what cargo itself answers then.
fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(101)
}
