//! [`RedisCluster`]: a real Redis Cluster, whose nodes can be killed, hung and failed over, and whose slots can be moved.

mod builder;
mod migration;
mod slot;
mod view;

pub use builder::RedisClusterBuilder;
pub use migration::Migration;

use std::time::Duration;

use self::slot::SLOTS;
use self::view::View;
use super::RedisServer;
use super::wait::{settled, within};

/// How long a node tries a failover that it was ordered to make, and a little.
const FAILOVER: Duration = Duration::from_secs(6);

/// A private Redis Cluster on loopback ports. Its nodes are killed on drop, and when the test process ends in any way.
///
/// A node is known by its index: masters come first, then the replicas of the first master, and so on. The index stays
/// the node's when roles change. Each is a [`RedisServer`], and can be killed, paused and restarted; a restarted node
/// finds back into the cluster, without its data, unless a replica has kept it. A dead or hung node is noticed after
/// 1.5 s (`cluster-node-timeout`), and keys whose master is alive are served meanwhile
/// (`cluster-require-full-coverage no`).
///
/// ```
/// use portcullis_testkit::redis::RedisCluster;
///
/// let cluster = RedisCluster::builder(3).replicas(1).start();
/// let master = cluster.master_of_key("greeting");
/// cluster.node(master).command(&["SET", "greeting", "hello"]);
/// cluster.node(master).command(&["WAIT", "1", "1000"]); // its replica has it, too
///
/// cluster.node(master).kill();
/// cluster.wait_until_ok(); // a replica has taken over
/// let promoted = cluster.master_of_key("greeting");
/// assert_ne!(promoted, master);
/// assert_eq!(cluster.node(promoted).command(&["GET", "greeting"]), "hello");
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    /// Their names within the cluster.
    ids: Vec<String>,
}

impl RedisCluster {
    /// Starts a cluster of this many masters, without replicas.
    ///
    /// # Panics
    /// As [`RedisClusterBuilder::start`].
    #[must_use]
    #[track_caller]
    pub fn start(masters: usize) -> Self {
        Self::builder(masters).start()
    }

    /// A cluster of this many masters, with options.
    #[must_use]
    pub const fn builder(masters: usize) -> RedisClusterBuilder {
        RedisClusterBuilder::new(masters)
    }

