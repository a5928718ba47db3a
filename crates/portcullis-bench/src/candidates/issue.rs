//! `TokenIssuer`, beside the signature alone, which is to be most of what minting costs.

use std::hint::black_box;
use std::sync::Arc;

use http::{Method, Request};
use portcullis::bearer::Algorithm;
use portcullis::issue::{Grant, KeyRing, Signer, Signing, SigningKey, TokenIssuer};
use tower::service_fn;

use super::{Group, browser, ours};
use crate::Failure;
use crate::harness::{Bounds, Candidate, json};

/// The most that minting may take, as a multiple of the signature.
const AIM: f64 = 1.15;

pub(crate) fn groups() -> Result<Vec<Group>, Failure> {
    let request = browser(Method::POST, None)?;
    let group = |alone_name, name, algorithm| {
        let base = alone(alone_name, algorithm, request.clone())?;
        let ours = minted(name, algorithm, request.clone())?;
        Ok::<_, Failure>(Group { base, ours, peers: Vec::new(), aim: AIM, allocations: None })
    };
    Ok(vec![
        group("ES256: signed, the signature alone", "ES256: TokenIssuer", Algorithm::ES256)?,
        group("EdDSA: signed, the signature alone", "EdDSA: TokenIssuer", Algorithm::EdDSA)?,
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

fn minted(name: &'static str, algorithm: Algorithm, request: Request<()>) -> Result<Candidate, Failure> {
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
    Ok(Candidate::new(ours(name, None, Bounds::default()), request, service))
}
