use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

fn visit<'a>(url: &'a Url, from: &str, top_level: bool, safe_method: bool) -> Visit<'a> {
    let from = Url::parse(from).origin;
    let top_site = if top_level { url.origin.site() } else { from.site() };
    Visit { url, relation: from.relation_to(&url.origin), top_level, safe_method, top_site, now: NOW }
}

fn at(url: &Url) -> Visit<'_> {
    visit(url, &url.origin.to_string(), true, true)
}

fn sent(jar: &Jar, visit: &Visit<'_>) -> String {
    jar.header(visit).map_or_else(String::new, |header| header.to_str().unwrap().to_owned())
}

#[test]
fn a_cookie_is_kept_or_refused() {
    let cases = [
        ("plain", "https://app.example/", "a=1", true),
        ("equals sign in the value", "https://app.example/", "a=1=2", true),
        ("no name", "https://app.example/", "=1", false),
        ("control character", "https://app.example/", "a=1\x07", false),
        ("own domain", "https://app.example/", "a=1; Domain=app.example", true),
        ("parent domain", "https://a.app.example/", "a=1; Domain=.APP.example", true),
        ("child domain", "https://app.example/", "a=1; Domain=a.app.example", false),
        ("foreign domain", "https://app.example/", "a=1; Domain=other.example", false),
        ("public suffix", "https://app.example/", "a=1; Domain=example", false),
        ("the host itself of one label", "http://localhost/", "a=1; Domain=localhost", true),
        ("secure", "https://app.example/", "a=1; Secure", true),
        ("secure over http", "http://app.example/", "a=1; Secure", false),
        ("secure on this machine", "http://localhost:3000/", "a=1; Secure", true),
        ("none without secure", "https://app.example/", "a=1; SameSite=None", false),
        ("none with secure", "https://app.example/", "a=1; SameSite=None; Secure", true),
        ("partitioned without secure", "https://app.example/", "a=1; Partitioned", false),
        ("__Secure-", "https://app.example/", "__Secure-a=1; Secure", true),
        ("__Secure- without secure", "https://app.example/", "__Secure-a=1", false),
        ("__Host-", "https://app.example/", "__Host-a=1; Secure; Path=/", true),
        ("__Host- on this machine", "http://localhost/", "__Host-a=1; Secure; Path=/", true),
        ("__Host- without secure", "https://app.example/", "__Host-a=1; Path=/", false),
        ("__Host- without path", "https://app.example/", "__Host-a=1; Secure", false),
        ("__Host- with another path", "https://app.example/x/", "__Host-a=1; Secure; Path=/x", false),
        (
            "__Host- with domain",
            "https://app.example/",
            "__Host-a=1; Secure; Path=/; Domain=app.example",
            false,
        ),
        ("__hOsT- is the same", "https://app.example/", "__hOsT-a=1; Path=/", false),
        ("expired", "https://app.example/", "a=1; Max-Age=0", false),
        ("negative age", "https://app.example/", "a=1; Max-Age=-1", false),
        ("a date in the past", "https://app.example/", "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", false),
        (
            "age goes before date",
            "https://app.example/",
            "a=1; Max-Age=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            true,
        ),
    ];
    for (name, url, line, kept) in cases {
        let jar = Jar::default();
        jar.take(line, &at(&Url::parse(url)));
        assert_eq!(!jar.names().is_empty(), kept, "{name}");
    }
    let long = format!("a={}", "x".repeat(4096));
    let jar = Jar::default();
    jar.take(&long, &at(&Url::parse("https://app.example/")));
    assert!(jar.names().is_empty(), "over 4096 bytes");
}

#[test]
fn a_cookie_goes_where_it_belongs() {
    let cases = [
        ("its host", "https://app.example/", "a=1", "https://app.example/x", true),
        ("a host below, host-only", "https://app.example/", "a=1", "https://b.app.example/", false),
        ("a host below", "https://app.example/", "a=1; Domain=app.example", "https://b.app.example/", true),
        ("another port", "https://app.example/", "a=1", "https://app.example:8443/", true),
        ("its path", "https://app.example/", "a=1; Path=/x", "https://app.example/x", true),
        ("below its path", "https://app.example/", "a=1; Path=/x", "https://app.example/x/y?z", true),
        ("a longer name", "https://app.example/", "a=1; Path=/x", "https://app.example/xy", false),
        ("the directory by default", "https://app.example/x/y", "a=1", "https://app.example/x/z", true),
        ("outside of the directory", "https://app.example/x/y", "a=1", "https://app.example/z", false),
        ("a path that is none", "https://app.example/x/y", "a=1; Path=x", "https://app.example/z", false),
        ("secure over https", "https://app.example/", "a=1; Secure", "https://app.example/", true),
        ("secure over http", "https://app.example/", "a=1; Secure", "http://app.example/", false),
        ("not secure over http", "https://app.example/", "a=1", "http://app.example/", true),
    ];
    for (name, from, line, to, goes) in cases {
        let jar = Jar::default();
        jar.take(line, &at(&Url::parse(from)));
        assert_eq!(sent(&jar, &at(&Url::parse(to))), if goes { "a=1" } else { "" }, "{name}");
    }
}

