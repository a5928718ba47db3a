//! [`Verdict`]: what an error of the server means for the command, the connection and the caller.

use portcullis_store::{StoreError, StoreErrorKind};
use redis::{RedisError, ServerError};

use crate::wire::Unanswered;

/// What an error of the server means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What the caller is told.
    pub(crate) kind: StoreErrorKind,
    /// Whether the same command may be answered in a moment.
    pub(crate) resend: bool,
    /// Whether the connection leads to the wrong place, or has lost its right.
    pub(crate) reconnect: bool,
}

/// Why no answer was had; kept for those who come while the server is not asked.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: StoreErrorKind,
    cause: Option<RedisError>,
}

impl Verdict {
    pub(crate) fn of(error: &ServerError) -> Self {
        let detail = error.details().unwrap_or_default();
        match error.code() {
            "ERR" => Self::of_general(detail),
            code => Self::of_code(code),
        }
    }

    fn of_code(code: &str) -> Self {
        use StoreErrorKind::{Config, Corrupt, Full, Unavailable};
        match code {
            "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" => Self::passing(),
            // The server is a replica: after a failover the address leads elsewhere.
            "READONLY" | "MASTERDOWN" => Self { reconnect: true, ..Self::passing() },
            "NOAUTH" => Self { reconnect: true, ..Self::lasting(Config) },
            "NOPERM" | "WRONGPASS" | "DENIED" | "MOVED" | "ASK" | "CROSSSLOT" => Self::lasting(Config),
            "OOM" => Self::lasting(Full),
            "WRONGTYPE" => Self::lasting(Corrupt),
            _ => Self::lasting(Unavailable),
        }
    }

    /// `ERR` is what a server says that does not know a command, an option or the database.
    fn of_general(detail: &str) -> Self {
        if detail.starts_with("max number of clients") {
            return Self { reconnect: true, ..Self::passing() };
        }
        code_inside_script(detail).map_or_else(|| Self::lasting(StoreErrorKind::Config), Self::of_code)
    }

    const fn passing() -> Self {
        Self { kind: StoreErrorKind::Unavailable, resend: true, reconnect: false }
    }

    const fn lasting(kind: StoreErrorKind) -> Self {
        Self { kind, resend: false, reconnect: false }
    }
}

/// Redis before 7 wraps the error of a command inside a script. The command's own error has no dash, a refusal to run
/// it has one:
/// "ERR Error running script (call to f_..): @user_script:1: WRONGTYPE Operation against a key ..",
/// "ERR Error running script (call to f_..): @user_script:1: @user_script: 1: -OOM command not allowed ..".
fn code_inside_script(detail: &str) -> Option<&str> {
    let (_, inner) = detail.strip_prefix("Error running script")?.rsplit_once("@user_script")?;
    let message = inner.trim_start_matches(|c: char| c == ':' || c == ' ' || c.is_ascii_digit());
    let code = message.trim_start_matches('-').split(' ').next()?;
    let is_code = code.len() > 2 && code != "ERR" && code.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then_some(code)
}

impl Failure {
    /// No answer in time.
    pub(crate) const fn timeout() -> Self {
        Self { kind: StoreErrorKind::Timeout, cause: None }
    }

    /// No connection could be made, or none kept.
    pub(crate) const fn unavailable() -> Self {
        Self { kind: StoreErrorKind::Unavailable, cause: None }
    }

    /// The server's own error.
    pub(crate) fn refused(error: &ServerError) -> Self {
        Self { kind: Verdict::of(error).kind, cause: Some(error.clone().into()) }
    }

    /// Nothing was heard.
    pub(crate) fn unanswered(why: Unanswered) -> Self {
        match why {
            Unanswered::Timeout => Self::timeout(),
            Unanswered::Broken(cause) => Self::broken(cause),
        }
    }

    /// The connection broke.
    pub(crate) const fn broken(cause: RedisError) -> Self {
        Self { kind: StoreErrorKind::Unavailable, cause: Some(cause) }
    }

