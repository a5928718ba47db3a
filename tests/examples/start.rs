//! What keeps an example from starting is told in words.

#[path = "../../examples/start.rs"]
#[expect(dead_code, reason = "nothing is listened to")]
mod program;

use self::program::{Failure, parse};

#[test]
fn a_port_is_a_number_and_what_is_none_is_told() {
    assert_eq!(parse(None, 3000).ok(), Some(3000));
    assert_eq!(parse(Some(""), 3000).ok(), Some(3000));
    assert_eq!(parse(Some("8080"), 3000).ok(), Some(8080));
    for text in ["abc", "-1", "65536", " 80"] {
        let told = format!("{:?}", parse(Some(text), 3000).unwrap_err());
        assert!(told.starts_with(&format!("PORT={text} is not a port")), "{told}");
    }
}

#[test]
fn a_failure_is_told_with_what_has_caused_it_and_nothing_twice() {
    let error = portcullis_redis::RedisConfig::from_url("nonsense").unwrap_err();
    let told = format!("{:?}", Failure::from(error));
    assert!(
        told.starts_with("not the URL of a Redis server that can be used: Redis URL did not parse"),
        "{told}"
    );
    let twice = std::io::Error::other(std::io::Error::other("the disk is full"));
    assert_eq!(format!("{:?}", Failure::from(twice)), "the disk is full");
}
