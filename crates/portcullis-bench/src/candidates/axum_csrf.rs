//! axum_csrf's token, verified.

use axum::extract::FromRequestParts as _;
use axum::response::IntoResponse as _;
use axum_csrf::{CsrfConfig, CsrfToken};
use http::{Method, Request, Response};
use tokio::runtime::Builder;
use tower::service_fn;

use super::{browser, cookie_of, peers};
use crate::Failure;
use crate::harness::{Candidate, json};

/// As its example has it: the extractor finds the token's cookie, and the handler verifies what the form brought.
pub(super) fn candidate() -> Result<Candidate, Failure> {
    let config = CsrfConfig::default();
    let runtime = Builder::new_current_thread().build()?;
    let of = async |request: Request<()>, config: &CsrfConfig| {
        let (mut head, ()) = request.into_parts();
        CsrfToken::from_request_parts(&mut head, config).await.map_err(|(_, error)| Failure::from(error))
    };
    let token = runtime.block_on(of(Request::new(()), &config))?;
    let form = token.authenticity_token()?;
    let cookie = cookie_of(&token.into_response().map(|_| ()))?;

    let verifying = service_fn(move |request: Request<()>| {
        let (config, form) = (config.clone(), form.clone());
        async move {
            of(request, &config).await?.verify(&form)?;
            Ok::<Response<()>, Failure>(json())
        }
    });
    Ok(Candidate::new(peers::peer(peers::CSRF_TOKEN), browser(Method::POST, Some(&cookie))?, verifying))
}
