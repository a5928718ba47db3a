//! Extractors for pages and forms: [`CsrfToken`], and [`CsrfForm`], which cannot be read without being verified.

use axum_core::extract::rejection::BytesRejection;
use axum_core::extract::{FromRequest, FromRequestParts, Request};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::Refused;
use crate::Identity;
use crate::csrf::{CsrfToken, Forms};
use crate::realm::DefaultRealm;
use crate::rejection::Rejection;

const LAYER: &str = "CsrfLayer with tokens, outside the handler";

/// A form (`application/x-www-form-urlencoded`) that has proved by its token whose page it comes from, and who sends it.
/// A handler that forgot to verify would have neither.
///
/// * `CsrfForm<Transfer>`: somebody is signed in and has sent this form; else 401. `CsrfForm<Login, Option<Identity>>`, or
///   `CsrfForm<Login, Session>`: `W` is whatever else is wanted of the request's head, extractors that are taken *after* the
///   form is verified; several as a tuple.
/// * The token is the field `csrf_token`, or else the header `X-CSRF-Token`. Without one, or with one that is not this
///   browser's in its present state, the answer is 403, whatever the browser's headers say: a page that was loaded before
///   somebody signed in or out in another tab does nothing in their name. `T` never sees the field.
/// * A program that signs its requests by a bearer token needs none.
/// * `CsrfLayer` decides first, before there is a body, and refuses what browsers' headers do not prove, however good the
///   field is. Under [`OnFailure::DropIdentity`](crate::csrf::OnFailure::DropIdentity) such a request arrives as nobody's. A
///   token that is good gives it back who sends it, and the session's handle, which `W` then is.
/// * A body over axum's `DefaultBodyLimit` is answered 413, another content type 415, fields that do not make a `T` 422.
///
/// ```
/// use axum::response::Html;
/// use axum::routing::get;
/// use axum::Router;
/// use portcullis::axum::CsrfForm;
/// use portcullis::csrf::{CsrfKeys, CsrfToken};
/// use portcullis::session::{MemoryBackend, SessionLayer};
/// use portcullis::CsrfLayer;
/// use tower::ServiceBuilder;
///
/// #[derive(serde::Deserialize)]
/// struct Transfer {
///     to: String,
/// }
///
/// async fn page(token: CsrfToken) -> Html<String> {
///     Html(format!(r#"<form method="post">{}<input name="to"><button>Send</button></form>"#, token.field()))
/// }
///
/// async fn transfer(CsrfForm(me, form): CsrfForm<Transfer>) -> String {
///     format!("{} sends to {}", me.subject(), form.to)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layers = ServiceBuilder::new()
///     .layer(SessionLayer::new(MemoryBackend::new()))
///     .layer(CsrfLayer::new().tokens(CsrfKeys::new([7; 32]))?);
/// let app: Router = Router::new().route("/transfer", get(page).post(transfer)).layer(layers);
/// # let _ = app;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CsrfForm<T, W = Identity>(pub W, pub T);

/// Why a form did not reach its handler.
#[derive(Debug)]
#[non_exhaustive]
pub enum CsrfFormRejection<W> {
    /// The form is not verified, or a layer is missing.
    Refused(Refused),
    /// The body is too long, or could not be read.
    Body(BytesRejection),
    /// The body is no form of this kind: 415.
    ContentType,
    /// The fields do not make the type: 422. Holds what is wrong, which may quote the form.
    Fields(String),
    /// The form is verified, and what else is wanted of the request is not there.
    Head(W),
}

impl<S: Sync> FromRequestParts<S> for CsrfToken {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Refused> {
        Self::of(&head.extensions).ok_or_else(|| Refused::missing::<DefaultRealm>(LAYER, head))
    }
}

impl<S, T, W> FromRequest<S> for CsrfForm<T, W>
where
    S: Send + Sync,
    T: DeserializeOwned,
    W: FromRequestParts<S>,
{
    type Rejection = CsrfFormRejection<W::Rejection>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (mut head, body) = request.into_parts();
        let forms = Forms::of(&head.extensions);
        let forms = forms.ok_or_else(|| Self::refused(Refused::missing::<DefaultRealm>(LAYER, &head)))?;
        if !Forms::are_in(&head.headers) {
            return Err(CsrfFormRejection::ContentType);
        }
        let request = Request::from_parts(head.clone(), body);
        let form = Bytes::from_request(request, state).await.map_err(CsrfFormRejection::Body)?;
        let verified = forms.verify(&form, &head.headers, &mut head.extensions);
        verified.map_err(|reason| Self::refused(Refused::new(Rejection::Csrf(reason), &head)))?;
        let who = W::from_request_parts(&mut head, state).await.map_err(CsrfFormRejection::Head)?;
        let fields = serde_urlencoded::from_bytes(&Forms::without_token(&form));
        Ok(Self(who, fields.map_err(|error| CsrfFormRejection::Fields(error.to_string()))?))
    }
}

impl<T, W> CsrfForm<T, W> {
    fn refused<E>(refused: Refused) -> CsrfFormRejection<E> {
        CsrfFormRejection::Refused(refused)
    }
}

impl<W: IntoResponse> IntoResponse for CsrfFormRejection<W> {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refused) => refused.into_response(),
            Self::Body(rejection) => rejection.into_response(),
            Self::ContentType => {
                let expected = "the body has to be application/x-www-form-urlencoded";
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, expected).into_response()
            }
            Self::Fields(problem) => {
                let problem = format!("the form cannot be read: {problem}");
                (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response()
            }
            Self::Head(rejection) => rejection.into_response(),
        }
    }
}
