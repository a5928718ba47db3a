//! [`FormTokenLayer`]: finds the token in a form's body, for services that have no extractor.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::field;
use super::presented::FormToken as Found;
use crate::guard::Head;
use crate::rejection::Rejection;
use crate::respond::{DefaultResponder, RequestHead, Responder, refuse};

/// Reads the bodies of forms (`application/x-www-form-urlencoded`), up to a limit, so that a [`CsrfLayer`] further in
/// finds their token, whatever serves the form. In axum, its extractor `CsrfForm` does it better; where browsers' headers say
/// nothing of an origin, under [`OnFailure::DropIdentity`](super::OnFailure::DropIdentity).
///
/// * A form that is longer than the limit is refused with 413, by its `Content-Length` before anything of it is read; one
///   that cannot be read to its end, with 400. Bodies of other types go through as they are, unread.
/// * The service inside gets the same bytes again, as a [`FormBody`].
/// * Everybody's forms are read, before it is known who sends them: at most the limit of each is kept. How long a client
///   may take to send one is for the server to say.
///
/// [`CsrfLayer`]: crate::CsrfLayer
///
/// ```
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use portcullis::CsrfLayer;
/// use portcullis::csrf::{CsrfKeys, FormBody, FormTokenLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = ServiceBuilder::new()
///     .layer(FormTokenLayer::new(16 * 1024))
///     .layer(CsrfLayer::new().tokens(CsrfKeys::new([7; 32]))?)
///     .service(service_fn(|request: Request<FormBody<Full<bytes::Bytes>>>| async move {
///         let form = request.into_body().collect().await.unwrap_or_default().to_bytes();
///         Ok::<_, std::io::Error>(Response::new(format!("{} bytes", form.len())))
///     }));
///
/// let form = |length: usize| {
///     let request = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
///     request.body(Full::from("a".repeat(length)))
/// };
/// assert_eq!(service.clone().oneshot(form(16 * 1024)?).await?.body(), "16384 bytes");
/// assert_eq!(service.oneshot(form(16 * 1024 + 1)?).await?.status(), 413);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FormTokenLayer<R = DefaultResponder> {
    limit: usize,
    responder: R,
}

/// The service that a [`FormTokenLayer`] makes.
#[derive(Clone, Debug)]
pub struct FormToken<S, R = DefaultResponder> {
    inner: S,
    layer: FormTokenLayer<R>,
}

pin_project! {
    /// The body of a request that has passed a [`FormTokenLayer`]: the bytes of a form that was read, or else the body as
    /// it came.
    #[derive(Debug)]
    pub struct FormBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    #[derive(Debug)]
    enum Inner<B> {
        Read { form: Option<Bytes>, trailers: Option<HeaderMap> },
        Unread { #[pin] body: B },
    }
}

pin_project! {
    /// The future of a [`FormToken`].
    #[must_use = "futures do nothing unless polled"]
    pub struct FormTokenFuture<S, R, B>
    where
        S: Service<Request<FormBody<B>>>,
    {
        layer: FormTokenLayer<R>,
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        // A form is being read; `inner` is the service that was ready when the request came.
        Reading { inner: S, request: Option<Request<()>>, #[pin] body: B, form: BytesMut, trailers: Option<HeaderMap> },
        // The inner service has the request.
        Inside { #[pin] response: F },
        // The request is refused, until that is taken; or it is answered.
        Refused { refusal: Option<(Rejection, RequestHead)> },
    }
}

impl FormTokenLayer {
    /// Reads forms of at most `limit` bytes, and refuses by [`DefaultResponder`].
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, responder: DefaultResponder }
    }
}

impl<R> FormTokenLayer<R> {
    /// Who answers a refused request. Default: [`DefaultResponder`].
    #[must_use]
    pub fn responder<T>(self, responder: T) -> FormTokenLayer<T> {
        FormTokenLayer { limit: self.limit, responder }
    }

    /// Whether a body is known to be longer than may be, before any of it is read.
    fn is_too_long<B: Body>(&self, headers: &HeaderMap, body: &B) -> bool {
        let stated = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let least = stated.unwrap_or(0).max(body.size_hint().lower());
        usize::try_from(least).map_or(true, |least| least > self.limit)
    }
}

impl<S, R: Clone> Layer<S> for FormTokenLayer<R> {
    type Service = FormToken<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        FormToken { inner, layer: self.clone() }
    }
}

