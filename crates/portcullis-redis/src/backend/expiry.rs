//! [`expiry`]: when a new record's key is to go. Pure.

use portcullis_store::Header;

use crate::script::LAST_TIME;

/// When a new record's key expires, as an option of SET and its value in milliseconds.
///
/// Deadlines are by the application's clock, and the key expires by the server's. What lies between the record's
/// beginning and its deadline is the same by either, however far they are apart. The beginning is the later of
/// `created` and `secret_since`: a new record comes with a new secret, and may continue an older session. If that is no
/// beginning, because it is past the deadline, the deadline is taken as it is.
pub(crate) fn expiry(header: &Header) -> (&'static str, u64) {
    let (begins, expires) = (header.created.max(header.secret_since), header.expires());
    // The server takes no zero, and nothing beyond 2^63 when it has added the time that it is.
    if begins < expires {
        ("PX", expires.as_millis().saturating_sub(begins.as_millis()).min(LAST_TIME / 2))
    } else {
        ("PXAT", expires.as_millis().clamp(1, LAST_TIME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use portcullis_store::{SecretHash, Tag, Timestamp};

    #[test]
    fn a_new_key_lives_from_its_beginning_to_its_sooner_deadline() {
        // name, created, secret_since, idle deadline, absolute deadline
        let cases = [
            ("idle ends first", 1000, 1000, 1500, 9000, ("PX", 500)),
            ("absolute ends first", 1000, 1000, 1500, 1200, ("PX", 200)),
            ("continues an older session", 1000, 5000, 5500, 9000, ("PX", 500)),
            ("dead on arrival", 1000, 1000, 1000, 9000, ("PXAT", 1000)),
            ("a beginning past the end", 1000, u64::MAX, 1500, 9000, ("PXAT", 1500)),
            ("no times at all", 0, 0, 0, 0, ("PXAT", 1)),
            ("for ever", 1000, 1000, u64::MAX, u64::MAX, ("PX", LAST_TIME / 2)),
        ];
        for (name, created, secret_since, idle_deadline, absolute_deadline, expected) in cases {
            let header = Header {
                tags: [Tag::default(); 4],
                flags: 0,
                secret: SecretHash([0; 32]),
                previous: None,
                secret_since: Timestamp::from_millis(secret_since),
                created: Timestamp::from_millis(created),
                authenticated: None,
                absolute_deadline: Timestamp::from_millis(absolute_deadline),
                idle: Duration::from_millis(500),
                idle_deadline: Timestamp::from_millis(idle_deadline),
            };
            assert_eq!(expiry(&header), expected, "{name}");
        }
    }
}
