//! [`Wire`]: many callers' requests on one connection, answered in their order.
//!
//! * A request costs one copy of its bytes and one place in a list: no channel, no task, no timer of its own.
//! * Whoever finds the server idle, or completes a batch, writes; the rest is written by the driver, the task that also reads.
//! * A caller that leaves disturbs nobody: its reply is dropped when it comes.

mod login;
mod queue;
mod reply;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use redis::{RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) use self::login::log_in;
use self::queue::{Queue, Replies};
use self::reply::Reader;
use crate::server::Stream;

/// Many callers' requests on one connection.
pub(crate) struct Wire {
    shared: Arc<Shared>,
    /// It ends with the wire: on a network that swallows everything it would wait for ever for the answers that are due.
    driver: JoinHandle<()>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Unanswered {
    /// None in time. It may still be done.
    Timeout,
    /// The connection has ended.
    Broken(RedisError),
}

struct Shared {
    queue: Mutex<Queue>,
    writer: Mutex<Writer>,
}

struct Writer {
    io: WriteHalf<Stream>,
    /// What is being sent, and how much of it has been.
    sending: Vec<u8>,
    sent: usize,
    /// Something that was written may still be held back by the encryption.
    unflushed: bool,
}

/// The task that reads, and writes what nobody else does.
struct Driver {
    shared: Arc<Shared>,
    reader: ReadHalf<Stream>,
    arrived: Buffer,
    replies: Reader,
    alarm: Pin<Box<Sleep>>,
    woken: Vec<Waker>,
}

/// An answer that is waited for.
struct Answer<'a> {
    shared: &'a Shared,
    seat: usize,
    settled: bool,
}

/// A buffer that was larger than this is not kept.
const KEPT: usize = 64 * 1024;

impl Wire {
    /// Takes over a connection on which nothing has been sent. Needs a tokio runtime.
    pub(crate) fn new(stream: Stream) -> Self {
        let (reader, io) = tokio::io::split(stream);
        let writer = Writer { io, sending: Vec::new(), sent: 0, unflushed: false };
        let shared = Arc::new(Shared { queue: Mutex::new(Queue::new()), writer: Mutex::new(writer) });
        let driver = Driver {
            shared: Arc::clone(&shared),
            reader,
            arrived: Buffer::new(),
            replies: Reader::default(),
            alarm: Box::pin(sleep_until(Instant::now())),
            woken: Vec::new(),
        };
        Self { shared, driver: tokio::spawn(driver) }
    }

    /// Sends a command, and waits for its reply until `deadline`.
    pub(crate) async fn send(&self, packed: &[u8], deadline: Instant) -> Result<Value, Unanswered> {
        match self.request(packed, 1, deadline)?.await? {
            Replies::One(Some(reply)) => Ok(reply),
            Replies::One(None) | Replies::Several(_) => Err(Unanswered::Timeout),
        }
    }

    /// Sends so many commands, one after the other, and waits for their replies until `deadline`.
    pub(crate) async fn send_all(
        &self,
        packed: &[u8],
        commands: usize,
        deadline: Instant,
    ) -> Result<Vec<Value>, Unanswered> {
        match self.request(packed, commands, deadline)?.await? {
            Replies::One(reply) => Ok(reply.into_iter().collect()),
            Replies::Several(replies) => Ok(replies),
        }
    }

    fn request(&self, packed: &[u8], commands: usize, deadline: Instant) -> Result<Answer<'_>, Unanswered> {
        let taken = self.shared.queue().take_in(packed, commands, deadline).map_err(Unanswered::Broken)?;
        let answer = Answer { shared: &self.shared, seat: taken.seat, settled: false };
        // What cannot be written now is written by the driver, who also finds out why.
        let is_left = taken.write_as.is_some_and(|driver| self.shared.write_for(&driver).is_err());
        if let Some(driver) = taken.wake {
            driver.wake();
        } else if is_left {
            self.shared.queue().wake_driver();
        }
        Ok(answer)
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what there is on behalf of the driver, who goes on when the connection takes no more. An error if that is
    /// left to it.
    fn write_for(&self, driver: &Waker) -> Result<(), ()> {
        let Ok(mut writer) = self.writer.try_lock() else { return Err(()) };
        writer.write(self, &mut Context::from_waker(driver)).map_err(drop)
    }

