//! [`Queue`]: what waits to be sent, and who waits for which reply. No I/O here.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use redis::{RedisError, Value};
use slab::Slab;
use tokio::time::Instant;

use super::Unanswered;

/// What waits to be sent, and who waits for which reply.
pub(super) struct Queue {
    /// What is to be sent, and how many requests that is.
    out: Vec<u8>,
    requests: usize,
    /// Whose replies are due, in the order in which they come.
    due: VecDeque<usize>,
    seats: Slab<Seat>,
    /// The task that reads and writes.
    driver: Option<Waker>,
    /// When the driver looks for those whose time is up; not later than any of them.
    alarm: Option<Instant>,
    /// Why nothing can be sent or will be answered any more.
    closed: Option<RedisError>,
}

/// One request's.
struct Seat {
    deadline: Instant,
    /// How many replies are due.
    left: usize,
    replies: Replies,
    /// Why there will be no reply to wait for.
    failed: Option<Unanswered>,
    waiting: Option<Waker>,
    /// Nobody waits any more; it is kept for its replies to be dropped.
    left_alone: bool,
}

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum Replies {
    /// To one command; `None` until it comes.
    One(Option<Value>),
    /// To several.
    Several(Vec<Value>),
}

/// What is to be done for a request that has been taken in.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) seat: usize,
    /// The driver, if whoever sends is to write what there is, because the server would be idle meanwhile.
    pub(super) write_as: Option<Waker>,
    /// The driver, if it is to be told.
    pub(super) wake: Option<Waker>,
}

/// How many requests wait to be sent until they are, at least: each write costs both sides a call of the system.
///
/// On a runtime of one thread the driver's turn comes when all tasks that can run have run. If it alone wrote, everything
/// that is in flight would go out as one batch and come back as one, and client and server would take turns. With a
/// third of it in a batch the one works while the other does.
const BATCH: usize = 8;

