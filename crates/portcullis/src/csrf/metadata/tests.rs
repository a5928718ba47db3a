//! The decision table, row by row.

use http::Request;
use http::header::{COOKIE, HOST};

use super::*;

const OWN: (&str, &str) = ("host", "www.example.com");

/// Judges a request with these headers to www.example.com, as the default policy does unless changed.
fn judge(
    method: &str,
    headers: &[(&str, &str)],
    ambient: bool,
    change: fn(&mut Policy),
) -> Result<(), CsrfReason> {
    judge_at("/transfer", method, headers, ambient, change)
}

fn judge_at(
    uri: &str,
    method: &str,
    headers: &[(&str, &str)],
    ambient: bool,
    change: fn(&mut Policy),
) -> Result<(), CsrfReason> {
    let mut policy = Policy { trusted: vec![origin("https://App.example.com:443")], ..Policy::default() };
    change(&mut policy);
    let request = Request::builder().method(method).uri(uri);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    verify(&policy, (&request.body(()).unwrap()).into(), || credential(ambient), || Offered::Nothing)
}

/// A cookie, or nothing.
fn credential(ambient: bool) -> Credential {
    if ambient { Credential::Ambient } else { Credential::None }
}

fn origin(text: &str) -> Origin {
    Origin::configured(text).unwrap()
}

fn same(_: &mut Policy) {}

fn site(value: &'static str) -> (&'static str, &'static str) {
    ("sec-fetch-site", value)
}

fn from(value: &'static str) -> (&'static str, &'static str) {
    ("origin", value)
}

