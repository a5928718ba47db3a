//! [`Transport`]: how a session's token is found in a request and put on a response. [`SessionCarrier`]: in what.

mod cookie;
mod id;
mod keys;

use std::ops::ControlFlow;
use std::time::Duration;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, ORIGIN,
    PROXY_AUTHORIZATION, SET_COOKIE, TRANSFER_ENCODING, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_store::{Locator, Realm};
use smallvec::SmallVec;

pub use self::cookie::SameSite;
pub(in crate::session) use self::cookie::{CookieConfig, LONGEST_LIFE};
use self::id::TOKEN_LEN;
pub(in crate::session) use self::id::{Presented, Proof, Token};
pub use self::keys::KeyRing;
use self::keys::{MAC_LEN, is_signature};
use super::events::RejectedReason;
use crate::header_lines;
use crate::identity::Carrier;
use crate::rejection::Challenge;

/// In what a session's token travels between client and service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionCarrier {
    /// A cookie, for browsers.
    #[default]
    Cookie,
    /// A header field of this name, for mobile and gRPC clients.
    ///
    /// A response with this field, such as that of a login, hands a token out: the client keeps it, sends it in the
    /// same field from then on, and forgets it when the field comes empty. Several tokens are treated like several
    /// cookies. Because no browser sends the field of its own accord, nobody who is recognised by it has to prove
    /// where the request comes from ([`Carrier::Explicit`]), and the settings of the cookie have no meaning.
    ///
    /// A layer reads a cookie or a field, not both. Where browsers and apps use one service, give each paths of its own with
    /// a layer of its own: on one backend they have users, devices and limits in common.
    Header(HeaderName),
}

/// How a session's token is found in a request and put on a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transport {
    pub(crate) carrier: SessionCarrier,
    pub(crate) cookie: CookieConfig,
    pub(crate) keys: Option<KeyRing>,
    /// Whether to look up tokens without a signature although there are keys.
    pub(crate) accept_unsigned: bool,
}

/// At most this many good-looking tokens are looked up; one is normal, a few come from subdomains and sub-paths, and
/// more from somebody who wants work done.
const MAX_CANDIDATES: usize = 4;

/// What a request presents.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What is to be looked up.
    pub(crate) candidates: Candidates,
    /// Why the first of the others is not; one stands for all, however many somebody sends.
    pub(crate) rejected: Option<Rejected>,
}

/// The tokens that are to be looked up; one is normal.
pub(crate) type Candidates = SmallVec<[Presented; 1]>;

/// Why a token is not looked up, and which session it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) why: RejectedReason,
    pub(crate) locator: Option<Locator>,
}

/// A field that carries a token can mean nothing else, on the way in and on the way out.
const TAKEN: [HeaderName; 13] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    ORIGIN,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
    TRANSFER_ENCODING,
    VARY,
    WWW_AUTHENTICATE,
];

