//! Pythons with a library each that shares no code with what is tested: found, or made beside what cargo builds.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::command::{Tool, var_os};
use crate::failure::Failure;

/// A library that tests need.
struct Library {
    /// Names a Python that has it, for the tests.
    variable: &'static str,
    /// What `pip` calls it, and what comes with it.
    packages: &'static [&'static str],
    /// What a program that has it, in a version that will do, can run.
    probe: &'static str,
    /// Below `target`; tests look there, too, when nobody tells them.
    folder: &'static str,
}

const LIBRARIES: [Library; 3] = [
    // A gRPC client.
    Library { variable: "GRPC_PYTHON_BIN", packages: &["grpcio"], probe: "import grpc", folder: "grpcio" },
    // A verifier of tokens, with what it needs for signatures of key pairs.
    Library {
        variable: "PYJWT_PYTHON",
        packages: &["pyjwt[crypto]==2.10.1"],
        probe: "import cryptography, jwt; assert tuple(map(int, jwt.__version__.split('.')[:2])) >= (2, 10)",
        folder: "verifiers",
    },
    // A provider of tokens.
    Library {
        variable: "AUTHLIB_PYTHON",
        packages: &["authlib==1.9.10", "flask==3.1.3"],
        probe: "import authlib.integrations.flask_oauth2, joserfc",
        folder: "provider",
    },
];

/// For each library a Python that has it, and the variable that tells the tests where it is. `python` is one without, as a
/// rule, and `root` the workspace.
pub(crate) fn ensure(python: &OsStr, root: &Path) -> Result<Vec<(&'static str, OsString)>, Failure> {
    LIBRARIES.iter().map(|library| Ok((library.variable, library.ensure(python, root)?))).collect()
}

impl Library {
    fn ensure(&self, python: &OsStr, root: &Path) -> Result<OsString, Failure> {
        if let Some(named) = var_os(self.variable).filter(|named| !named.is_empty()) {
            return Ok(named);
        }
        let folder = root.join("target").join(self.folder);
        let own = folder.join("bin").join("python");
        let found = [own.clone().into(), python.to_owned()].into_iter().find(|python| self.is_in(python));
        if let Some(found) = found {
            return Ok(found);
        }
        self.install(python, &folder, &own).map_err(|failure| {
            let Self { variable, packages, .. } = self;
            let packages = packages.join(" and ");
            Failure::Said(format!(
                "{failure}\nwhat the tests need is a Python with {packages} (of Debian: python3-venv); ${variable} names one"
            ))
        })?;
        Ok(own.into())
    }

    /// In an environment of its own, so that nothing is installed on the machine.
    fn install(&self, python: &OsStr, folder: &Path, own: &Path) -> Result<(), Failure> {
        Tool::new(python).args(["-m", "venv", "--clear"]).args([folder]).run()?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        Tool::new(own).args(pip).args(self.packages).run()
    }

    fn is_in(&self, python: &OsStr) -> bool {
        let asked = std::process::Command::new(python)
            .args(["-c", self.probe])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_none_has_no_library_and_the_failure_says_what_would_do() {
        let nowhere = OsStr::new("/nowhere/python3");
        for library in &LIBRARIES {
            assert!(!library.is_in(nowhere));
            if var_os(library.variable).is_none() {
                let failure = library.ensure(nowhere, Path::new("/nowhere")).unwrap_err().to_string();
                assert!(failure.contains("python3-venv") && failure.contains(library.variable), "{failure}");
            }
        }
    }
}
