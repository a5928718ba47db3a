//! [`SlotMap`]: which node has which slot. [`slot_of`]: which slot a command belongs to. Pure.
//!
//! Redis Cluster specification, "Key distribution model" and "Hash tags".

use std::collections::HashSet;

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

use crate::command::Words;
use crate::reply::text;
use crate::server::Place;

/// How many slots there are.
pub(crate) const SLOTS: u16 = 16384;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// Which node has which slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// Ranges without overlap, in order: first slot, last slot, node.
    ranges: Vec<(u16, u16, Place)>,
}

impl SlotMap {
    /// Reads what `CLUSTER SLOTS` answers. `asked` is who did.
    pub(crate) fn read(reply: &Value, asked: &Place) -> Option<Self> {
        let Value::Array(entries) = reply else { return None };
        let mut ranges: Vec<_> = entries.iter().map(|entry| range(entry, asked)).collect::<Option<_>>()?;
        ranges.sort_unstable_by_key(|&(first, ..)| first);
        let overlap =
            ranges.windows(2).any(|pair| matches!(pair, [(_, last, _), (first, ..)] if last >= first));
        (!ranges.is_empty() && !overlap).then_some(Self { ranges })
    }

    /// The node that has this slot, if any has.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Place> {
        let at = self.ranges.partition_point(|&(_, last, _)| last < slot);
        self.ranges.get(at).filter(|&&(first, ..)| first <= slot).map(|(.., place)| place)
    }

    /// The nodes that have slots, each once.
    pub(crate) fn owners(&self) -> HashSet<&Place> {
        self.ranges.iter().map(|(.., place)| place).collect()
    }

    /// A single slot is somewhere else now. Whether that is news.
    pub(crate) fn move_slot(&mut self, slot: u16, to: Place) -> bool {
        if slot >= SLOTS || self.owner(slot) == Some(&to) {
            return false;
        }
        let mut ranges = Vec::with_capacity(self.ranges.len() + 2);
        for (first, last, place) in self.ranges.drain(..) {
            if !(first..=last).contains(&slot) {
                ranges.push((first, last, place));
                continue;
            }
            if first < slot {
                ranges.push((first, slot - 1, place.clone()));
            }
            if slot < last {
                ranges.push((slot + 1, last, place));
            }
        }
        ranges.push((slot, slot, to));
        ranges.sort_unstable_by_key(|&(first, ..)| first);
        self.ranges = ranges;
        true
    }
}

/// First slot, last slot, and the first node named, which is the master.
fn range(entry: &Value, asked: &Place) -> Option<(u16, u16, Place)> {
    let Value::Array(parts) = entry else { return None };
    let [first, last, Value::Array(master), ..] = parts.as_slice() else { return None };
    let [host, port, ..] = master.as_slice() else { return None };
    let (first, last) = (slot(first)?, slot(last)?);
    let Value::Int(port) = port else { return None };
    // A node that does not know its name says nil.
    let host = if *host == Value::Nil { "" } else { text(host)? };
    (first <= last).then_some((first, last, Place::of_node_parts(host, u16::try_from(*port).ok()?, asked)))
}

fn slot(value: &Value) -> Option<u16> {
    let Value::Int(slot) = value else { return None };
    u16::try_from(*slot).ok().filter(|&slot| slot < SLOTS)
}

/// The slot that a command of ours belongs to: that of its first key. Whatever goes to any node belongs to some slot.
pub(crate) fn slot_of(mut words: Words<'_>) -> u16 {
    let name = words.next().unwrap_or_default();
    // EVALSHA sha1 numkeys key ..., and all others: COMMAND key ...
    let key = if name.starts_with(b"EVAL") { words.nth(2) } else { words.next() };
    slot_of_key(key.unwrap_or_default())
}

/// The slot of a key.
pub(crate) fn slot_of_key(key: &[u8]) -> u16 {
    CRC.checksum(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What stands in the first braces, if anything does.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let (_, rest) = key.split_at_checked(key.iter().position(|&byte| byte == b'{')? + 1)?;
    let end = rest.iter().position(|&byte| byte == b'}').filter(|&end| end > 0)?;
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::words;

    fn asked() -> Place {
        Place::tcp("10.0.0.1", 7000)
    }

    fn entry(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), bulk("id"), Value::Array(vec![])]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node(host, port), node(bulk("10.9.9.9"), 1)])
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn two_nodes() -> SlotMap {
        let reply =
            Value::Array(vec![entry(100, 16383, bulk("10.0.0.2"), 7001), entry(0, 98, Value::Nil, 7000)]);
        SlotMap::read(&reply, &asked()).unwrap()
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        // What redis-server's CLUSTER KEYSLOT answers.
        let cases: [(&str, u16); 9] = [
            ("", 0),
            ("foo", 12182),
            ("123456789", 12739),
            ("{user1000}.following", 3443),
            ("{user1000}.followers", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("foo{bar", 15278),
        ];
        for (key, slot) in cases {
            assert_eq!(slot_of_key(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn a_command_belongs_where_its_first_key_does() {
        let slot = |name, arguments: &[&str]| slot_of(words(name, arguments).words());
        let foo = slot_of_key(b"foo");
        assert_eq!(slot("GET", &["foo"]), foo);
        assert_eq!(slot("ZREM", &["foo", "bar"]), foo);
        assert_eq!(slot("EVALSHA", &["sha", "1", "foo", "bar"]), foo);
        assert_eq!(slot("EVAL", &["return 1", "1", "foo"]), foo);
        assert_eq!(slot("PING", &[]), 0);
    }

    #[test]
    fn a_slot_is_looked_up_in_its_range() {
        let map = two_nodes();
        let (one, two) = (Place::tcp("10.0.0.1", 7000), Place::tcp("10.0.0.2", 7001));
        let cases = [(0, Some(&one)), (98, Some(&one)), (99, None), (100, Some(&two)), (16383, Some(&two))];
        for (slot, owner) in cases {
            assert_eq!(map.owner(slot), owner, "{slot}");
        }
    }

    #[test]
    fn a_moved_slot_takes_no_other_along() {
        let new = Place::tcp("10.0.0.3", 7002);
        for moved in [0, 1, 50, 98, 99, 100, 16383] {
            let (before, mut after) = (two_nodes(), two_nodes());
            assert!(after.move_slot(moved, new.clone()));
            assert!(!after.move_slot(moved, new.clone()), "no news");
            for slot in 0..SLOTS {
                let expected = if slot == moved { Some(&new) } else { before.owner(slot) };
                assert_eq!(after.owner(slot), expected, "{moved} moved, {slot}");
            }
        }
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let replies = [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![entry(0, 16384, bulk("h"), 1)]),
            Value::Array(vec![entry(5, 4, bulk("h"), 1)]),
            Value::Array(vec![entry(0, 9, bulk("h"), 1), entry(9, 10, bulk("i"), 1)]),
            Value::Array(vec![entry(0, 9, bulk("h"), 65536)]),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1), Value::Array(vec![])])]),
        ];
        for reply in replies {
            assert_eq!(SlotMap::read(&reply, &asked()), None, "{reply:?}");
        }
    }
}
