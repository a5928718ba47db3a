//! [`RedisSentinel`]: a master and its replicas, and the sentinels that replace it.

mod builder;

pub use builder::RedisSentinelBuilder;

use super::RedisServer;
use super::wait::settled;

/// What the sentinels call the master that they watch.
const MASTER_NAME: &str = "main";

/// A private master with replicas and three sentinels on loopback ports. They are killed on drop, and when the test
/// process ends in any way.
///
/// A master or replica is known by its index: the first master is 0, and the index stays the server's when roles change.
/// Each is a [`RedisServer`], as the sentinels are, and can be killed, paused and restarted. A master that is silent for
/// 1.5 s ([`down_after`](RedisSentinelBuilder::down_after)) is held for down and replaced when two of the sentinels agree;
/// a failover that fails is tried again after twice 3 s (`failover-timeout`). A master that comes back is made a replica
/// some ten seconds later, as it is outside of tests.
///
/// ```
/// use portcullis_testkit::redis::RedisSentinel;
///
/// let sentinel = RedisSentinel::start();
/// let master = sentinel.current_master();
/// sentinel.node(master).command(&["SET", "greeting", "hello"]);
/// sentinel.node(master).command(&["WAIT", "1", "1000"]); // its replica has it, too
///
/// sentinel.node(master).kill();
/// let promoted = sentinel.wait_for_failover(master);
/// assert_ne!(promoted, master);
/// assert_eq!(sentinel.node(promoted).command(&["GET", "greeting"]), "hello");
/// ```
#[derive(Debug)]
pub struct RedisSentinel {
    nodes: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts a master, one replica and three sentinels, without passwords.
    ///
    /// # Panics
    /// As [`RedisSentinelBuilder::start`].
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The same with options.
    #[must_use]
    pub fn builder() -> RedisSentinelBuilder {
        RedisSentinelBuilder::default()
    }

