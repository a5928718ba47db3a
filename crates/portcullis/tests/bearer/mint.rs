//! Keys, tokens and requests for the tests, made with aws-lc-rs alone, so that nothing under test makes its own input.

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use portcullis::BearerLayer;
use portcullis::bearer::{Algorithm, Audience, HmacKeys, Issuer, StaticKeys};
use portcullis::identity::{Identity, IdentityExt};
use portcullis::rejection::Rejection;
use portcullis_store::{Clock, ManualClock};
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const SECRET: &[u8; 64] = b"0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF";

/// One key pair per algorithm, made once per run; RSA algorithms share one.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    key: Key,
}

enum Key {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(&'static rsa::KeyPair, &'static dyn RsaEncoding),
    Hmac(hmac::Algorithm),
}

pub(crate) static RSA: LazyLock<rsa::KeyPair> =
    LazyLock::new(|| rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap());

pub(crate) static ES256: LazyLock<Signer> = LazyLock::new(|| Signer::new(Algorithm::ES256));

pub(crate) static ALL: LazyLock<Vec<Signer>> = LazyLock::new(|| {
    use Algorithm::*;
    let all = [ES256, ES384, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA, HS256, HS384, HS512];
    all.into_iter().map(Signer::new).collect()
});

impl Signer {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => {
                Key::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            Algorithm::ES384 => {
                Key::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
            }
            Algorithm::EdDSA => Key::Ed(Ed25519KeyPair::generate().unwrap()),
            Algorithm::RS256 => Key::Rsa(&RSA, &signature::RSA_PKCS1_SHA256),
            Algorithm::RS384 => Key::Rsa(&RSA, &signature::RSA_PKCS1_SHA384),
            Algorithm::RS512 => Key::Rsa(&RSA, &signature::RSA_PKCS1_SHA512),
            Algorithm::PS256 => Key::Rsa(&RSA, &signature::RSA_PSS_SHA256),
            Algorithm::PS384 => Key::Rsa(&RSA, &signature::RSA_PSS_SHA384),
            Algorithm::PS512 => Key::Rsa(&RSA, &signature::RSA_PSS_SHA512),
            Algorithm::HS256 => Key::Hmac(hmac::HMAC_SHA256),
            Algorithm::HS384 => Key::Hmac(hmac::HMAC_SHA384),
            Algorithm::HS512 => Key::Hmac(hmac::HMAC_SHA512),
            other => panic!("{other}"),
        };
        Self { algorithm, key }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Ec(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Key::Ed(key) => key.sign(message).as_ref().to_vec(),
            Key::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Key::Hmac(algorithm) => {
                hmac::sign(&hmac::Key::new(*algorithm, SECRET), message).as_ref().to_vec()
            }
        }
    }

    /// The public key in every form that somebody could mistake for a shared secret.
    pub(crate) fn public_forms(&self) -> Vec<Vec<u8>> {
        use aws_lc_rs::encoding::AsDer;
        let (raw, der) = match &self.key {
            Key::Ec(key) => (key.public_key().as_ref().to_vec(), key.public_key().as_der().unwrap()),
            Key::Ed(key) => (key.public_key().as_ref().to_vec(), key.public_key().as_der().unwrap()),
            Key::Rsa(key, _) => (key.public_key().as_ref().to_vec(), key.public_key().as_der().unwrap()),
            Key::Hmac(_) => return Vec::new(),
        };
        let pem = pem("PUBLIC KEY", der.as_ref());
        vec![raw, der.as_ref().to_vec(), pem.trim_end().as_bytes().to_vec(), pem.into_bytes()]
    }

    pub(crate) fn pem(&self) -> String {
        String::from_utf8(self.public_forms().pop().unwrap()).unwrap()
    }

    /// The public key as a JWK with `kid` and `alg`.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match &self.key {
            Key::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
                let crv = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": crv, "x": b64(x), "y": b64(y) })
            }
            Key::Ed(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().as_ref()) }),
            Key::Rsa(key, _) => {
                let (n, e) = rsa_numbers(key.public_key().as_ref());
                json!({ "kty": "RSA", "n": b64(&n), "e": b64(&e) })
            }
            Key::Hmac(_) => json!({ "kty": "oct", "k": b64(SECRET) }),
        };
        jwk["kid"] = kid.into();
        jwk["alg"] = self.algorithm.name().into();
        jwk
    }

    /// An issuer that trusts this key alone, by the id `k`.
    pub(crate) fn issuer(&self) -> Issuer {
        let issuer = Issuer::new(ISSUER, Audience::one_of(["api"])).algorithms([self.algorithm]);
        match self.key {
            Key::Hmac(_) => issuer.keys(HmacKeys::new([SECRET.to_vec()]).unwrap()),
            Key::Ec(_) | Key::Ed(_) | Key::Rsa(..) => issuer.keys(jwks([self.jwk("k")])),
        }
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "alg": self.algorithm.name(), "kid": "k", "typ": "JWT" })
    }

    /// A token with this key's header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.compact(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of any bytes, properly signed.
    pub(crate) fn compact(&self, header: &[u8], payload: &[u8]) -> String {
        let message = format!("{}.{}", b64(header), b64(payload));
        format!("{message}.{}", b64(&self.sign(message.as_bytes())))
    }
}

