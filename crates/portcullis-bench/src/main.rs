//! `cargo xtask bench`: see the library.

use std::process::ExitCode;

fn main() -> Result<ExitCode, portcullis_bench::Failure> {
    portcullis_bench::report()
}
