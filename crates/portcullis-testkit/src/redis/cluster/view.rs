//! [`View`]: the cluster as one of its nodes sees it, read from what it answers to CLUSTER NODES.

use std::ops::RangeInclusive;

use crate::redis::RedisServer;

/// All nodes that a node knows, itself included.
#[derive(Debug)]
pub(super) struct View(Vec<Member>);

/// A node as another, or itself, sees it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    flags: String,
    /// The id of its master, if it is a replica.
    pub(super) master: Option<String>,
    /// The newer of two claims to a slot holds.
    pub(super) epoch: u64,
    is_connected: bool,
    slots: Vec<RangeInclusive<u16>>,
}

impl View {
    /// What a node sees now.
    pub(super) fn of(node: &RedisServer) -> Result<Self, String> {
        Ok(Self::read(&node.ask(&["CLUSTER", "NODES"])?))
    }

    fn read(nodes: &str) -> Self {
        Self(nodes.lines().filter_map(Member::read).collect())
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.0.iter().find(|member| member.id == id)
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&Member> {
        self.0.iter().find(|member| member.owns(slot))
    }

    /// Who owns which slots, in order.
    pub(super) fn owners(&self) -> Vec<(&RangeInclusive<u16>, &str)> {
        let mut owners: Vec<_> = self.0.iter().flat_map(Member::owned).collect();
        owners.sort_by_key(|(range, _)| *range.start());
        owners
    }
}

impl Member {
    /// `id ip:port@bus flags master ping pong epoch link slot...`. An open migration, `[slot->-id]`, is no slot.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (id, _address, flags) = (words.next()?.to_owned(), words.next()?, words.next()?.to_owned());
        let master = words.next().filter(|&master| master != "-").map(str::to_owned);
        let epoch = words.nth(2)?.parse().ok()?;
        let is_connected = words.next()? == "connected";
        Some(Self { id, flags, master, epoch, is_connected, slots: words.filter_map(range).collect() })
    }

    pub(super) fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }

    fn owned(&self) -> impl Iterator<Item = (&RangeInclusive<u16>, &str)> {
        self.slots.iter().map(|range| (range, &*self.id))
    }

    pub(super) fn is_master(&self) -> bool {
        self.has("master")
    }

    /// Whether the node that looks talks to it, and holds it neither for failed nor for a stranger.
    pub(super) fn is_sound(&self) -> bool {
        self.is_connected && !["fail", "fail?", "handshake", "noaddr"].iter().any(|flag| self.has(flag))
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.split(',').any(|has| has == flag)
    }
}

fn range(word: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
        aa 127.0.0.1:12000@22000 myself,master - 0 0 3 connected 0-5460 5462 [5463->-cc]\n\
        bb 127.0.0.1:12001@22001,host slave,fail? aa 0 1426238317239 4 connected\n\
        cc 127.0.0.1:12002@22002 master,fail - 1426238316232 0 2 disconnected 5461 5463-16383\n";

    #[test]
    fn each_column_is_read() {
        let view = View::read(NODES);
        let [aa, bb, cc] = ["aa", "bb", "cc"].map(|id| view.member(id).unwrap());
        assert_eq!([aa.is_sound(), bb.is_sound(), cc.is_sound()], [true, false, false]);
        assert_eq!([aa.is_master(), bb.is_master(), cc.is_master()], [true, false, true]);
        assert_eq!([aa.epoch, bb.epoch, cc.epoch], [3, 4, 2]);
        assert_eq!((&aa.master, bb.master.as_deref()), (&None, Some("aa")));
        assert_eq!(
            view.owners(),
            [(&(0..=5460), "aa"), (&(5461..=5461), "cc"), (&(5462..=5462), "aa"), (&(5463..=16383), "cc")]
        );
        assert_eq!(view.owner(5463).unwrap().id, "cc", "until the migration is over");
    }
}