impl<S, R, B, ResB> Service<Request<B>> for FormToken<S, R>
where
    S: Service<Request<FormBody<B>>, Response = Response<ResB>> + Clone,
    R: Responder<ResB> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FormTokenFuture<S, R, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        let state = if !field::is_form(request.method(), request.headers()) {
            let request = request.map(|body| FormBody { inner: Inner::Unread { body } });
            State::Inside { response: self.inner.call(request) }
        } else if layer.is_too_long(request.headers(), request.body()) {
            State::Refused { refusal: Some((Rejection::TooLarge, RequestHead::of(Head::from(&request)))) }
        } else {
            // The service that said it was ready goes with the request; a clone stays for the next one.
            let clone = self.inner.clone();
            let inner = std::mem::replace(&mut self.inner, clone);
            let (parts, body) = request.into_parts();
            let request = Some(Request::from_parts(parts, ()));
            State::Reading { inner, request, body, form: BytesMut::new(), trailers: None }
        };
        FormTokenFuture { layer, state }
    }
}

impl<S, R, B, ResB> Future for FormTokenFuture<S, R, B>
where
    S: Service<Request<FormBody<B>>, Response = Response<ResB>>,
    R: Responder<ResB>,
    B: Body<Data = Bytes>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { inner, request, body, form, trailers } => {
                    let read = ready!(read(body, form, trailers, this.layer.limit, cx));
                    let Some(request) = request.take() else { return Poll::Pending };
                    match read {
                        Ok(()) => {
                            let request = with_form(request, form.split().freeze(), trailers.take());
                            State::Inside { response: inner.call(request) }
                        }
                        Err(rejection) => State::Refused {
                            refusal: Some((rejection, RequestHead::of(Head::from(&request)))),
                        },
                    }
                }
                StateProj::Inside { response } => {
                    let response = ready!(response.poll(cx));
                    this.state.set(State::Refused { refusal: None });
                    return Poll::Ready(response);
                }
                StateProj::Refused { refusal } => {
                    // Polled again after it was done, a future may do as it likes but panic.
                    let Some((rejection, head)) = refusal.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(refuse(&this.layer.responder, rejection, &head)));
                }
            };
            this.state.set(next);
        }
    }
}

/// Reads a body to its end, or as far as it may be long.
fn read<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    form: &mut BytesMut,
    trailers: &mut Option<HeaderMap>,
    limit: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Rejection>> {
    while let Some(frame) = ready!(body.as_mut().poll_frame(cx)) {
        let Ok(frame) = frame else {
            let description = "the request's body could not be read";
            return Poll::Ready(Err(Rejection::BadRequest { challenge: None, description }));
        };
        match frame.into_data() {
            Ok(data) if data.len() > limit.saturating_sub(form.len()) => {
                return Poll::Ready(Err(Rejection::TooLarge));
            }
            Ok(data) => form.extend_from_slice(&data),
            Err(frame) => *trailers = frame.into_trailers().ok(),
        }
    }
    Poll::Ready(Ok(()))
}

fn with_form<B>(request: Request<()>, form: Bytes, trailers: Option<HeaderMap>) -> Request<FormBody<B>> {
    let token = field::token(&form).map(|token| Bytes::copy_from_slice(token.as_bytes()));
    let mut request = request.map(|()| FormBody { inner: Inner::Read { form: Some(form), trailers } });
    if let Some(token) = token {
        request.extensions_mut().insert(Found(token));
    }
    request
}

impl<B: Body<Data = Bytes>> Body for FormBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().inner.project() {
            InnerProj::Read { form, trailers } => {
                let data = form.take().filter(|form| !form.is_empty()).map(Frame::data);
                Poll::Ready(data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
            InnerProj::Unread { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Read { form, trailers } => form.as_ref().is_none_or(Bytes::is_empty) && trailers.is_none(),
            Inner::Unread { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Read { form, .. } => SizeHint::with_exact(form.as_ref().map_or(0, Bytes::len) as u64),
            Inner::Unread { body } => body.size_hint(),
        }
    }
}

impl<S, R, B> fmt::Debug for FormTokenFuture<S, R, B>
where
    S: Service<Request<FormBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormTokenFuture").finish_non_exhaustive()
    }
}
