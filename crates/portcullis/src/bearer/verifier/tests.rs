use std::sync::Mutex;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::bearer::{Algorithm, Audience, HmacKey, HmacKeys, Issuer};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const HEADER: &str = r#"{"alg":"HS256","kid":"k"}"#;
const CLAIMS: &str = r#"{"iss":"i","sub":"ada","aud":"a","exp":2000}"#;
const OCCASION: Occasion = Occasion {
    carrier: Carrier::Explicit,
    now: Timestamp::from_secs(1000),
    wants_marks: false,
    wants_proof: false,
};

/// Keys that can be replaced.
#[derive(Clone, Debug)]
struct Keys(Arc<Mutex<Arc<KeySet>>>);

impl Keys {
    fn new(secret: &str, kid: &str) -> Self {
        Self(Arc::new(Mutex::new(set(secret, kid))))
    }

    fn replace(&self, secret: &str, kid: &str) {
        *self.0.lock().unwrap() = set(secret, kid);
    }

    fn know(&self, header: &str) -> bool {
        let token = format!("{}..", b64(header));
        let (keys, mut room) = (self.snapshot(), None);
        matches!(keys.header(&Jws::split(token.as_bytes()).unwrap(), &mut room), Ok(Cow::Borrowed(_)))
    }

    fn verifier(&self, issuers: &[&str], algorithm: Algorithm) -> Verifier {
        let issuer = |name: &&str| Issuer::new(*name, Audience::one_of(["a"])).keys(self.clone());
        let built = issuers.iter().map(|name| issuer(name).algorithms([algorithm]).build().unwrap());
        Verifier::new(built.collect())
    }
}

