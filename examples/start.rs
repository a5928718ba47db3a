//! How each example starts: where it listens, and how it says in words what keeps it from starting.
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

use std::env;
use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

/// What keeps a program from starting. `main` returns it, and what `main` returns is shown by `Debug`: so that is the text.
pub(crate) struct Failure(Box<dyn Error + Send + Sync>);

/// Listens on 127.0.0.1, at the port that `PORT` says or this one.
pub(crate) async fn listen(default: u16) -> Result<TcpListener, Failure> {
    let port = port(default)?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        Failure::from(format!("cannot listen on port {port}: {error}; PORT=... names another"))
    })
}

/// What `PORT` says, or this one.
pub(crate) fn port(default: u16) -> Result<u16, Failure> {
    parse(env::var("PORT").ok().as_deref(), default)
}

/// Set to nothing counts as not set.
pub(crate) fn parse(text: Option<&str>, default: u16) -> Result<u16, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(default) };
    text.parse()
        .map_err(|_| Failure::from(format!("PORT={text} is not a port, which is a number from 0 to 65535")))
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            // Some errors end with what their source says.
            let text = error.to_string();
            if !told.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            told = text;
            source = error.source();
        }
        Ok(())
    }
}
