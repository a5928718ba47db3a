//! Waiting for servers, which send no notification when they have started, found each other or changed roles.

use std::time::{Duration, Instant};

/// How long a server may take to answer: generous, because test machines are busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How long servers may take to agree: an election is held again some seconds later when it had no winner.
const SETTLING: Duration = Duration::from_secs(40);

const POLL: Duration = Duration::from_millis(4);

/// What `probe` finds, asked again until it does.
///
/// # Panics
/// With what stood in the way when it does not within 40 s.
#[track_caller]
pub(super) fn settled<T>(what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
    within(SETTLING, probe).unwrap_or_else(|obstacle| panic!("{what}: not within {SETTLING:?}: {obstacle}"))
}

/// What `probe` finds, asked again until it does, or the last obstacle once `patience` has passed.
#[expect(clippy::disallowed_methods, reason = "what is waited for are processes, which live in real time")]
pub(super) fn within<T>(
    patience: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        match probe() {
            Err(_) if start.elapsed() < patience => std::thread::sleep(POLL),
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_obstacle_is_told_when_patience_ends() {
        let mut asked = 0;
        let got: Result<(), String> = within(Duration::from_millis(20), || {
            asked += 1;
            Err(asked.to_string())
        });
        assert!(asked > 1);
        assert_eq!(got, Err(asked.to_string()));
    }
}
