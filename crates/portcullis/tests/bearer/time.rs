//! When a token is good.

use std::time::Duration;

use portcullis::BearerLayer;
use portcullis_store::{Clock, ManualClock, Timestamp};
use serde_json::{Value, json};

use crate::mint::{ES256, ask, claims, claims_with, claims_without, layer};

const EXPIRED: Result<(), &str> = Err("the token has expired");
const EARLY: Result<(), &str> = Err("the token is not valid yet");
const MALFORMED: Result<(), &str> = Err("the claims are malformed");
const MISSING: Result<(), &str> = Err("a required claim is missing");

fn with_leeway(seconds: u64) -> BearerLayer {
    layer([ES256.issuer().leeway(Duration::from_secs(seconds))])
}

fn now() -> u64 {
    ManualClock::default().now().as_secs()
}

#[test]
fn a_token_ends_at_exp_not_a_second_later() {
    let rows = [
        ("a second before", 0, 1, Ok(())),
        ("at exp", 0, 0, EXPIRED),
        ("a second after", 0, -1, EXPIRED),
        ("with leeway, a second before its end", 5, -4, Ok(())),
        ("with leeway, at its end", 5, -5, EXPIRED),
        ("with leeway, a second after its end", 5, -6, EXPIRED),
    ];
    for (name, leeway, ahead, expected) in rows {
        let exp = now().checked_add_signed(ahead).unwrap();
        let token = ES256.token(&claims_with("exp", json!(exp)));
        assert_eq!(ask(&with_leeway(leeway), &token).map(drop), expected, "{name}");
    }
}

#[test]
fn a_token_ends_to_the_millisecond() {
    let clock = ManualClock::default();
    let layer = with_leeway(0).clock(clock.clone());
    let token = ES256.token(&claims_with("exp", json!(now() + 1)));
    clock.advance(Duration::from_millis(999));
    assert!(ask(&layer, &token).is_ok());
    clock.advance(Duration::from_millis(1));
    assert_eq!(ask(&layer, &token).map(drop), EXPIRED);
}

#[test]
fn nbf_and_iat_may_be_ahead_by_the_leeway_only() {
    for claim in ["nbf", "iat"] {
        for (name, leeway, ahead, expected) in [
            ("long ago", 0, -100_000, Ok(())),
            ("now", 0, 0, Ok(())),
            ("a second ahead", 0, 1, EARLY),
            ("ahead by the leeway", 5, 5, Ok(())),
            ("ahead by more", 5, 6, EARLY),
        ] {
            let at = now().checked_add_signed(ahead).unwrap();
            let token = ES256.token(&claims_with(claim, json!(at)));
            assert_eq!(ask(&with_leeway(leeway), &token).map(drop), expected, "{claim} {name}");
        }
    }
}

#[test]
fn points_in_time_are_whole_seconds_of_this_era() {
    let raw = |claim: &str, value: &str| {
        let claims = claims_with(claim, json!("PLACE")).to_string().replace("\"PLACE\"", value);
        ES256.compact(ES256.header().to_string().as_bytes(), claims.as_bytes())
    };
    let layer = with_leeway(5);
    for claim in ["exp", "nbf", "iat", "auth_time"] {
        for value in [
            "-1",
            "-0.5",
            "\"1767225600\"",
            "1767225600.5",
            "1767225600.0",
            "1.7672256e9",
            "1e300",
            "-1e300",
            "1e-300",
            "18446744073709551615",
            "18446744073709551616",
            "9223372036854775808",
            "253402300800",
            "1767225600000",
            "99999999999999999999999999999999",
            "null",
            "true",
            "[]",
            "{}",
            "",
        ] {
            assert_eq!(ask(&layer, &raw(claim, value)).map(drop), MALFORMED, "{claim} {value}");
        }
    }
    assert!(ask(&layer, &raw("exp", "253402300799")).is_ok(), "the last second of the year 9999");
    assert_eq!(ask(&layer, &raw("exp", "0")).map(drop), EXPIRED);
    assert_eq!(ask(&layer, &ES256.token(&claims_without("exp"))).map(drop), MISSING);
    assert!(ask(&layer, &ES256.token(&claims_without("iat"))).is_ok());
}

#[test]
fn clocks_at_the_epoch_and_at_the_end_of_time_do_not_confuse_it() {
    let token = ES256.token(&claims_with("nbf", json!(now())));
    let timeless = ES256.token(&claims_without("iat"));
    let rows: [(&str, Timestamp, &str, Result<(), &str>); 6] = [
        ("the epoch", Timestamp::EPOCH, &token, EARLY),
        ("the epoch, without iat", Timestamp::EPOCH, &timeless, Ok(())),
        ("far ahead", Timestamp::from_secs(253_402_300_799), &token, EXPIRED),
        ("the last moment", Timestamp::MAX, &token, EXPIRED),
        ("the last moment, without iat", Timestamp::MAX, &timeless, EXPIRED),
        ("now", ManualClock::default().now(), &token, Ok(())),
    ];
    for (name, now, token, expected) in rows {
        for leeway in [0, 5, 300] {
            let layer = with_leeway(leeway).clock(ManualClock::at(now));
            assert_eq!(ask(&layer, token).map(drop), expected, "{name}, leeway {leeway}");
        }
    }
    // The furthest exp at the last moment: nothing wraps round.
    let eternal = ES256.token(&claims_with("exp", json!(253_402_300_799u64)));
    let layer = with_leeway(300).clock(ManualClock::at(Timestamp::MAX));
    assert_eq!(ask(&layer, &eternal).map(drop), EXPIRED);
}

#[test]
fn a_token_may_not_be_older_than_the_issuer_says() {
    let with_max_age = |age: Duration| layer([ES256.issuer().max_age(age).leeway(Duration::from_secs(5))]);
    let minute = with_max_age(Duration::from_secs(60));
    let issued = |ago: u64| -> Value { claims_with("iat", json!(now() - ago)) };
    for (name, claims, expected) in [
        ("new", claims(), Ok(())),
        ("as old as allowed", issued(65), Ok(())),
        ("older", issued(66), EXPIRED),
        ("of unknown age", claims_without("iat"), MISSING),
    ] {
        assert_eq!(ask(&minute, &ES256.token(&claims)).map(drop), expected, "{name}");
    }
    assert!(ask(&with_max_age(Duration::MAX), &ES256.token(&issued(1_000_000))).is_ok());
}