    fn write(&self, cx: &mut Context<'_>) -> io::Result<()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).write(self, cx)
    }
}

impl Writer {
    /// Until there is nothing more, or the connection takes no more: then it will tell.
    fn write(&mut self, shared: &Shared, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let Some(rest) = self.sending.get(self.sent..).filter(|rest| !rest.is_empty()) else {
                self.sent = 0;
                self.sending.clear();
                self.sending.shrink_to(KEPT);
                shared.queue().give_out(&mut self.sending);
                if !self.sending.is_empty() {
                    continue;
                }
                return self.flush(cx);
            };
            match Pin::new(&mut self.io).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => (self.sent, self.unflushed) = (self.sent + written, true),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.io).poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(())
    }
}

impl Driver {
    /// Reads and writes what can be now; ready when the connection has ended.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<RedisError> {
        loop {
            if let Err(error) = self.shared.write(cx) {
                return Poll::Ready(error.into());
            }
            match self.arrived.fill(&mut self.reader, cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Poll::Ready(closed()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
            }
            let read = self.hand_out();
            self.wake();
            if let Err(error) = read {
                return Poll::Ready(error);
            }
        }
        self.ring(cx);
        Poll::Pending
    }

    /// Gives replies that have arrived to those who wait for them.
    fn hand_out(&mut self) -> Result<(), RedisError> {
        let mut queue = self.shared.queue();
        loop {
            let (read, reply) = self.replies.read(self.arrived.bytes()).map_err(|_| no_reply())?;
            self.arrived.take(read);
            let Some(reply) = reply else { return Ok(()) };
            if !queue.answered(reply, &mut self.woken) {
                return Err(no_reply());
            }
        }
    }

    /// Looks for those whose time is up, when the alarm goes off.
    fn ring(&mut self, cx: &mut Context<'_>) {
        loop {
            let Some(at) = self.shared.queue().alarm() else { return };
            if self.alarm.deadline() != at {
                self.alarm.as_mut().reset(at);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return;
            }
            self.shared.queue().expire(Instant::now(), &mut self.woken);
            self.wake();
        }
    }

    /// With no lock held.
    fn wake(&mut self) {
        self.woken.drain(..).for_each(Waker::wake);
    }

    fn close(&mut self, why: &RedisError) {
        self.shared.queue().close(why, &mut self.woken);
        self.wake();
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.queue().attend(cx.waker());
        let why = ready!(self.turn(cx));
        self.close(&why);
        Poll::Ready(())
    }
}

impl Drop for Driver {
    /// Also when it ends with its runtime.
    fn drop(&mut self) {
        self.close(&closed());
    }
}

impl Future for Answer<'_> {
    type Output = Result<Replies, Unanswered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.shared.queue().outcome(self.seat, cx.waker()));
        self.settled = true;
        Poll::Ready(outcome)
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.queue().leave(self.seat);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What has arrived and is not read yet.
struct Buffer {
    room: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    const ROOM: usize = 16 * 1024;

    fn new() -> Self {
        Self { room: vec![0; Self::ROOM], start: 0, end: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.room.get(self.start..self.end).unwrap_or_default()
    }

    fn take(&mut self, len: usize) {
        self.start += len;
        if self.start >= self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// How many bytes have arrived; 0 if no more will.
    fn fill(&mut self, reader: &mut ReadHalf<Stream>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let Some(room) = self.room.get_mut(self.end..) else { return Poll::Ready(Ok(0)) };
        let mut room = ReadBuf::new(room);
        ready!(Pin::new(reader).poll_read(cx, &mut room))?;
        let len = room.filled().len();
        self.end += len;
        Poll::Ready(Ok(len))
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.room.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == 0 && self.room.len() > KEPT {
            *self = Self::new();
        } else if self.room.len() - self.end < Self::ROOM / 4 {
            self.room.resize(self.room.len() * 2, 0);
        }
    }
}

fn closed() -> RedisError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

fn no_reply() -> RedisError {
    (redis::ErrorKind::Parse, "the server sent something that is no reply").into()
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}
