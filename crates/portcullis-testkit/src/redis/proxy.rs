//! [`Proxy`]: a network that breaks on command, between a client and a server.

mod link;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Address, RedisServer};

/// A loopback proxy with switches. It ends on drop.
///
/// A connection that was harmed stays harmed, as in a real network: one whose packets were dropped never delivers
/// again, and one that lost a reply delivers no later reply, which the client would take for the lost one's.
/// New connections go by the switches as they stand. A network that is only slow, or away for a while, harms none:
/// [`delay`](Self::delay), [`throttle`](Self::throttle), [`hold`](Self::hold).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use portcullis_testkit::redis::{Proxy, RedisServer};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let server = RedisServer::start();
/// let proxy = Proxy::start(&server).await;
/// let mut client = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
///
/// proxy.cut_next_reply();
/// client.write_all(b"INCR hits\r\n").await.unwrap();
/// assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0); // closed instead of answered,
/// assert_eq!(server.command(&["GET", "hits"]), "1"); // and done all the same
///
/// let mut client = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
/// proxy.hold();
/// client.write_all(b"INCR hits\r\n").await.unwrap();
/// assert_eq!(server.command(&["GET", "hits"]), "1");
/// proxy.forward(); // what was under way arrives
/// assert!(client.read(&mut [0; 16]).await.unwrap() > 0);
/// assert_eq!(server.command(&["GET", "hits"]), "2");
/// # });
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    url: String,
    switches: watch::Sender<Switches>,
    round_trips: Arc<AtomicU64>,
    /// Holds the task that accepts connections, which holds theirs; dropping it ends them all.
    _tasks: JoinSet<()>,
}

/// The state of the network. Connections are numbered in the order in which they were accepted.
#[derive(Clone, Copy, Debug, Default)]
struct Switches {
    accepted: u64,
    /// Connections numbered below this are to be closed.
    closed_below: u64,
    /// Connections numbered below this forward nothing.
    dead_below: u64,
    /// Connections numbered below this forward no replies.
    mute_below: u64,
    newcomers: Newcomers,
    next_reply: NextReply,
    delay: Duration,
    /// Without it as fast as it goes.
    bytes_per_second: Option<NonZeroU64>,
    is_held: bool,
}

/// What happens to a new connection.
#[derive(Clone, Copy, Debug, Default)]
enum Newcomers {
    #[default]
    Forward,
    Dead,
    Mute,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum NextReply {
    #[default]
    Deliver,
    Swallow,
    Cut,
}

impl Proxy {
    /// A proxy in front of `server`, on a free port of 127.0.0.1, that forwards everything.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or when no port is free.
    pub async fn start(server: &RedisServer) -> Self {
        let password = server.options.password.as_deref();
        Self::before(server.address.clone(), |address| server.address.seen_at(address).url(None, password))
            .await
    }

    /// A proxy in front of whatever listens at `address`, on a free port of 127.0.0.1, that forwards everything. Its
    /// [`url`](Self::url) says `redis://`, and no password.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn to(address: SocketAddr) -> Self {
        Self::before(Address::Tcp(address), |address| Address::Tcp(address).url(None, None)).await
    }

    async fn before(upstream: Address, url: impl FnOnce(SocketAddr) -> String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let switches = watch::Sender::new(Switches::default());
        let mut tasks = JoinSet::new();
        let round_trips = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&round_trips);
        tasks.spawn(link::accept(listener, upstream, switches.clone(), counted));
        Self { address, url: url(address), switches, round_trips, _tasks: tasks }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's address by way of the proxy, with the server's password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// How many connections have been accepted since the start.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.switches.borrow().accepted
    }

    /// How often a client has sent something after it had been answered, since the start. While one request is under way
    /// at a time, these are the round trips that it waits for: what is sent together counts once.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// New connections work, without delay. The initial state. Harmed connections stay as they are, and what was held is
    /// delivered.
    pub fn forward(&self) {
        self.switches.send_modify(|switches| {
            switches.newcomers = Newcomers::Forward;
            switches.next_reply = NextReply::Deliver;
            switches.delay = Duration::ZERO;
            switches.bytes_per_second = None;
            switches.is_held = false;
        });
    }

    /// All connections, open and new, stay open and forward nothing in either direction.
    pub fn black_hole(&self) {
        self.switches.send_modify(|switches| {
            switches.dead_below = switches.accepted;
            switches.newcomers = Newcomers::Dead;
        });
    }

    /// The connections that are open now stay open and forward nothing; new ones are not affected.
    pub fn black_hole_open(&self) {
        self.switches.send_modify(|switches| switches.dead_below = switches.accepted);
    }

    /// All connections, open and new, forward requests; the replies are lost.
    pub fn swallow_replies(&self) {
        self.switches.send_modify(|switches| {
            switches.mute_below = switches.accepted;
            switches.newcomers = Newcomers::Mute;
        });
    }

    /// The next reply on any connection is lost, and every later one on that connection.
    pub fn swallow_next_reply(&self) {
        self.switches.send_modify(|switches| switches.next_reply = NextReply::Swallow);
    }

    /// The next reply on any connection is lost, and that connection is closed.
    pub fn cut_next_reply(&self) {
        self.switches.send_modify(|switches| switches.next_reply = NextReply::Cut);
    }

    /// Every reply arrives this much later, however many are under way. Zero ends it.
    pub fn delay(&self, time: Duration) {
        self.switches.send_modify(|switches| switches.delay = time);
    }

    /// Every connection carries at most this many bytes per second in each direction. Zero ends it.
    pub fn throttle(&self, bytes_per_second: u64) {
        let rate = NonZeroU64::new(bytes_per_second);
        self.switches.send_modify(|switches| switches.bytes_per_second = rate);
    }

    /// All connections, open and new, forward nothing until [`forward`](Self::forward), which delivers what was sent
    /// meanwhile: a network that is away for so short that no connection ends. A request whose client has given up and
    /// hung up is delivered, too.
    pub fn hold(&self) {
        self.switches.send_modify(|switches| switches.is_held = true);
    }

    /// Closes all open connections; new ones are accepted.
    pub fn close_all(&self) {
        self.switches.send_modify(|switches| switches.closed_below = switches.accepted);
    }
}
