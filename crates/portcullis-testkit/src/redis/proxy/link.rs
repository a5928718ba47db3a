//! [`Link`]: one connection through the proxy, and what the switches do to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Address, Newcomers, NextReply, Switches};

/// How many pieces of replies may be under way on a slow connection.
const UNDER_WAY: usize = 1024;

/// One connection, as far as both of its directions share it.
#[derive(Debug)]
struct Link {
    number: u64,
    switches: watch::Sender<Switches>,
    round_trips: Arc<AtomicU64>,
    /// Whether the server has said something since the client last did.
    answered: AtomicBool,
}

/// A piece of a reply and when it arrives, if not at once.
type Piece = (Option<Instant>, Vec<u8>);

pub(super) async fn accept(
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
        Address::Tcp(at) | Address::Tls { at, .. } => {
            let Ok(server) = TcpStream::connect(at).await else { return };
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
        let (under_way, arriving) = mpsc::channel(UNDER_WAY);
        let replies = async {
            self.replies(from_server, under_way).await;
            // What is under way still arrives, and then the connection ends.
            std::future::pending().await
        };
        tokio::select! {
            () = self.requests(from_client, to_server) => {}
            () = replies => {}
            () = self.deliveries(arriving, to_client) => {}
            _ = watch.wait_for(|switches| self.number < switches.closed_below) => {}
        }
    }

    async fn requests(&self, mut client: impl AsyncRead + Unpin, mut server: impl AsyncWrite + Unpin) {
        let mut buffer = vec![0; 16 * 1024];
        while let Some(chunk) = chunk(&mut client, &mut buffer).await {
            self.until_released().await;
            if self.is_dead() {
                continue;
            }
            if self.answered.swap(false, Ordering::Relaxed) {
                self.round_trips.fetch_add(1, Ordering::Relaxed);
            }
            if !self.pass(chunk, &mut server, Self::is_dead).await {
                return;
            }
        }
    }

    async fn replies(&self, mut server: impl AsyncRead + Unpin, under_way: mpsc::Sender<Piece>) {
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
                    let arrival = (!delay.is_zero()).then(|| Instant::now() + delay);
                    if under_way.send((arrival, chunk.to_vec())).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn deliveries(&self, mut arriving: mpsc::Receiver<Piece>, mut client: impl AsyncWrite + Unpin) {
        while let Some((arrival, chunk)) = arriving.recv().await {
            if let Some(arrival) = arrival {
                tokio::time::sleep_until(arrival).await;
            }
            if !self.pass(&chunk, &mut client, Self::is_mute).await {
                return;
            }
        }
    }

    /// Writes at the network's pace. A switch thrown meanwhile counts. False when the other side is gone.
    async fn pass(
        &self,
        mut bytes: &[u8],
        to: &mut (impl AsyncWrite + Unpin),
        are_lost: fn(&Self) -> bool,
    ) -> bool {
        while !bytes.is_empty() {
            self.until_released().await;
            if are_lost(self) {
                return true;
            }
            let (now, later, time) = self.portion(bytes);
            if to.write_all(now).await.is_err() {
                return false;
            }
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
            bytes = later;
        }
        true
    }

    /// What goes through at once, the rest, and how long the first part takes: a hundredth of a second for an even flow.
    fn portion<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], &'a [u8], Duration) {
        let Some(rate) = self.switches.borrow().bytes_per_second else { return (bytes, &[], Duration::ZERO) };
        let len = usize::try_from((rate.get() / 100).max(1)).unwrap_or(usize::MAX);
        let (now, later) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
        let nanoseconds = now.len() as u64 * 1_000_000_000 / rate;
        (now, later, Duration::from_nanos(nanoseconds))
    }

    async fn until_released(&self) {
        if self.switches.borrow().is_held {
            // Fails when nobody can throw a switch any more, which this link's own sender rules out.
            let _ = self.switches.subscribe().wait_for(|switches| !switches.is_held).await;
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

    fn is_dead(&self) -> bool {
        self.number < self.switches.borrow().dead_below
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
