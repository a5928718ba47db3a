//! Two authenticators on one request: every pair of what they can find, and what comes of it.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use portcullis::authenticate::{AuthenticateLayer, OnConflict};
use portcullis::identity::{AuthMethod, Authentication, IdentityExt};
use portcullis::rejection::{Challenge, Rejection};
use portcullis::{Identity, RequireLayer};
use tower::{ServiceBuilder, service_fn};

use crate::common::{Finds, all, answer, by_bearer, by_session, get};

/// Who the handler sees behind two authenticators, or the status of the refusal.
async fn seen(outer: &Finds, inner: &Finds) -> String {
    let handler = service_fn(|request: Request<String>| async move {
        let me = request.authentication().and_then(Authentication::identity).cloned();
        // Whoever reads the extension alone sees the same.
        assert_eq!(me.as_ref().map(Identity::method), request.identity().map(Identity::method));
        let name = me.map(|me| format!("{} by {:?}", me.subject(), me.method()));
        Ok::<_, Infallible>(Response::new(name.unwrap()))
    });
    let stack = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(outer.clone()))
        .layer(AuthenticateLayer::new(inner.clone()))
        .layer(RequireLayer::authenticated())
        .service(handler);
    let response = answer(&stack, get()).await;
    match response.status() {
        StatusCode::OK => response.into_body(),
        status => status.as_str().to_owned(),
    }
}

#[tokio::test]
async fn every_pair_of_findings_has_its_outcome() {
    let finds = [
        ("nobody", Finds::nobody()),
        ("away", Finds::what(Ok(Authentication::unavailable(Duration::from_secs(1))))),
        ("ada's cookie", Finds::identity(by_session("ada"))),
        ("ada's token", Finds::identity(by_bearer("ada"))),
        ("bob's cookie", Finds::identity(by_session("bob"))),
        ("bob's token", Finds::identity(by_bearer("bob"))),
        ("bad", Finds::what(Err(Rejection::invalid_credential(Challenge::new("Bearer"), "expired")))),
    ];
    // Rows: what the outer one finds. Columns: the inner one, in the same order.
    #[rustfmt::skip]
    let outcomes = [
        //  nobody            away             ada's cookie      ada's token      bob's cookie      bob's token      bad
        ["401",            "503",           "ada by Session", "ada by Bearer", "bob by Session", "bob by Bearer", "401"],
        ["503",            "503",           "503",            "ada by Bearer", "503",            "bob by Bearer", "401"],
        ["ada by Session", "503",           "ada by Session", "ada by Bearer", "400",            "400",           "401"],
        ["ada by Bearer",  "ada by Bearer", "ada by Bearer",  "ada by Bearer", "400",            "400",           "401"],
        ["bob by Session", "503",           "400",            "400",           "bob by Session", "bob by Bearer", "401"],
        ["bob by Bearer",  "bob by Bearer", "400",            "400",           "bob by Bearer",  "bob by Bearer", "401"],
        ["401",            "401",           "401",            "401",           "401",            "401",           "401"],
    ];
    for ((outer_name, outer), row) in finds.iter().zip(outcomes) {
        for ((inner_name, inner), expected) in finds.iter().zip(row) {
            for waits in [false, true] {
                let seen = seen(&outer.clone().waits(waits), &inner.clone().waits(waits)).await;
                assert_eq!(seen, expected, "{outer_name} outside, {inner_name} inside");
            }
        }
    }
}

