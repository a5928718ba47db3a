//! [`RedisClusterBuilder`]: how nodes become a cluster.

use super::RedisCluster;
use super::slot::SLOTS;
use super::view::View;
use crate::redis::RedisServer;
use crate::redis::wait::settled;

/// How to start a [`RedisCluster`].
#[derive(Clone, Debug)]
pub struct RedisClusterBuilder {
    masters: usize,
    replicas: usize,
    password: Option<String>,
    arguments: Vec<(String, String)>,
}

impl RedisClusterBuilder {
    pub(super) const fn new(masters: usize) -> Self {
        Self { masters, replicas: 0, password: None, arguments: Vec::new() }
    }

    /// Gives every master this many replicas. Default: none.
    ///
    /// A replica takes its master's place when a majority of the masters agrees, so three masters survive one.
    #[must_use]
    pub const fn replicas(mut self, for_each_master: usize) -> Self {
        self.replicas = for_each_master;
        self
    }

    /// Requires this password of the default user, on every node. The nodes use it among themselves, too.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Adds an option of every node's command line and its value: `arg("--maxmemory", "3mb")`.
    #[must_use]
    pub fn arg(mut self, option: &str, value: &str) -> Self {
        self.arguments.push((option.to_owned(), value.to_owned()));
        self
    }

    /// Starts the nodes and makes them a cluster, which takes two seconds: as long as a node waits before it trusts
    /// that it is a master. [`RedisCluster::wait_until_ok`] holds when this returns.
    ///
    /// # Panics
    /// When there is no server binary, a node does not start, or they do not agree within 40 s.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> RedisCluster {
        assert!(self.masters > 0, "a cluster has a master");
        let nodes: Vec<RedisServer> = (0..self.masters * (1 + self.replicas)).map(|_| self.node()).collect();
        let ids = nodes.iter().map(|node| node.command(&["CLUSTER", "MYID"])).collect();
        let cluster = RedisCluster { nodes, ids };
        self.assign_slots(&cluster);
        introduce(&cluster);
        self.attach_replicas(&cluster);
        cluster.wait_until_ok();
        cluster
    }

    fn node(&self) -> RedisServer {
        let mut node = RedisServer::builder()
            .tcp()
            .arg("--cluster-enabled", "yes")
            .arg("--cluster-node-timeout", "1500")
            // A client must come to terms with the part of the keys that is left.
            .arg("--cluster-require-full-coverage", "no");
        if let Some(password) = &self.password {
            node = node.password(password).master_password(password);
        }
        let arguments = self.arguments.iter();
        arguments.fold(node, |node, (option, value)| node.arg(option, value)).start()
    }

    /// Even ranges, in the order of the masters.
    fn assign_slots(&self, cluster: &RedisCluster) {
        let border = |index: usize| usize::from(SLOTS) * index / self.masters;
        for (index, node) in cluster.nodes.iter().enumerate() {
            // Claims of the same age would be settled by an election first.
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            if index < self.masters {
                add_slots(node, border(index), border(index + 1) - 1);
            }
        }
    }

    /// The replicas follow the masters: first those of the first master, and so on.
    fn attach_replicas(&self, cluster: &RedisCluster) {
        for (index, replica) in cluster.nodes.iter().enumerate().skip(self.masters) {
            let master = (index - self.masters) / self.replicas;
            replica.command(&["CLUSTER", "REPLICATE", cluster.id(master)]);
        }
    }
}

fn add_slots(node: &RedisServer, first: usize, last: usize) {
    let range = ["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()];
    if node.try_command(&range).is_err() {
        // Redis 6.2 has no ranges.
        let slots: Vec<String> = (first..=last).map(|slot| slot.to_string()).collect();
        let command: Vec<&str> =
            ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(|slot| &**slot)).collect();
        node.command(&command);
    }
}

/// Every node is told of every other, which is quicker than that they hear of each other.
fn introduce(cluster: &RedisCluster) {
    for (index, node) in cluster.nodes.iter().enumerate() {
        for other in cluster.nodes.iter().skip(index + 1) {
            let address = other.address().expect("a node listens on TCP");
            node.command(&["CLUSTER", "MEET", &address.ip().to_string(), &address.port().to_string()]);
        }
    }
    settled("every node of a cluster knows every other", || {
        cluster.up().try_for_each(|(_, node)| cluster.knows_all(&View::of(node)?))
    });
}
