//! Bearer tokens, as they come and taken apart.

use std::sync::LazyLock;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use portcullis::BearerLayer;
use portcullis::bearer::{Audience, HmacKeys, Issuer, TokenCache};

use crate::ask::ask;
use crate::reference::{AUDIENCE, ISSUER, SECRET, accepts, sign};

static LAYER: LazyLock<BearerLayer> = LazyLock::new(|| layer().into_layer());

/// With a memory, so that what is known from before is looked at too.
static REMEMBERS: LazyLock<BearerLayer> = LazyLock::new(|| layer().into_layer().cache(TokenCache::default()));

/// With a second issuer, so that the first has to be found by what an unverified payload says.
static SEVERAL: LazyLock<BearerLayer> = LazyLock::new(|| {
    let keys = HmacKeys::new([b"fedcba9876543210fedcba9876543210".to_vec()]).expect("a good secret");
    let other = Issuer::new("https://other.example", Audience::one_of([AUDIENCE])).keys(keys);
    BearerLayer::new([layer(), other]).expect("a good configuration")
});

pub(crate) fn authorization(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    for layer in [&*LAYER, &*REMEMBERS, &*SEVERAL] {
        let request = Request::get("/").header(AUTHORIZATION, &value).body(()).expect("a request");
        match ask(layer, request) {
            (200, None) => assert!(!says_bearer(input), "a bearer token is never absent"),
            (200, Some(subject)) => {
                let token = input.get(6..).map(<[u8]>::trim_ascii).unwrap_or_default();
                let token = std::str::from_utf8(token).expect("a token is text");
                assert_eq!(accepts(token), Some(subject));
            }
            (400 | 401, None) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn header(input: &[u8]) {
    const CLAIMS: &[u8] = br#"{"iss":"https://idp.example","aud":"api","sub":"ada","exp":4102444800}"#;
    offer(&sign(input, CLAIMS));
}

pub(crate) fn claims(input: &[u8]) {
    offer(&sign(br#"{"alg":"HS256"}"#, input));
}

/// All layers say the same of a token that is signed well, and never what the reference does not say.
fn offer(token: &str) {
    let answers = [&*LAYER, &*REMEMBERS, &*REMEMBERS, &*SEVERAL].map(|layer| {
        let header = format!("Bearer {token}");
        ask(layer, Request::get("/").header(AUTHORIZATION, header).body(()).expect("a request"))
    });
    let [(status, subject), ..] = &answers;
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    match subject {
        Some(subject) => assert_eq!(accepts(token).as_ref(), Some(subject)),
        None => assert_eq!(*status, 401),
    }
}

fn says_bearer(header: &[u8]) -> bool {
    header.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "))
}

/// The rules are the same in all layers, so their answers are.
fn layer() -> Issuer {
    let keys = HmacKeys::new([SECRET.to_vec()]).expect("a good secret");
    Issuer::new(ISSUER, Audience::one_of([AUDIENCE])).keys(keys).roles_claim(["a", "b"])
}

trait IntoLayer {
    fn into_layer(self) -> BearerLayer;
}

impl IntoLayer for Issuer {
    fn into_layer(self) -> BearerLayer {
        BearerLayer::new([self]).expect("a good configuration")
    }
}
