//! [`Migration`]: a slot on its way from one master to another, while clients go on.

use super::RedisCluster;
use super::view::View;
use crate::redis::RedisServer;
use crate::redis::wait::{PATIENCE, settled};

/// A slot that is being moved, step by step, so that a test can act between them.
///
/// Until [`finish`](Self::finish) the old master answers for keys that it has, and sends a client elsewhere with ASK for
/// those it has not; a command on several keys, of which some have been moved, is refused with TRYAGAIN. Afterwards the
/// old master answers MOVED. Dropped unfinished the slot stays half moved, as when an operator's tool dies.
///
/// ```
/// use portcullis_testkit::redis::RedisCluster;
///
/// let cluster = RedisCluster::start(2);
/// let slot = RedisCluster::key_slot("greeting");
/// let from = cluster.master_of_slot(slot);
/// cluster.node(from).command(&["SET", "greeting", "hello"]);
///
/// let migration = cluster.begin_migration(slot, 1 - from);
/// migration.move_keys();
/// let redirect = cluster.node(from).try_command(&["GET", "greeting"]).unwrap_err();
/// assert!(redirect.starts_with("ASK "));
/// migration.finish();
/// assert_eq!(cluster.node(1 - from).command(&["GET", "greeting"]), "hello");
/// ```
#[must_use = "the slot is half moved until `finish`"]
#[derive(Debug)]
pub struct Migration<'cluster> {
    cluster: &'cluster RedisCluster,
    slot: u16,
    from: usize,
    to: usize,
}

impl<'cluster> Migration<'cluster> {
    #[track_caller]
    pub(super) fn begin(cluster: &'cluster RedisCluster, slot: u16, to: usize) -> Self {
        let from = cluster.master_of_slot(slot);
        assert_ne!(from, to, "slot {slot} is there already");
        let migration = Self { cluster, slot, from, to };
        // The new master first: a client that is sent to it must not be sent back.
        migration.set_slot(migration.new_master(), &["IMPORTING", cluster.id(from)]);
        migration.set_slot(migration.old_master(), &["MIGRATING", cluster.id(to)]);
        migration
    }

    /// The master that the slot leaves.
    #[must_use]
    pub fn old_master(&self) -> &'cluster RedisServer {
        self.cluster.node(self.from)
    }

    /// The master that the slot goes to.
    #[must_use]
    pub fn new_master(&self) -> &'cluster RedisServer {
        self.cluster.node(self.to)
    }

    /// Moves one key. Nothing when there is no such key.
    ///
    /// # Panics
    /// When one of the masters does not answer, or refuses: BUSYKEY when the new one has the key, too.
    #[track_caller]
    pub fn move_key(&self, key: impl AsRef<[u8]>) {
        self.send(vec![key.as_ref().to_vec()]);
    }

    /// Moves all keys of the slot that the old master still has; says how many there were.
    ///
    /// # Panics
    /// As [`move_key`](Self::move_key).
    #[track_caller]
    pub fn move_keys(&self) -> usize {
        let mut moved = 0;
        loop {
            let query = ["CLUSTER", "GETKEYSINSLOT", &self.slot.to_string(), "100"];
            let answer = self.old_master().call(&query).expect("the old master answers");
            let keys = answer.unwrap_or_else(|refusal| panic!("{query:?}: {refusal}")).into_elements();
            if keys.is_empty() {
                return moved;
            }
            moved += keys.len();
            self.send(keys);
        }
    }

    /// Moves the keys that are left and gives the slot to the new master; every running node knows when this returns.
    ///
    /// # Panics
    /// When one of the masters does not answer or refuses, or the nodes do not agree within 40 s.
    #[track_caller]
    pub fn finish(self) {
        self.move_keys();
        let owner = ["NODE", self.cluster.id(self.to)];
        // The new master first, so that the slot is never nobody's; it tells the others, too, but later.
        self.set_slot(self.new_master(), &owner);
        self.set_slot(self.old_master(), &owner);
        let bystanders = self.cluster.up().filter(|(index, _)| ![self.from, self.to].contains(index));
        for (_, node) in bystanders.filter(|(index, node)| self.cluster.is_master(*index, node)) {
            self.set_slot(node, &owner);
        }
        settled("every node knows the new master of a slot", || {
            self.cluster.up().try_for_each(|(_, node)| {
                let view = View::of(node)?;
                let known = view.owner(self.slot).is_some_and(|owner| owner.id == self.cluster.id(self.to));
                known.then_some(()).ok_or_else(|| format!("{} does not", node.url()))
            })
        });
    }

    #[track_caller]
    fn set_slot(&self, node: &RedisServer, what: &[&str]) {
        let slot = self.slot.to_string();
        node.command(&[&["CLUSTER", "SETSLOT", &slot], what].concat());
    }

    #[track_caller]
    fn send(&self, keys: Vec<Vec<u8>>) {
        let address = self.new_master().address().expect("a node listens on TCP");
        let mut words = vec!["MIGRATE".into(), address.ip().to_string(), address.port().to_string()];
        words.extend([String::new(), "0".into(), PATIENCE.as_millis().to_string()]);
        if let Some(password) = &self.new_master().options.password {
            words.extend(["AUTH".into(), password.clone()]);
        }
        words.push("KEYS".into());
        let command: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).chain(keys).collect();
        let answer = self.old_master().call(&command).expect("the old master answers");
        answer.unwrap_or_else(|refusal| panic!("MIGRATE: {refusal}"));
    }
}
