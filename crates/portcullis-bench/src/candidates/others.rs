//! What axum-login and axum_session make of a session in memory.

use ::axum_session::{SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use http::{Request, Response};
use tokio::runtime::Builder;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_sessions_0_14::MemoryStore;

use super::ours as peer;
use crate::Failure;
use crate::harness::{Bounds, Candidate};
use crate::redis::{Work, axum_login, axum_session, cookies_of};

pub(super) fn candidates() -> Result<Vec<Candidate>, Failure> {
    let of_axum_login = axum_login::layer(MemoryStore::default()).layer(service_fn(axum_login::handle));
    let names = ["axum-login, anonymous", "axum-login, one value read", "axum-login, one value written"];
    let mut all = lives(names, of_axum_login)?;

    // Its layer starts a task that sweeps its memory, which nothing here lives long enough for.
    let of_axum_session = Builder::new_current_thread().enable_time().build()?.block_on(async {
        let store = SessionStore::<SessionNullPool>::new(None, SessionConfig::default()).await?;
        Ok::<_, Failure>(axum_session::service(SessionLayer::new(store)))
    })?;
    let names =
        ["axum_session, anonymous", "axum_session, one value read", "axum_session, one value written"];
    all.extend(lives(names, of_axum_session)?);
    Ok(all)
}

/// A visitor, then somebody who is signed in and has a value.
fn lives<S>(names: [&'static str; 3], service: S) -> Result<Vec<Candidate>, Failure>
where
    S: Service<Request<()>, Response = Response<()>, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
{
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let sent = |work: Work, cookies: Option<String>| {
        let request = work.request(cookies.as_deref())?;
        let response = runtime.block_on(service.clone().oneshot(request))?;
        Ok::<_, Failure>(cookies_of(&response).or(cookies))
    };
    let cookies = sent(Work::Login, sent(Work::Begin, None)?)?;
    let works = [(Work::Look, None), (Work::Read, cookies.clone()), (Work::Write, cookies)];
    let candidate = |(name, (work, cookies)): (&'static str, (Work, Option<String>))| {
        let label = peer(name, None, Bounds::default());
        Ok(Candidate::new(label, work.request(cookies.as_deref())?, service.clone()))
    };
    names.into_iter().zip(works).map(candidate).collect()
}
