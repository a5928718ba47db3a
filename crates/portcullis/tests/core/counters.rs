//! What is counted of refusals: each once, by its label, whoever refuses and however many layers stand around.

use std::time::Duration;

use http::{HeaderValue, Request};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis::RequireLayer;
use portcullis::authenticate::AuthenticateLayer;
use portcullis::guard::{Check, GuardLayer, Head, Pass};
use portcullis::identity::Authentication;
use portcullis::rejection::{Challenge, CsrfReason, Lack, Misassembly, Rejection};
use portcullis::respond::LoginRedirect;
use tower::{Layer, ServiceBuilder};

use crate::common::{Finds, Handler, answer, by_session, get};

/// Refuses everybody, for this reason.
#[derive(Clone)]
struct Refuses(Rejection);

impl Check for Refuses {
    fn check(&self, _: Head<'_>) -> Result<Pass, Rejection> {
        Err(self.0.clone())
    }
}

/// Reasons, and how often each was counted while `work` was done.
fn counted(work: impl Future<Output = ()>) -> Vec<(String, u64)> {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(work));
    let all = recorder.snapshotter().snapshot().into_vec().into_iter();
    let refused = all.filter(|(key, ..)| key.key().name() == "portcullis_refused_total");
    let counts = refused.map(|(key, _, _, value)| {
        let DebugValue::Counter(count) = value else { panic!("{value:?}") };
        let labels: Vec<_> = key.key().labels().collect();
        let [reason] = labels.as_slice() else { panic!("{labels:?}") };
        assert_eq!(reason.key(), "reason");
        (reason.value().to_owned(), count)
    });
    counts.collect()
}

#[test]
fn every_rejection_is_counted_by_its_label_whoever_answers_it() {
    let challenge = || Challenge::new("Bearer");
    let rejections = [
        Rejection::unauthenticated(&Authentication::anonymous()),
        Rejection::invalid_credential(challenge(), "expired"),
        Rejection::InvalidProof { challenge: challenge(), description: "too old", nonce: None },
        Rejection::BadRequest { challenge: None, description: "two tokens" },
        Rejection::forbidden(Lack::Role),
        Rejection::StepUp { challenge: None, acr_values: Vec::new(), max_age: Some(Duration::ZERO) },
        Rejection::Csrf(CsrfReason::CrossSite),
        Rejection::Conflict,
        Rejection::TooLarge,
        Rejection::InsecureTransport { redirect: Some(HeaderValue::from_static("https://www.example.com/")) },
        Rejection::Unavailable { retry_after: Duration::from_secs(1) },
        Rejection::Misconfigured(Misassembly::PeerUnknown),
    ];
    for rejection in rejections {
        for content_type in ["text/plain", "application/grpc"] {
            let request = || {
                Request::get("/").header("content-type", content_type).header("sec-fetch-mode", "navigate")
            };
            let request = || request().body(String::new()).unwrap();
            let guard = GuardLayer::new(Refuses(rejection.clone())).layer(Handler::default());
            let redirecting =
                GuardLayer::with_responder(Refuses(rejection.clone()), LoginRedirect::to("/login"));
            let redirecting = redirecting.layer(Handler::default());
            let authenticator = Finds::what(Err(rejection.clone()));
            let authenticator = AuthenticateLayer::new(authenticator.waits(true)).layer(Handler::default());
            let count = counted(async {
                answer(&guard, request()).await;
                answer(&redirecting, request()).await;
                answer(&authenticator, request()).await;
            });
            assert_eq!(count, [(rejection.label().to_owned(), 3)], "{rejection:?}");
        }
    }
}

#[test]
fn what_passes_is_not_counted_and_what_many_layers_see_is_counted_once() {
    let surrounded = |who: Finds| {
        ServiceBuilder::new()
            .layer(AuthenticateLayer::new(Finds::nobody()))
            .layer(AuthenticateLayer::new(who))
            .layer(RequireLayer::authenticated())
            .layer(RequireLayer::authenticated().role("admin"))
            .service(Handler::default())
    };
    let [admin, user] = [by_session("ada").role("admin"), by_session("ada")].map(Finds::identity);
    assert_eq!(counted(async { drop(answer(&surrounded(admin), get()).await) }), []);
    let forbidden = [("forbidden".to_owned(), 1)];
    assert_eq!(counted(async { drop(answer(&surrounded(user), get()).await) }), forbidden);
}

/// An extractor refuses, and each layer outside of it renders that once more.
#[cfg(feature = "axum")]
#[test]
fn what_an_extractor_refuses_is_counted_once() {
    use axum::Router;
    use axum::routing::get;
    let layer = || AuthenticateLayer::new(Finds::nobody());
    let app = Router::new().route("/", get(async |_: portcullis::Identity| ())).layer(layer()).layer(layer());
    let request = Request::new(axum::body::Body::empty());
    let count = counted(async { assert_eq!(answer(&app, request).await.status(), 401) });
    assert_eq!(count, [("unauthenticated".to_owned(), 1)]);
}
