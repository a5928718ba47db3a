//! The independent verifier of tokens that tests need: PyJWT, in a virtual environment below `target`.

use crate::command::{Tool, var_os};
use crate::failure::Failure;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names the interpreter that has the library; what was found is passed on under the same name.
const VARIABLE: &str = "PYJWT_PYTHON";

/// The library, and what it needs for signatures of key pairs.
const LIBRARY: &str = "pyjwt[crypto]==2.10.1";

/// An interpreter that has the library, made once, by the interpreter that was found.
pub(crate) fn ensure(found: &[(&'static str, OsString)]) -> Result<(&'static str, OsString), Failure> {
    if let Some(python) = var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return Ok((VARIABLE, python));
    }
    let home = directory();
    let python = home.join("bin").join("python");
    if !has_library(&python) {
        let base = found.iter().find(|(name, _)| *name == "PYTHON_BIN");
        let base = base.map_or_else(|| "python3".into(), |(_, program)| program.clone());
        Tool::new(base).args(["-m", "venv"]).args([&home]).run()?;
        Tool::new(&python).args(["-m", "pip", "install", "--quiet", LIBRARY]).run()?;
    }
    println!("PyJWT: {}", python.display());
    Ok((VARIABLE, python.into_os_string()))
}

fn has_library(python: &Path) -> bool {
    python.is_file() && Tool::new(python).args(["-c", "import jwt, cryptography"]).succeeds()
}

/// Where tests look for it, too, when nobody tells them.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/verifiers")
}
