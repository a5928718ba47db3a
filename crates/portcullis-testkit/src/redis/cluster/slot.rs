//! Which hash slot a key belongs to: <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>,
//! "Key distribution model" and "Hash tags".

/// The number of slots of every cluster.
pub(super) const SLOTS: u16 = 16_384;

pub(super) fn key_slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What is between the first `{` and the first `}` after it, if there is anything.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let (_, rest) = key.split_at_checked(key.iter().position(|&byte| byte == b'{')? + 1)?;
    let end = rest.iter().position(|&byte| byte == b'}')?;
    rest.get(..end).filter(|tag| !tag.is_empty())
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    let shifted = |crc: u16| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
    bytes.iter().fold(0, |crc, &byte| (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| shifted(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_specifications() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
    }

    #[test]
    fn a_hash_tag_alone_decides() {
        let cases = [
            ("a tag", "{user1000}.following", Some("user1000")),
            ("empty", "foo{}{bar}", None),
            ("up to the first brace", "foo{{bar}}zap", Some("{bar")),
            ("the first of two", "foo{bar}{zap}", Some("bar")),
            ("open", "foo{bar", None),
            ("none", "foo}", None),
        ];
        for (name, key, tag) in cases {
            assert_eq!(hash_tag(key.as_bytes()), tag.map(str::as_bytes), "{name}");
        }
    }
}
