//! Why a command of this program failed, and the exit code that says so.

use std::process::ExitCode;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line was wrong.
    Usage(String),
    /// A program that we ran failed; it has said why itself.
    Child { command: String, code: u8 },
    /// A check of our own failed, or something is missing.
    Said(String),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Child { code, .. } => *code,
            Self::Said(_) => 1,
        }
    }

    pub(crate) fn exit(self) -> ExitCode {
        eprintln!("{self}");
        ExitCode::from(self.code())
    }

    /// Success when a check found nothing; otherwise every finding on a line of its own.
    pub(crate) fn unless_empty(findings: &[String]) -> Result<(), Self> {
        if findings.is_empty() { Ok(()) } else { Err(Self::Said(findings.join("\n"))) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(text) | Self::Said(text) => f.write_str(text),
            Self::Child { command, code } => write!(f, "exit code {code}: {command}"),
        }
    }
}
