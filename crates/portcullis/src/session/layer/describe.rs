//! [`SessionPolicy`]: what a layer's configuration comes to, for a log line at start-up or a test that nobody has
//! weakened it.

use std::fmt;
use std::time::Duration;

use crate::session::backend::{EncryptionKeys, Plaintext};
use crate::session::core::{Core, OnUnavailable};
use crate::session::login::{Limit, LimitPolicy};
use crate::session::transport::{CookieConfig, SameSite, SessionCarrier, Transport};
use crate::session::watch::TOLD;

/// What a [`SessionLayer`](crate::session::SessionLayer)'s configuration comes to, defaults included, a line for each
/// setting. It holds no secret: of keys it says how many there are. The text is for people, and not part of the API.
///
/// ```
/// use portcullis::session::{MemoryBackend, SessionLayer};
///
/// let layer = SessionLayer::new(MemoryBackend::new());
/// assert!(layer.describe().to_string().contains("cookie: __Host-id; HttpOnly; SameSite=Lax; Secure; Path=/"));
/// ```
#[derive(Clone, Copy)]
pub struct SessionPolicy<'a>(pub(crate) &'a Core);

impl fmt::Display for SessionPolicy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart in full, so that a new setting cannot be forgotten here.
        let Core {
            backend,
            realm,
            claim: _,
            challenge: _,
            hold: _,
            issuer,
            clock: _,
            user,
            remembered,
            anonymous,
            limit,
            transport,
            max_len,
            on_unavailable,
            read_only,
            discard_on_5xx,
            renew_every,
            watch_interval,
            events,
            dependents,
            codec,
            background: _,
        } = self.0;
        writeln!(f, "realm: {}", realm.as_str())?;
        writeln!(f, "issuer: {}", issuer.as_deref().unwrap_or("none"))?;
        self.carrier(f, transport)?;
        for (name, lifetime) in [("user", user), ("remembered", remembered), ("anonymous", anonymous)] {
            let (idle, absolute) = (Time(lifetime.idle), Time(lifetime.absolute));
            writeln!(f, "{name} lifetime: {idle} idle, {absolute} at most")?;
        }
        writeln!(f, "sessions of a user: {}", Sessions(*limit))?;
        match renew_every {
            Some(interval) => writeln!(f, "secret renewed: every {}", Time(*interval))?,
            None => writeln!(f, "secret renewed: never")?,
        }
        let told = Time(watch_interval.saturating_mul(TOLD));
        writeln!(
            f,
            "watched sessions looked up: every {}, every {told} while the store tells",
            Time(*watch_interval)
        )?;
        writeln!(f, "store budget: {}", Time(backend.budget()))?;
        writeln!(
            f,
            "store away: {}",
            match on_unavailable {
                OnUnavailable::Reject => "refuse",
                OnUnavailable::Anonymous => "let in anonymously",
            }
        )?;
        match backend.cache_rules() {
            Some(rules) => {
                let (stale, max) = (Time(rules.max_stale), rules.max_sessions);
                writeln!(f, "cached: {max} sessions, for {stale}")?;
            }
            None => writeln!(f, "cached: no")?,
        }
        writeln!(f, "largest session: {max_len} bytes")?;
        writeln!(f, "encrypted: {}", Encrypted(backend.encryption_keys()))?;
        writeln!(f, "codec: {}", if codec.is_json() { "JSON" } else { "the application's" })?;
        writeln!(
            f,
            "events: {}",
            if events.is_heard() { "told, logged and counted" } else { "logged and counted" }
        )?;
        let with = if dependents.is_some() { "what the application has named" } else { "nothing" };
        writeln!(f, "ends with a session: {with}")?;
        writeln!(f, "read only: {}", yes(*read_only))?;
        write!(f, "writes of a 5xx response: {}", if *discard_on_5xx { "dropped" } else { "saved" })
    }
}

impl SessionPolicy<'_> {
    fn carrier(&self, f: &mut fmt::Formatter<'_>, transport: &Transport) -> fmt::Result {
        let Transport { carrier, cookie, keys, accept_unsigned } = transport;
        match carrier {
            SessionCarrier::Cookie => writeln!(f, "cookie: {}", Cookie(cookie))?,
            SessionCarrier::Header(name) => writeln!(f, "header: {name}")?,
        }
        let unsigned = if *accept_unsigned { ", unsigned ones looked up too" } else { "" };
        writeln!(f, "token signed: {}{unsigned}", yes(keys.is_some()))
    }
}

impl fmt::Debug for SessionPolicy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn yes(it_is: bool) -> &'static str {
    if it_is { "yes" } else { "no" }
}

