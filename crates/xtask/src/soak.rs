//! `cargo xtask soak`: the test `soak` of the binary `faults`, which is left out otherwise, for as long as is asked.

use crate::command::Tool;
use crate::failure::Failure;
use crate::needs;

const USAGE: &str = "cargo xtask soak [--minutes N] [--seed N]";

/// How long, and by which chance.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    minutes: u64,
    /// Another one each time, unless it is given to see the same again.
    seed: Option<u64>,
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let options = Options::parse(args)?;
    let found = needs::ensure(needs::SOAK)?;
    let tool = Tool::cargo(["test", "--locked", "-p", "portcullis-tests", "--test", "faults", "--"])
        .args(["--ignored", "--exact", "soak::soak", "--nocapture"])
        .env("PORTCULLIS_SOAK_SECONDS", options.minutes.saturating_mul(60).to_string())
        .envs(found);
    match options.seed {
        Some(seed) => tool.env("PORTCULLIS_SOAK_SEED", seed.to_string()).run(),
        None => tool.run(),
    }
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self { minutes: 6, seed: None };
        let (pairs, rest) = args.as_chunks::<2>();
        for [name, value] in pairs {
            let number: u64 =
                value.parse().map_err(|_| Failure::Usage(format!("{value} is no number: {USAGE}")))?;
            match name.as_str() {
                "--minutes" if number > 0 => options.minutes = number,
                "--seed" => options.seed = Some(number),
                _ => return Err(Failure::Usage(format!("{name} {value}: {USAGE}"))),
            }
        }
        if let Some(extra) = rest.first() {
            return Err(Failure::Usage(format!("{extra}: {USAGE}")));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        let parse = |args: &[&str]| Options::parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        let rows = [
            (&[][..], Some((6, None))),
            (&["--minutes", "2"], Some((2, None))),
            (&["--seed", "7", "--minutes", "1"], Some((1, Some(7)))),
            (&["--minutes"], None),
            (&["--minutes", "0"], None),
            (&["--minutes", "x"], None),
            (&["--hours", "1"], None),
            (&["5"], None),
        ];
        for (args, expected) in rows {
            let expected = expected.map(|(minutes, seed)| Options { minutes, seed });
            assert_eq!(parse(args).ok(), expected, "{args:?}");
        }
    }
}
