use super::*;

type Found = Result<Option<(&'static str, Place)>, Malformed>;

fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
    lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).unwrap())).collect()
}

fn find(source: &TokenSource, uri: &str, headers: &HeaderMap) -> Result<Option<(String, Place)>, Malformed> {
    let uri: Uri = uri.parse().unwrap();
    let found = Sources::default().with(source.clone()).find(&uri, headers, false)?;
    Ok(found.map(|it| (String::from_utf8(it.as_bytes().to_vec()).unwrap(), it.place())))
}

fn expect(expected: Found) -> Result<Option<(String, Place)>, Malformed> {
    expected.map(|found| found.map(|(token, place)| (token.to_owned(), place)))
}

/// What is left when the token has been taken off.
fn stripped(source: &TokenSource, uri: &str, headers: &HeaderMap) -> (String, Vec<String>) {
    let mut request = Request::builder().uri(uri).body(()).unwrap();
    *request.headers_mut() = headers.clone();
    Sources::default().with(source.clone()).strip(source.place(), &mut request);
    let left = request.headers().values().map(|value| value.to_str().unwrap().to_owned()).collect();
    (request.uri().to_string(), left)
}

#[test]
fn a_cookie_is_found_wherever_it_stands_and_taken_off_alone() {
    let source = TokenSource::cookie("__Host-at").unwrap();
    let token = |token| Ok(Some((token, Place::Cookie)));
    let rows: [(&str, &[&str], Found, &[&str]); 11] = [
        ("none", &[], Ok(None), &[]),
        ("alone", &["__Host-at=t"], token("t"), &[]),
        ("among others", &["a=b; __Host-at=t;c=d"], token("t"), &["a=b; c=d"]),
        ("on a second line", &["a=b", "__Host-at=t"], token("t"), &["a=b"]),
        ("spaces around", &[" __Host-at = t ;a=b"], token("t"), &["a=b"]),
        ("empty", &["__Host-at=; a=b"], Ok(None), &["a=b"]),
        ("empty beside a full one", &["__Host-at=; __Host-at=t"], token("t"), &[]),
        ("twice", &["__Host-at=t; __Host-at=t"], Err(Malformed::Twice), &[]),
        ("twice on two lines", &["__Host-at=t", "__Host-at=u"], Err(Malformed::Twice), &[]),
        ("without a value", &["__Host-at"], Ok(None), &["__Host-at"]),
        ("others of like names", &["x__Host-at=t; __Host-at2=t"], Ok(None), &["x__Host-at=t; __Host-at2=t"]),
    ];
    for (name, lines, expected, left) in rows {
        let headers = headers(&COOKIE, lines);
        assert_eq!(find(&source, "/", &headers), expect(expected), "{name}");
        assert_eq!(stripped(&source, "/", &headers).1, left, "{name}");
    }
}

#[test]
fn a_subprotocol_is_found_behind_its_marker_and_taken_off_with_it() {
    let source = TokenSource::websocket();
    let token = |token| Ok(Some((token, Place::WebSocket)));
    let rows: [(&str, &[&str], Found, &[&str]); 12] = [
        ("none", &[], Ok(None), &[]),
        ("alone", &["bearer, t.t.t"], token("t.t.t"), &[]),
        ("behind others", &["chat, bearer, t"], token("t"), &["chat"]),
        ("before others", &["bearer,t,chat,soap"], token("t"), &["chat, soap"]),
        ("over two lines", &["chat, bearer", "t, soap"], token("t"), &["chat", "soap"]),
        ("others", &["chat, soap"], Ok(None), &["chat, soap"]),
        ("in capitals", &["Bearer, t"], Ok(None), &["Bearer, t"]),
        ("a name that begins alike", &["bearer.t, u"], Ok(None), &["bearer.t, u"]),
        ("without a token", &["chat, bearer"], Err(Malformed::Syntax), &["chat"]),
        ("an empty token", &["bearer, "], token(""), &[]),
        ("twice", &["bearer, t, bearer, u"], Err(Malformed::Twice), &[]),
        ("the marker as a token", &["bearer, bearer, t"], token("bearer"), &[]),
    ];
    for (name, lines, expected, left) in rows {
        let headers = headers(&SEC_WEBSOCKET_PROTOCOL, lines);
        assert_eq!(find(&source, "/", &headers), expect(expected), "{name}");
        assert_eq!(stripped(&source, "/", &headers).1, left, "{name}");
    }
}

#[test]
fn a_parameter_is_found_by_its_plain_name_and_taken_off_alone() {
    let source = TokenSource::insecure_query("access_token").unwrap();
    let token = |token| Ok(Some((token, Place::Query)));
    let rows: [(&str, Found, &str); 13] = [
        ("/", Ok(None), "/"),
        ("/a?", Ok(None), "/a?"),
        ("/a?access_token=t", token("t"), "/a"),
        ("/a?b=c&access_token=t&d", token("t"), "/a?b=c&d"),
        ("https://api.example/a?access_token=t&b", token("t"), "https://api.example/a?b"),
        ("/a?access_token=t=", token("t="), "/a"),
        ("/a?access_token=", token(""), "/a"),
        ("/a?access_token", token(""), "/a"),
        ("/a?access_token=t&access_token=u", Err(Malformed::Twice), "/a"),
        ("/a?access_token=%74", token("%74"), "/a"),
        ("/a?xaccess_token=t", Ok(None), "/a?xaccess_token=t"),
        ("/a?access_token2=t", Ok(None), "/a?access_token2=t"),
        ("/a?b=access_token=t", Ok(None), "/a?b=access_token=t"),
    ];
    for (uri, expected, left) in rows {
        assert_eq!(find(&source, uri, &HeaderMap::new()), expect(expected), "{uri}");
        assert_eq!(stripped(&source, uri, &HeaderMap::new()).0, left, "{uri}");
    }
}

#[test]
fn the_name_of_a_source_stands_for_itself() {
    for (name, cookie, query) in [
        ("access_token", true, true),
        ("__Host-at", true, true),
        ("a!b", true, false),
        ("a~b", true, true),
        ("", false, false),
        ("a b", false, false),
        ("a;b", false, false),
        ("a=b", false, false),
        ("a&b", true, false),
        ("a%20b", true, false),
        ("\u{e4}", false, false),
    ] {
        let kind = |error: BuildError| error.kind();
        assert_eq!(TokenSource::cookie(name).map_err(kind).is_ok(), cookie, "{name}");
        let by_query = TokenSource::insecure_query(name).map_err(kind);
        assert_eq!(by_query.is_ok(), query, "{name}");
        assert!(by_query.is_ok() || by_query == Err(BuildErrorKind::BadSource));
    }
}
