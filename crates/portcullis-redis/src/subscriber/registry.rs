//! [`Registry`]: who watches what, and what they are told. Nothing is awaited here.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_store::{
    Locator, Notice, REVOCATIONS_ARE_TOLD_WITHIN, Realm, Revocation, RevocationNotice, RevocationWatcher,
    Watcher,
};
use redis::Msg;

use super::pulse::{Pulse, Pulses, Purpose, Reading};
use crate::announcement;
use crate::keys::Keys;
use crate::verdict::Failure;

/// Watchers are told under the lock, so that what they are told last is how it is.
#[derive(Default)]
pub(super) struct Registry {
    seats: HashMap<u64, Seat>,
    /// The number of the next watcher, or reading.
    next: u64,
    /// The channels that are heard.
    heard: HashMap<String, Channel>,
    pub(super) pulses: Pulses,
    /// A task listens, or tries to.
    running: bool,
}

/// One watcher's.
struct Seat {
    realm: Realm,
    who: Who,
}

enum Who {
    OfSessions(Arc<dyn Watcher>),
    OfTokens { watcher: Arc<dyn RevocationWatcher>, progress: Progress },
}

/// How much a watcher of tokens has been told of what stood before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Nothing,
    /// It is being read, for the so-manieth time. What an earlier reading says, of another connection, proves nothing.
    Reading(u64),
    All,
}

/// What is heard on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Ended(Realm),
    Revoked(Realm),
    /// This process, by itself.
    Pulse,
}

impl Registry {
    pub(super) fn enter_for_sessions(&mut self, realm: &Realm, watcher: Arc<dyn Watcher>) -> u64 {
        if self.heard.values().any(|heard| *heard == Channel::Ended(realm.clone())) {
            watcher.notice(Notice::Hearing);
        }
        self.enter(realm, Who::OfSessions(watcher))
    }

