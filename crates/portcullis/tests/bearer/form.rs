//! The form of tokens and of the requests that carry them.

use serde_json::{Value, json};

use crate::mint::{ES256, ask, b64, claims, layer, send};

const MALFORMED: Result<(), &str> = Err("the token is malformed");
const CLAIMS: Result<(), &str> = Err("the claims are malformed");

#[test]
fn headers_that_ask_for_more_than_is_done_are_refused() {
    let layer = layer([ES256.issuer()]);
    let with = |name: &str, value: Value| {
        let mut header = ES256.header();
        header[name] = value;
        ES256.token_with(&header, &claims())
    };
    let raw = |header: &str| ES256.compact(header.as_bytes(), claims().to_string().as_bytes());
    let rows = [
        ("crit", with("crit", json!(["exp"])), MALFORMED),
        ("crit, empty", with("crit", json!([])), MALFORMED),
        ("crit, a string", with("crit", json!("b64")), MALFORMED),
        ("crit, null", with("crit", Value::Null), MALFORMED),
        ("b64 false", with("b64", json!(false)), MALFORMED),
        ("b64 true", with("b64", json!(true)), MALFORMED),
        ("enc", with("enc", json!("A256GCM")), MALFORMED),
        ("zip", with("zip", json!("DEF")), MALFORMED),
        ("alg twice", raw(r#"{"alg":"ES256","alg":"ES256","kid":"k"}"#), MALFORMED),
        ("kid twice", raw(r#"{"alg":"ES256","kid":"k","kid":"k"}"#), MALFORMED),
        ("typ twice", raw(r#"{"alg":"ES256","kid":"k","typ":"JWT","typ":"at+jwt"}"#), MALFORMED),
        ("an unknown member twice", raw(r#"{"alg":"ES256","kid":"k","a":1,"a":1}"#), MALFORMED),
        ("an array", raw(r#"[{"alg":"ES256"}]"#), MALFORMED),
        ("a string", raw(r#""ES256""#), MALFORMED),
        ("a BOM", raw("\u{feff}{\"alg\":\"ES256\",\"kid\":\"k\"}"), MALFORMED),
        ("something behind", raw(r#"{"alg":"ES256","kid":"k"} {}"#), MALFORMED),
        ("cut short", raw(r#"{"alg":"ES256","kid":"k""#), MALFORMED),
        ("empty", raw(""), MALFORMED),
        ("white space around", raw(" {\"alg\":\"ES256\",\"kid\":\"k\"}\n"), Ok(())),
        ("a header of 1 KiB and more", with("pad", json!("x".repeat(1024))), Err("the token is too large")),
    ];
    for (name, token, expected) in rows {
        assert_eq!(ask(&layer, &token).map(drop), expected, "{name}");
    }
}

#[test]
fn a_key_that_a_token_brings_along_is_not_used() {
    let layer = layer([ES256.issuer()]);
    let stranger = crate::mint::Signer::new(portcullis::bearer::Algorithm::ES256);
    for (name, value) in [
        ("jwk", stranger.jwk("k")),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = ES256.header();
        header[name] = value;
        assert!(ask(&layer, &stranger.token_with(&header, &claims())).is_err(), "{name}");
        assert!(ask(&layer, &ES256.token_with(&header, &claims())).is_ok(), "{name}");
    }
}

#[test]
fn payloads_that_are_not_one_plain_object_are_refused() {
    let layer = layer([ES256.issuer()]);
    let good = claims().to_string();
    let (open, close) = (good.strip_suffix('}').unwrap(), "}");
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows: [(&str, Vec<u8>, Result<(), &str>); 17] = [
        ("good", good.clone().into(), Ok(())),
        ("an array", format!("[{good}]").into(), CLAIMS),
        ("a string", format!("{good:?}").into(), CLAIMS),
        ("a number", "1".into(), CLAIMS),
        ("null", "null".into(), CLAIMS),
        ("empty", "".into(), CLAIMS),
        ("a BOM", format!("\u{feff}{good}").into(), CLAIMS),
        ("UTF-16", utf16.clone(), CLAIMS),
        ("UTF-16 with a BOM", [vec![0xff, 0xfe], utf16].concat(), CLAIMS),
        ("not UTF-8", [open.as_bytes(), b",\"a\":\"\xff\"}"].concat(), CLAIMS),
        ("two objects", format!("{good}{good}").into(), CLAIMS),
        ("cut short", open.into(), CLAIMS),
        ("sub twice", format!("{open},\"sub\":\"root\"{close}").into(), CLAIMS),
        ("scope twice", format!("{open},\"scope\":\"a\",\"scope\":\"b\"{close}").into(), CLAIMS),
        ("jti twice, by an escape", format!("{open},\"jt\\u0069\":\"k\"{close}").into(), CLAIMS),
        ("an unknown claim twice", format!("{open},\"a\":1,\"a\":1{close}").into(), CLAIMS),
        (
            "deeply nested",
            format!("{open},\"a\":{}{}{close}", "[".repeat(2000), "]".repeat(2000)).into(),
            Ok(()),
        ),
    ];
    for (name, payload, expected) in rows {
        let token = ES256.compact(ES256.header().to_string().as_bytes(), &payload);
        assert_eq!(ask(&layer, &token).map(drop), expected, "{name}");
    }
}

#[test]
fn anything_but_three_parts_of_strict_base64url_is_refused() {
    let layer = layer([ES256.issuer()]);
    let token = ES256.token(&claims());
    let [header, payload, signature] = *token.split('.').collect::<Vec<_>>() else { panic!() };
    let invalid = "the credentials are malformed";
    let rows = [
        ("one part", header.to_owned(), "the token is malformed"),
        ("two parts", format!("{header}.{payload}"), "the token is malformed"),
        ("four parts", format!("{token}.{signature}"), "the token is malformed"),
        ("five parts", format!("{token}.{payload}.{signature}"), "the token is malformed"),
        ("dots alone", "..".to_owned(), "the token is malformed"),
        ("a dot in front", format!(".{token}"), "the token is malformed"),
        ("no payload", format!("{header}..{signature}"), "the signature cannot be verified"),
        ("padding", format!("{token}="), "the token is malformed"),
        ("base64's own alphabet", token.replace('_', "/").replace('-', "+") + "+", "the token is malformed"),
        ("JSON, flattened", json!({ "payload": payload, "signature": signature }).to_string(), invalid),
        ("JSON, general", json!({ "payload": payload, "signatures": [] }).to_string(), invalid),
        ("9 KiB", format!("{header}.{}.{signature}", "A".repeat(9 * 1024)), "the token is too large"),
        ("a megabyte", "A".repeat(1 << 20), "the token is too large"),
    ];
    for (name, token, expected) in rows {
        assert_eq!(ask(&layer, &token).err(), Some(expected), "{name}");
    }
}

#[test]
fn a_hostile_kid_finds_no_key() {
    let layer = layer([ES256.issuer()]);
    for (name, kid) in [
        ("a path", "../../../../dev/null".to_owned()),
        ("SQL", "k' UNION SELECT 'secret' -- ".to_owned()),
        ("NUL", "k\0".to_owned()),
        ("CRLF", "k\r\nSet-Cookie: a=b".to_owned()),
        ("a URL", "https://evil.example/k".to_owned()),
        ("quotes", "k\", error=\"none".to_owned()),
        ("empty", String::new()),
        ("other case", "K".to_owned()),
        ("a space behind", "k ".to_owned()),
        ("long", "k".repeat(300)),
        ("a megabyte", "k".repeat(1 << 20)),
    ] {
        let mut header = ES256.header();
        header["kid"] = json!(kid);
        assert!(ask(&layer, &ES256.token_with(&header, &claims())).is_err(), "{name}");
    }
}

#[test]
fn credentials_that_contradict_their_syntax_are_400() {
    let layer = layer([ES256.issuer()]);
    let token = ES256.token(&claims());
    let good = format!("Bearer {token}");
    let rows: [(&str, Vec<String>, u16); 14] = [
        ("good", vec![good.clone()], 200),
        ("lower case", vec![format!("bearer {token}")], 200),
        ("upper case", vec![format!("BEARER {token}")], 200),
        ("the same twice", vec![good.clone(), good.clone()], 400),
        ("beside Basic", vec![good.clone(), "Basic YTpi".into()], 400),
        ("behind Basic", vec!["Basic YTpi".into(), good.clone()], 400),
        ("two in one", vec![format!("{good} {token}")], 400),
        ("a list", vec![format!("{good}, {good}")], 400),
        ("a tab", vec![format!("Bearer\t{token}")], 400),
        ("no token", vec!["Bearer".into()], 400),
        ("an empty token", vec!["Bearer ".into()], 400),
        ("an empty header", vec![String::new()], 400),
        ("a parameter", vec![format!("Bearer token={token}")], 400),
        ("a comma behind", vec![format!("{good},")], 400),
    ];
    for (name, values, status) in rows {
        let response = send(&layer, values.iter().map(String::as_bytes));
        assert_eq!(response.status().as_u16(), status, "{name}");
        if status == 400 {
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.contains(r#"error="invalid_request""#), "{name}: {challenge}");
        }
    }
}

#[test]
fn a_part_with_stray_bits_is_refused() {
    // "QQ" and "QR" are the same byte to a lenient decoder.
    let layer = layer([ES256.issuer()]);
    let token = ES256.compact(ES256.header().to_string().as_bytes(), claims().to_string().as_bytes());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (rest, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for stray in alphabet.chars().filter(|&stray| !last.contains(stray)) {
        assert!(ask(&layer, &format!("{message}.{rest}{stray}")).is_err(), "{stray}");
    }
    assert_eq!(b64(b"A"), "QQ");
}
