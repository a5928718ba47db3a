//! No input gives a 5xx or a panic, and nothing but a good token names anybody. Pseudo-random, the same on each run.

use http::HeaderValue;
use portcullis::BearerLayer;
use serde_json::json;

use crate::mint::{ALL, ES256, ask, claims, layer, send};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

const PIECES: [&str; 20] = [
    "Bearer ",
    "bearer",
    " ",
    "\t",
    ".",
    "..",
    "=",
    ",",
    "\"",
    "eyJhbGciOiJub25lIn0",
    "{}",
    "null",
    "-",
    "_",
    "A",
    "\u{7f}",
    "\u{e9}",
    "Basic",
    "//8",
    "AAAA",
];

const JSON: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "-1",
    "0.5",
    "18446744073709551616",
    "\"exp\":",
    "\"aud\":[]",
    "\"iss\"",
    "\"sub\":\"\"",
    "\"crit\":[],",
    " ",
    "\u{feff}",
    "\"cnf\":{},",
];

/// Changes some bytes: flips, cuts, doubles, inserts a piece, puts in noise.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, pieces: &[&str]) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.byte(),
            2 => bytes.truncate(at),
            3 => {
                let end = at + random.below(bytes.len() - at + 1);
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            4 => drop(bytes.drain(at..at + random.below(bytes.len() - at + 1).min(8))),
            _ => drop(bytes.splice(at..at, random.pick(pieces).bytes())),
        }
    }
}

/// Sends the header as it is, if it can be one at all.
fn offer(layer: &BearerLayer, header: &[u8]) -> Option<(u16, String)> {
    let value = HeaderValue::from_bytes(header).ok()?;
    let response = send(layer, [value.as_bytes()]);
    let status = response.status().as_u16();
    assert!(matches!(status, 200 | 400 | 401), "{status} for {header:?}");
    Some((status, response.into_body()))
}

#[test]
fn no_header_whatsoever_gives_a_5xx_or_a_panic() {
    let layers: Vec<_> = ALL.iter().map(|signer| layer([signer.issuer()])).collect();
    let mut random = Random(1);
    for round in 0..30_000 {
        let mut header = Vec::new();
        while random.below(8) != 0 {
            match random.below(3) {
                0 => header.push(random.byte()),
                1 => header.extend(random.pick(&PIECES).bytes()),
                _ => header.extend((0..random.below(40)).map(|_| b"ABCDabcd0123-_."[random.below(15)])),
            }
        }
        if let Some((200, body)) = offer(&layers[round % layers.len()], &header) {
            assert_eq!(body, "nobody", "{header:?}");
        }
    }
}

#[test]
fn a_mutated_token_names_nobody() {
    let mut random = Random(2);
    for signer in ALL.iter() {
        let layer = layer([signer.issuer()]);
        let good = format!("Bearer {}", signer.token(&claims()));
        for _ in 0..1_500 {
            let mut header = good.clone().into_bytes();
            mutate(&mut random, &mut header, &PIECES);
            let same_token = header.len() >= 7
                && header[..6].eq_ignore_ascii_case(b"Bearer")
                && header[6..].trim_ascii_start() == &good.as_bytes()[7..];
            if let Some((200, body)) = offer(&layer, &header) {
                assert!(body == "nobody" || same_token, "{:?}", String::from_utf8_lossy(&header));
            }
        }
    }
}

#[test]
fn a_signed_token_with_any_bytes_inside_gives_no_panic() {
    let hs256 = ALL.iter().find(|signer| signer.algorithm.name() == "HS256").unwrap();
    let layers = [
        layer([hs256.issuer()]),
        layer([hs256.issuer().roles_claim(["a", "b"])]),
        layer([hs256.issuer(), two()]),
    ];
    let mut more = claims();
    more["a"] = json!({ "b": ["r"], "c": 1 });
    more["scope"] = json!("a b");
    more["amr"] = json!(["pwd"]);
    let (header, payload) = (hs256.header().to_string(), more.to_string());
    let mut random = Random(3);
    for round in 0..20_000 {
        let (mut header, mut payload) = (header.clone().into_bytes(), payload.clone().into_bytes());
        match random.below(3) {
            0 => mutate(&mut random, &mut header, &JSON),
            _ => mutate(&mut random, &mut payload, &JSON),
        }
        let token = hs256.compact(&header, &payload);
        if let Ok(me) = ask(&layers[round % layers.len()], &token) {
            // What is let in is whole: its claims read back, and it has somebody's name.
            assert!(!me.subject().is_empty());
            let _ = me.claims::<serde_json::Value>();
        }
    }
}

fn two() -> portcullis::bearer::Issuer {
    use portcullis::bearer::{Audience, Issuer};
    Issuer::new("https://two.example", Audience::one_of(["api"])).keys(crate::mint::jwks([ES256.jwk("k")]))
}
