//! Tracked files hold finished work, and nothing that is true on one machine only.

use super::Note;
use crate::command::Tool;
use crate::failure::Failure;
use crate::workspace::Workspace;
use std::path::Path;

/// Spelled in halves, so that this file does not find itself.
const UNFINISHED: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!"), concat!("unimple", "mented!")];
const MACHINE: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!(":\\", "Users"),
];

pub(super) fn check(workspace: &Workspace) -> Result<Note, Failure> {
    let mut findings = Vec::new();
    for file in tracked(&workspace.root)? {
        // A file that is not text, or that is deleted but not yet committed, has no lines.
        if let Ok(text) = std::fs::read_to_string(workspace.root.join(&file)) {
            findings.extend(in_text(&file, &text));
        }
    }
    Failure::unless_empty(&findings).map(|()| None)
}

/// A checkout that another user made is one too: it is only read.
fn tracked(root: &Path) -> Result<Vec<String>, Failure> {
    let safe = format!("safe.directory={}", root.display());
    let list = Tool::new("git").args(["-c", &safe, "-C"]).args([root]).args(["ls-files", "-z"]).output()?;
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

fn in_text(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(index, line)| Some((index + 1, reason(line)?)));
    found.map(|(number, reason)| format!("{file}:{number}: {reason}")).collect()
}

fn reason(line: &str) -> Option<String> {
    let unfinished = UNFINISHED.iter().find(|word| stands_alone(line, word));
    let machine = MACHINE.iter().find(|path| begins_a_path(line, path));
    unfinished
        .map(|word| format!("unfinished work ({word})"))
        .or_else(|| machine.map(|path| format!("a path of one machine ({path})")))
}

/// As a word: base64 in a fixture may contain anything.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && (word.ends_with('!') || !after.is_some_and(is_word))
    })
}

/// Not as the middle of a longer path or of a URL.
fn begins_a_path(line: &str, path: &str) -> bool {
    let before = |at| line.get(..at).and_then(|text: &str| text.chars().next_back());
    line.match_indices(path).any(|(at, _)| {
        path.starts_with(':') || !before(at).is_some_and(|c| is_word(c) || matches!(c, '.' | '-' | '}' | '/'))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_and_machine_paths_are_found_and_nothing_else() {
        let [todo, fixme, macro_call, _] = UNFINISHED else { panic!("four words") };
        let [home, root, ..] = MACHINE else { panic!("two paths") };
        let rows = [
            (format!("// {todo}: later"), true),
            (format!("// {fixme}"), true),
            (format!("    {macro_call}()"), true),
            (format!("let key = \"aG{todo}x9\";"), false),
            ("a mastodon".to_owned(), false),
            (format!("include!(\"{home}someone/x\")"), true),
            (format!("path={root}.cargo"), true),
            (format!("https://example.org{home}x"), false),
            ("$HOME/.cargo/env and /usr/bin/redis-server".to_owned(), false),
        ];
        for (line, found) in rows {
            assert_eq!(reason(&line).is_some(), found, "{line}");
        }
    }

    #[test]
    fn a_finding_names_file_and_line() {
        let text = format!("fine\n{}\n", UNFINISHED[1]);
        assert!(in_text("a.rs", &text)[0].starts_with("a.rs:2: "));
    }
}
