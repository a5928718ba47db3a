//! Job tickets: on whose behalf work is done, and until when.

use portcullis::Identity;
use portcullis::bearer::{Algorithm, Revocations};
use portcullis::issue::{
    BuildErrorKind, IssueErrorKind, JobRequest, JobTickets, TicketErrorKind, TokenIssuer,
};
use portcullis_store::{Clock, StoreErrorKind, Timestamp};

use crate::common::{ISSUER, key, part, present, ring, secs};
use crate::refresh::Stage;

fn jobs(stage: &Stage) -> JobTickets {
    JobTickets::builder(stage.refresh.issuer(), "jobs").build().unwrap()
}

fn ada() -> Identity {
    let me = Identity::new("ada").issuer(ISSUER).scope("read").scope("write").acr("2").amr(["pwd", "otp"]);
    me.authenticated_at(Timestamp::from_secs(1_000)).build()
}

#[tokio::test]
async fn a_worker_acts_for_who_has_asked_with_no_more_than_was_asked_for() {
    let stage = Stage::new();
    let jobs = jobs(&stage);
    let ticket = jobs.issue(&JobRequest::of(&ada()).actor("reports").scope("read")).await.unwrap();
    let me = jobs.accept(ticket.as_str()).await.unwrap();
    assert_eq!((me.subject(), me.issuer(), me.acr()), ("ada", Some(ISSUER), Some("2")));
    assert_eq!(me.scopes().collect::<Vec<_>>(), ["read"]);
    assert_eq!(me.authenticated_at(), ada().authenticated_at());
    assert_eq!(me.amr().collect::<Vec<_>>(), ["pwd", "otp"]);
    let claims = part(ticket.as_str(), 1);
    assert_eq!((&claims["aud"], &claims["act"]["sub"]), (&"jobs".into(), &"reports".into()));

    let all = jobs.issue(&JobRequest::of(&ada())).await.unwrap();
    assert_eq!(jobs.accept(all.as_str()).await.unwrap().scopes().count(), 2);
    let more = jobs.issue(&JobRequest::of(&ada()).scope("admin")).await.unwrap_err();
    assert_eq!(more.kind(), IssueErrorKind::BadGrant);
}

#[tokio::test]
async fn a_ticket_is_no_access_token_and_an_access_token_no_ticket() {
    let stage = Stage::new();
    let jobs = jobs(&stage);
    let ticket = jobs.issue(&JobRequest::of(&ada())).await.unwrap();
    assert_eq!(present(&stage.bearer, ticket.as_str()).await.0, 401);
    let login = stage.login().await;
    for (name, text) in [
        ("an access token", login.access().as_str()),
        ("a refresh token", login.refresh_token()),
        ("none", ""),
    ] {
        assert_eq!(jobs.accept(text).await.unwrap_err().kind(), TicketErrorKind::Invalid, "{name}");
    }
    let others = JobTickets::builder(stage.refresh.issuer(), "other-jobs").build().unwrap();
    assert_eq!(others.accept(ticket.as_str()).await.unwrap_err().kind(), TicketErrorKind::Invalid);
    stage.clock.advance(secs(905));
    assert_eq!(jobs.accept(ticket.as_str()).await.unwrap_err().kind(), TicketErrorKind::Invalid, "too late");
}

#[tokio::test]
async fn a_ticket_is_void_when_its_user_or_its_login_is_revoked() {
    let stage = Stage::new();
    let jobs = jobs(&stage);
    let login = stage.login().await;
    let me = Identity::new("ada").issuer(ISSUER).claim("sid", login.sid()).unwrap().build();
    let of_login = jobs.issue(&JobRequest::of(&me)).await.unwrap();
    let of_user = jobs.issue(&JobRequest::of(&ada())).await.unwrap();
    stage.revocations.revoke_family(ISSUER, "ada", login.sid()).await.unwrap();
    assert_eq!(jobs.accept(of_login.as_str()).await.unwrap_err().kind(), TicketErrorKind::Revoked);
    assert!(jobs.accept(of_user.as_str()).await.is_ok());
    stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    assert_eq!(jobs.accept(of_user.as_str()).await.unwrap_err().kind(), TicketErrorKind::Revoked);
    let anew = jobs.issue(&JobRequest::of(&ada())).await.unwrap();
    assert!(jobs.accept(anew.as_str()).await.is_ok(), "of somebody who has signed in since");
}