    /// A connection could not be made.
    pub(crate) fn of_connect(cause: RedisError) -> Self {
        use redis::ErrorKind;
        // What an operator must correct comes as one of these; a name that does not resolve is an outage.
        let refused = matches!(
            cause.kind(),
            ErrorKind::AuthenticationFailed | ErrorKind::Server(_) | ErrorKind::RESP3NotSupported
        );
        let kind = if refused { StoreErrorKind::Config } else { StoreErrorKind::Unavailable };
        Self { kind, cause: Some(cause) }
    }

    pub(crate) const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The server's own error, if it is one.
    pub(crate) fn server_error(&self) -> Option<ServerError> {
        ServerError::try_from(self.cause.clone()?).ok()
    }

    /// The cause in words, for an event.
    pub(crate) fn cause(&self) -> String {
        self.cause.as_ref().map_or_else(|| self.kind.label().to_owned(), ToString::to_string)
    }
}

impl From<Failure> for StoreError {
    fn from(Failure { kind, cause }: Failure) -> Self {
        match cause {
            Some(cause) => Self::with_source(kind, cause),
            None => Self::new(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StoreErrorKind::{Config, Corrupt, Full, Unavailable};

    fn verdict(line: &str) -> Verdict {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let redis::Value::ServerError(error) = reply else { panic!("{reply:?} is no error") };
        Verdict::of(&error)
    }

    #[test]
    fn errors_are_told_apart() {
        let wrapped = "ERR Error running script (call to f_6b1bf): @user_script:1: @user_script: 1: -OOM command \
                       not allowed when used memory > 'maxmemory'.";
        let wrapped_type =
            "ERR Error running script (call to f_620cd): @user_script:3: WRONGTYPE Operation against a key";
        let wrapped_replica = "ERR Error running script (call to f_db8d8): @user_script:1: @user_script: 1: \
                               -READONLY You can't write against a read only replica.";
        let wrapped_permission = "ERR Error running script (call to f_db8d8): @user_script:1: @user_script: 1: \
                                  The user executing the script can't run this command or subcommand";
        // name, line, kind, resend, reconnect
        let cases = [
            ("loading", "LOADING Redis is loading the dataset in memory", Unavailable, true, false),
            ("a script that runs", "BUSY Redis is busy running a script.", Unavailable, true, false),
            (
                "cluster in transition",
                "TRYAGAIN Multiple keys request during rehashing",
                Unavailable,
                true,
                false,
            ),
            ("cluster down", "CLUSTERDOWN The cluster is down", Unavailable, true, false),
            ("replica", "READONLY You can't write against a read only replica.", Unavailable, true, true),
            ("replica without a master", "MASTERDOWN Link with MASTER is down", Unavailable, true, true),
            ("too many clients", "ERR max number of clients reached", Unavailable, true, true),
            ("no password", "NOAUTH Authentication required.", Config, false, true),
            ("wrong password", "WRONGPASS invalid username-password pair", Config, false, false),
            ("no permission", "NOPERM this user has no permissions", Config, false, false),
            ("protected mode", "DENIED Redis is running in protected mode", Config, false, false),
            ("a node of a cluster", "MOVED 3999 127.0.0.1:6381", Config, false, false),
            ("an old server", "ERR unknown command 'UNLINK'", Config, false, false),
            ("full", "OOM command not allowed when used memory > 'maxmemory'.", Full, false, false),
            ("full, inside a script, before 7.0", wrapped, Full, false, false),
            ("replica, inside a script, before 7.0", wrapped_replica, Unavailable, true, true),
            ("no permission, inside a script, before 7.0", wrapped_permission, Config, false, false),
            ("a key of another type", "WRONGTYPE Operation against a key", Corrupt, false, false),
            ("a key of another type, inside a script, before 7.0", wrapped_type, Corrupt, false, false),
            ("disk trouble", "MISCONF Redis is configured to save RDB snapshots", Unavailable, false, false),
        ];
        for (name, line, kind, resend, reconnect) in cases {
            assert_eq!(verdict(line), Verdict { kind, resend, reconnect }, "{name}");
        }
    }
}
