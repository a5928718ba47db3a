//! [`Counts`]: how often everything allocates, as counted by a program of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use crate::Failure;

/// Tells how often some work allocates.
pub type Meter = fn(&mut dyn FnMut()) -> u64;

/// Allocations for one request, by what was measured.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<String, f64>);

/// The program that counts, beside the one that times.
const PROGRAM: &str = concat!(env!("CARGO_PKG_NAME"), "-allocations");

impl Counts {
    /// What the program that counts prints when it is given the same arguments.
    pub(crate) fn of_the_program_beside(args: &[String]) -> Result<Self, Failure> {
        let program =
            std::env::current_exe()?.with_file_name(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX));
        let output = Command::new(&program)
            .args(args)
            .output()
            .map_err(|error| format!("{PROGRAM} is run by `cargo xtask bench`, which builds it: {error}"))?;
        if !output.status.success() {
            return Err(format!("{PROGRAM}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        String::from_utf8(output.stdout)?.lines().map(line).collect::<Result<_, _>>().map(Self)
    }

    /// How often this allocates; an error if it was not counted.
    pub(crate) fn of(&self, name: &str) -> Result<f64, Failure> {
        self.0
            .get(name)
            .copied()
            .ok_or_else(|| format!("the allocations of {name:?} were not counted").into())
    }

    pub(crate) fn note(&mut self, name: impl Into<String>, count: f64) {
        self.0.insert(name.into(), count);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

fn line(line: &str) -> Result<(String, f64), Failure> {
    let (name, count) = line.split_once('\t').ok_or("a line without a tab")?;
    Ok((name.to_owned(), count.parse()?))
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{name}\t{count}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_back_as_they_were_printed_and_a_missing_one_is_an_error() {
        let mut counts = Counts::default();
        counts.note("one, with a comma", 3.0);
        counts.note("two", 2.5);
        let read = Counts(counts.to_string().lines().map(|it| line(it).unwrap()).collect());
        assert_eq!((read.of("one, with a comma").unwrap(), read.of("two").unwrap()), (3.0, 2.5));
        assert!(read.of("three").is_err());
    }
}
