//! [`Proxy`]: a network that breaks on command, between a client and a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Address, RedisServer};

/// A loopback proxy with switches. It ends on drop.
///
/// A connection that was harmed stays harmed, as in a real network: one whose packets were dropped never delivers
/// again, and one that lost a reply delivers no later reply, which the client would take for the lost one's.
/// New connections go by the switches as they stand.
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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let switches = watch::Sender::new(Switches::default());
        let mut tasks = JoinSet::new();
        let round_trips = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&round_trips);
        tasks.spawn(accept(listener, server.address.clone(), switches.clone(), counted));
        let url = server.address.seen_at(address).url(None, server.options.password.as_deref());
        Self { address, url, switches, round_trips, _tasks: tasks }
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

    /// New connections work, without delay. The initial state. Harmed connections stay as they are.
    pub fn forward(&self) {
        self.switches.send_modify(|switches| {
            switches.newcomers = Newcomers::Forward;
            switches.next_reply = NextReply::Deliver;
            switches.delay = Duration::ZERO;
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

    /// Every reply is held back for this long. Zero ends it.
    pub fn delay(&self, time: Duration) {
        self.switches.send_modify(|switches| switches.delay = time);
    }

    /// Closes all open connections; new ones are accepted.
    pub fn close_all(&self) {
        self.switches.send_modify(|switches| switches.closed_below = switches.accepted);
    }
}

/// One connection, as far as both of its directions share it.
#[derive(Debug)]
struct Link {
    number: u64,
    switches: watch::Sender<Switches>,
    round_trips: Arc<AtomicU64>,
    /// Whether the server has said something since the client last did.
    answered: AtomicBool,
}

async fn accept(
    listener: TcpListener,
    upstream: Address,
    switches: watch::Sender<Switches>,
    round_trips: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let link = Link::new(&switches, Arc::clone(&round_trips));
        connections.spawn(connection(client, upstream.clone(), link));
        // Collect those that have ended, so that the set does not grow.
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(client: TcpStream, upstream: Address, link: Link) {
    let _ = client.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    match upstream {
        Address::Unix(path) => {
            let Ok(server) = UnixStream::connect(path).await else { return };
            let (from_server, to_server) = server.into_split();
            link.run(from_client, to_server, from_server, to_client).await;
        }
        Address::Tcp(address) | Address::Tls { at: address, .. } => {
            let Ok(server) = TcpStream::connect(address).await else { return };
            let _ = server.set_nodelay(true);
            let (from_server, to_server) = server.into_split();
            link.run(from_client, to_server, from_server, to_client).await;
        }
    }
}

impl Link {
    fn new(switches: &watch::Sender<Switches>, round_trips: Arc<AtomicU64>) -> Self {
        let mut number = 0;
        switches.send_modify(|switches| {
            number = switches.accepted;
            switches.accepted += 1;
            match switches.newcomers {
                Newcomers::Forward => {}
                // Every earlier connection is dead or mute already.
                Newcomers::Dead => switches.dead_below = switches.accepted,
                Newcomers::Mute => switches.mute_below = switches.accepted,
            }
        });
        Self { number, switches: switches.clone(), round_trips, answered: AtomicBool::new(true) }
    }

    /// Both directions, until either side closes or the proxy does.
    async fn run(
        &self,
        from_client: impl AsyncRead + Unpin,
        to_server: impl AsyncWrite + Unpin,
        from_server: impl AsyncRead + Unpin,
        to_client: impl AsyncWrite + Unpin,
    ) {
        let mut watch = self.switches.subscribe();
        tokio::select! {
            () = self.requests(from_client, to_server) => {}
            () = self.replies(from_server, to_client) => {}
            _ = watch.wait_for(|switches| self.number < switches.closed_below) => {}
        }
    }

    async fn requests(&self, mut client: impl AsyncRead + Unpin, mut server: impl AsyncWrite + Unpin) {
        let mut buffer = vec![0; 16 * 1024];
        while let Some(chunk) = chunk(&mut client, &mut buffer).await {
            if self.number < self.switches.borrow().dead_below {
                continue;
            }
            if self.answered.swap(false, Ordering::Relaxed) {
                self.round_trips.fetch_add(1, Ordering::Relaxed);
            }
            if server.write_all(chunk).await.is_err() {
                return;
            }
        }
    }

    async fn replies(&self, mut server: impl AsyncRead + Unpin, mut client: impl AsyncWrite + Unpin) {
        let mut buffer = vec![0; 16 * 1024];
        let mut mute = false;
        while let Some(chunk) = chunk(&mut server, &mut buffer).await {
            self.answered.store(true, Ordering::Relaxed);
            match self.fate_of_reply() {
                NextReply::Cut => return,
                NextReply::Swallow => mute = true,
                NextReply::Deliver if mute => {}
                NextReply::Deliver => {
                    let delay = self.switches.borrow().delay;
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    // A switch thrown during the delay counts.
                    if !self.is_mute() && client.write_all(chunk).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Takes the order for the next reply, if there is one; of two connections only one gets it.
    fn fate_of_reply(&self) -> NextReply {
        if self.is_mute() {
            return NextReply::Swallow;
        }
        let mut order = NextReply::Deliver;
        self.switches.send_if_modified(|switches| {
            order = std::mem::take(&mut switches.next_reply);
            order != NextReply::Deliver
        });
        order
    }

    fn is_mute(&self) -> bool {
        let switches = self.switches.borrow();
        self.number < switches.dead_below.max(switches.mute_below)
    }
}

async fn chunk<'a>(from: &mut (impl AsyncRead + Unpin), buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let len = from.read(buffer).await.ok().filter(|&len| len > 0)?;
    buffer.get(..len)
}
