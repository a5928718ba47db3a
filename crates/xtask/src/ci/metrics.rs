//! Every metric of the published crates stands in the guide for operators, and nothing else does.

use super::Note;
use super::source;
use crate::failure::Failure;
use crate::workspace::Workspace;
use std::collections::BTreeSet;
use std::path::Path;

const GUIDE: &str = "crates/portcullis/src/operations.md";

/// What our metrics are called: a prefix and one of the units.
const PREFIX: &str = "portcullis_";
const UNITS: &[&str] = &["_total", "_seconds"];

type Metrics = BTreeSet<String>;

pub(super) fn check(workspace: &Workspace) -> Result<Note, Failure> {
    let mut counted = Metrics::new();
    for package in workspace.published() {
        for source in source::read(&package.directory.join("src/lib.rs"))? {
            counted.extend(quoted(&read(&source.path)?, '"'));
        }
    }
    let told = quoted(&read(&workspace.root.join(GUIDE))?, '`');
    Failure::unless_empty(&differences(&counted, &told)).map(|()| None)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Said(format!("{}: {error}", path.display())))
}

/// The metrics that stand between two of these, comments left out.
fn quoted(text: &str, quote: char) -> Metrics {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let words = lines.flat_map(|line| line.split(quote).skip(1).step_by(2));
    words.filter(|word| is_metric(word)).map(str::to_owned).collect()
}

fn is_metric(word: &str) -> bool {
    word.starts_with(PREFIX) && UNITS.iter().any(|unit| word.ends_with(unit))
}

fn differences(counted: &Metrics, told: &Metrics) -> Vec<String> {
    let untold = counted.difference(told).map(|name| format!("{name} does not stand in {GUIDE}"));
    let gone =
        told.difference(counted).map(|name| format!("{name} stands in {GUIDE}, and is nowhere counted"));
    untold.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_that_is_missing_on_either_side_is_found() {
        let code = r#"
            /// See `portcullis_a_total`, "portcullis_comment_total".
            counter!("portcullis_a_total", "kind" => "portcullis_b").increment(1);
            gauge!("portcullis_age_seconds").set(1.0); counter!("portcullis_c_total").increment(1);
        "#;
        let guide = "| `portcullis_a_total`, `portcullis_c_total` | `kind` |\n| `portcullis_d_total` | |\n";
        let (counted, told) = (quoted(code, '"'), quoted(guide, '`'));
        assert_eq!(counted.len(), 3, "{counted:?}");
        assert_eq!(told.len(), 3, "{told:?}");
        let found = differences(&counted, &told);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("portcullis_age_seconds does not stand"), "{found:?}");
        assert!(found[1].starts_with("portcullis_d_total stands"), "{found:?}");
        assert!(differences(&counted, &counted).is_empty());
    }
}
