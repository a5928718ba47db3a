//! [`Load`]: tasks that use a [`Service`] as its users do, all at once, and go on whatever they are answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::app::{Answer, Cookie, NOBODY, Service};
use crate::ledger::{Ledger, Told};
use crate::tally::{Counts, Kind, Tally};

/// The tasks. They end when they are told to, or with this.
pub(crate) struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// Those who were signed in before, and the sessions that have ended before.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) people: Vec<Person>,
    ended: Mutex<Vec<Cookie>>,
    /// Who is signed in until Redis may lose what it acknowledges, and then durably ended.
    tenants: Mutex<Vec<(String, Cookie)>>,
}

/// Somebody who stays signed in.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) cookie: Cookie,
    pub(crate) ledger: Mutex<Ledger>,
    tally: Tally,
}

#[derive(Debug)]
struct Shared {
    service: Service,
    crowd: Crowd,
    guests: Tally,
    visitors: Tally,
    /// Sessions of guests whose end was not acknowledged.
    left_open: Mutex<Vec<Cookie>>,
    evicted: Mutex<Evicted>,
    stop: AtomicBool,
    on_sand: AtomicBool,
}

/// Whose end was acknowledged while Redis might lose it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evicted {
    /// How many ends a replica has confirmed. They count as ended.
    pub(crate) confirmed: usize,
    /// Those that none has. Whoever among them comes back has lost nothing that was promised.
    pub(crate) unconfirmed: Vec<Cookie>,
}

/// How a session ends.
#[derive(Clone, Copy, Debug)]
enum Way {
    Logout,
    RevokeAll,
    Administrator,
}

const WAYS: [Way; 3] = [Way::Logout, Way::RevokeAll, Way::Administrator];

/// Each task rests for so long between its requests, so that a small machine is not its own fault.
const PAUSE: Duration = Duration::from_millis(4);
/// Those who evict rest besides, so that there is somebody left while the master changes.
const BETWEEN_EVICTIONS: Duration = Duration::from_millis(20);
const EVICTING: usize = 4;
/// Without a refusal for so long it has recovered.
const QUIET: Duration = Duration::from_millis(500);
/// Nothing takes as long to recover.
const NEVER: Duration = Duration::from_secs(25);

impl Crowd {
    /// Four people who stay, and six sessions that have ended, two in each way.
    pub(crate) async fn gather(service: &Service) -> Self {
        let mut crowd = Self::default();
        for name in ["ada", "grace", "edsger", "barbara"] {
            crowd.people.push(Person::signed_in(service, name).await);
        }
        for way in WAYS.iter().cycle().take(2 * WAYS.len()) {
            let (_, cookie) = service.sign_in("guest").await;
            let cookie = cookie.expect("nothing is wrong yet");
            let answer = service.ask(way.cookie(&cookie), &way.path("guest")).await;
            assert_eq!(answer, Answer::Ok(String::new()), "{way:?}");
            crowd.ended.get_mut().unwrap().push(cookie);
        }
        crowd
    }

    /// On servers with replicas: people whose sessions are ended durably in front of a failover, and during it.
    pub(crate) async fn with_tenants(mut self, service: &Service) -> Self {
        for number in 0..150 {
            let name = format!("tenant{number}");
            let (answer, cookie) = service.sign_in(&name).await;
            let cookie = cookie.unwrap_or_else(|| panic!("{name} cannot sign in: {answer:?}"));
            self.tenants.get_mut().unwrap().push((name, cookie));
        }
        self
    }
}

impl Person {
    pub(crate) async fn signed_in(service: &Service, name: &str) -> Self {
        let (answer, cookie) = service.sign_in(name).await;
        let cookie = cookie.unwrap_or_else(|| panic!("{name} cannot sign in: {answer:?}"));
        Self { name: name.to_owned(), cookie, ledger: Mutex::default(), tally: Tally::default() }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
    }
}

