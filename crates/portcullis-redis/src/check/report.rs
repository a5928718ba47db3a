//! [`Report`]: what a check has found, and what operators are to be told of it. Pure.

/// What [`RedisBackend::check`](crate::RedisBackend::check) has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// One for each server that holds sessions: one, or the masters of a cluster.
    pub servers: Vec<ServerReport>,
}

/// What was found of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerReport {
    /// Its address, or the name by which Sentinels know it.
    pub server: String,
    /// The commands that are missing, as an ACL line names them: `zadd`, `cluster|slots`. They are not permitted to the
    /// user, or the server does not have them. `~keys` and `&channels` stand for the keys and channels that begin with
    /// the configured prefix, `&+switch-master` for the channel of the Sentinels.
    pub missing: Vec<String>,
    /// Whether it is a replica, which refuses every write.
    pub is_replica: bool,
    /// Whether it refuses writes because its memory is full.
    pub is_full: bool,
    /// Whether it is older than Redis 6.2.
    pub is_too_old: bool,
    /// The version of Redis that it is, or is compatible with; `None` if we may not ask (`+info`).
    pub version: Option<String>,
    /// Its `maxmemory-policy`; `None` if we may not ask (`+info` or `+config|get`).
    pub eviction: Option<String>,
    /// Whether anything survives its end, on its disk or on a replica; `None` if we may not ask (`+info` and
    /// `+config|get`).
    pub survives_restart: Option<bool>,
}

impl Report {
    /// The commands that are missing on any server, each once. See [`ServerReport::missing`].
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> =
            self.servers.iter().flat_map(|server| server.missing.iter().cloned()).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// What an operator should see to, in sentences, the most urgent of each server first; empty if there is nothing.
    /// The text may change from version to version.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.servers.iter().flat_map(ServerReport::warnings).collect()
    }
}

impl ServerReport {
    pub(super) const fn of(server: String) -> Self {
        Self {
            server,
            missing: Vec::new(),
            is_replica: false,
            is_full: false,
            is_too_old: false,
            version: None,
            eviction: None,
            survives_restart: None,
        }
    }

    /// Reads what INFO answers.
    pub(super) fn read_info(&mut self, info: &str) {
        let field = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        self.version = field("redis_version").map(str::to_owned);
        self.is_too_old |= self.version.as_deref().and_then(parsed).is_some_and(|version| version < (6, 2));
        self.is_replica |= field("role") == Some("slave");
        self.eviction = field("maxmemory_policy").map(str::to_owned);
        let replicas = field("connected_slaves").is_some_and(|count| count != "0");
        if replicas || field("aof_enabled") == Some("1") {
            self.survives_restart = Some(true);
        }
    }

    /// Whether snapshots are to be written, if that is known. To be told after [`read_info`](Self::read_info).
    pub(super) fn snapshots(&mut self, are_written: Option<bool>) {
        // Without INFO it is not known whether there is something else.
        if self.survives_restart.is_none() && (are_written == Some(true) || self.version.is_some()) {
            self.survives_restart = are_written;
        }
    }

    fn warnings(&self) -> Vec<String> {
        let sentences = [
            (!self.missing.is_empty()).then(|| {
                format!(
                    "misses {}: not permitted to this user, or not there. The page of portcullis-redis has the ACL \
                     lines that suffice.",
                    self.missing.join(", ")
                )
            }),
            self.is_replica.then(|| "is a replica, and refuses every write.".to_owned()),
            self.is_too_old.then(|| {
                let version = self.version.as_deref().unwrap_or("older");
                format!("is of version {version}; 6.2 or later is needed.")
            }),
            self.is_full.then(|| "is full: it refuses new sessions, and changes of old ones.".to_owned()),
            self.eviction.as_deref().and_then(evicts),
            (self.survives_restart == Some(false)).then(|| {
                "keeps nothing on disk and has no replica: when it ends, everybody is signed out.".to_owned()
            }),
        ];
        sentences.into_iter().flatten().map(|sentence| format!("Redis {} {sentence}", self.server)).collect()
    }
}

