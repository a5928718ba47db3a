//! [`Sentinel`]: who the master is, and hearing when that changes.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{RedisError, RedisResult, ServerError, Value};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::check::refused;
use crate::command::words;
use crate::connector::Connector;
use crate::link::{Dropped, Line, Link};
use crate::reply::{beside, text};
use crate::server::{Place, Server, misled};
use crate::verdict::Failure;
use crate::wire::Unanswered;

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
    /// The newest opinion, and when it was last heard.
    newest: Mutex<Option<(Opinion, Instant)>>,
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

/// The channel on which another master is announced.
const SWITCH: &str = "+switch-master";

/// A failover that was not heard of is noticed after so long.
const POLL: Duration = Duration::from_secs(1);
/// For so long those who do not know of a failover yet are not believed.
const LATELY: Duration = Duration::from_secs(10);

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
            newest: Mutex::new(None),
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
        let role = line.send(&words("ROLE", &[]), Instant::now() + self.patience).await;
        if is_replica(&role.map_err(Failure::unanswered)?) {
            return Err(Failure::of_connect(misled("the server that the Sentinels name is a replica")));
        }
        Ok(line)
    }

    /// A connection to the master on which channels are heard.
    pub(crate) async fn listen(&self) -> RedisResult<PubSub> {
        let master = self.master().await.map_err(|_| misled("no Sentinel names a master"))?;
        self.model.at(master).dial_pubsub().await
    }

    /// Who the master is, by as many as make a majority.
    async fn master(&self) -> Result<Place, Failure> {
        self.master_by(self.sentinels.len() / 2 + 1).await
    }

    /// Who the master is: what those say who have seen most failovers, of so many; of as many as answer, if those are
    /// fewer. Others who have said so lately count, too.
    async fn master_by(&self, enough: usize) -> Result<Place, Failure> {
        let mut asked: FuturesUnordered<_> = self.sentinels.iter().map(|(_, link)| self.ask(link)).collect();
        let (mut opinions, mut failure) = (Vec::new(), Failure::unavailable());
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(opinion) => opinions.push(opinion),
                Err(why) => failure = why,
            }
            if opinions.len() >= enough {
                break;
            }
        }
        let heard = opinions.into_iter().max_by_key(|opinion| opinion.epoch).ok_or(failure)?;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.take().map(|(opinion, at)| (opinion, at, at.elapsed()));
        let (opinion, at) = match known {
            Some((known, at, age)) if outlasts(&known, age, &heard) => (known, at),
            _ => (heard, Instant::now()),
        };
        *newest = Some((opinion.clone(), at));
        Ok(opinion.master)
    }

    async fn ask(&self, link: &Arc<Link>) -> Result<Opinion, Failure> {
        let line = link.up(Instant::now() + self.patience).await?;
        let question = words("SENTINEL", &["MASTER", &self.name]);
        match line.send(&question, Instant::now() + self.patience).await {
            Ok(Value::ServerError(error)) => Err(Failure::of_connect(error.into())),
            Ok(reply) => opinion(&reply).ok_or_else(Failure::unavailable),
            Err(Unanswered::Broken(error)) => {
                let failure = Failure::broken(error);
                link.give_up(&line, Dropped::Broken(&failure.cause()));
                Err(failure)
            }
            Err(Unanswered::Timeout) => {
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

    /// The permission that is missing at any of them to hear what it announces.
    pub(crate) async fn unheard(&self) -> Option<String> {
        for (server, _) in &self.sentinels {
            let listening = async {
                let mut announcements = server.dial_pubsub().await?;
                announcements.subscribe(SWITCH).await
            };
            // One that is away is not the matter here.
            let Ok(Err(error)) = timeout(self.patience, listening).await else { continue };
            let refusal = ServerError::try_from(error).ok();
            if let Some(missing) = refusal.and_then(|error| refused(&error, "subscribe")) {
                return Some(if missing == "&channels" { format!("&{SWITCH}") } else { missing });
            }
        }
        None
    }

    /// What one of them announces; another one each time.
    async fn announcements(&self) -> Option<Announcements> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let (server, _) = self.sentinels.get(turn.checked_rem(self.sentinels.len())?)?;
        let connecting = async {
            let mut announcements = server.dial_pubsub().await?;
            announcements.subscribe(SWITCH).await?;
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
            let announced = heard_or_time(&mut announcements).await;
            let Some(link) = self.link.upgrade() else { return };
            let asking = async {
                // Whoever has announced it may be the only one who knows yet.
                if announced {
                    self.sentinel.master_by(usize::MAX).await
                } else {
                    self.sentinel.master().await
                }
            };
            if let Ok(master) = asking.await {
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

/// Until something is announced, or it is time to ask; whether it was announced. Announcements that have come to an end
/// are taken away.
async fn heard_or_time(announcements: &mut Option<Announcements>) -> bool {
    let mut time = pin!(sleep(POLL));
    poll_fn(|cx| {
        if let Some((_, stream)) = announcements {
            match Pin::new(stream).poll_next(cx) {
                Poll::Ready(Some(_)) => return Poll::Ready(true),
                Poll::Ready(None) => *announcements = None,
                Poll::Pending => {}
            }
        }
        time.as_mut().poll(cx).map(|()| false)
    })
    .await
}

/// Whether an opinion of this age counts more than one that is heard now. Sentinels tell each other within some seconds;
/// those that then still have seen fewer failovers have been set up anew.
fn outlasts(known: &Opinion, age: Duration, heard: &Opinion) -> bool {
    known.epoch > heard.epoch && age < LATELY
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
    fn who_has_seen_fewer_failovers_is_believed_only_when_nobody_has_said_otherwise_for_a_while() {
        let opinion = |epoch| Opinion { master: Place::tcp("10.0.0.5", 6379), epoch };
        // known, age in seconds, heard
        let cases = [(7, 1, 6, true), (7, 11, 6, false), (7, 1, 7, false), (7, 1, 8, false)];
        for (known, age, heard, lasts) in cases {
            let age = Duration::from_secs(age);
            assert_eq!(outlasts(&opinion(known), age, &opinion(heard)), lasts, "{known} {age:?} {heard}");
        }
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
