//! A Python with `grpcio`, the gRPC client that shares no code with tonic: found, or made beside what cargo builds.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::command::{Tool, var_os};
use crate::failure::Failure;

/// Names a Python that has it, for the tests.
const VARIABLE: &str = "GRPC_PYTHON_BIN";

/// A Python with `grpcio`, and the variable that tells the tests where it is. `python` is one without, as a rule, and
/// `root` the workspace.
pub(crate) fn with_grpcio(python: &OsStr, root: &Path) -> Result<(&'static str, OsString), Failure> {
    if let Some(named) = var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return Ok((VARIABLE, named));
    }
    let folder = root.join("target").join("grpcio");
    let own = folder.join("bin").join("python");
    let found = [python.to_owned(), own.clone().into()].into_iter().find(|python| has_grpcio(python));
    if let Some(found) = found {
        return Ok((VARIABLE, found));
    }
    make(python, &folder, &own).map_err(|failure| {
        Failure::Said(format!(
            "{failure}\nwhat the tests need is a Python with grpcio (of Debian: python3-venv, or python3-grpcio); \
             ${VARIABLE} names one"
        ))
    })?;
    Ok((VARIABLE, own.into()))
}

/// An environment of its own, so that nothing is installed on the machine.
fn make(python: &OsStr, folder: &Path, own: &Path) -> Result<(), Failure> {
    Tool::new(python).args(["-m", "venv", "--clear"]).args([folder]).run()?;
    Tool::new(own).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "grpcio"]).run()
}

fn has_grpcio(python: &OsStr) -> bool {
    let asked = std::process::Command::new(python)
        .args(["-c", "import grpc"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_none_has_no_grpcio_and_the_failure_says_what_would_do() {
        let nowhere = OsStr::new("/nowhere/python3");
        assert!(!has_grpcio(nowhere));
        if var_os(VARIABLE).is_none() {
            let failure = with_grpcio(nowhere, Path::new("/nowhere")).unwrap_err().to_string();
            assert!(failure.contains("python3-venv") && failure.contains(VARIABLE), "{failure}");
        }
    }
}