    /// The addresses of the sentinels, with their password if there is one.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// What the sentinels call the master.
    #[must_use]
    pub const fn master_name(&self) -> &'static str {
        MASTER_NAME
    }

    /// The sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// The first master and the replicas, in the order of their indices.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The master or replica of this index.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn node(&self, index: usize) -> &RedisServer {
        self.nodes.get(index).expect("there is a server of this index")
    }

    /// The [current master](Self::current_master).
    ///
    /// # Panics
    /// As [`current_master`](Self::current_master).
    #[must_use]
    #[track_caller]
    pub fn master(&self) -> &RedisServer {
        self.node(self.current_master())
    }

    /// All but the [current master](Self::current_master).
    ///
    /// # Panics
    /// As [`current_master`](Self::current_master).
    #[must_use]
    #[track_caller]
    pub fn replicas(&self) -> Vec<&RedisServer> {
        let master = self.current_master();
        self.nodes.iter().enumerate().filter(|(index, _)| *index != master).map(|(_, node)| node).collect()
    }

    /// The index of the master that the sentinels name. While they disagree it waits for them.
    ///
    /// # Panics
    /// When those that run do not agree within 40 s, or none runs.
    #[must_use]
    #[track_caller]
    pub fn current_master(&self) -> usize {
        settled("the sentinels agree on a master", || self.agreed_master())
    }

    /// Waits until the sentinels agree on another master than `old`, and it accepts writes. Gives its index.
    ///
    /// # Panics
    /// When that is not so within 40 s.
    #[track_caller]
    pub fn wait_for_failover(&self, old: usize) -> usize {
        settled("the sentinels replace the master", || match self.agreed_master()? {
            same if same == old => Err(format!("server {old} still is the master")),
            new => self.is_master(new).map(|()| new),
        })
    }

    /// SENTINEL FAILOVER: a replica takes the master's place, although that is well. Gives its index when the sentinels
    /// agree on it. The old master accepts writes for some ten seconds more, and loses them.
    ///
    /// # Panics
    /// When no sentinel or replica runs, or no replica is promoted within 40 s.
    #[track_caller]
    pub fn fail_over(&self) -> usize {
        let old = self.current_master();
        let (_, sentinel) = up(&self.sentinels).next().expect("a sentinel runs");
        // A replica is not good enough before the sentinel has heard from it again.
        settled("a sentinel begins a failover", || sentinel.ask(&["SENTINEL", "FAILOVER", MASTER_NAME]));
        self.wait_for_failover(old)
    }

    /// Waits until the sentinels that run know each other and all replicas and agree on the master, it accepts writes,
    /// and all others that run are its replicas and have its data.
    ///
    /// # Panics
    /// When that is not so within 40 s.
    #[track_caller]
    pub fn wait_until_ok(&self) {
        settled("the sentinels and their servers are fine", || {
            let master = self.agreed_master()?;
            self.is_master(master)?;
            up(&self.nodes).filter(|(index, _)| *index != master).try_for_each(|(_, node)| {
                node.has_role("slave")?;
                node.has_its_masters_data()
            })?;
            up(&self.sentinels).try_for_each(|(_, sentinel)| self.is_complete(sentinel))
        });
    }

    fn agreed_master(&self) -> Result<usize, String> {
        let mut agreed = None;
        for (_, sentinel) in up(&self.sentinels) {
            let named = self.master_named_by(sentinel)?;
            if agreed.is_some_and(|agreed| agreed != named) {
                return Err(format!("{agreed:?} and {named}"));
            }
            agreed = Some(named);
        }
        agreed.ok_or_else(|| "no sentinel runs".to_owned())
    }

    fn master_named_by(&self, sentinel: &RedisServer) -> Result<usize, String> {
        let named = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME])?;
        let is_named = |node: &RedisServer| {
            node.address().is_some_and(|at| named == format!("{}\n{}", at.ip(), at.port()))
        };
        self.nodes.iter().position(is_named).ok_or_else(|| format!("{} names {named:?}", sentinel.url()))
    }

    fn is_master(&self, index: usize) -> Result<(), String> {
        self.node(index).has_role("master")
    }

    /// Whether a sentinel sees all others and all replicas that run.
    fn is_complete(&self, sentinel: &RedisServer) -> Result<(), String> {
        let others = sentinel.ask(&["SENTINEL", "SENTINELS", MASTER_NAME])?;
        let replicas = sentinel.ask(&["SENTINEL", "REPLICAS", MASTER_NAME])?;
        let replicas_up = up(&self.nodes).count().saturating_sub(1);
        let is_complete = count(&others, "flags", is_sound) + 1 >= up(&self.sentinels).count()
            && count(&replicas, "flags", is_sound) >= replicas_up
            && count(&replicas, "master-link-status", |status| status == "ok") >= replicas_up;
        is_complete.then_some(()).ok_or_else(|| format!("{} sees {others}\n{replicas}", sentinel.url()))
    }
}

/// How many of the servers that a sentinel lists, a name and a value in two lines, have such a value of this name.
fn count(listed: &str, name: &str, is_wanted: fn(&str) -> bool) -> usize {
    let pairs = listed.lines().step_by(2).zip(listed.lines().skip(1).step_by(2));
    pairs.filter(|(told, value)| *told == name && is_wanted(value)).count()
}

/// Other flags, as that a sentinel holds the master for down, say nothing of the server itself.
fn is_sound(flags: &str) -> bool {
    !flags.split(',').any(|flag| ["s_down", "o_down", "disconnected"].contains(&flag))
}

/// Those that were neither killed nor paused.
fn up(servers: &[RedisServer]) -> impl Iterator<Item = (usize, &RedisServer)> {
    servers.iter().enumerate().filter(|(_, server)| server.is_up())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_that_a_sentinel_reaches_are_counted() {
        let listed = "name\nflags\nflags\nsentinel\nname\nb\nflags\ns_down,sentinel,disconnected\n\
                      name\nc\nflags\nsentinel,master_down";
        assert_eq!(count(listed, "flags", is_sound), 2);
    }
}
