//! `Cookie`, in front of sessions in memory.

use std::sync::LazyLock;

use futures_util::FutureExt as _;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Request, Response};
use portcullis::session::MemoryBackend;
use portcullis::{Identity, Session, SessionLayer};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::ask::ask;

/// The layer, and the cookie's value of somebody who is signed in.
static SIGNED_IN: LazyLock<(SessionLayer, String)> = LazyLock::new(sign_in);

/// A `$` in the input stands for the good cookie, which is another one in each process.
pub(crate) fn cookie(input: &[u8]) {
    let (layer, good) = &*SIGNED_IN;
    let input: Vec<u8> = input.split(|byte| *byte == b'$').collect::<Vec<_>>().join(good.as_bytes());
    let Ok(value) = HeaderValue::from_bytes(&input) else { return };
    let request = Request::get("/").header(COOKIE, value).body(()).expect("a request");
    match ask(layer, request) {
        (200, Some(_)) => {
            let secret = good.split_once('=').map_or("", |(_, secret)| secret);
            let holds = |window: &[u8]| window == secret.as_bytes();
            assert!(input.windows(secret.len()).any(holds), "signed in without the cookie");
        }
        (200 | 400, None) => {}
        other => panic!("{other:?}"),
    }
}

fn sign_in() -> (SessionLayer, String) {
    let layer = SessionLayer::builder(MemoryBackend::new()).build().expect("a good configuration");
    let login = service_fn(async |request: Request<()>| {
        let session = request.extensions().get::<Session>().expect("the layer is there").clone();
        session.login(Identity::new("ada")).await.map(|()| Response::new(()))
    });
    let answer = layer.layer(login).oneshot(Request::new(())).now_or_never();
    let answer = answer.expect("the memory is at hand").expect("a login");
    let cookie = answer.headers().get(SET_COOKIE).and_then(|cookie| cookie.to_str().ok()).expect("a cookie");
    let pair = cookie.split(';').next().unwrap_or_default().to_owned();
    (layer, pair)
}