impl Transport {
    /// What is wrong with the configuration, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.keys.as_ref().is_some_and(|keys| !keys.is_sound()) {
            return Some("a key has at least 32 bytes");
        }
        if self.accept_unsigned && self.keys.is_none() {
            return Some("without keys every token is unsigned");
        }
        match &self.carrier {
            SessionCarrier::Cookie => self.cookie.problem(self.token_len()),
            SessionCarrier::Header(name) => problem_of_header(name),
        }
    }

    fn token_len(&self) -> usize {
        TOKEN_LEN + self.keys.as_ref().map_or(0, |_| 1 + MAC_LEN)
    }

    /// The tokens of this realm that a request presents: the first ones that look good, each once. What is malformed or
    /// not signed by one of the keys counts as absent.
    ///
    /// The lines that they stand in are sensitive from then on, so that nobody behind the layer logs them by accident.
    pub(crate) fn find(&self, realm: &Realm, headers: &mut HeaderMap) -> Found {
        let mut found = Found::default();
        match &self.carrier {
            SessionCarrier::Cookie => header_lines::each(headers, &COOKIE, |line| {
                let holds = self.gather(realm, self.cookie.values(line.as_bytes()), &mut found);
                line.set_sensitive(holds || line.is_sensitive());
            }),
            SessionCarrier::Header(name) => header_lines::each(headers, name, |line| {
                self.gather(realm, values(line.as_bytes()), &mut found);
                line.set_sensitive(true);
            }),
        }
        found
    }

    /// Says whether there is anything.
    fn gather<'a>(
        &self,
        realm: &Realm,
        mut values: impl Iterator<Item = &'a [u8]>,
        found: &mut Found,
    ) -> bool {
        let mut is_any = false;
        // Not a loop: an iterator that is made of several goes through them in less time of its own accord.
        let _ = values.try_for_each(|value| {
            if value.is_empty() {
                return ControlFlow::Continue(());
            }
            is_any = true;
            match self.read(realm, value) {
                Ok(_) if found.candidates.len() == MAX_CANDIDATES => return ControlFlow::Break(()),
                Ok(token) if found.candidates.contains(&token) => {}
                Ok(token) => found.candidates.push(token),
                Err(rejected) => _ = found.rejected.get_or_insert(rejected),
            }
            ControlFlow::Continue(())
        });
        is_any
    }

    fn read(&self, realm: &Realm, value: &[u8]) -> Result<Presented, Rejected> {
        let malformed = Rejected { why: RejectedReason::Malformed, locator: None };
        let Some(keys) = &self.keys else { return Presented::parse(unsigned(value)).ok_or(malformed) };
        let (token, rest) = value.split_at_checked(TOKEN_LEN).ok_or(malformed)?;
        let presented = Presented::parse(token).ok_or(malformed)?;
        let accepted = match rest.split_first() {
            Some((b'.', signature)) => keys.verifies(realm, token, signature),
            Some(_) => false,
            None => self.accept_unsigned,
        };
        let forged = Rejected { why: RejectedReason::Mac, locator: Some(presented.locator) };
        if accepted { Ok(presented) } else { Err(forged) }
    }

    /// The field that hands out a token. A client that tells sessions of its own from kept ones keeps it for `life`.
    pub(crate) fn handing_out(
        &self,
        realm: &Realm,
        token: &Token,
        life: Option<Duration>,
    ) -> Option<(HeaderName, HeaderValue)> {
        let mut text = token.value();
        if let Some(keys) = &self.keys {
            let mac = keys.sign(realm, text.as_bytes());
            text.push('.');
            text.push_str(&mac);
        }
        match &self.carrier {
            SessionCarrier::Cookie => Some((SET_COOKIE, self.cookie.set(text, life)?)),
            SessionCarrier::Header(name) => Some((name.clone(), sensitive(text)?)),
        }
    }

    /// The field that takes the token away.
    pub(crate) fn removal(&self) -> Option<(HeaderName, HeaderValue)> {
        match &self.carrier {
            SessionCarrier::Cookie => Some((SET_COOKIE, self.cookie.removal()?)),
            SessionCarrier::Header(name) => Some((name.clone(), HeaderValue::from_static(""))),
        }
    }

    /// What a response varies by that depends on the session.
    pub(crate) fn vary(&self) -> HeaderValue {
        match &self.carrier {
            SessionCarrier::Cookie => HeaderValue::from_static("cookie"),
            SessionCarrier::Header(name) => name.clone().into(),
        }
    }

    /// RFC 9110 wants a challenge with every 401; neither a cookie nor a field of one's own has a registered scheme.
    pub(crate) fn challenge(&self) -> Challenge {
        match &self.carrier {
            SessionCarrier::Cookie => Challenge::new("Cookie").param("cookie-name", self.cookie.name.clone()),
            SessionCarrier::Header(name) => {
                Challenge::new("Session").param("header", name.as_str().to_owned())
            }
        }
    }

    /// Where the token travels. A cookie and a header field of one name are two places.
    pub(crate) fn place(&self) -> (bool, &str) {
        match &self.carrier {
            SessionCarrier::Cookie => (true, &self.cookie.name),
            SessionCarrier::Header(name) => (false, name.as_str()),
        }
    }

    /// How whoever is recognised by the token was recognised.
    pub(crate) fn carrier_of_identity(&self) -> Carrier {
        match self.carrier {
            SessionCarrier::Cookie => Carrier::Ambient,
            SessionCarrier::Header(_) => Carrier::Explicit,
        }
    }
}