impl Way {
    /// The administrator is not signed in here.
    fn cookie(self, cookie: &Cookie) -> Option<&Cookie> {
        (!matches!(self, Self::Administrator)).then_some(cookie)
    }

    fn path(self, user: &str) -> String {
        match self {
            Self::Logout => "/logout".to_owned(),
            Self::RevokeAll => "/revoke-all".to_owned(),
            Self::Administrator => format!("/revoke/{user}"),
        }
    }
}

impl Load {
    pub(crate) fn start(service: Service, crowd: Crowd) -> Self {
        let shared = Arc::new(Shared {
            service,
            crowd,
            guests: Tally::default(),
            visitors: Tally::default(),
            left_open: Mutex::default(),
            evicted: Mutex::default(),
            stop: AtomicBool::new(false),
            on_sand: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for person in 0..shared.crowd.people.len() {
            tasks.spawn(shared.clone().read(person));
            tasks.spawn(shared.clone().write(person));
        }
        // Of one session two tabs write, so that they get in each other's way.
        tasks.spawn(shared.clone().write(0));
        for guest in ["kurt", "alonzo"] {
            tasks.spawn(shared.clone().come_and_go(guest));
        }
        for _ in 0..EVICTING {
            tasks.spawn(shared.clone().evict());
        }
        tasks.spawn(shared.clone().haunt());
        tasks.spawn(shared.clone().visit());
        Self { shared, tasks }
    }

    pub(crate) fn people(&self) -> &[Person] {
        &self.shared.crowd.people
    }

    pub(crate) fn service(&self) -> &Service {
        &self.shared.service
    }

    /// What all requests have met so far.
    pub(crate) fn counts(&self) -> Counts {
        let people = self.people().iter().map(Person::counts);
        people.fold(self.shared.guests.counts(), Counts::and).and(self.shared.visitors.counts())
    }

    /// From now on Redis may lose what it acknowledges, as before a failover, until it is said to be over.
    pub(crate) fn on_sand(&self, is_so: bool) {
        self.shared.on_sand.store(is_so, Ordering::SeqCst);
    }

    /// The cookies of all sessions whose end was acknowledged.
    pub(crate) fn ended(&self) -> Vec<Cookie> {
        self.shared.crowd.ended.lock().unwrap().clone()
    }

    /// The cookies of all sessions that somebody may still use.
    pub(crate) fn living(&self) -> Vec<Cookie> {
        let people = self.people().iter().map(|person| person.cookie.clone());
        let left_open = self.shared.left_open.lock().unwrap().clone();
        people.chain(left_open).chain(self.evicted().unconfirmed).collect()
    }

    /// Whose end was acknowledged while Redis might lose it.
    pub(crate) fn evicted(&self) -> Evicted {
        self.shared.evicted.lock().unwrap().clone()
    }

    /// Waits until nothing is refused any more. Gives when the last refusal was, counted from `since`.
    pub(crate) async fn recovery(&self, since: Instant) -> Duration {
        loop {
            let last = self.counts().last_refused.map_or(since, |last| last.max(since));
            if last.elapsed() >= QUIET {
                return last - since;
            }
            assert!(since.elapsed() < NEVER, "no recovery: {:?}", self.shared.service.backend.health());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the tasks.
    pub(crate) async fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
    }
}

impl Shared {
    /// Rests, and says whether to go on.
    async fn goes_on(&self) -> bool {
        sleep(PAUSE).await;
        !self.stop.load(Ordering::SeqCst)
    }

    fn is_on_sand(&self) -> bool {
        self.on_sand.load(Ordering::SeqCst)
    }

    async fn read(self: Arc<Self>, person: usize) {
        let Person { name, cookie, tally, .. } = &self.crowd.people[person];
        while self.goes_on().await {
            tally.note(Kind::Read, Some(name), self.service.ask(Some(cookie), "/me")).await;
        }
    }

    async fn write(self: Arc<Self>, person: usize) {
        let Person { name, cookie, tally, ledger } = &self.crowd.people[person];
        while self.goes_on().await {
            let operation = ledger.lock().unwrap().begin();
            let path = format!("/write/{operation}");
            let was_on_sand = self.is_on_sand();
            let answer = tally.note(Kind::Write, Some(name), self.service.ask(Some(cookie), &path)).await;
            let told = match answer {
                Answer::Ok(_) if was_on_sand || self.is_on_sand() => Told::DoneOnSand,
                Answer::Ok(_) => Told::Done,
                Answer::Unavailable | Answer::Wrong(..) => Told::Unavailable,
            };
            ledger.lock().unwrap().told(operation, told);
        }
    }

    /// Signs in, looks around, and ends the session in one way or the other.
    async fn come_and_go(self: Arc<Self>, guest: &str) {
        for way in WAYS.iter().cycle() {
            if !self.goes_on().await {
                return;
            }
            if let Some(cookie) = self.stay(guest, *way).await {
                self.crowd.ended.lock().unwrap().push(cookie);
            }
        }
    }

    /// The cookie, if the session has certainly ended.
    async fn stay(&self, guest: &str, way: Way) -> Option<Cookie> {
        let was_on_sand = self.is_on_sand();
        let mut issued = None;
        let signing_in = async {
            let (answer, cookie) = self.service.sign_in(guest).await;
            issued = cookie;
            answer
        };
        self.guests.note(Kind::Login, Some(guest), signing_in).await;
        let cookie = issued?;
        // What Redis has lost, nobody can find.
        let is_certain = !was_on_sand && !self.is_on_sand();
        let looking = self.service.ask(Some(&cookie), "/me");
        self.guests.note(Kind::Read, is_certain.then_some(guest), looking).await;
        // And then whoever wants to end it is nobody.
        let way = if is_certain { way } else { Way::Administrator };
        let path = way.path(guest);
        let ending = self.service.ask(way.cookie(&cookie), &path);
        let ended = self.guests.note(Kind::End, Some(""), ending).await == Answer::Ok(String::new());
        if ended && is_certain && !self.is_on_sand() {
            return Some(cookie);
        }
        if !ended {
            self.left_open.lock().unwrap().push(cookie);
        }
        None
    }

    /// Ends sessions durably that were there before Redis could lose that.
    async fn evict(self: Arc<Self>) {
        while self.goes_on().await {
            sleep(BETWEEN_EVICTIONS).await;
            if !self.is_on_sand() {
                continue;
            }
            let Some((user, cookie)) = self.crowd.tenants.lock().unwrap().pop() else { return };
            let path = format!("/revoke-durably/{user}");
            match self.guests.note(Kind::End, None, self.service.ask(None, &path)).await {
                Answer::Ok(replicas) if replicas == "0" => {
                    self.evicted.lock().unwrap().unconfirmed.push(cookie);
                }
                Answer::Ok(_) => {
                    self.evicted.lock().unwrap().confirmed += 1;
                    self.crowd.ended.lock().unwrap().push(cookie);
                }
                Answer::Unavailable | Answer::Wrong(..) => self.left_open.lock().unwrap().push(cookie),
            }
        }
    }

    /// Tries whether a session that has ended is alive, the newest and any older one by turns.
    async fn haunt(self: Arc<Self>) {
        for round in 0.. {
            if !self.goes_on().await {
                return;
            }
            let cookie = {
                let ended = self.crowd.ended.lock().unwrap();
                let at = if round % 2 == 0 { ended.len() - 1 } else { round / 2 % ended.len() };
                ended[at].clone()
            };
            self.guests.note(Kind::Ghost, Some(NOBODY), self.service.ask(Some(&cookie), "/me")).await;
        }
    }

    async fn visit(self: Arc<Self>) {
        while self.goes_on().await {
            self.visitors.note(Kind::Visit, Some(NOBODY), self.service.ask(None, "/me")).await;
        }
    }
}