impl KeySource for Keys {
    fn snapshot(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

fn set(secret: &str, kid: &str) -> Arc<KeySet> {
    HmacKeys::new([HmacKey::new(secret).kid(kid)]).unwrap().snapshot()
}

fn b64(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn signed(header: &str, claims: &str, secret: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn ask(verifier: &Verifier, token: &str) -> Result<(), Refusal> {
    match verifier.verify(token.as_bytes(), OCCASION) {
        Ok(verified) => {
            assert_eq!(verified.identity.subject(), "ada");
            Ok(())
        }
        Err(Failure::Refused(refusal)) => Err(refusal),
        Err(Failure::Missed(miss)) => Err(miss.give_up(OCCASION.now)),
        Err(failure) => panic!("{failure:?}"),
    }
}

/// Tokens with two things wrong, or more. What comes first is the same whether the header is known or not; and among several
/// issuers, but that whose it is must be known there before the algorithm and the signature are judged.
#[test]
fn what_is_wrong_first_is_said_first() {
    use Refusal::*;
    let [good, none, crit] = [HEADER, r#"{"alg":"none"}"#, r#"{"alg":"HS256","kid":"k","crit":[]}"#].map(b64);
    let other = b64(r#"{"alg":"HS384","kid":"x"}"#);
    let [claims, stranger, list] = [CLAIMS, r#"{"iss":"x"}"#, "[]"].map(b64);
    let rows: [(&str, [&str; 3], Refusal, Refusal); 18] = [
        ("header and payload not base64url", ["e!", "e!", "AA"], NotBase64url, NotBase64url),
        ("header none, payload not base64url", [&none, "e!", "AA"], NotBase64url, NotBase64url),
        ("header none, signature not base64url", [&none, &claims, "A"], NotBase64url, NotBase64url),
        ("header no JSON, signature not base64url", ["AAAA", &claims, "A="], NotBase64url, NotBase64url),
        ("header no JSON, payload with stray bits", ["AAAA", "AB", "AA"], NotBase64url, NotBase64url),
        ("header not base64url, a stranger's", ["e!", &stranger, "AA"], NotBase64url, NotBase64url),
        ("header no JSON, a stranger's", ["AAAA", &stranger, "AA"], MalformedHeader, MalformedHeader),
        ("header no JSON, payload not text", ["AAAA", "_w", "AA"], MalformedHeader, MalformedHeader),
        ("header none, payload a list", [&none, &list, "AA"], UnknownAlgorithm, UnknownAlgorithm),
        ("header none, a stranger's", [&none, &stranger, "AA"], UnknownAlgorithm, UnknownAlgorithm),
        ("header critical, a stranger's", [&crit, &stranger, "AA"], CriticalHeader, CriticalHeader),
        ("good header, payload not base64url", [&good, "e!", "AA"], NotBase64url, NotBase64url),
        ("good header, signature not base64url", [&good, &claims, "e!"], NotBase64url, NotBase64url),
        ("good header, a list, bad signature", [&good, &list, "AA"], BadSignature, MalformedClaims),
        ("good header, a stranger's, bad signature", [&good, &stranger, "AA"], BadSignature, UnknownIssuer),
        ("good header, bad signature", [&good, &claims, "AA"], BadSignature, BadSignature),
        ("other algorithm, a stranger's", [&other, &stranger, "AA"], AlgorithmNotAllowed, UnknownIssuer),
        ("other algorithm, bad signature", [&other, &claims, "AA"], AlgorithmNotAllowed, AlgorithmNotAllowed),
    ];
    let keys = Keys::new(SECRET, "k");
    let one = keys.verifier(&["i"], Algorithm::HS256);
    let several = keys.verifier(&["j", "i"], Algorithm::HS256);
    let refused = |when: &str| {
        for (name, parts, by_one, by_several) in &rows {
            let token = parts.join(".");
            let found = (ask(&one, &token), ask(&several, &token));
            assert_eq!(found, (Err(*by_one), Err(*by_several)), "{name}, {when}");
        }
    };
    refused("the header unknown");
    for verifier in [&one, &several] {
        assert_eq!(ask(verifier, &signed(HEADER, CLAIMS, SECRET)), Ok(()));
        refused("the header known");
    }
}

#[test]
fn a_header_is_known_from_a_token_that_was_accepted() {
    let expired = CLAIMS.replace("2000", "900");
    for (name, token) in [
        ("no signature", format!("{}.{}.", b64(HEADER), b64(CLAIMS))),
        ("another's signature", signed(HEADER, CLAIMS, &SECRET.replace('0', "1"))),
        ("expired", signed(HEADER, &expired, SECRET)),
        ("another audience's", signed(HEADER, &CLAIMS.replace(r#""a""#, r#""b""#), SECRET)),
        ("a stranger's", signed(HEADER, &CLAIMS.replace(r#""i""#, r#""x""#), SECRET)),
    ] {
        let keys = Keys::new(SECRET, "k");
        let verifier = keys.verifier(&["i"], Algorithm::HS256);
        assert!(ask(&verifier, &token).is_err() && !keys.know(HEADER), "{name}");
        assert_eq!(ask(&verifier, &signed(HEADER, CLAIMS, SECRET)), Ok(()), "{name}");
        assert!(keys.know(HEADER) && ask(&verifier, &token).is_err(), "{name}");
        assert_eq!(ask(&verifier, &signed(HEADER, CLAIMS, SECRET)), Ok(()), "{name}");
    }
}

#[test]
fn a_header_that_is_known_is_not_a_key_that_is() {
    let keys = Keys::new(SECRET, "k");
    let verifier = keys.verifier(&["i"], Algorithm::HS256);
    let token = signed(HEADER, CLAIMS, SECRET);
    assert_eq!(ask(&verifier, &token), Ok(()));
    assert!(keys.know(HEADER));
    keys.replace(SECRET, "another");
    assert_eq!((ask(&verifier, &token), keys.know(HEADER)), (Err(Refusal::UnknownKey), false));
    keys.replace(&SECRET.replace('0', "1"), "k");
    assert_eq!((ask(&verifier, &token), keys.know(HEADER)), (Err(Refusal::BadSignature), false));
    keys.replace(SECRET, "k");
    assert_eq!((ask(&verifier, &token), keys.know(HEADER)), (Ok(()), true));
}

/// Layers with the same keys know the same headers, and what one of them allows the other need not.
#[test]
fn a_header_that_is_known_is_not_an_algorithm_that_is_allowed() {
    let keys = Keys::new(SECRET, "k");
    let [one, other] = [Algorithm::HS256, Algorithm::HS384].map(|allowed| keys.verifier(&["i"], allowed));
    let token = signed(HEADER, CLAIMS, SECRET);
    assert_eq!((ask(&one, &token), keys.know(HEADER)), (Ok(()), true));
    assert_eq!(ask(&other, &token), Err(Refusal::AlgorithmNotAllowed));
}

#[test]
fn headers_that_are_nearly_alike_are_each_read() {
    use Refusal::*;
    let keys = Keys::new(SECRET, "k");
    let verifier = keys.verifier(&["i"], Algorithm::HS256);
    assert_eq!(ask(&verifier, &signed(HEADER, CLAIMS, SECRET)), Ok(()));
    for (header, expected) in [
        (r#"{"alg":"HS256","kid":"l"}"#, Err(UnknownKey)),
        (r#"{"alg":"HS384","kid":"k"}"#, Err(AlgorithmNotAllowed)),
        (r#"{"alg":"HS257","kid":"k"}"#, Err(UnknownAlgorithm)),
        (r#"{"alg":"HS256","kid":"k"} "#, Ok(())),
        (r#"{"alg":"HS256","kid":"k"}}"#, Err(MalformedHeader)),
        (r#"{"alg":"HS256","kid":"k""#, Err(MalformedHeader)),
        (r#"{"alg":"HS256","kid":"k","kid":"k"}"#, Err(DuplicateHeaderMember)),
        (r#"{"alg":"HS256","kid":"k","b64":true}"#, Err(CriticalHeader)),
        (r#"{"alg":"HS256","kid":"k","typ":"ID"}"#, Err(NotAnAccessToken)),
    ] {
        for again in [false, true] {
            assert_eq!(ask(&verifier, &signed(header, CLAIMS, SECRET)), expected, "{header} {again}");
        }
        assert_eq!(keys.know(header), expected.is_ok(), "{header}");
    }
}