    /// The addresses of all nodes, with the password if there is one, any of which is enough for a client to start with.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The nodes, in the order of their indices.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The node of this index.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn node(&self, index: usize) -> &RedisServer {
        self.nodes.get(index).expect("the cluster has a node of this index")
    }

    /// The slot of a key, 0 to 16383: CRC16 of its hash tag, or of all of it.
    #[must_use]
    pub fn key_slot(key: impl AsRef<[u8]>) -> u16 {
        slot::key_slot(key.as_ref())
    }

    /// The index of the master that has a slot, also when it has been killed and not yet been replaced.
    ///
    /// # Panics
    /// When no node runs, or none has the slot.
    #[must_use]
    #[track_caller]
    pub fn master_of_slot(&self, slot: u16) -> usize {
        let views = self.views();
        // A restarted node claims what it had until it hears of a newer claim.
        let claims = views.iter().filter_map(|view| view.owner(slot));
        let owner = claims.max_by_key(|owner| owner.epoch).expect("a node has the slot");
        self.index(&owner.id).expect("the owner is one of ours")
    }

    /// The index of the master that has a key's slot.
    ///
    /// # Panics
    /// As [`master_of_slot`](Self::master_of_slot).
    #[must_use]
    #[track_caller]
    pub fn master_of_key(&self, key: impl AsRef<[u8]>) -> usize {
        self.master_of_slot(Self::key_slot(key))
    }

    /// The index of a replica of a master, which is the first one that runs, if one does.
    ///
    /// # Panics
    /// When it has none, or no node runs.
    #[must_use]
    #[track_caller]
    pub fn replica_of(&self, master: usize) -> usize {
        let replicas = self.replicas_of(master);
        let up = replicas.iter().find(|&&replica| self.node(replica).is_up());
        *up.or(replicas.first()).expect("the master has a replica")
    }

    /// The indices of all replicas of a master; of those that do not run, too.
    ///
    /// # Panics
    /// When no node runs.
    #[must_use]
    #[track_caller]
    pub fn replicas_of(&self, master: usize) -> Vec<usize> {
        let views = self.views();
        let follows = |replica: usize| {
            let own = self.node(replica).is_up().then(|| View::of(self.node(replica)).ok()).flatten();
            let view = own.as_ref().or(views.first()).expect("a node runs");
            let master = view.member(self.id(replica)).and_then(|member| member.master.as_ref())?;
            self.index(master)
        };
        (0..self.nodes.len()).filter(|&replica| follows(replica) == Some(master)).collect()
    }

    /// Begins to move a slot to the master `to`, while clients use it.
    ///
    /// # Panics
    /// When the slot is there already, `to` is not a master, or a node does not answer.
    #[track_caller]
    pub fn begin_migration(&self, slot: u16, to: usize) -> Migration<'_> {
        Migration::begin(self, slot, to)
    }

    /// Moves a slot and its keys to the master `to`; every running node knows when this returns.
    ///
    /// # Panics
    /// As [`begin_migration`](Self::begin_migration) and [`Migration::finish`].
    #[track_caller]
    pub fn migrate_slot(&self, slot: u16, to: usize) {
        self.begin_migration(slot, to).finish();
    }

    /// CLUSTER FAILOVER: a replica takes its master's place, as when a node is taken out for maintenance. No write is
    /// lost. [`wait_until_ok`](Self::wait_until_ok) holds when this returns.
    ///
    /// # Panics
    /// When the node is not a replica, its master does not run, or it does not win within 24 s.
    #[track_caller]
    pub fn failover(&self, replica: usize) {
        let node = self.node(replica);
        let has_won = || match self.is_master(replica, node) {
            true => Ok(()),
            false => Err(String::new()),
        };
        let won = (0..4).any(|_| {
            node.command(&["CLUSTER", "FAILOVER"]);
            within(FAILOVER, has_won).is_ok()
        });
        assert!(won, "node {replica} did not become a master");
        self.wait_until_ok();
    }

    /// Waits until every node that runs says that the cluster is fine and agrees with the others on who owns which slot,
    /// every slot has an owner that runs, and every replica that runs has its master's data.
    ///
    /// # Panics
    /// When that is not so within 40 s: for example when a master was killed that has no replica.
    #[track_caller]
    pub fn wait_until_ok(&self) {
        settled("a cluster is fine", || {
            let mut agreed: Option<View> = None;
            for (_, node) in self.up() {
                let view = self.is_fine_for(node)?;
                if agreed.as_ref().is_some_and(|agreed| agreed.owners() != view.owners()) {
                    return Err(format!("the nodes do not agree: {agreed:?} and {view:?}"));
                }
                agreed = Some(view);
            }
            agreed.map(drop).ok_or_else(|| "no node runs".to_owned())
        });
    }

    fn is_fine_for(&self, node: &RedisServer) -> Result<View, String> {
        let info = node.ask(&["CLUSTER", "INFO"])?;
        let view = View::of(node)?;
        let complain = |what: &str| format!("{} {what}: {info}{view:?}", node.url());
        if !info.lines().any(|line| line == "cluster_state:ok") {
            return Err(complain("is not fine"));
        }
        let owners = view.owners();
        if owners.iter().map(|(range, _)| range.len()).sum::<usize>() != usize::from(SLOTS) {
            return Err(complain("misses slots"));
        }
        if owners.iter().any(|(_, id)| self.index(id).is_none_or(|index| !self.node(index).is_up())) {
            return Err(complain("waits for a failover"));
        }
        self.knows_all(&view)?;
        node.has_its_masters_data()?;
        Ok(view)
    }

    /// Whether a node sees all that run.
    fn knows_all(&self, view: &View) -> Result<(), String> {
        let is_known = |id: &str| view.member(id).is_some_and(view::Member::is_sound);
        match self.up().find(|(index, _)| !is_known(self.id(*index))) {
            Some((index, _)) => Err(format!("node {index} is not known: {view:?}")),
            None => Ok(()),
        }
    }

    fn is_master(&self, index: usize, node: &RedisServer) -> bool {
        let own = View::of(node).ok();
        own.is_some_and(|view| view.member(self.id(index)).is_some_and(view::Member::is_master))
    }

    /// The nodes that were neither killed nor paused.
    fn up(&self) -> impl Iterator<Item = (usize, &RedisServer)> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.is_up())
    }

    fn views(&self) -> Vec<View> {
        self.up().filter_map(|(_, node)| View::of(node).ok()).collect()
    }

    fn id(&self, index: usize) -> &str {
        self.ids.get(index).expect("the cluster has a node of this index")
    }

    fn index(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|known| known == id)
    }
}
