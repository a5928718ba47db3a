//! [`Sentinel`]: who the master is, and hearing when that changes.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::connector::Connector;
use crate::line::Line;
use crate::link::{Dropped, Link};
use crate::reply::{beside, text};
use crate::server::{Place, Server, misled};
use crate::verdict::Failure;

/// Who the master is, by what the Sentinels say.
pub(crate) struct Sentinel {
    sentinels: Vec<(Server, Arc<Link>)>,
    /// The master's name.
    name: String,
    /// Login and encryption of the servers that they watch.
    model: Server,
    /// How long one of them may take to answer.
    patience: Duration,
    /// A task follows what they announce.
    following: AtomicBool,
    /// The one that is listened to next.
    next: AtomicUsize,
}

/// What a Sentinel says of the master.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Opinion {
    master: Place,
    /// Grows with each failover.
    epoch: u64,
}

/// The connection lives as long as its sink does.
type Announcements = (PubSubSink, PubSubStream);

/// A failover that was not heard of is noticed after so long.
const POLL: Duration = Duration::from_secs(1);

impl Sentinel {
    pub(crate) fn new(
        sentinels: Vec<Server>,
        name: String,
        model: Server,
        attempt_timeout: Duration,
    ) -> Arc<Self> {
        // Of an attempt to connect to the master one half is for asking who it is.
        let patience = attempt_timeout / 2;
        let link = |server: &Server| Arc::new(Link::new(Connector::Server(server.clone()), patience));
        let sentinels = sentinels.into_iter().map(|server| (server.clone(), link(&server))).collect();
        Arc::new(Self {
            sentinels,
            name,
            model,
            patience,
            following: AtomicBool::new(false),
            next: AtomicUsize::new(0),
        })
    }

    /// The master's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The Sentinels, and what the servers that they watch have in common.
    #[cfg(test)]
    pub(crate) fn servers(&self) -> (Vec<&Server>, &Server) {
        (self.sentinels.iter().map(|(server, _)| server).collect(), &self.model)
    }

    /// A connection to the master.
    pub(crate) async fn connect(&self) -> Result<Line, Failure> {
        let master = self.model.at(self.master().await?);
        let line = Line::open(&master).await.map_err(Failure::of_connect)?;
        if is_replica(&line.send(&Cmd::new().arg("ROLE").to_owned()).await.map_err(Failure::broken)?) {
            return Err(Failure::of_connect(misled("the server that the Sentinels name is a replica")));
        }
        Ok(line)
    }

    /// A connection to the master on which channels are heard.
    pub(crate) async fn listen(&self) -> RedisResult<PubSub> {
        let master = self.master().await.map_err(|_| misled("no Sentinel names a master"))?;
        self.model.at(master).dial_pubsub().await
    }

    /// Who the master is: what those say who have seen most failovers, of as many as make a majority; of as many as
    /// answer, if those are fewer.
    async fn master(&self) -> Result<Place, Failure> {
        let majority = self.sentinels.len() / 2 + 1;
        let mut asked: FuturesUnordered<_> = self.sentinels.iter().map(|(_, link)| self.ask(link)).collect();
        let (mut opinions, mut failure) = (Vec::new(), Failure::unavailable());
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(opinion) => opinions.push(opinion),
                Err(why) => failure = why,
            }
            if opinions.len() >= majority {
                break;
            }
        }
        let newest = opinions.into_iter().max_by_key(|opinion| opinion.epoch);
        newest.map(|opinion| opinion.master).ok_or(failure)
    }

    async fn ask(&self, link: &Arc<Link>) -> Result<Opinion, Failure> {
        let line = link.up(Instant::now() + self.patience).await?;
        let question = Cmd::new().arg("SENTINEL").arg("MASTER").arg(&self.name).to_owned();
        match timeout(self.patience, line.send(&question)).await {
            Ok(Ok(Value::ServerError(error))) => Err(Failure::of_connect(error.into())),
            Ok(Ok(reply)) => opinion(&reply).ok_or_else(Failure::unavailable),
            Ok(Err(error)) => {
                let failure = Failure::broken(error);
                link.give_up(&line, Dropped::Broken(&failure.cause()));
                Err(failure)
            }
            Err(_) => {
                link.give_up(&line, Dropped::NoAnswers);
                Err(Failure::timeout())
            }
        }
    }

    /// From now on `link` gives up its connection when another server is the master.
    pub(crate) fn follow(self: &Arc<Self>, link: &Arc<Link>) {
        if !self.following.swap(true, Ordering::Relaxed) {
            let follower = Follower { sentinel: Arc::clone(self), link: Arc::downgrade(link) };
            tokio::spawn(follower.run());
        }
    }

    /// What one of them announces; another one each time.
    async fn announcements(&self) -> Option<Announcements> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let (server, _) = self.sentinels.get(turn.checked_rem(self.sentinels.len())?)?;
        let connecting = async {
            let mut announcements = server.dial_pubsub().await?;
            announcements.subscribe("+switch-master").await?;
            Ok::<_, RedisError>(announcements.split())
        };
        timeout(self.patience, connecting).await.ok()?.ok()
    }
}

