//! DPoP proofs of a token that is bound to a key: as they come, and taken apart.

use std::sync::LazyLock;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use portcullis::BearerLayer;
use portcullis::bearer::{Audience, Dpop, HmacKeys, Issuer, MemoryReplayBackend, NonceKeys};
use portcullis_store::{ManualClock, Timestamp};

use crate::ask::{Answer, ask};
use crate::proof::{NOW, ORIGIN, PATH, claims, header, proves, sign, thumbprint};
use crate::reference::{self, AUDIENCE, ISSUER, SECRET};

/// The token that every request brings.
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let (exp, jkt) = (NOW + 300, thumbprint());
    let claims =
        format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"ada","exp":{exp},"cnf":{{"jkt":"{jkt}"}}}}"#);
    reference::sign(br#"{"alg":"HS256"}"#, claims.as_bytes())
});

/// The bytes of `DPoP`; of several, if there is more than one line.
pub(crate) fn dpop(input: &[u8]) {
    let values: Option<Vec<HeaderValue>> =
        input.split(|byte| *byte == b'\n').map(|line| HeaderValue::from_bytes(line).ok()).collect();
    if let Some(values) = values {
        offer(&values);
    }
}

pub(crate) fn dpop_header(input: &[u8]) {
    offer_one(&sign(input, &claims(&TOKEN)));
}

pub(crate) fn dpop_claims(input: &[u8]) {
    offer_one(&sign(&header(), input));
}

fn offer_one(proof: &str) {
    offer(&[HeaderValue::from_str(proof).expect("base64url")]);
}

/// What is accepted, the reference accepts, and once only. Without a nonce of the server's, which nobody can guess, nothing is
/// accepted where one is wanted.
fn offer(proofs: &[HeaderValue]) {
    let layer = layer(|dpop| dpop);
    match send(&layer, proofs) {
        (200, Some(subject)) => {
            assert_eq!(subject, "ada");
            let [proof] = proofs else { panic!("{} proofs are not one", proofs.len()) };
            let proof = std::str::from_utf8(proof.as_bytes()).expect("a proof is text");
            assert!(proves(proof.trim_ascii(), &TOKEN), "{proof}");
            assert_eq!(send(&layer, proofs), (401, None), "the same proof again");
        }
        (400 | 401, None) => {}
        other => panic!("{other:?}"),
    }
    let wants_nonce = self::layer(|dpop| dpop.nonces(NonceKeys::new("0123456789abcdef0123456789abcdef")));
    let answer = send(&wants_nonce, proofs);
    assert!(matches!(answer, (400 | 401, None)), "{answer:?}");
}

fn send(layer: &BearerLayer, proofs: &[HeaderValue]) -> Answer {
    let mut request = Request::get(PATH).body(()).expect("a request");
    let authorization = HeaderValue::from_str(&format!("DPoP {}", *TOKEN)).expect("a token");
    request.headers_mut().insert(AUTHORIZATION, authorization);
    for proof in proofs {
        request.headers_mut().append("dpop", proof.clone());
    }
    ask(layer, request)
}

/// One that has seen no proof yet.
fn layer(with: impl FnOnce(Dpop) -> Dpop) -> BearerLayer {
    let clock = ManualClock::at(Timestamp::from_secs(NOW));
    let keys = HmacKeys::new([SECRET.to_vec()]).expect("a good secret");
    let issuer = Issuer::new(ISSUER, Audience::one_of([AUDIENCE])).keys(keys);
    let dpop = with(Dpop::new(ORIGIN, MemoryReplayBackend::with_clock(clock.clone())));
    let layer = BearerLayer::new([issuer]).expect("a good configuration").clock(clock);
    layer.dpop(dpop).expect("a good configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_proof_is_accepted_so_that_something_is_tried_at_all() {
        let good = sign(&header(), &claims(&TOKEN));
        let value = HeaderValue::from_str(&good).unwrap();
        assert_eq!(send(&layer(|dpop| dpop), &[value]), (200, Some("ada".to_owned())));
        let committed = include_str!("../corpus/dpop/good");
        assert_eq!(committed, good, "the corpus has it");
    }
}