/// A server that leaves so many bytes untaken does not read.
const MOST: usize = 16 * 1024 * 1024;

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            out: Vec::new(),
            requests: 0,
            due: VecDeque::new(),
            seats: Slab::new(),
            driver: None,
            alarm: None,
            closed: None,
        }
    }

    /// The driver is this task.
    pub(super) fn attend(&mut self, driver: &Waker) {
        if self.driver.as_ref().is_none_or(|known| !known.will_wake(driver)) {
            self.driver = Some(driver.clone());
        }
    }

    pub(super) fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// Takes a request of so many commands in. Its caller will ask for the replies, or say that it does not wait.
    pub(super) fn take_in(
        &mut self,
        packed: &[u8],
        commands: usize,
        deadline: Instant,
    ) -> Result<Taken, RedisError> {
        if let Some(why) = &self.closed {
            return Err(why.clone());
        }
        if self.out.len() + packed.len() > MOST {
            return Err((redis::ErrorKind::Io, "the server takes nothing").into());
        }
        let replies =
            if commands == 1 { Replies::One(None) } else { Replies::Several(Vec::with_capacity(commands)) };
        let (was_empty, was_idle) = (self.out.is_empty(), self.due.is_empty());
        let seat = self.seats.insert(Seat {
            deadline,
            left: commands,
            replies,
            failed: None,
            waiting: None,
            left_alone: false,
        });
        self.out.extend_from_slice(packed);
        self.requests += 1;
        self.due.push_back(seat);
        let is_sooner = self.alarm.is_none_or(|alarm| deadline < alarm);
        if is_sooner {
            self.alarm = Some(deadline);
        }
        let is_time = was_idle || self.requests >= BATCH.max(self.due.len() / 3);
        Ok(Taken {
            seat,
            write_as: if is_time { self.driver.clone() } else { None },
            wake: if is_sooner || (was_empty && !is_time) { self.driver.clone() } else { None },
        })
    }

    /// What is to be sent, in exchange for a buffer that is empty.
    pub(super) fn give_out(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.out, empty);
        self.requests = 0;
    }

    /// The next reply has come. Whether it was due at all.
    pub(super) fn answered(&mut self, reply: Value, woken: &mut Vec<Waker>) -> bool {
        let Some(&at) = self.due.front() else { return false };
        let Some(seat) = self.seats.get_mut(at) else { return false };
        match &mut seat.replies {
            Replies::One(one) => *one = Some(reply),
            Replies::Several(several) => several.push(reply),
        }
        seat.left = seat.left.saturating_sub(1);
        if seat.left == 0 {
            self.due.pop_front();
            woken.extend(seat.waiting.take());
            if seat.left_alone {
                self.seats.remove(at);
            }
        }
        true
    }

    /// Nothing more will be answered.
    pub(super) fn close(&mut self, why: &RedisError, woken: &mut Vec<Waker>) {
        self.closed.get_or_insert_with(|| why.clone());
        (self.out, self.requests, self.driver, self.alarm) = (Vec::new(), 0, None, None);
        for at in std::mem::take(&mut self.due) {
            let Some(seat) = self.seats.get_mut(at) else { continue };
            seat.left = 0;
            seat.failed.get_or_insert_with(|| Unanswered::Broken(why.clone()));
            woken.extend(seat.waiting.take());
            if seat.left_alone {
                self.seats.remove(at);
            }
        }
    }

    pub(super) const fn alarm(&self) -> Option<Instant> {
        self.alarm
    }

    /// Those whose time is up need not wait any longer.
    pub(super) fn expire(&mut self, now: Instant, woken: &mut Vec<Waker>) {
        let mut next: Option<Instant> = None;
        for (_, seat) in &mut self.seats {
            if seat.left == 0 || seat.left_alone || seat.failed.is_some() {
                continue;
            }
            if seat.deadline <= now {
                seat.failed = Some(Unanswered::Timeout);
                woken.extend(seat.waiting.take());
            } else {
                next = Some(next.map_or(seat.deadline, |next| next.min(seat.deadline)));
            }
        }
        self.alarm = next;
    }

    /// What has become of a request; `waker` is told when something has.
    pub(super) fn outcome(&mut self, at: usize, waker: &Waker) -> Poll<Result<Replies, Unanswered>> {
        let Some(seat) = self.seats.get_mut(at) else { return Poll::Ready(Err(Unanswered::Timeout)) };
        if let Some(why) = seat.failed.take() {
            self.leave(at);
            return Poll::Ready(Err(why));
        }
        if seat.left > 0 {
            if seat.waiting.as_ref().is_none_or(|known| !known.will_wake(waker)) {
                seat.waiting = Some(waker.clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.seats.remove(at).replies))
    }

    /// Nobody waits for this request any more. Its replies, which come all the same, are dropped.
    pub(super) fn leave(&mut self, at: usize) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        if seat.left == 0 {
            self.seats.remove(at);
        } else {
            (seat.left_alone, seat.waiting) = (true, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Scene {
        queue: Queue,
        start: Instant,
        caller: Arc<Bell>,
    }

    impl Scene {
        fn new() -> Self {
            let mut queue = Queue::new();
            queue.attend(&Waker::from(Arc::new(Bell::default())));
            Self { queue, start: Instant::now(), caller: Arc::default() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn take_in(&mut self, commands: usize, deadline: u64) -> Taken {
            let deadline = self.at(deadline);
            self.queue.take_in(b"x", commands, deadline).unwrap()
        }

        fn answer(&mut self, number: i64) -> bool {
            let mut woken = Vec::new();
            let was_due = self.queue.answered(Value::Int(number), &mut woken);
            woken.into_iter().for_each(Waker::wake);
            was_due
        }

        fn outcome(&mut self, seat: usize) -> Option<Result<Vec<i64>, Unanswered>> {
            let number = |value| if let Value::Int(number) = value { number } else { -1 };
            match self.queue.outcome(seat, &Waker::from(Arc::clone(&self.caller))) {
                Poll::Pending => None,
                Poll::Ready(Err(why)) => Some(Err(why)),
                Poll::Ready(Ok(Replies::One(one))) => Some(Ok(one.into_iter().map(number).collect())),
                Poll::Ready(Ok(Replies::Several(all))) => Some(Ok(all.into_iter().map(number).collect())),
            }
        }

        fn rung(&self) -> usize {
            self.caller.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn replies_go_to_those_who_asked_in_the_order_in_which_they_did() {
        let mut scene = Scene::new();
        let (first, several, last) =
            (scene.take_in(1, 9).seat, scene.take_in(2, 9).seat, scene.take_in(1, 9).seat);
        assert!(scene.outcome(several).is_none() && scene.outcome(last).is_none());
        assert!(scene.answer(1) && scene.answer(2));
        assert!(scene.outcome(several).is_none(), "half of an answer is none");
        assert!(scene.answer(3) && scene.answer(4));
        assert_eq!(scene.rung(), 2);
        assert!(
            matches!(scene.outcome(first), Some(Ok(all)) if all == [1]),
            "also if it was not waited for yet"
        );
        assert!(matches!(scene.outcome(several), Some(Ok(all)) if all == [2, 3]));
        assert!(matches!(scene.outcome(last), Some(Ok(all)) if all == [4]));
        assert!(!scene.answer(5), "nobody asked for more");
        assert!(scene.queue.seats.is_empty());
    }

    #[test]
    fn whoever_leaves_gets_nobody_elses_reply_and_leaves_nothing_behind() {
        let mut scene = Scene::new();
        let (gone, stays) = (scene.take_in(2, 9).seat, scene.take_in(1, 9).seat);
        scene.queue.leave(gone);
        let later = scene.take_in(1, 9).seat;
        assert_ne!(later, gone, "its replies are still to come");
        for number in 1..=4 {
            scene.answer(number);
        }
        assert!(matches!(scene.outcome(stays), Some(Ok(all)) if all == [3]));
        assert!(matches!(scene.outcome(later), Some(Ok(all)) if all == [4]));
        let answered = scene.take_in(1, 9).seat;
        scene.answer(5);
        scene.queue.leave(answered);
        assert!(scene.queue.seats.is_empty());
    }

    #[test]
    fn whose_time_is_up_waits_no_longer_and_the_others_do() {
        let mut scene = Scene::new();
        let (late, soon) = (scene.take_in(1, 300), scene.take_in(1, 100));
        assert!(late.wake.is_some() && soon.wake.is_some(), "the driver has to know of the sooner one");
        assert!(scene.take_in(1, 200).wake.is_none());
        assert_eq!(scene.queue.alarm(), Some(scene.at(100)));
        assert!(scene.outcome(soon.seat).is_none());
        let mut woken = Vec::new();
        scene.queue.expire(scene.at(150), &mut woken);
        assert_eq!((woken.len(), scene.queue.alarm()), (1, Some(scene.at(200))));
        assert!(matches!(scene.outcome(soon.seat), Some(Err(Unanswered::Timeout))));
        assert!(scene.outcome(late.seat).is_none());
        scene.answer(1);
        scene.answer(2);
        assert!(matches!(scene.outcome(late.seat), Some(Ok(all)) if all == [1]));
        scene.queue.expire(scene.at(400), &mut woken);
        assert_eq!(scene.queue.alarm(), None, "nobody is waited for");
    }

    #[test]
    fn a_broken_connection_ends_all_that_wait_and_takes_nothing_more() {
        let mut scene = Scene::new();
        let (waits, left) = (scene.take_in(1, 9).seat, scene.take_in(1, 9).seat);
        assert!(scene.outcome(waits).is_none());
        scene.queue.leave(left);
        let mut woken = Vec::new();
        scene.queue.close(&(redis::ErrorKind::Io, "broken").into(), &mut woken);
        assert_eq!(woken.len(), 1);
        assert!(matches!(scene.outcome(waits), Some(Err(Unanswered::Broken(_)))));
        let deadline = scene.at(9);
        assert!(scene.queue.take_in(b"x", 1, deadline).is_err());
        assert!(scene.queue.seats.is_empty());
    }

    #[test]
    fn the_server_is_not_left_idle_while_requests_gather() {
        let mut scene = Scene::new();
        assert!(scene.take_in(1, 9).write_as.is_some(), "it has nothing to do");
        let mut sent = Vec::new();
        scene.queue.give_out(&mut sent);
        let gathered: Vec<bool> = (1..=BATCH).map(|_| scene.take_in(1, 9).write_as.is_some()).collect();
        assert_eq!(gathered.iter().position(|write| *write), Some(BATCH - 1), "it has something to do");
        let next = scene.take_in(1, 9);
        assert!(next.write_as.is_some(), "they have not gone out");
        sent.clear();
        scene.queue.give_out(&mut sent);
        let first = scene.take_in(1, 9);
        assert!(
            first.write_as.is_none() && first.wake.is_some(),
            "the driver sends what does not become a batch"
        );
        assert!(scene.take_in(1, 9).wake.is_none(), "it knows already");
    }

    #[test]
    fn a_third_of_what_is_in_flight_goes_out_together() {
        let mut scene = Scene::new();
        (0..60).for_each(|_| _ = scene.take_in(1, 9));
        scene.queue.give_out(&mut Vec::new());
        // The first ones are answered, and ask again.
        for at in 1..=21 {
            scene.answer(0);
            let write = scene.take_in(1, 9).write_as.is_some();
            assert_eq!(write, at >= 20, "{at} of 60");
        }
    }

    #[test]
    fn a_server_that_takes_nothing_is_not_sent_more_and_more() {
        let mut scene = Scene::new();
        let deadline = scene.at(9);
        let request = vec![0; MOST / 2];
        assert!(scene.queue.take_in(&request, 1, deadline).is_ok());
        assert!(scene.queue.take_in(&request, 1, deadline).is_ok());
        assert!(scene.queue.take_in(&[0], 1, deadline).is_err());
    }
}