/// Watches over a link for as long as that is there. However it ends, also with its runtime, the next connection starts
/// another.
struct Follower {
    sentinel: Arc<Sentinel>,
    link: Weak<Link>,
}

impl Follower {
    async fn run(self) {
        let mut announcements = None;
        loop {
            if announcements.is_none() {
                announcements = self.sentinel.announcements().await;
            }
            heard_or_time(&mut announcements).await;
            let Some(link) = self.link.upgrade() else { return };
            if let Ok(master) = self.sentinel.master().await {
                link.leave_unless_at(&master);
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        debug!(target: "portcullis_redis", "no longer follows the Sentinels");
        self.sentinel.following.store(false, Ordering::Relaxed);
    }
}

/// Until something is announced, or it is time to ask. Announcements that have come to an end are taken away.
async fn heard_or_time(announcements: &mut Option<Announcements>) {
    let mut time = pin!(sleep(POLL));
    poll_fn(|cx| {
        if let Some((_, stream)) = announcements {
            match Pin::new(stream).poll_next(cx) {
                Poll::Ready(Some(_)) => return Poll::Ready(()),
                Poll::Ready(None) => *announcements = None,
                Poll::Pending => {}
            }
        }
        time.as_mut().poll(cx)
    })
    .await;
}

/// What `SENTINEL MASTER` answers.
fn opinion(reply: &Value) -> Option<Opinion> {
    let field = |name| beside(reply, name).and_then(text);
    let master = Place::tcp(field("ip")?, field("port")?.parse().ok()?);
    Some(Opinion { master, epoch: field("config-epoch")?.parse().ok()? })
}

/// By what ROLE answers. A user without the permission to ask finds out from the first write.
fn is_replica(role: &Value) -> bool {
    let Value::Array(parts) = role else { return false };
    parts.first().and_then(text).is_some_and(|role| role != "master")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Value {
        redis::parse_redis_value(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_opinion_is_an_address_and_an_epoch() {
        let fields = ["name", "m", "ip", "10.0.0.5", "port", "6379", "config-epoch", "7"];
        let text = fields.iter().fold(format!("*{}\r\n", fields.len()), |text, field| {
            format!("{text}${}\r\n{field}\r\n", field.len())
        });
        let expected = Opinion { master: Place::tcp("10.0.0.5", 6379), epoch: 7 };
        assert_eq!(opinion(&reply(&text)), Some(expected));
        assert_eq!(opinion(&reply("*0\r\n")), None);
        assert_eq!(opinion(&reply("-ERR No such master with that name\r\n")), None);
    }

    #[test]
    fn a_replica_says_that_it_is_one() {
        assert!(is_replica(&reply(
            "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:1\r\n"
        )));
        assert!(!is_replica(&reply("*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n")));
        assert!(!is_replica(&reply("-NOPERM User app has no permissions to run the 'role' command\r\n")));
    }
}