#[tokio::test]
async fn an_identity_that_does_not_stand_is_seen_by_nobody() {
    let handler = service_fn(|request: Request<String>| async move {
        assert!(request.extensions().get::<Identity>().is_none() && request.identity().is_none());
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let away = Finds::what(Ok(Authentication::unavailable(Duration::from_secs(1))));
    let stack = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_session("ada"))))
        .layer(AuthenticateLayer::new(away))
        .service(handler);
    assert_eq!(answer(&stack, get()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_preference_settles_a_conflict_in_either_order() {
    let session = Finds::identity(by_session("ada"));
    let bearer = Finds::identity(by_bearer("bob"));
    let another = Finds::identity(by_bearer("eve"));
    let prefer = OnConflict::Prefer;
    let rows = [
        ("bearer, inside", &session, &bearer, prefer(AuthMethod::Bearer), "bob by Bearer"),
        ("bearer, outside", &bearer, &session, prefer(AuthMethod::Bearer), "bob by Bearer"),
        ("session, inside", &bearer, &session, prefer(AuthMethod::Session), "ada by Session"),
        ("session, outside", &session, &bearer, prefer(AuthMethod::Session), "ada by Session"),
        ("neither", &session, &bearer, prefer(AuthMethod::Custom("api-key")), "400"),
        ("both", &bearer, &another, prefer(AuthMethod::Bearer), "400"),
        ("none", &session, &bearer, OnConflict::Refuse, "400"),
    ];
    for (name, outer, inner, on_conflict, expected) in rows {
        assert_eq!(seen(outer, &inner.clone().on_conflict(on_conflict)).await, expected, "{name}");
    }
}

#[tokio::test]
async fn the_same_subject_from_two_issuers_is_a_conflict() {
    let here = Finds::identity(by_session("7").issuer("https://a.example"));
    let there = Finds::identity(by_bearer("7").issuer("https://b.example"));
    let nowhere = Finds::identity(by_bearer("7"));
    assert_eq!(seen(&here, &there).await, "400");
    assert_eq!(seen(&here, &nowhere).await, "400");
    assert_eq!(
        seen(&here, &Finds::identity(by_bearer("7").issuer("https://a.example"))).await,
        "7 by Bearer"
    );
}

#[tokio::test]
async fn an_issuer_without_a_name_is_none() {
    let nobody = Finds::identity(by_session("7").issuer(""));
    assert_eq!(seen(&nobody, &Finds::identity(by_bearer("7"))).await, "7 by Bearer");
}

#[tokio::test]
async fn two_copies_of_a_layer_challenge_once() {
    let layer = AuthenticateLayer::new(Finds::nobody().scheme("Bearer"));
    let stack = ServiceBuilder::new().layer(layer.clone()).layer(layer).layer(RequireLayer::authenticated());
    let response = answer(&stack.service(crate::common::Handler::default()), get()).await;
    assert_eq!(all(&response, "www-authenticate"), ["Bearer"]);
}

#[tokio::test]
async fn scopes_and_roles_of_two_credentials_are_never_merged() {
    let session = Finds::identity(by_session("ada").role("admin").scope("write"));
    let bearer = Finds::identity(by_bearer("ada").role("reader").scope("read"));
    for (outer, inner) in [(&session, &bearer), (&bearer, &session)] {
        let handler = service_fn(|request: Request<String>| async move {
            let me = request.identity().unwrap();
            assert!(me.roles().eq(["reader"]) && me.scopes().eq(["read"]));
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let stack = ServiceBuilder::new()
            .layer(AuthenticateLayer::new(outer.clone()))
            .layer(AuthenticateLayer::new(inner.clone()))
            .service(handler);
        answer(&stack, get()).await;
    }
}

#[tokio::test]
async fn of_two_credentials_of_one_kind_the_inner_one_counts() {
    for of in [by_session, by_bearer] {
        let [outer, inner] = ["admin", "reader"].map(|role| Finds::identity(of("ada").role(role)));
        let handler = service_fn(|request: Request<String>| async move {
            assert!(request.identity().unwrap().roles().eq(["reader"]));
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let stack = ServiceBuilder::new()
            .layer(AuthenticateLayer::new(outer))
            .layer(AuthenticateLayer::new(inner))
            .service(handler);
        answer(&stack, get()).await;
    }
}

#[tokio::test]
async fn a_refusal_names_the_schemes_of_all_layers() {
    let stack = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::nobody().scheme("Bearer")))
        .layer(AuthenticateLayer::new(Finds::nobody()))
        .layer(AuthenticateLayer::new(Finds::nobody().scheme("ApiKey")))
        .layer(RequireLayer::authenticated())
        .service(crate::common::Handler::default());
    let response = answer(&stack, get()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(all(&response, "www-authenticate"), ["Bearer", "ApiKey"]);
}
