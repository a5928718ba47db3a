//! What the layers allocate on the passing path, counted per thread.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use allocation_counter::measure;
use http::{Extensions, Request, Response};
use portcullis::authenticate::AuthenticateLayer;
use portcullis::guard::{Check, GuardLayer, Head, Pass};
use portcullis::identity::Authentication;
use portcullis::rejection::Rejection;
use portcullis::{AuthLayer, Identity, RequireLayer};
use tower::{Layer, Service};

use crate::common::{Finds, by_session, get, poll_once};

/// Answers without allocating.
#[derive(Clone)]
struct Bare;

impl<B> Service<Request<B>> for Bare {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// How often a call allocates, the request's own making aside.
fn allocations<S>(service: &S, request: &Request<String>) -> u64
where
    S: Service<Request<String>, Response = Response<()>, Error = Infallible> + Clone,
    S::Future: Unpin,
{
    let mut service = service.clone();
    let mut request = Some(request.clone());
    let mut status = None;
    let info = measure(|| {
        let mut future = service.call(request.take().unwrap());
        let Poll::Ready(Ok(response)) = poll_once(&mut future) else { panic!("it waited") };
        status = Some(response.status());
    });
    assert_eq!(status, Some(http::StatusCode::OK));
    info.count_total
}

#[derive(Clone)]
struct Passes;

impl Check for Passes {
    fn check(&self, _: Head<'_>) -> Result<Pass, Rejection> {
        Ok(Pass::new())
    }
}

fn found(authentication: Authentication) -> Request<String> {
    let mut request = get();
    request.extensions_mut().insert(authentication);
    request
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(7)))).count_total, 1);
}

#[test]
fn a_guard_that_lets_pass_allocates_nothing() {
    assert_eq!(allocations(&GuardLayer::new(Passes).layer(Bare), &get()), 0);
    let ada = found(Authentication::authenticated(by_session("ada").role("admin").scope("a")));
    let require = RequireLayer::authenticated().role("admin").scope("a").layer(Bare);
    assert_eq!(allocations(&require, &ada), 0);
}

#[test]
fn an_authenticator_that_need_not_wait_allocates_nothing_but_extensions() {
    let by_hand = |identity: Option<Identity>| {
        let mut values = identity.map_or((None, Authentication::anonymous()), |identity| {
            (Some(identity.clone()), Authentication::authenticated(identity))
        });
        let mut extensions = Extensions::new();
        let info = measure(|| {
            let found = std::mem::replace(&mut values.1, Authentication::anonymous());
            if let Some(identity) = values.0.take() {
                extensions.insert(identity);
            }
            extensions.insert(found);
        });
        info.count_total
    };
    let nobody = AuthenticateLayer::new(Finds::nobody()).layer(Bare);
    assert_eq!(allocations(&nobody, &get()), by_hand(None));
    let ada = by_session("ada").build();
    let somebody = AuthenticateLayer::new(Finds::identity(ada.clone())).layer(Bare);
    assert_eq!(allocations(&somebody, &get()), by_hand(Some(ada)));
}

#[test]
fn a_part_that_a_stack_lacks_costs_nothing() {
    let finds = || Finds::identity(by_session("ada").build());
    let alone = AuthenticateLayer::new(finds()).layer(Bare);
    let stack = AuthLayer::builder().authenticator(finds()).build().unwrap().layer(Bare);
    assert_eq!(allocations(&stack, &get()), allocations(&alone, &get()));
}

#[cfg(feature = "csrf")]
/// A name, a method, headers.
type Row<'a> = (&'a str, &'a str, &'a [(&'static str, &'a str)]);

#[cfg(feature = "csrf")]
#[test]
fn csrf_allocates_nothing_for_what_passes() {
    let layer = portcullis::CsrfLayer::new()
        .add_trusted_origin("https://app.example.com")
        .unwrap()
        .public_origin("https://www.example.com")
        .unwrap()
        .allowed_hosts(["www.example.com", "backend"])
        .unwrap()
        .exempt_if(|_| false);
    let service = layer.layer(Bare);
    let rows: [Row<'_>; 7] = [
        ("safe", "GET", &[]),
        ("same origin", "POST", &[("sec-fetch-site", "same-origin"), ("origin", "null")]),
        ("by the user", "POST", &[("sec-fetch-site", "none")]),
        ("trusted", "POST", &[("sec-fetch-site", "same-site"), ("origin", "https://app.example.com")]),
        ("own, old browser", "POST", &[("origin", "https://www.example.com")]),
        ("public, old browser", "POST", &[("origin", "https://www.example.com"), ("host", "backend")]),
        ("handshake", "GET", &[("upgrade", "websocket"), ("origin", "https://www.example.com")]),
    ];
    for (name, method, headers) in rows {
        let mut request = found(Authentication::authenticated(by_session("ada")));
        *request.method_mut() = method.parse().unwrap();
        for (name, value) in [&[("cookie", "id=1"), ("host", "www.example.com")], headers].concat() {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        assert_eq!(allocations(&service, &request), 0, "{name}");
    }
    // What carries nothing that browsers send by themselves is not remembered for layers further in.
    let mut program = found(Authentication::authenticated(crate::common::by_bearer("robot")));
    *program.method_mut() = http::Method::POST;
    program.headers_mut().insert("host", "backend".parse().unwrap());
    program.headers_mut().insert("authorization", "Bearer t".parse().unwrap());
    assert_eq!(allocations(&service, &program), 0, "a program");
}