    /// It is told by and by.
    pub(super) fn enter_for_tokens(&mut self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> u64 {
        self.enter(realm, Who::OfTokens { watcher, progress: Progress::Nothing })
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn enter(&mut self, realm: &Realm, who: Who) -> u64 {
        let id = self.number();
        self.seats.insert(id, Seat { realm: realm.clone(), who });
        id
    }

    /// Frees a watcher's place. What it gives is to be dropped without the lock: a watcher may have one of its own to take.
    #[must_use]
    pub(super) fn leave(&mut self, id: u64) -> impl Send + use<> {
        self.seats.remove(&id).map(|seat| seat.who)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Whether anybody relies on hearing everything.
    fn needs_pulses(&self) -> bool {
        self.seats.values().any(|seat| matches!(seat.who, Who::OfTokens { .. }))
    }

    /// Whether this process hears what it publishes to itself.
    pub(super) fn hears_pulses(&self) -> bool {
        self.heard.values().any(|heard| *heard == Channel::Pulse)
    }

    /// The channels that are to be heard besides, and those that no longer need to be.
    pub(super) fn retune(
        &mut self,
        keys: &Keys,
        process: Locator,
    ) -> (HashMap<String, Channel>, Vec<String>) {
        let mut wanted: HashMap<String, Channel> =
            self.seats.values().map(|seat| seat.channel(keys)).collect();
        if self.needs_pulses() {
            wanted.insert(keys.pulse(process), Channel::Pulse);
        }
        let idle = self.heard.extract_if(|name, _| !wanted.contains_key(name)).map(|(name, _)| name);
        let idle = idle.collect();
        if !self.hears_pulses() {
            // Those that are under way will not be heard.
            self.pulses.forget();
        }
        wanted.retain(|name, _| !self.heard.contains_key(name));
        (wanted, idle)
    }

    pub(super) fn hear(&mut self, channels: HashMap<String, Channel>) {
        for channel in channels.values() {
            if let Channel::Ended(realm) = channel {
                self.tell_of_sessions(realm, Notice::Hearing);
            }
        }
        self.heard.extend(channels);
    }

    /// Who is to be told what stands: from now on it is told of all that comes.
    pub(super) fn begin_reading(&mut self) -> Vec<(Reading, Realm)> {
        let number = self.number();
        let heard = &self.heard;
        let is_heard = |realm: &Realm| heard.values().any(|it| *it == Channel::Revoked(realm.clone()));
        let unread = self.seats.iter_mut().filter_map(|(&seat, Seat { realm, who })| match who {
            Who::OfTokens { progress, .. } if *progress == Progress::Nothing && is_heard(realm) => {
                *progress = Progress::Reading(number);
                Some((Reading { seat, number }, realm.clone()))
            }
            Who::OfTokens { .. } | Who::OfSessions(_) => None,
        });
        unread.collect()
    }

    /// Tells one watcher what stands.
    pub(super) fn tell_standing(&self, reading: Reading, standing: &[Revocation]) {
        if let Some(Seat { who: Who::OfTokens { watcher, .. }, .. }) = self.seats.get(&reading.seat) {
            watcher.notice(RevocationNotice::Revoked(standing));
        }
    }

    /// Nothing is heard any more.
    pub(super) fn lose(&mut self) {
        self.pulses.forget();
        for channel in std::mem::take(&mut self.heard).into_values() {
            if let Channel::Ended(realm) = channel {
                self.tell_of_sessions(&realm, Notice::Deaf);
            }
        }
        for seat in self.seats.values_mut() {
            if let Who::OfTokens { watcher, progress } = &mut seat.who
                && std::mem::replace(progress, Progress::Nothing) != Progress::Nothing
            {
                watcher.notice(RevocationNotice::Deaf);
            }
        }
    }

    /// A message has come. One that cannot be read is an error: who knows what was missed.
    pub(super) fn tell(&mut self, message: &Msg) -> Result<(), Failure> {
        let payload = message.get_payload_bytes();
        match self.heard.get(message.get_channel_name()) {
            None => {}
            Some(Channel::Ended(realm)) => {
                let (texts, _) = payload.as_chunks::<{ Locator::LEN }>();
                let ended = texts.iter().filter_map(|text| Locator::parse(std::str::from_utf8(text).ok()?));
                self.tell_of_sessions(realm, Notice::Ended(&ended.collect::<Vec<_>>()));
            }
            Some(Channel::Revoked(realm)) => {
                let told = announcement::parse(payload).ok_or_else(Failure::unavailable)?;
                self.tell_of_tokens(realm, RevocationNotice::Revoked(&[told]));
            }
            Some(Channel::Pulse) => {
                let number = std::str::from_utf8(payload).ok().and_then(|number| number.parse().ok());
                if let Some(pulse) = number.and_then(|number| self.pulses.heard(number)) {
                    self.renew(pulse);
                }
            }
        }
        Ok(())
    }

    /// All that was revoked before the pulse was sent has been told to those who were told what stood.
    fn renew(&mut self, pulse: Pulse) {
        let until = Some((pulse.at + REVOCATIONS_ARE_TOLD_WITHIN).into_std());
        if let Purpose::Complete(reading) = pulse.purpose {
            let seat = self.seats.get_mut(&reading.seat);
            let Some(Seat { who: Who::OfTokens { watcher, progress }, .. }) = seat else { return };
            if *progress == Progress::Reading(reading.number) {
                *progress = Progress::All;
                watcher.notice(RevocationNotice::Current { until });
            }
            return;
        }
        for seat in self.seats.values() {
            if let Who::OfTokens { watcher, progress: Progress::All } = &seat.who {
                watcher.notice(RevocationNotice::Current { until });
            }
        }
    }

    fn tell_of_sessions(&self, realm: &Realm, notice: Notice<'_>) {
        for seat in self.seats.values().filter(|seat| seat.realm == *realm) {
            if let Who::OfSessions(watcher) = &seat.who {
                watcher.notice(notice);
            }
        }
    }

    fn tell_of_tokens(&self, realm: &Realm, notice: RevocationNotice<'_>) {
        for seat in self.seats.values().filter(|seat| seat.realm == *realm) {
            if let Who::OfTokens { watcher, .. } = &seat.who {
                watcher.notice(notice);
            }
        }
    }

    /// Whether there is nobody yet who listens; from now on there is.
    #[must_use]
    pub(super) fn start(&mut self) -> bool {
        !std::mem::replace(&mut self.running, true)
    }

    /// Whether the task may end because nobody watches; then the next watcher starts another.
    pub(super) fn stop_if_idle(&mut self) -> bool {
        if self.seats.is_empty() {
            self.running = false;
        }
        !self.running
    }

    /// The task has ended with its runtime.
    pub(super) fn stop(&mut self) {
        self.running = false;
        self.lose();
    }

    pub(super) fn heard(&self) -> Vec<&Channel> {
        self.heard.values().collect()
    }
}

impl Seat {
    fn channel(&self, keys: &Keys) -> (String, Channel) {
        match self.who {
            Who::OfSessions(_) => (keys.ended(&self.realm), Channel::Ended(self.realm.clone())),
            Who::OfTokens { .. } => (keys.revoked(&self.realm), Channel::Revoked(self.realm.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::Value;
    use std::sync::Mutex;
    use tokio::time::Instant;

    /// What a watcher was told, in words.
    #[derive(Default)]
    struct Ear(Mutex<Vec<&'static str>>);

    impl RevocationWatcher for Ear {
        fn notice(&self, notice: RevocationNotice<'_>) {
            self.0.lock().unwrap().push(match notice {
                RevocationNotice::Revoked(_) => "revoked",
                RevocationNotice::Current { .. } => "current",
                RevocationNotice::Deaf => "deaf",
            });
        }
    }

    impl Watcher for Ear {
        fn notice(&self, notice: Notice<'_>) {
            self.0.lock().unwrap().push(match notice {
                Notice::Ended(_) => "ended",
                Notice::Hearing => "hearing",
                Notice::Deaf => "deaf",
            });
        }
    }

    impl Ear {
        fn told(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    const PROCESS: [u8; 16] = [1; 16];

    fn keys() -> Keys {
        Keys::new("p", 0)
    }

    /// Hears whatever is wanted.
    fn tune(registry: &mut Registry) -> Vec<Reading> {
        let (missing, _) = registry.retune(&keys(), Locator::from_bytes(PROCESS));
        registry.hear(missing);
        let mut begun: Vec<_> = registry.begin_reading().into_iter().map(|(reading, _)| reading).collect();
        begun.sort_unstable_by_key(|reading| reading.seat);
        begun
    }

    fn enter(registry: &mut Registry) -> (Arc<Ear>, u64) {
        let ear = Arc::new(Ear::default());
        let id = registry.enter_for_tokens(&Realm::default(), Arc::clone(&ear) as _);
        (ear, id)
    }

    fn message(registry: &mut Registry, channel: &str, payload: &str) -> bool {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let message = Msg::from_value(&Value::Array(vec![text("message"), text(channel), text(payload)]));
        registry.tell(&message.unwrap()).is_ok()
    }

    fn come_back(registry: &mut Registry, number: u64) {
        let channel = keys().pulse(Locator::from_bytes(PROCESS));
        assert!(message(registry, &channel, &number.to_string()));
    }

    #[test]
    fn nobody_is_current_who_was_not_told_what_stands() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        let ((first, one), (second, two)) = (enter(&mut registry), enter(&mut registry));
        let begun = tune(&mut registry);
        assert_eq!(begun.iter().map(|reading| reading.seat).collect::<Vec<_>>(), [one, two]);
        let [one, two] = <[Reading; 2]>::try_from(begun).unwrap();
        assert!(registry.begin_reading().is_empty(), "each is told once");
        let renew = registry.pulses.begin(Purpose::Renew, now);
        come_back(&mut registry, renew);
        assert!(first.told().is_empty() && second.told().is_empty(), "it was not told all");

        registry.tell_standing(one, &[]);
        let complete = registry.pulses.begin(Purpose::Complete(one), now);
        come_back(&mut registry, complete);
        assert_eq!((first.told(), second.told()), (vec!["revoked", "current"], vec![]));
        let renew = registry.pulses.begin(Purpose::Renew, now);
        come_back(&mut registry, renew);
        come_back(&mut registry, renew);
        assert_eq!((first.told(), second.told()), (vec!["current"], vec![]), "once, and not the other");
        assert!(message(&mut registry, &keys().revoked(&Realm::default()), "a:1:1"));
        assert_eq!(
            (first.told(), second.told()),
            (vec!["revoked"], vec!["revoked"]),
            "what comes is for both"
        );
        assert!(
            !message(&mut registry, &keys().revoked(&Realm::default()), "a:1"),
            "who knows what this was"
        );

        let complete = registry.pulses.begin(Purpose::Complete(two), now);
        registry.lose();
        assert_eq!((first.told(), second.told()), (vec!["deaf"], vec!["deaf"]));
        assert_eq!(tune(&mut registry).len(), 2, "both begin anew");
        come_back(&mut registry, complete);
        assert!(second.told().is_empty(), "it was read for a connection before");
        let late = registry.pulses.begin(Purpose::Complete(two), now);
        come_back(&mut registry, late);
        assert!(second.told().is_empty(), "it was read for a connection before, and ended only now");
    }

    #[test]
    fn what_stands_is_read_only_for_who_is_told_of_all_that_comes() {
        let mut registry = Registry::default();
        let (_ear, first) = enter(&mut registry);
        let (missing, _) = registry.retune(&keys(), Locator::from_bytes(PROCESS));
        // Comes while the server is being asked for the channels of those before.
        let staff = "staff".parse::<Realm>().unwrap();
        let late = registry.enter_for_tokens(&staff, Arc::new(Ear::default()));
        registry.hear(missing);
        let read: Vec<_> = registry.begin_reading().into_iter().map(|(reading, _)| reading.seat).collect();
        assert_eq!(read, [first]);
        let read: Vec<_> = tune(&mut registry).into_iter().map(|reading| reading.seat).collect();
        assert_eq!(read, [late]);
    }

    #[test]
    fn nobody_is_told_of_another_realm() {
        let (mut registry, staff) = (Registry::default(), "staff".parse::<Realm>().unwrap());
        let [customers, of_staff] = [(); 2].map(|()| Arc::new(Ear::default()));
        registry.enter_for_sessions(&Realm::default(), Arc::clone(&customers) as _);
        registry.enter_for_sessions(&staff, Arc::clone(&of_staff) as _);
        let (tokens, _) = enter(&mut registry);
        let tokens_of_staff = Arc::new(Ear::default());
        registry.enter_for_tokens(&staff, Arc::clone(&tokens_of_staff) as _);
        tune(&mut registry);
        assert_eq!((customers.told(), of_staff.told()), (vec!["hearing"], vec!["hearing"]));

        let ended = Locator::from_bytes([7; 16]);
        assert!(message(&mut registry, &keys().ended(&staff), ended.as_str()));
        assert!(message(&mut registry, &keys().revoked(&staff), "a:1:1"));
        assert_eq!((of_staff.told(), tokens_of_staff.told()), (vec!["ended"], vec!["revoked"]));
        assert!(customers.told().is_empty() && tokens.told().is_empty());
    }

    #[test]
    fn what_is_proved_is_as_old_as_the_pulse_and_not_as_its_coming_back() {
        #[derive(Default)]
        struct Until(Mutex<Option<std::time::Instant>>);

        impl RevocationWatcher for Until {
            fn notice(&self, notice: RevocationNotice<'_>) {
                if let RevocationNotice::Current { until } = notice {
                    *self.0.lock().unwrap() = until;
                }
            }
        }

        let (mut registry, ear) = (Registry::default(), Arc::new(Until::default()));
        registry.enter_for_tokens(&Realm::default(), Arc::clone(&ear) as _);
        let [reading] = <[Reading; 1]>::try_from(tune(&mut registry)).unwrap();
        let at = |seconds| Instant::now() + std::time::Duration::from_secs(seconds);
        for (purpose, sent) in [(Purpose::Complete(reading), at(10)), (Purpose::Renew, at(20))] {
            let number = registry.pulses.begin(purpose, sent);
            come_back(&mut registry, number);
            assert_eq!(*ear.0.lock().unwrap(), Some((sent + REVOCATIONS_ARE_TOLD_WITHIN).into_std()));
        }
    }

    #[test]
    fn what_it_publishes_to_itself_counts_only_while_it_hears_itself() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        assert!(!registry.hears_pulses());
        let (_ear, id) = enter(&mut registry);
        assert!(!registry.hears_pulses(), "nobody would hear it yet");
        tune(&mut registry);
        assert!(registry.hears_pulses());
        let number = registry.pulses.begin(Purpose::Renew, now);
        registry.pulses.answered(number, true);
        drop(registry.leave(id));
        tune(&mut registry);
        assert!(!registry.hears_pulses());
        let much_later = now + std::time::Duration::from_secs(60);
        assert!(!registry.pulses.is_overdue(much_later), "nobody waits for it any more");
    }
}
