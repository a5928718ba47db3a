//! A chat hangs up when its user logs out, in another tab or on another node.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use portcullis::session::SessionLayer;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::integration::serve;
use crate::integration::wire::Wire;
use crate::support::app::now;
use crate::support::store::{AnyStore, PATIENCE};

#[path = "../../examples/websocket_logout.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn node(store: &AnyStore) -> SocketAddr {
    serve(program::app(SessionLayer::builder(store.another()).budget(PATIENCE).build().unwrap())).await
}

/// Sends a form from the node's own page; gives the cookie that is set.
async fn post(node: SocketAddr, path: &str, cookie: &str, form: &'static str) -> Option<String> {
    let own = format!("http://{node}");
    let headers =
        [("origin", own.as_str()), ("cookie", cookie), ("content-type", "application/x-www-form-urlencoded")];
    let answer = Wire::h1(node).ask(Method::POST, path, &headers, Bytes::from_static(form.as_bytes())).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.all("set-cookie").first().map(|set| set.split(';').next().unwrap().to_owned())
}

/// Opens a tab's socket, from a page of this origin.
async fn open(node: SocketAddr, cookie: &str, origin: &str) -> Result<Socket, u16> {
    let mut request = format!("ws://{node}/chat").into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    request.headers_mut().insert("origin", origin.parse().unwrap());
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn says(socket: &mut Socket, text: &str) -> String {
    socket.send(Message::text(text)).await.unwrap();
    timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap().to_text().unwrap().to_owned()
}

/// The code and the reason with which it is closed.
async fn closed(socket: &mut Socket) -> (u16, String) {
    let last = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    let Message::Close(Some(frame)) = last else { panic!("{last:?}") };
    (frame.code.into(), frame.reason.as_str().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_on_one_node_closes_the_tabs_of_both_and_no_other_session_s() {
    for store in AnyStore::each(&now()) {
        println!("on {store:?}");
        let (here, there) = (node(&store).await, node(&store).await);
        let ada = post(here, "/login", "", "name=ada").await.unwrap();
        let grace = post(there, "/login", "", "name=grace").await.unwrap();
        let origin = |node: SocketAddr| format!("http://{node}");
        let mut tabs = [
            open(here, &ada, &origin(here)).await.unwrap(),
            open(there, &ada, &origin(there)).await.unwrap(),
        ];
        let mut other = open(there, &grace, &origin(there)).await.unwrap();
        // One session counts what all of its tabs say.
        assert_eq!(says(&mut tabs[0], "hello").await, "1: hello");
        assert_eq!(says(&mut tabs[1], "hello").await, "2: hello");
        assert_eq!(says(&mut other, "hi").await, "1: hi");

        post(there, "/logout", &ada, "").await;
        for tab in &mut tabs {
            assert_eq!(closed(tab).await, (4401, "session revoked".to_owned()));
        }
        assert_eq!(says(&mut other, "still here").await, "2: still here");
        assert_eq!(open(here, &ada, &origin(here)).await.err(), Some(401), "nobody is signed in any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_opens_no_socket() {
    for store in AnyStore::each(&now()) {
        let node = node(&store).await;
        let ada = post(node, "/login", "", "name=ada").await.unwrap();
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
            assert_eq!(open(node, &ada, origin).await.err(), Some(403), "{origin}");
        }
        assert!(open(node, &ada, &format!("http://{node}")).await.is_ok());
    }
}