#[tokio::test]
async fn a_worker_takes_what_a_later_key_for_another_algorithm_has_signed() {
    let (stage, ring) = Stage::with_ring();
    let jobs = jobs(&stage);
    let before = jobs.issue(&JobRequest::of(&ada())).await.unwrap();
    ring.add_at(key(Algorithm::EdDSA), stage.clock.now()).unwrap();
    let after = jobs.issue(&JobRequest::of(&ada())).await.unwrap();
    let algorithms = [&before, &after].map(|ticket| part(ticket.as_str(), 0)["alg"].clone());
    assert_eq!(algorithms, ["ES256", "EdDSA"]);
    for ticket in [before, after] {
        assert_eq!(jobs.accept(ticket.as_str()).await.unwrap().subject(), "ada");
    }
}

#[tokio::test]
async fn while_the_store_is_away_work_waits() {
    let stage = Stage::new();
    let jobs = jobs(&stage);
    let ticket = jobs.issue(&JobRequest::of(&ada())).await.unwrap();
    stage.store.fail(Some(StoreErrorKind::Timeout));
    let away = jobs.accept(ticket.as_str()).await.unwrap_err();
    assert_eq!(away.kind(), TicketErrorKind::Store(StoreErrorKind::Timeout));
    let away = jobs.issue(&JobRequest::of(&ada())).await.unwrap_err();
    assert_eq!(away.kind(), IssueErrorKind::Store(StoreErrorKind::Timeout));
    stage.store.fail(None);
    assert!(jobs.accept(ticket.as_str()).await.is_ok());
}

#[tokio::test]
async fn what_nothing_could_make_void_is_not_issued() {
    let stage = Stage::new();
    let jobs = jobs(&stage);
    for (name, identity) in [
        ("no issuer", Identity::new("ada").build()),
        ("another issuer", Identity::new("ada").issuer("https://idp.example").build()),
        ("two scopes in one", Identity::new("ada").issuer(ISSUER).scope("read write").build()),
    ] {
        let refused = jobs.issue(&JobRequest::of(&identity)).await.unwrap_err();
        assert_eq!(refused.kind(), IssueErrorKind::BadGrant, "{name}");
    }
    let build = |audience: &str, lifetime| {
        let builder = JobTickets::builder(stage.refresh.issuer(), audience).lifetime(secs(lifetime));
        builder.build().unwrap_err().kind()
    };
    assert_eq!(build("", 60), BuildErrorKind::BadAudience);
    assert_eq!(build("api", 60), BuildErrorKind::BadAudience, "services have it");
    assert_eq!(build("jobs", 0), BuildErrorKind::BadLifetime);
    assert_eq!(build("jobs", 86_401), BuildErrorKind::BadLifetime);
    // No longer than a revocation is remembered, although the key would be published.
    let brief = Revocations::new(stage.store.clone()).longest_token(secs(1200));
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring(&stage.clock)).revocations(&brief);
    let issuer = issuer.build().unwrap();
    let lasting = |lifetime| JobTickets::builder(&issuer, "jobs").lifetime(secs(lifetime)).build();
    assert!(lasting(1200).is_ok());
    assert_eq!(lasting(1201).unwrap_err().kind(), BuildErrorKind::BadLifetime);
    let plain = TokenIssuer::builder(ISSUER, ["api"], &ring(&stage.clock)).build().unwrap();
    let built = JobTickets::builder(&plain, "jobs").build();
    assert_eq!(built.unwrap_err().kind(), BuildErrorKind::NotRevocable);
}