/// Without keys the secret alone counts, also of a token that was signed by a process that has them already, or still.
fn unsigned(value: &[u8]) -> &[u8] {
    match value.split_at_checked(TOKEN_LEN) {
        Some((token, [b'.', signature @ ..])) if is_signature(signature) => token,
        Some(_) | None => value,
    }
}

fn problem_of_header(name: &HeaderName) -> Option<&'static str> {
    let name_text = name.as_str();
    if TAKEN.contains(name) {
        Some("this header field has a meaning of its own")
    } else if name_text.starts_with("grpc-") || name_text.ends_with("-bin") {
        Some(
            "in gRPC, names that start with grpc- are reserved, and those that end with -bin are for binary data",
        )
    } else {
        None
    }
}

/// An intermediary may join lines into a list (RFC 9110, section 5.3); a token holds no comma.
fn values(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "tokens are ASCII")]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [1; 32];
    const FIELD: HeaderName = HeaderName::from_static("x-session");

    fn transport(carrier: SessionCarrier, keys: Option<KeyRing>) -> Transport {
        Transport { carrier, keys, ..Transport::default() }
    }

    fn header(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (FIELD, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_token_is_found_in_its_field_however_lines_are_joined() {
        let carried = transport(SessionCarrier::Header(FIELD), None);
        let [one, two] = [Token::mint().unwrap().value(), Token::mint().unwrap().value()];
        let joined = format!("{one} ,{two}");
        let many: Vec<String> = (0..9).map(|_| Token::mint().unwrap().value()).collect();
        let many = many.join(",");
        let rows: [(&str, &[&str], usize); 8] = [
            ("none", &[], 0),
            ("one", &[&one], 1),
            ("twice the same", &[&one, &one], 1),
            ("two lines", &[&one, &two], 2),
            ("one line", &[&joined], 2),
            ("beside junk", &["junk", &one], 1),
            ("empty", &[""], 0),
            ("many", &[&many], MAX_CANDIDATES),
        ];
        for (name, values, expected) in rows {
            assert_eq!(
                carried.find(&Realm::default(), &mut header(values)).candidates.len(),
                expected,
                "{name}"
            );
        }
        let cookie = [(COOKIE, HeaderValue::try_from(format!("__Host-id={one}")).unwrap())];
        assert!(
            carried.find(&Realm::default(), &mut cookie.into_iter().collect()).candidates.is_empty(),
            "a cookie"
        );
    }

    #[test]
    fn with_keys_only_signed_tokens_are_looked_up() {
        let realm = Realm::default();
        let mut signing = transport(SessionCarrier::Header(FIELD), Some(KeyRing::new(KEY)));
        let token = Token::mint().unwrap();
        let (name, value) = signing.handing_out(&realm, &token, None).unwrap();
        assert_eq!((name, value.len(), value.is_sensitive()), (FIELD, signing.token_len(), true));
        let signed = value.to_str().unwrap();
        let unsigned = token.value();
        let another = Token::mint().unwrap().value() + &signed[TOKEN_LEN..];
        let rows = [
            ("signed", signed, true),
            ("unsigned", &unsigned, false),
            ("an empty signature", &format!("{unsigned}."), false),
            ("another token's signature", &another, false),
            ("more behind it", &format!("{signed}A"), false),
            ("another separator", &signed.replacen('.', ":", 2).replacen(':', ".", 1), false),
        ];
        for (name, value, found) in rows {
            let Found { candidates, rejected } = signing.find(&realm, &mut header(&[value]));
            let why = rejected.map(|rejected| rejected.why);
            let expected = if found { (1, None) } else { (0, Some(RejectedReason::Mac)) };
            assert_eq!((candidates.len(), why), expected, "{name}");
        }
        let elsewhere = signing.find(&"staff".parse().unwrap(), &mut header(&[signed]));
        assert!(elsewhere.candidates.is_empty(), "another realm");
        signing.accept_unsigned = true;
        assert_eq!(
            signing.find(&realm, &mut header(&[signed, &unsigned])).candidates.len(),
            1,
            "the same session"
        );
        assert!(
            signing.find(&realm, &mut header(&[&another])).candidates.is_empty(),
            "a bad signature is no missing one"
        );
    }

    #[test]
    fn without_keys_a_signature_is_looked_past_and_nothing_else_is() {
        let plain = transport(SessionCarrier::Header(FIELD), None);
        let token = Token::mint().unwrap().value();
        let signature = "A".repeat(MAC_LEN);
        let rows = [
            ("unsigned", token.clone(), true),
            ("signed", format!("{token}.{signature}"), true),
            ("an empty signature", format!("{token}."), false),
            ("a short one", format!("{token}.{}", &signature[1..]), false),
            ("a long one", format!("{token}.{signature}A"), false),
            ("one that no key gives", format!("{token}.{}B", &signature[1..]), false),
            ("another alphabet", format!("{token}.{}+A", &signature[2..]), false),
            ("another separator", format!("{token}:{signature}"), false),
            ("two", format!("{token}.{signature}.{signature}"), false),
        ];
        for (name, value, found) in rows {
            let Found { candidates, rejected } = plain.find(&Realm::default(), &mut header(&[&value]));
            let malformed = Rejected { why: RejectedReason::Malformed, locator: None };
            let expected = if found { (1, None) } else { (0, Some(malformed)) };
            assert_eq!((candidates.len(), rejected), expected, "{name}");
        }
        let both = format!("{token},{token}.{signature}");
        assert_eq!(plain.find(&Realm::default(), &mut header(&[&both])).candidates.len(), 1, "one session");
    }

    #[test]
    fn the_first_token_that_is_not_looked_up_is_told_of() {
        let signing = transport(SessionCarrier::Header(FIELD), Some(KeyRing::new(KEY)));
        let unsigned = Token::mint().unwrap();
        let forged = Rejected { why: RejectedReason::Mac, locator: Some(unsigned.locator) };
        let malformed = Rejected { why: RejectedReason::Malformed, locator: None };
        let rows: [(&str, &[&str], Option<Rejected>); 5] = [
            ("nothing", &[], None),
            ("empty, as after a logout", &[""], None),
            ("junk", &["junk"], Some(malformed)),
            ("unsigned, then junk", &[&unsigned.value(), "junk"], Some(forged)),
            ("junk, then unsigned", &["junk", &unsigned.value()], Some(malformed)),
        ];
        for (name, values, expected) in rows {
            assert_eq!(signing.find(&Realm::default(), &mut header(values)).rejected, expected, "{name}");
        }
    }

    #[test]
    fn forged_tokens_take_no_places() {
        let realm = Realm::default();
        let signing = transport(SessionCarrier::Header(FIELD), Some(KeyRing::new(KEY)));
        let (_, real) = signing.handing_out(&realm, &Token::mint().unwrap(), None).unwrap();
        let forged = || format!("{}.{}", Token::mint().unwrap().value(), "A".repeat(MAC_LEN));
        let mut values: Vec<String> = (0..100).map(|_| forged()).collect();
        values.push(real.to_str().unwrap().to_owned());
        assert_eq!(signing.find(&realm, &mut header(&[&values.join(",")])).candidates.len(), 1);
    }

    #[test]
    fn fields_with_another_meaning_are_refused() {
        for (name, sound) in [
            ("x-session", true),
            ("session", true),
            ("authorization", false),
            ("cookie", false),
            ("vary", false),
            ("session-bin", false),
            ("grpc-session", false),
        ] {
            let carried = transport(SessionCarrier::Header(name.parse().unwrap()), None);
            assert_eq!(carried.problem().is_none(), sound, "{name}");
        }
    }

    #[test]
    fn keys_have_32_bytes() {
        let rows = [("32 bytes", KeyRing::new(KEY), true), ("31 bytes", KeyRing::new([1; 31]), false)];
        for (name, keys, sound) in rows {
            assert_eq!(transport(SessionCarrier::Cookie, Some(keys)).problem().is_none(), sound, "{name}");
        }
        let contradictory = Transport { accept_unsigned: true, ..transport(SessionCarrier::Cookie, None) };
        assert!(contradictory.problem().is_some());
    }
}
