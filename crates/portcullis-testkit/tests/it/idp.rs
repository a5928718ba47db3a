//! The fake provider, asked over its socket.

use portcullis_testkit::idp::{Answer, FakeIdp};
use portcullis_testkit::jwt::Algorithm;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Status line, header fields and body.
struct Reply {
    head: String,
    body: String,
}

impl Reply {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn get(idp: &FakeIdp, path: &str, fields: &str) -> Option<Reply> {
    let mut stream = TcpStream::connect(idp.address()).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: idp\r\n{fields}\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Reply { head: head.to_owned(), body: body.to_owned() })
}

fn kids(reply: &Reply) -> Vec<String> {
    let keys = reply.json()["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn keys_are_published_and_rotate() {
    let idp = FakeIdp::start("api").await;
    assert_eq!(idp.jwks_url(), format!("http://{}/jwks", idp.address()));
    let first = get(&idp, "/jwks", "").await.unwrap();
    assert_eq!((first.status(), kids(&first)), ("200", vec!["es256".to_owned(), "eddsa".to_owned()]));
    assert_eq!(first.json()["keys"][0], idp.issuer().jwk(Algorithm::Es256));
    idp.rotate_beside("-2");
    assert_eq!(kids(&get(&idp, "/jwks", "").await.unwrap()), ["es256", "eddsa", "es256-2", "eddsa-2"]);
    idp.rotate("-3");
    assert_eq!(kids(&get(&idp, "/jwks", "").await.unwrap()), ["es256-3", "eddsa-3"]);
    assert_eq!(idp.issuer().key_id(Algorithm::Es256), "es256-3");
    assert_eq!((idp.fetches(), idp.asked().len()), (3, 3));
    idp.fetched(3).await;
}

#[tokio::test]
async fn metadata_are_where_either_standard_has_them() {
    for (path, is_oauth, target) in [
        ("", false, "/.well-known/openid-configuration"),
        ("/tenant", false, "/tenant/.well-known/openid-configuration"),
        ("", true, "/.well-known/oauth-authorization-server"),
        ("/tenant", true, "/.well-known/oauth-authorization-server/tenant"),
    ] {
        let idp = FakeIdp::start_at(path, "api").await;
        if is_oauth {
            idp.oauth_only();
        }
        let found = get(&idp, target, "").await.unwrap();
        assert_eq!(
            (found.json()["issuer"].clone(), found.json()["jwks_uri"].clone()),
            (json!(idp.url()), json!(idp.jwks_url()))
        );
        let other = if is_oauth {
            format!("{path}/.well-known/openid-configuration")
        } else {
            format!("/.well-known/oauth-authorization-server{path}")
        };
        assert_eq!(get(&idp, &other, "").await.unwrap().status(), "404");
        assert_eq!(idp.fetches(), 0);
    }
}

#[tokio::test]
async fn every_answer_is_given() {
    let idp = FakeIdp::start("api").await;
    idp.cache_control("max-age=60");
    let good = get(&idp, "/jwks", "").await.unwrap();
    assert_eq!(good.field("Cache-Control"), Some("max-age=60"));
    let known = format!("If-None-Match: {}\r\n", good.field("ETag").unwrap());
    assert_eq!(get(&idp, "/jwks", &known).await.unwrap().status(), "304");
    idp.rotate("-2");
    assert_eq!(get(&idp, "/jwks", &known).await.unwrap().status(), "200");

    idp.answer(Answer::Status(503));
    assert_eq!(get(&idp, "/jwks", "").await.unwrap().status(), "503");
    idp.answer(Answer::Html);
    assert_eq!(get(&idp, "/jwks", "").await.unwrap().field("Content-Type"), Some("text/html; charset=utf-8"));
    idp.answer(Answer::Huge(1_000_000));
    let huge = get(&idp, "/jwks", "").await.unwrap();
    assert_eq!(
        (huge.field("Content-Length"), huge.json()["more"].as_str().unwrap().len()),
        (None, 1_000_000)
    );
    assert_eq!(kids(&huge), ["es256-2", "eddsa-2"]);
    idp.answer(Answer::As("text/plain".to_owned()));
    let plain = get(&idp, "/jwks", "").await.unwrap();
    assert_eq!((plain.field("Content-Type"), kids(&plain).len()), (Some("text/plain"), 2));
    idp.answer(Answer::Redirect("http://10.0.0.1/".to_owned()));
    let away = get(&idp, "/jwks", "").await.unwrap();
    assert_eq!((away.status(), away.field("Location")), ("302", Some("http://10.0.0.1/")));
    idp.answer(Answer::Text("{}".to_owned()));
    assert_eq!(get(&idp, "/jwks", "").await.unwrap().body, "{}");
    idp.answer(Answer::HangUp);
    assert!(get(&idp, "/jwks", "").await.is_none());
    idp.publish("[]");
    idp.answer(Answer::Document);
    assert_eq!(get(&idp, "/jwks", "").await.unwrap().body, "[]");
}

#[tokio::test]
async fn what_hangs_is_answered_when_the_answer_changes() {
    let idp = FakeIdp::start("api").await;
    idp.answer(Answer::Hang);
    let changed = async {
        idp.fetched(1).await;
        idp.rotate("-2");
        idp.answer(Answer::Document);
    };
    let (reply, ()) = tokio::join!(get(&idp, "/jwks", ""), changed);
    assert_eq!(kids(&reply.unwrap()), ["es256-2", "eddsa-2"]);
}

#[tokio::test]
async fn a_stopped_provider_refuses_connections_until_it_is_started_again() {
    let idp = FakeIdp::start("api").await;
    idp.stop().await;
    assert!(TcpStream::connect(idp.address()).await.is_err());
    idp.start_again().await;
    assert_eq!(get(&idp, "/jwks", "").await.unwrap().status(), "200");
}

#[tokio::test]
async fn its_client_is_told_of_opaque_tokens_and_others_are_not() {
    let idp = FakeIdp::start("api").await;
    let token = idp.opaque_token(json!({ "sub": "grace" }));
    // "the+api:s3cret%3A+100%25+%26+more", by Python's urllib.parse.quote_plus and base64.
    let good = "Basic dGhlK2FwaTpzM2NyZXQlM0ErMTAwJTI1KyUyNittb3Jl";
    let ask = async |authorization: &str, body: String| {
        let mut stream = TcpStream::connect(idp.address()).await.unwrap();
        let head = format!(
            "POST /introspect HTTP/1.1\r\nHost: idp\r\nAuthorization: {authorization}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Reply { head: head.to_owned(), body: body.to_owned() }
    };
    let form = |token: &str| {
        format!("token={}&a=b", token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"))
    };
    let reply = ask(good, form(&token)).await;
    assert_eq!(
        (reply.status(), &reply.json()["active"], &reply.json()["sub"]),
        ("200", &json!(true), &json!("grace"))
    );
    assert_eq!(reply.json()["iss"], idp.url());
    assert_eq!(ask(good, form("other")).await.json(), json!({ "active": false }));
    assert_eq!(ask("Basic YTpi", form(&token)).await.status(), "401");
    idp.withdraw(&token);
    assert_eq!(ask(good, form(&token)).await.json(), json!({ "active": false }));
    idp.says_of("other", "hello");
    assert_eq!(ask(good, form("other")).await.body, "hello");
    idp.answer_introspection(Answer::Status(500));
    assert_eq!(ask(good, form(&token)).await.status(), "500");
    assert_eq!(idp.introspections(), 6);
    assert_eq!(
        get(&idp, "/.well-known/openid-configuration", "").await.unwrap().json()["introspection_endpoint"],
        idp.introspection_url()
    );
}