/// A name, a target, the `Host`s sent, the verdict.
type HostRow<'a> = (&'a str, &'a str, &'a [&'a str], Result<(), CsrfReason>);
/// A name, headers beside the own `Host`, the verdict.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Result<(), CsrfReason>);

fn check(rows: &[Row<'_>], method: &str, ambient: bool, change: fn(&mut Policy)) {
    for (name, headers, expected) in rows {
        let headers = [&[OWN], *headers].concat();
        assert_eq!(judge(method, &headers, ambient, change), *expected, "{name}");
    }
}

#[test]
fn safe_methods_pass_and_all_others_are_unsafe() {
    let cross = [OWN, site("cross-site"), from("https://evil.example")];
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(judge(method, &cross, true, same), Ok(()), "{method}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "get", "PROPFIND", "M-SEARCH"] {
        assert_eq!(judge(method, &cross, true, same), Err(CsrfReason::CrossSite), "{method}");
    }
}

#[test]
fn an_unsafe_request_with_an_ambient_credential_needs_proof_of_origin() {
    let rows: [Row<'_>; 24] = [
        ("same origin", &[site("same-origin"), from("https://www.example.com")], Ok(())),
        ("same origin, Origin null under no-referrer", &[site("same-origin"), from("null")], Ok(())),
        ("same origin, no Origin", &[site("same-origin")], Ok(())),
        ("same origin, Host rewritten", &[site("same-origin"), from("https://other.example")], Ok(())),
        ("by the user", &[site("none")], Ok(())),
        ("same site", &[site("same-site"), from("https://blog.example.com")], Err(CsrfReason::SameSite)),
        ("same site, trusted", &[site("same-site"), from("https://app.example.com")], Ok(())),
        ("cross site", &[site("cross-site"), from("https://evil.example")], Err(CsrfReason::CrossSite)),
        ("cross site, trusted", &[site("cross-site"), from("https://APP.example.com")], Ok(())),
        ("cross site, null", &[site("cross-site"), from("null")], Err(CsrfReason::CrossSite)),
        ("cross site, no Origin", &[site("cross-site")], Err(CsrfReason::CrossSite)),
        (
            "cross site with the own Origin, which cannot be",
            &[site("cross-site"), from("https://www.example.com")],
            Err(CsrfReason::CrossSite),
        ),
        (
            "a word that browsers may come to say",
            &[site("same-party"), from("https://evil.example")],
            Err(CsrfReason::CrossSite),
        ),
        ("capitals, which browsers do not send", &[site("Same-Origin")], Err(CsrfReason::CrossSite)),
        ("old browser, own", &[from("https://www.example.com")], Ok(())),
        ("old browser, own in capitals", &[from("HTTPS://WWW.example.com")], Ok(())),
        ("old browser, own with :443", &[from("https://www.example.com:443")], Ok(())),
        (
            "old browser, another port",
            &[from("https://www.example.com:8443")],
            Err(CsrfReason::OriginMismatch),
        ),
        ("old browser, another", &[from("https://evil.example")], Err(CsrfReason::OriginMismatch)),
        ("old browser, null", &[from("null")], Err(CsrfReason::OriginMismatch)),
        ("old browser, trusted", &[from("https://app.example.com")], Ok(())),
        (
            "old browser, trusted name over http",
            &[from("http://app.example.com")],
            Err(CsrfReason::OriginMismatch),
        ),
        (
            "an extension that bears the host's name",
            &[from("chrome-extension://www.example.com")],
            Err(CsrfReason::OriginMismatch),
        ),
        ("neither", &[], Err(CsrfReason::MissingMetadata)),
    ];
    check(&rows, "POST", true, same);
}

#[test]
fn metadata_that_is_there_twice_or_cannot_be_read_is_refused() {
    const MALFORMED: Result<(), CsrfReason> = Err(CsrfReason::MalformedMetadata);
    let rows: [Row<'_>; 12] = [
        (
            "two origins, own first",
            &[from("https://www.example.com"), from("https://evil.example")],
            MALFORMED,
        ),
        ("two equal origins", &[from("https://www.example.com"), from("https://www.example.com")], MALFORMED),
        ("two origins, same origin", &[site("same-origin"), from("null"), from("null")], MALFORMED),
        ("two sites", &[site("same-origin"), site("cross-site")], MALFORMED),
        ("two hosts", &[OWN, site("same-origin")], MALFORMED),
        ("empty site", &[site("")], MALFORMED),
        ("empty origin", &[from("")], MALFORMED),
        ("userinfo", &[from("https://www.example.com@evil.example")], MALFORMED),
        ("own host as userinfo's host", &[from("https://evil@www.example.com")], MALFORMED),
        ("path", &[from("https://www.example.com/")], MALFORMED),
        ("a list", &[from("https://www.example.com https://evil.example")], MALFORMED),
        ("cross site and unreadable", &[site("cross-site"), from("://")], MALFORMED),
    ];
    check(&rows, "POST", true, same);
    check(&rows, "POST", false, |policy| policy.always = true);
}

#[test]
fn without_an_ambient_credential_nothing_has_to_be_proved() {
    let rows: [Row<'_>; 5] = [
        ("webhook", &[], Ok(())),
        ("single-page app with a token", &[site("cross-site"), from("https://evil.example")], Ok(())),
        ("null", &[from("null")], Ok(())),
        ("malformed", &[from("whatever")], Ok(())),
        ("handshake", &[("upgrade", "websocket"), from("https://evil.example")], Ok(())),
    ];
    check(&rows, "POST", false, same);
    check(&rows, "GET", false, same);
}

#[test]
fn always_checks_a_login_form_before_anybody_is_signed_in() {
    let rows: [Row<'_>; 4] = [
        ("own", &[site("same-origin")], Ok(())),
        ("forged", &[site("cross-site"), from("https://evil.example")], Err(CsrfReason::CrossSite)),
        ("forged, old browser", &[from("https://evil.example")], Err(CsrfReason::OriginMismatch)),
        ("neither header, so no browser", &[], Ok(())),
    ];
    check(&rows, "POST", false, |policy| policy.always = true);
    let missing = judge("POST", &[OWN], true, |policy| policy.always = true);
    assert_eq!(missing, Err(CsrfReason::MissingMetadata));
}

#[test]
fn a_verified_token_passes_whatever_page_has_sent_it_and_always_changes_nothing() {
    for always in [false, true] {
        let policy = Policy { always, ..Policy::default() };
        let forged = Request::post("/transfer").header(OWN.0, OWN.1).header("sec-fetch-site", "cross-site");
        let forged = forged.body(()).unwrap();
        let judge = |credential| verify(&policy, (&forged).into(), || credential, || Offered::Nothing);
        assert_eq!(judge(Credential::Explicit), Ok(()));
        assert_eq!(judge(Credential::Ambient), Err(CsrfReason::CrossSite));
        assert_eq!(judge(Credential::None).is_err(), always);
    }
}

#[test]
fn missing_metadata_passes_only_when_allowed() {
    let rows: [Row<'_>; 3] = [
        ("neither", &[], Ok(())),
        ("one that is wrong is not missing", &[from("null")], Err(CsrfReason::OriginMismatch)),
        ("site alone", &[site("cross-site")], Err(CsrfReason::CrossSite)),
    ];
    check(&rows, "POST", true, |policy| policy.allow_missing = true);
}

#[test]
fn same_site_passes_only_when_allowed() {
    let allow = |policy: &mut Policy| policy.same_site = SameSite::Allow;
    let rows: [Row<'_>; 2] = [
        ("same site", &[site("same-site"), from("https://blog.example.com")], Ok(())),
        ("cross site", &[site("cross-site"), from("https://evil.example")], Err(CsrfReason::CrossSite)),
    ];
    check(&rows, "POST", true, allow);
}

#[test]
fn a_host_that_a_proxy_rewrote_needs_a_public_origin() {
    let rewritten = [("host", "backend:8080"), from("https://www.example.com")];
    assert_eq!(judge("POST", &rewritten, true, same), Err(CsrfReason::OriginMismatch));
    let public = |policy: &mut Policy| policy.public = Some(origin("https://www.example.com:443"));
    assert_eq!(judge("POST", &rewritten, true, public), Ok(()));
    let downgraded = [("host", "backend:8080"), from("http://www.example.com")];
    assert_eq!(judge("POST", &downgraded, true, public), Err(CsrfReason::OriginMismatch));
    assert!(CsrfReason::OriginMismatch.hint().contains("public_origin"));
}

#[test]
fn the_target_of_the_request_goes_before_host() {
    let rows = [
        ("h2", "https://www.example.com/t", "https://www.example.com", None, Ok(())),
        (
            "h2 with Host",
            "https://www.example.com/t",
            "https://www.example.com",
            Some("evil.example"),
            Ok(()),
        ),
        (
            "Host is not the target",
            "https://www.example.com/t",
            "https://evil.example",
            Some("evil.example"),
            Err(CsrfReason::OriginMismatch),
        ),
        (
            "userinfo in the target",
            "https://evil.example@www.example.com/t",
            "https://www.example.com",
            None,
            Err(CsrfReason::MalformedMetadata),
        ),
        ("no host at all", "/t", "https://www.example.com", None, Err(CsrfReason::OriginMismatch)),
    ];
    for (name, uri, source, host, expected) in rows {
        let mut headers = vec![("origin", source)];
        headers.extend(host.map(|host| ("host", host)));
        assert_eq!(judge_at(uri, "POST", &headers, true, same), expected, "{name}");
    }
}

#[test]
fn a_websocket_handshake_is_judged_by_origin_alone() {
    const REFUSED: Result<(), CsrfReason> = Err(CsrfReason::WebSocketOrigin);
    let rows: [Row<'_>; 9] = [
        ("own", &[from("https://www.example.com")], Ok(())),
        ("own, whatever the site says", &[from("https://www.example.com"), site("cross-site")], Ok(())),
        ("trusted", &[from("https://app.example.com")], Ok(())),
        ("another", &[from("https://evil.example")], REFUSED),
        ("same site", &[from("https://blog.example.com"), site("same-site")], REFUSED),
        ("a site header does not stand in", &[site("same-origin")], REFUSED),
        ("null", &[from("null"), site("same-origin")], REFUSED),
        ("nothing", &[], REFUSED),
        ("two", &[from("null"), from("null")], Err(CsrfReason::MalformedMetadata)),
    ];
    let lenient = |policy: &mut Policy| {
        policy.allow_missing = true;
        policy.same_site = SameSite::Allow;
    };
    let upgrades: [&[&str]; 5] =
        [&["websocket"], &["WebSocket"], &["h2c, websocket"], &["websocket/13"], &["h2c", "websocket"]];
    for lines in upgrades {
        let upgrade: Vec<_> = lines.iter().map(|line| ("upgrade", *line)).collect();
        for (name, headers, expected) in &rows {
            let headers = [&[OWN], &*upgrade, *headers].concat();
            assert_eq!(judge("GET", &headers, true, lenient), *expected, "{name}, {lines:?}");
        }
    }
    check(&rows, "CONNECT", true, lenient);
    let h2c = [OWN, ("upgrade", "h2c"), from("https://evil.example")];
    assert_eq!(judge("GET", &h2c, true, same), Ok(()), "another upgrade, which no page can ask for");
}

#[test]
fn a_host_that_is_not_allowed_is_refused_with_safe_methods_too() {
    const REFUSED: Result<(), CsrfReason> = Err(CsrfReason::HostNotAllowed);
    let hosts = |policy: &mut Policy| {
        policy.hosts = Some(["www.example.com", "[::1]"].map(|it| Host::configured(it).unwrap()).into());
    };
    let rows: [HostRow<'_>; 11] = [
        ("allowed", "/", &["www.example.com"], Ok(())),
        ("allowed in capitals", "/", &["WWW.Example.com"], Ok(())),
        ("allowed with port", "/", &["www.example.com:8080"], Ok(())),
        ("allowed address", "/", &["[0:0::1]:80"], Ok(())),
        ("allowed target", "http://www.example.com/", &[], Ok(())),
        ("rebound", "/", &["evil.example"], REFUSED),
        ("rebound target", "http://evil.example/", &["www.example.com"], REFUSED),
        ("suffix", "/", &["www.example.com.evil.example"], REFUSED),
        ("two", "/", &["www.example.com", "www.example.com"], REFUSED),
        ("none", "/", &[], REFUSED),
        ("userinfo", "/", &["www.example.com@evil.example"], REFUSED),
    ];
    for (name, uri, sent, expected) in rows {
        let headers: Vec<_> = sent.iter().map(|host| ("host", *host)).chain([site("same-origin")]).collect();
        for method in ["GET", "POST"] {
            assert_eq!(judge_at(uri, method, &headers, false, hosts), expected, "{name}, {method}");
        }
    }
}

#[test]
fn a_safe_request_does_not_ask_for_its_credential() {
    let (head, ()) =
        Request::get("/").header(HOST, "a").header(COOKIE, "id=1").body(()).unwrap().into_parts();
    let asked = std::cell::Cell::new(false);
    let ask = || asked.set(true);
    let passed = verify(
        &Policy::default(),
        (&head).into(),
        || {
            ask();
            Credential::Ambient
        },
        || {
            ask();
            Offered::Nothing
        },
    );
    assert_eq!((passed, asked.get()), (Ok(()), false));
}

/// A name, headers, the verdicts with a good and with a bad token.
type TokenRow<'a> = (&'a str, &'a [(&'a str, &'a str)], [Result<(), CsrfReason>; 2]);

/// What becomes of an unsafe request with an ambient credential and these headers that offers a token.
fn offered(token: Offered, headers: &[(&str, &str)]) -> Result<(), CsrfReason> {
    let request = Request::post("/transfer").header("host", "www.example.com");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    verify(&Policy::default(), (&request.body(()).unwrap()).into(), || Credential::Ambient, || token)
}

#[test]
fn a_good_token_stands_in_for_metadata_and_a_bad_one_is_named() {
    const MISMATCH: Result<(), CsrfReason> = Err(CsrfReason::TokenMismatch);
    const MALFORMED: Result<(), CsrfReason> = Err(CsrfReason::MalformedMetadata);
    let rows: [TokenRow<'_>; 7] = [
        ("neither header", &[], [Ok(()), MISMATCH]),
        ("null from an old browser", &[from("null")], [Ok(()), MISMATCH]),
        ("Host rewritten", &[from("https://other.example")], [Ok(()), MISMATCH]),
        ("another site", &[site("cross-site"), from("https://evil.example")], [Ok(()), MISMATCH]),
        ("own page", &[site("same-origin")], [Ok(()), Ok(())]),
        ("trusted by its origin", &[from("https://www.example.com")], [Ok(()), Ok(())]),
        ("two origins", &[from("null"), from("null")], [MALFORMED, MALFORMED]),
    ];
    for (name, headers, expected) in rows {
        let found = [Offered::Good, Offered::Bad].map(|token| offered(token, headers));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_token_opens_no_websocket_and_no_host() {
    let handshake = Request::get("/").header("upgrade", "websocket").header("origin", "https://evil.example");
    let handshake = handshake.body(()).unwrap();
    let opened = verify(&Policy::default(), (&handshake).into(), || Credential::Ambient, || Offered::Good);
    assert_eq!(opened, Err(CsrfReason::WebSocketOrigin));
    let policy = Policy { hosts: Some(vec![Host::configured("a.example").unwrap()]), ..Policy::default() };
    let rebound = Request::post("/").header("host", "evil.example").body(()).unwrap();
    let passed = verify(&policy, (&rebound).into(), || Credential::Ambient, || Offered::Good);
    assert_eq!(passed, Err(CsrfReason::HostNotAllowed));
}

/// Every one of these methods, with every one of these sets of headers, under every one of these policies.
#[test]
fn a_glance_lets_nothing_pass_that_a_closer_look_would_not() {
    let methods = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "QUERY", "TRACE", "CONNECT"];
    let upgrade = ("upgrade", "websocket");
    let sets: [&[(&str, &str)]; 9] = [
        &[],
        &[OWN, site("same-origin")],
        &[OWN, site("same-origin"), site("cross-site")],
        &[OWN, site("same-origin"), from("https://evil.example"), from("null")],
        &[OWN, ("host", "evil.example"), site("same-origin")],
        &[OWN, upgrade, site("same-origin"), from("https://evil.example")],
        &[OWN, site("none"), from("https://evil.example")],
        &[OWN, site("same-site"), from("https://evil.example")],
        &[OWN, site("cross-site"), from("https://evil.example")],
    ];
    let hosts = |policy: &mut Policy| policy.hosts = Some(vec![Host::configured("evil.example").unwrap()]);
    let policies: [fn(&mut Policy); 3] = [same, hosts, |policy| policy.always = true];
    let mut passed = 0;
    for ((method, headers), change) in methods
        .iter()
        .flat_map(|method| sets.iter().map(move |headers| (method, headers)))
        .flat_map(|row| policies.iter().map(move |change| (row, change)))
    {
        let mut policy = Policy::default();
        change(&mut policy);
        let request = Request::builder().method(*method).uri("/transfer");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(()).unwrap();
        if policy.hosts.is_none() && passes_at_a_glance((&request).into(), || true) {
            passed += 1;
            for (ambient, token) in
                [(true, Offered::Nothing), (false, Offered::Nothing), (true, Offered::Bad)]
            {
                let verdict = verify(&policy, (&request).into(), || credential(ambient), || token);
                assert_eq!(verdict, Ok(()), "{method} {headers:?} {policy:?}");
            }
        }
    }
    // Under two of the policies: three safe methods with all sets but the handshake's, four others with two sets.
    assert_eq!(passed, 2 * (3 * 8 + 4 * 2));
}