#[test]
fn same_site_decides_what_crosses_sites() {
    // columns: link, form, image from another site
    let cases = [
        ("None", "; SameSite=None; Secure", [true, true, true]),
        ("Lax", "; SameSite=Lax", [true, false, false]),
        ("Strict", "; SameSite=Strict", [false, false, false]),
        ("not said, fresh", "", [true, true, false]),
    ];
    let url = Url::parse("https://app.example/");
    for (name, attributes, expected) in cases {
        let jar = Jar::default();
        jar.take(&format!("a=1{attributes}"), &at(&url));
        let goes = |from, top_level, safe| !sent(&jar, &visit(&url, from, top_level, safe)).is_empty();
        let evil = "https://evil.example";
        assert_eq!(
            [goes(evil, true, true), goes(evil, true, false), goes(evil, false, true)],
            expected,
            "{name}"
        );
        assert!(goes("https://blog.app.example", false, false), "{name}: a sibling is the same site");
        if attributes.is_empty() {
            let later = Visit { now: NOW.saturating_add(LAX_GRACE), ..visit(&url, evil, true, false) };
            assert_eq!(sent(&jar, &later), "", "not said, after two minutes");
        }
    }
}

#[test]
fn a_cross_site_subresource_sets_none_cookies_only() {
    let url = Url::parse("https://app.example/");
    for (line, kept) in [("a=1", false), ("a=1; SameSite=Lax", false), ("a=1; SameSite=None; Secure", true)] {
        let jar = Jar::default();
        jar.take(line, &visit(&url, "https://evil.example", false, true));
        assert_eq!(!jar.names().is_empty(), kept, "{line}");
    }
}

#[test]
fn a_partitioned_cookie_stays_in_its_partition() {
    let url = Url::parse("https://app.example/");
    let jar = Jar::default();
    jar.take("a=1; SameSite=None; Secure; Partitioned", &at(&url));
    assert_eq!(sent(&jar, &at(&url)), "a=1");
    assert_eq!(sent(&jar, &visit(&url, "https://evil.example", false, true)), "");
}

#[test]
fn a_plain_cookie_does_not_replace_a_secure_one() {
    let jar = Jar::default();
    jar.take("a=1; Secure; Domain=app.example", &at(&Url::parse("https://app.example/")));
    jar.take("a=2", &at(&Url::parse("http://b.app.example/")));
    assert_eq!(jar.get("a").as_deref(), Some("1"));
    assert_eq!(jar.names().len(), 1);
}

#[test]
fn cookies_are_replaced_removed_and_expire() {
    let url = Url::parse("https://app.example/");
    let jar = Jar::default();
    for line in ["a=1; Path=/", "b=1; Path=/", "a=2; Path=/", "c=1; Path=/; Max-Age=60"] {
        jar.take(line, &at(&url));
    }
    assert_eq!(sent(&jar, &at(&url)), "a=2; b=1; c=1", "a keeps its place");
    jar.take("a=; Path=/; Domain=app.example; Max-Age=0", &at(&url));
    assert_eq!(jar.get("a").as_deref(), Some("2"), "another domain attribute is another cookie");
    jar.take("a=; Path=/; Max-Age=0", &at(&url));
    let later = Visit { now: NOW.saturating_add(Duration::from_secs(60)), ..at(&url) };
    assert_eq!(sent(&jar, &later), "b=1");
}

#[test]
fn the_longest_path_goes_first_then_the_oldest() {
    let url = Url::parse("https://app.example/x/y");
    let jar = Jar::default();
    for line in ["a=root; Path=/", "b=root; Path=/", "a=deep; Path=/x"] {
        jar.take(line, &at(&url));
    }
    assert_eq!(sent(&jar, &at(&url)), "a=deep; a=root; b=root");
}

#[test]
fn closing_the_browser_ends_session_cookies_and_a_copy_is_apart() {
    let url = Url::parse("https://app.example/");
    let jar = Jar::default();
    jar.take("session=1", &at(&url));
    jar.take("remembered=1; Max-Age=60", &at(&url));
    let copy = jar.copy();
    jar.clone().close();
    assert_eq!(
        (jar.names(), copy.names()),
        (vec!["remembered".into()], vec!["session".into(), "remembered".into()])
    );
    jar.remove("remembered");
    assert!(jar.names().is_empty());
}
