//! `TokenIssuer`, beside the signature alone, which is to be most of what minting costs.

use std::hint::black_box;
use std::sync::Arc;

use http::{Method, Request};
use portcullis::bearer::Algorithm;
use portcullis::issue::{Grant, KeyRing, Signer, Signing, SigningKey, TokenIssuer};
use tower::service_fn;

use super::{browser, ours};
use crate::Failure;
use crate::harness::{Bounds, Candidate, json};

pub(super) fn candidates() -> Result<Vec<Candidate>, Failure> {
    let request = browser(Method::POST, None)?;
    Ok(vec![
        alone("ES256, the signature alone", Algorithm::ES256, request.clone())?,
        minted("TokenIssuer, ES256", "ES256, the signature alone", Algorithm::ES256, request.clone())?,
        alone("EdDSA, the signature alone", Algorithm::EdDSA, request.clone())?,
        minted("TokenIssuer, EdDSA", "EdDSA, the signature alone", Algorithm::EdDSA, request)?,
    ])
}

/// Signs as many bytes as an access token has in front of its signature.
fn alone(name: &'static str, algorithm: Algorithm, request: Request<()>) -> Result<Candidate, Failure> {
    let (key, message) = (Arc::new(SigningKey::generate(algorithm)?), [b'e'; 420]);
    let service = service_fn(move |request: Request<()>| {
        let key = Arc::clone(&key);
        async move {
            black_box(&request);
            let Signing::Ready(signed) = key.sign(&message) else { return Err("it signs at once".into()) };
            black_box(signed?);
            Ok::<_, Failure>(json())
        }
    });
    Ok(Candidate::new(ours(name, None, Bounds::default()), request, service))
}

fn minted(
    name: &'static str,
    alone: &'static str,
    algorithm: Algorithm,
    request: Request<()>,
) -> Result<Candidate, Failure> {
    let ring = KeyRing::new(SigningKey::generate(algorithm)?)?;
    let issuer = TokenIssuer::builder("https://auth.example", ["api"], &ring).build()?;
    let grant = Grant::new("65f1c0a2b7d94e0012ab34cd", "web").scope("orders:read").scope("orders:write");
    let grant = Arc::new(grant.sid("2PNSR0dv1V1ZUTGXTx6oYg").acr("2").amr("pwd"));
    let service = service_fn(move |request: Request<()>| {
        let (issuer, grant) = (issuer.clone(), Arc::clone(&grant));
        async move {
            black_box(&request);
            black_box(issuer.access_token(&grant).await?);
            Ok::<_, Failure>(json())
        }
    });
    Ok(Candidate::new(ours(name, Some(alone), Bounds::default()), request, service))
}
