//! What closes a WebSocket, of whatever library, when its session ends.

use super::{SessionEnd, SessionWatch};
use crate::ending;

impl SessionEnd {
    /// The code that a WebSocket is closed with: 401 in the range that applications define (RFC 6455, section 7.4.2).
    pub const CLOSE_CODE: u16 = ending::CLOSE_CODE;

    /// `session revoked` or `session expired`: the reason beside [`CLOSE_CODE`](Self::CLOSE_CODE), the message beside
    /// gRPC's status 16.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Revoked => "session revoked",
            Self::Expired => "session expired",
        }
    }
}

impl SessionWatch {
    /// Serves a WebSocket until the session ends. Then `serve` is dropped where it stands, and `close` says goodbye: it
    /// sends a close frame with [`SessionEnd::CLOSE_CODE`], within two seconds. When `serve` returns first, nothing more
    /// is done. The socket is dropped in the end.
    ///
    /// ```
    /// # struct CloseFrame { code: u16, reason: &'static str } enum Message { Close(Option<CloseFrame>) }
    /// # struct WebSocket; impl WebSocket {
    /// #     async fn recv(&mut self) -> Option<Result<Message, ()>> { None }
    /// #     async fn send(&mut self, _: Message) -> Result<(), ()> { Ok(()) }
    /// # }
    /// # struct Upgrade; impl Upgrade { fn on_upgrade<F: Future>(self, _: impl FnOnce(WebSocket) -> F) {} }
    /// use portcullis::Session;
    /// use portcullis::session::{SessionEnd, SessionError};
    ///
    /// async fn chat(upgrade: Upgrade, session: Session) -> Result<(), SessionError> {
    ///     let watch = session.watch()?;
    ///     Ok(upgrade.on_upgrade(|socket| watch.serve(socket, echo, close)))
    /// }
    ///
    /// async fn echo(socket: &mut WebSocket) {
    ///     while let Some(Ok(message)) = socket.recv().await {
    ///         let _ = socket.send(message).await;
    ///     }
    /// }
    ///
    /// async fn close(socket: &mut WebSocket, end: SessionEnd) {
    ///     let frame = CloseFrame { code: SessionEnd::CLOSE_CODE, reason: end.reason() };
    ///     let _ = socket.send(Message::Close(Some(frame))).await;
    /// }
    /// ```
    pub async fn serve<S>(
        self,
        socket: S,
        serve: impl AsyncFnOnce(&mut S),
        close: impl AsyncFnOnce(&mut S, SessionEnd),
    ) {
        ending::serve(self, socket, serve, close).await;
    }
}