/// `RSAPublicKey` as these tests' keys have it: two numbers with long or short lengths.
fn rsa_numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn value(der: &[u8]) -> (&[u8], &[u8]) {
        match der[1] {
            0x82 => der[4..].split_at(usize::from(der[2]) << 8 | usize::from(der[3])),
            0x81 => der[3..].split_at(usize::from(der[2])),
            short => der[2..].split_at(usize::from(short)),
        }
    }
    let (n, rest) = value(value(der).0);
    let (e, _) = value(rest);
    (n.strip_prefix(&[0]).unwrap_or(n).to_vec(), e.to_vec())
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub(crate) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn jwks(keys: impl IntoIterator<Item = Value>) -> StaticKeys {
    StaticKeys::jwks(&json!({ "keys": keys.into_iter().collect::<Vec<_>>() }).to_string()).unwrap()
}

/// Good claims at the moment of [`ManualClock::default`].
pub(crate) fn claims() -> Value {
    let now = ManualClock::default().now().as_secs();
    json!({ "iss": ISSUER, "sub": "ada", "aud": "api", "exp": now + 300, "iat": now, "jti": "j" })
}

/// Good claims with one of them set.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// Good claims without one of them.
pub(crate) fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// A layer that stands at [`ManualClock::default`].
pub(crate) fn layer(issuers: impl IntoIterator<Item = Issuer>) -> BearerLayer {
    BearerLayer::new(issuers).unwrap().clock(ManualClock::default())
}

/// Whoever the token names to the layer, or what the client is told.
pub(crate) fn ask(layer: &BearerLayer, token: &str) -> Result<Identity, &'static str> {
    let response = send(layer, [format!("Bearer {token}").as_bytes()]);
    match response.extensions().get::<Rejection>() {
        Some(Rejection::InvalidCredential { description, .. }) => {
            assert_eq!(response.status(), 401);
            Err(description)
        }
        Some(Rejection::BadRequest { description, .. }) => {
            assert_eq!(response.status(), 400);
            Err(description)
        }
        Some(other) => panic!("{other:?}"),
        None => Ok(response.extensions().get::<Identity>().expect("nobody").clone()),
    }
}

/// Sends a request with these `Authorization` headers.
pub(crate) fn send<'a>(
    layer: &BearerLayer,
    authorization: impl IntoIterator<Item = &'a [u8]>,
) -> Response<String> {
    let mut request = Request::new(String::new());
    for value in authorization {
        request.headers_mut().append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    at_once(layer.layer(service_fn(handler)).call(request))
}

/// Says who is calling, in the body and in the extensions.
pub(crate) async fn handler(request: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
    let mut response = Response::new("nobody".to_owned());
    if let Some(identity) = request.identity() {
        *response.body_mut() = identity.subject().to_owned();
        response.extensions_mut().insert(identity.clone());
    }
    Ok(response)
}

/// A future that never waits.
pub(crate) fn at_once<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("it waits"),
    }
}

/// Whether the layer lets these bytes pass as somebody's token.
pub(crate) fn offer(layer: &BearerLayer, token: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", token].concat()) else { return false };
    let response = send(layer, [value.as_bytes()]);
    match response.status().as_u16() {
        200 => true,
        400 | 401 => false,
        other => panic!("{other}"),
    }
}
