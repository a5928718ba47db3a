//! [`log_in`]: what is said first on a connection.

use redis::{ErrorKind, RedisConnectionInfo, RedisError, RedisResult, Value};
use tokio::time::Instant;

use super::{Unanswered, Wire};
use crate::command::{Commands, words};

/// How a connection presents itself to whoever lists them (`CLIENT LIST`).
const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Logs in, selects the database, and says who is there. Whoever calls it measures the time.
pub(crate) async fn log_in(wire: &Wire, login: &RedisConnectionInfo) -> RedisResult<()> {
    let mut commands = Commands::default();
    let has_password = login.password().is_some();
    if let Some(password) = login.password() {
        commands.add(&match login.username() {
            Some(user) => words("AUTH", &[user, password]),
            None => words("AUTH", &[password]),
        });
    }
    let has_database = login.db() != 0;
    if has_database {
        commands.add(&words("SELECT", &[&login.db().to_string()]));
    }
    // Older servers do not know it, and some users may not say it: that is no matter.
    for (what, text) in [("LIB-NAME", NAME), ("LIB-VER", VERSION)] {
        commands.add(&words("CLIENT", &["SETINFO", what, text]));
    }
    let far = Instant::now() + FAR;
    let replies = wire.send_all(commands.packed(), commands.len(), far).await.map_err(error)?;
    let mut replies = replies.into_iter();
    if has_password {
        ensure(replies.next(), ErrorKind::AuthenticationFailed, "the server refused the password")?;
    }
    if has_database {
        ensure(
            replies.next(),
            ErrorKind::Server(redis::ServerErrorKind::ResponseError),
            "the server refused the database",
        )?;
    }
    Ok(())
}

/// Longer than anybody waits for a connection.
const FAR: std::time::Duration = std::time::Duration::from_secs(3600);

/// The server's own words are for an operator; there is no password in them.
fn ensure(reply: Option<Value>, kind: ErrorKind, what: &'static str) -> RedisResult<()> {
    let Some(Value::ServerError(refusal)) = reply else { return Ok(()) };
    Err((kind, what, refusal.details().unwrap_or_default().to_owned()).into())
}

fn error(why: Unanswered) -> RedisError {
    match why {
        Unanswered::Broken(error) => error,
        Unanswered::Timeout => std::io::Error::from(std::io::ErrorKind::TimedOut).into(),
    }
}
