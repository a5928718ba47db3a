//! [`Browsers`]: cookies that many tasks in several processes present and replace at once, as the tabs of a browser do.

use std::path::{Path, PathBuf};

use crate::history::Token;

/// A few cookies, each in a file, so that processes share them.
#[derive(Clone, Debug)]
pub(crate) struct Browsers(PathBuf);

/// How a browser is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Everything is done to its session.
    Busy,
    /// Its session is written to and read, never ended, so that it grows old.
    Steady,
    /// The same for a visitor's session, which nobody revokes either.
    SteadyVisitor,
    /// Used so seldom that its session goes idle.
    Quiet,
}

const TEMPERS: [Temper; 8] = [
    Temper::Busy,
    Temper::Busy,
    Temper::Busy,
    Temper::Busy,
    Temper::Steady,
    Temper::SteadyVisitor,
    Temper::Quiet,
    Temper::Quiet,
];

pub(crate) const BROWSERS: u64 = TEMPERS.len() as u64;

pub(crate) fn temper(browser: u64) -> Temper {
    TEMPERS[usize::try_from(browser).unwrap()]
}

impl Browsers {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    pub(crate) fn cookie(&self, browser: u64) -> Option<Token> {
        let text = std::fs::read_to_string(self.file(browser)).ok()?;
        token(&text)
    }

    /// The last one to come stays, as in a browser. A rename is whole or not at all.
    pub(crate) fn set_cookie(&self, browser: u64, token: Option<&Token>, task: u64) {
        let draft = self.0.join(format!("draft-{}-{task}", std::process::id()));
        let text = token.map_or(String::new(), |token| format!("{}.{}", token.session, token.secret));
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, self.file(browser)).unwrap();
    }

    fn file(&self, browser: u64) -> PathBuf {
        self.0.join(format!("browser-{browser}"))
    }
}

/// A cookie's value, taken apart.
pub(crate) fn token(value: &str) -> Option<Token> {
    let (session, secret) = value.split_once('.')?;
    Some(Token { session: session.to_owned(), secret: secret.to_owned() })
}