/// A cookie's name and attributes.
struct Cookie<'a>(&'a CookieConfig);

impl fmt::Display for Cookie<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CookieConfig { name, same_site, path, domain, secure, partitioned } = self.0;
        let same_site = match same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        write!(f, "{name}; HttpOnly; SameSite={same_site}")?;
        if *partitioned {
            f.write_str("; Partitioned")?;
        }
        if *secure {
            f.write_str("; Secure")?;
        }
        write!(f, "; Path={path}")?;
        domain.as_ref().map_or(Ok(()), |domain| write!(f, "; Domain={domain}"))
    }
}

/// By how many keys, and until when not yet.
struct Encrypted<'a>(Option<&'a EncryptionKeys>);

impl fmt::Display for Encrypted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(keys) = self.0 else { return f.write_str("no") };
        let Plaintext { read_until, written_until } = keys.plaintext();
        write!(f, "by {} keys", keys.len())?;
        for (what, until) in [("written", written_until), ("read", read_until)] {
            if let Some(until) = until {
                write!(f, "; plain ones {what} until {} ms since 1970", until.as_millis())?;
            }
        }
        Ok(())
    }
}

/// How many sessions a user may have.
struct Sessions(Option<Limit>);

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("any number"),
            Some(Limit { max, policy: LimitPolicy::Reject }) => {
                write!(f, "at most {max}; one more is refused")
            }
            Some(Limit { max, policy: LimitPolicy::EvictOldest }) => {
                write!(f, "at most {max}; one more ends the oldest")
            }
        }
    }
}

/// A time in the largest unit that it is a whole number of.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, seconds) = (self.0.as_millis(), self.0.as_secs());
        let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
        let whole = units.iter().find(|(unit, _)| millis % (unit * 1000) == 0);
        match whole {
            Some((unit, name)) if seconds > 0 => write!(f, "{} {name}", millis / (unit * 1000)),
            Some(_) | None => write!(f, "{millis} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Realm;
    use crate::session::{MemoryBackend, SessionEvent, SessionLayer};
    use portcullis_store::Timestamp;

    enum Staff {}

    impl Realm for Staff {
        const NAME: &'static str = "staff";
    }

    #[test]
    fn the_defaults_read_as_they_are() {
        let layer = SessionLayer::new(MemoryBackend::new());
        let expected = "\
realm: default
issuer: none
cookie: __Host-id; HttpOnly; SameSite=Lax; Secure; Path=/
token signed: no
user lifetime: 30 min idle, 12 h at most
remembered lifetime: 14 d idle, 90 d at most
anonymous lifetime: 30 min idle, 30 min at most
sessions of a user: any number
secret renewed: never
watched sessions looked up: every 5 s, every 1 min while the store tells
store budget: 450 ms
store away: refuse
cached: no
largest session: 32768 bytes
encrypted: no
codec: JSON
events: logged and counted
ends with a session: nothing
read only: no
writes of a 5xx response: saved";
        assert_eq!(layer.describe().to_string(), expected);
    }

    #[test]
    fn a_policy_tells_its_settings_and_no_key() {
        let keys = EncryptionKeys::new(&[b'k'; 32]).add_decrypting(&[b'o'; 32]);
        let layer = SessionLayer::builder(MemoryBackend::new())
            .realm::<Staff>()
            .issuer("https://idp.example")
            .same_site(SameSite::Strict)
            .limit(Limit::evict_oldest(3))
            .renew_every(Duration::from_secs(900))
            .on_unavailable(OnUnavailable::Anonymous)
            .encrypt(
                keys.insecure_accept_plaintext_until(Timestamp::from_millis(5))
                    .insecure_write_plaintext_until(Timestamp::from_millis(4)),
            )
            .events(|_: &SessionEvent<'_>| {})
            .read_only()
            .discard_on_5xx()
            .build()
            .unwrap();
        let text = layer.describe().to_string();
        for line in [
            "realm: staff",
            "issuer: https://idp.example",
            "cookie: __Host-staff-id; HttpOnly; SameSite=Strict; Secure; Path=/",
            "sessions of a user: at most 3; one more ends the oldest",
            "secret renewed: every 15 min",
            "store away: let in anonymously",
            "encrypted: by 2 keys; plain ones written until 4 ms since 1970; plain ones read until 5 ms since 1970",
            "events: told, logged and counted",
            "read only: yes",
            "writes of a 5xx response: dropped",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\nnot in\n{text}");
        }
        assert!(!text.contains("kkk") && !text.contains("107"), "{text}");
    }
}
