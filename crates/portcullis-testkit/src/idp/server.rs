//! The provider's HTTP/1.1: one request for each connection.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Answer, Asked, FakeIdp, Play, Stage};

/// Serves until it is dropped, and its connections with it.
pub(super) async fn serve(listener: TcpListener, stage: Arc<Stage>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let stage = Arc::clone(&stage);
        connections.spawn(async move {
            // A client that goes away is no matter.
            let _ = converse(stream, &stage).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, stage: &Stage) -> io::Result<()> {
    let mut asked = read_head(&mut stream).await?;
    asked.body = read_body(&mut stream, &asked.headers).await?;
    stage.asked.send_modify(|all| all.push(asked.clone()));
    let mut plays = stage.play.subscribe();
    let play = plays.wait_for(|play| stage.answer(&asked, play) != Answer::Hang).await;
    let Ok(play) = play.map(|play| play.clone()) else { return Ok(()) };
    match stage.answer(&asked, &play) {
        Answer::Document if stage.is_introspection(&asked) => introspect(&mut stream, &asked, &play).await,
        Answer::Document => document(&mut stream, &asked, &play, &stage.document(&asked, &play)).await,
        Answer::Hang | Answer::HangUp => Ok(()),
        Answer::Status(status) => {
            reply(&mut stream, &format!("{status} Status"), &json_type(), &stage.document(&asked, &play))
                .await
        }
        Answer::Html => {
            let page = "<!doctype html><title>Sign in</title><p>Please sign in to the hotel's network.";
            reply(&mut stream, "200 OK", "Content-Type: text/html; charset=utf-8\r\n", page).await
        }
        Answer::Huge(bytes) => huge(&mut stream, bytes, &stage.document(&asked, &play)).await,
        Answer::As(media_type) => {
            let field = format!("Content-Type: {media_type}\r\n");
            reply(&mut stream, "200 OK", &field, &stage.document(&asked, &play)).await
        }
        Answer::Redirect(to) => reply(&mut stream, "302 Found", &format!("Location: {to}\r\n"), "").await,
        Answer::Text(text) => reply(&mut stream, "200 OK", &json_type(), &text).await,
    }
}

impl Stage {
    fn answer(&self, asked: &Asked, play: &Play) -> Answer {
        match target(asked) {
            path if path == self.jwks_path() => play.answer.clone(),
            path if path == self.metadata_path(play) => play.metadata_answer.clone(),
            path if path == self.introspection_path() => play.introspection_answer.clone(),
            _ => Answer::Status(404),
        }
    }

    fn is_introspection(&self, asked: &Asked) -> bool {
        target(asked) == self.introspection_path()
    }

    fn metadata_path(&self, play: &Play) -> String {
        let path = &self.path;
        if play.is_oauth {
            format!("/.well-known/oauth-authorization-server{path}")
        } else {
            format!("{path}/.well-known/openid-configuration")
        }
    }

    fn document(&self, asked: &Asked, play: &Play) -> String {
        let issuer = format!("http://{}{}", self.address, self.path);
        match target(asked) {
            path if path == self.jwks_path() => play.jwks.clone(),
            path if path == self.introspection_path() => play.answer_about(asked),
            path if path == self.metadata_path(play) => json!({
                "issuer": issuer,
                "jwks_uri": format!("{issuer}/jwks"),
                "introspection_endpoint": format!("{issuer}/introspect"),
                "authorization_endpoint": format!("{issuer}/authorize"),
                "response_types_supported": ["code"],
                "audience_of_the_test": self.audience,
            })
            .to_string(),
            _ => r#"{"error":"not_found"}"#.to_owned(),
        }
    }
}

fn target(asked: &Asked) -> &str {
    asked.line.split(' ').nth(1).unwrap_or_default()
}

async fn read_head(stream: &mut TcpStream) -> io::Result<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 64 * 1024 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(io::Error::other)?);
    }
    Ok(Asked { line, headers, body: String::new() })
}

async fn read_body(stream: &mut TcpStream, headers: &HeaderMap) -> io::Result<String> {
    let length =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
    if length > 64 * 1024 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// To whoever may ask, and in the way of RFC 7662, section 2.1.
async fn introspect(stream: &mut TcpStream, asked: &Asked, play: &Play) -> io::Result<()> {
    let is_form = asked.headers.get(CONTENT_TYPE).is_some_and(|it| it == "application/x-www-form-urlencoded");
    let (status, answer) = if !is_client(asked) {
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned())
    } else if !asked.line.starts_with("POST ") || !is_form {
        ("400 Bad Request", r#"{"error":"invalid_request"}"#.to_owned())
    } else {
        ("200 OK", play.answer_about(asked))
    };
    reply(stream, status, &json_type(), &answer).await
}

/// By HTTP Basic or by the form's fields, never by both (RFC 6749, section 2.3).
fn is_client(asked: &Asked) -> bool {
    let (id, secret) = FakeIdp::CLIENT;
    let named = match asked.headers.get(AUTHORIZATION) {
        Some(_) if asked.field("client_secret").is_some() => None,
        Some(line) => basic(line),
        None => asked.field("client_id").zip(asked.field("client_secret")),
    };
    named == Some((id.to_owned(), secret.to_owned()))
}

fn basic(line: &HeaderValue) -> Option<(String, String)> {
    let pair = STANDARD.decode(line.to_str().ok()?.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(id, secret)| (form_decoded(id), form_decoded(secret)))
}

impl Asked {
    /// What stands in a field of the form.
    fn field(&self, name: &str) -> Option<String> {
        let mut fields = self.body.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(it, _)| *it == name).map(|(_, value)| form_decoded(value))
    }
}

/// A value of a form: a plus is a space, and the rest is percent-encoded.
fn form_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped =
            after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
        bytes.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Play {
    /// What it says of the token in the form.
    fn answer_about(&self, asked: &Asked) -> String {
        let known = asked.field("token").and_then(|token| self.opaque.get(&token).cloned());
        known.unwrap_or_else(|| r#"{"active":false}"#.to_owned())
    }
}

async fn document(stream: &mut TcpStream, asked: &Asked, play: &Play, text: &str) -> io::Result<()> {
    let etag = etag(text);
    let mut fields = format!("{}ETag: {etag}\r\n", json_type());
    if let Some(value) = &play.cache_control {
        fields.push_str(&format!("Cache-Control: {value}\r\n"));
    }
    if asked.headers.get(IF_NONE_MATCH).is_some_and(|known| known == etag.as_str()) {
        reply(stream, "304 Not Modified", &fields, "").await
    } else {
        reply(stream, "200 OK", &fields, text).await
    }
}

fn etag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

fn json_type() -> String {
    "Content-Type: application/json\r\n".to_owned()
}

async fn reply(stream: &mut TcpStream, status: &str, fields: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    stream.shutdown().await
}

/// A body that ends with the connection, so that its length is not known before.
async fn huge(stream: &mut TcpStream, bytes: usize, document: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{}Connection: close\r\n\r\n", json_type());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(b"{\"more\":\"").await?;
    let mut left = bytes;
    while left > 0 {
        let part = left.min(64 * 1024);
        stream.write_all(&vec![b'x'; part]).await?;
        left -= part;
    }
    let members = document.strip_prefix('{').unwrap_or(document);
    stream.write_all(format!("\",{members}").as_bytes()).await?;
    stream.shutdown().await
}