/// Every key of ours expires, so there is no policy but one that leaves them alone.
fn evicts(policy: &str) -> Option<String> {
    if policy.starts_with("allkeys-") {
        return Some(format!(
            "has maxmemory-policy {policy}: as memory runs short it signs users out, and forgets which sessions are \
             whose, so that not all of them can be revoked. Set noeviction."
        ));
    }
    policy.starts_with("volatile-").then(|| {
        format!(
            "has maxmemory-policy {policy}: as memory runs short it may take sessions, which all expire, before \
             other keys. noeviction is better."
        )
    })
}

fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ServerReport {
        ServerReport::of("10.0.0.5:6379".to_owned())
    }

    #[test]
    fn each_finding_is_a_sentence_that_names_the_server_and_what_to_do() {
        let policy = |policy: &str| ServerReport { eviction: Some(policy.to_owned()), ..server() };
        let missing = vec!["zadd".to_owned(), "&channels".to_owned()];
        let cases = [
            ("nothing known", server(), None),
            ("as it should be", policy("noeviction"), None),
            ("missing", ServerReport { missing, ..server() }, Some("misses zadd, &channels:")),
            ("replica", ServerReport { is_replica: true, ..server() }, Some("is a replica")),
            ("full", ServerReport { is_full: true, ..server() }, Some("is full")),
            ("old", ServerReport { is_too_old: true, ..server() }, Some("6.2 or later")),
            ("evicts all", policy("allkeys-lru"), Some("Set noeviction")),
            ("evicts what expires", policy("volatile-ttl"), Some("noeviction is better")),
            ("lost", ServerReport { survives_restart: Some(false), ..server() }, Some("nothing on disk")),
            ("kept", ServerReport { survives_restart: Some(true), ..server() }, None),
        ];
        for (name, server, expected) in cases {
            let warnings = Report { servers: vec![server] }.warnings();
            assert_eq!(warnings.len(), usize::from(expected.is_some()), "{name}: {warnings:?}");
            if let Some(expected) = expected {
                assert!(warnings[0].starts_with("Redis 10.0.0.5:6379 "), "{name}: {warnings:?}");
                assert!(warnings[0].contains(expected), "{name}: {warnings:?}");
            }
        }
    }

    #[test]
    fn info_is_read() {
        let of = |info: &str| {
            let mut report = server();
            report.read_info(info);
            report
        };
        let alone = "# Server\r\nredis_version:6.0.16\r\nmaxmemory_policy:allkeys-lru\r\nrole:master\r\n\
                     connected_slaves:0\r\naof_enabled:0\r\n";
        let report = of(alone);
        assert_eq!((report.version.as_deref(), report.is_too_old), (Some("6.0.16"), true));
        assert_eq!((report.eviction.as_deref(), report.is_replica), (Some("allkeys-lru"), false));
        for version in ["6.2.0", "7.0.15", "8.2.1", "10.0.0", "unstable"] {
            assert!(!of(&format!("redis_version:{version}\r\n")).is_too_old, "{version}");
        }
        assert!(of("redis_version:5.0.7\r\n").is_too_old);
        assert!(of("role:slave\r\n").is_replica);
        assert_eq!(of("").version, None);
    }

    #[test]
    fn whether_anything_survives_is_said_only_if_it_is_known() {
        let cases = [
            ("nothing may be asked", None, None, None),
            ("an append-only file", Some("redis_version:7.0.0\r\naof_enabled:1\r\n"), None, Some(true)),
            ("a replica", Some("redis_version:7.0.0\r\nconnected_slaves:2\r\n"), Some(false), Some(true)),
            ("snapshots, maybe", Some("redis_version:7.0.0\r\naof_enabled:0\r\n"), None, None),
            ("snapshots", Some("redis_version:7.0.0\r\naof_enabled:0\r\n"), Some(true), Some(true)),
            ("nothing", Some("redis_version:7.0.0\r\nconnected_slaves:0\r\n"), Some(false), Some(false)),
            ("no snapshots, and the rest may not be asked", None, Some(false), None),
        ];
        for (name, info, snapshots, expected) in cases {
            let mut report = server();
            if let Some(info) = info {
                report.read_info(info);
            }
            report.snapshots(snapshots);
            assert_eq!(report.survives_restart, expected, "{name}");
        }
    }
}
