//! [`Known`]: what an answer says about a token (RFC 7662, section 2.2). Pure: a text and a moment in, a verdict out.
//!
//! * `active` is true or false, and stands once; what has no such member is no answer.
//! * Of a token that is active, everything that is said is judged by the rules that hold for JWTs. What is not said of
//!   `iss` and `exp` has been judged by the server (section 4).
//! * For whom it is has to be said: a server judges that only where it knows which services a token is for, and what it
//!   calls active may be a refresh token, or one that was given for no service at all.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_store::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::bearer::cache::Perishable;
use crate::bearer::claims::{Claims, Shape};
use crate::bearer::confirmation::Confirmation;
use crate::bearer::crypto::sha256;
use crate::bearer::json::Text;
use crate::bearer::refusal::Refusal;
use crate::bearer::revocation::Marks;
use crate::bearer::rules::Rules;
use crate::bearer::verifier::state;
use crate::identity::{Carrier, Identity};

/// What is known of an opaque token, for a while.
#[derive(Clone)]
pub(in crate::bearer) struct Known {
    pub(super) verdict: Result<Active, Refusal>,
    pub(super) carrier: Carrier,
    pub(super) since: Timestamp,
    /// Until, not at, when it holds.
    pub(super) until: Timestamp,
}

/// A token that is good, but for what is asked about it each time that it comes.
#[derive(Clone)]
pub(in crate::bearer) struct Active {
    pub(in crate::bearer) identity: Identity,
    pub(in crate::bearer) marks: Marks,
    pub(in crate::bearer) confirmation: Option<Arc<Confirmation>>,
}

/// The text is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoAnswer;

/// For how long answers hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) active: Duration,
    pub(super) inactive: Duration,
    /// Whether the server has to say for whom a token is.
    pub(super) needs_audience: bool,
    /// Whether a token of which the server names no user is its client's own.
    pub(super) client_is_subject: bool,
}

/// The server, and what its answers are held to.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) rules: Rules,
    pub(super) shape: Shape,
    pub(super) terms: Terms,
}

impl Judge {
    /// What the answer says of this token, which came in this way.
    pub(super) fn judge(
        &self,
        token: &str,
        json: &[u8],
        carrier: Carrier,
        now: Timestamp,
    ) -> Result<Known, NoAnswer> {
        let text = std::str::from_utf8(json).map_err(|_| NoAnswer)?;
        let Activity(is_active) = serde_json::from_str(text).map_err(|_| NoAnswer)?;
        let claims = if is_active { Claims::parse(text, &self.shape) } else { Err(Refusal::Inactive) };
        let (verdict, until) = match claims.and_then(|claims| self.admit(claims, (token, text), carrier, now))
        {
            Ok((active, end)) => (Ok(active), end.min(now.saturating_add(self.terms.active))),
            Err(refusal) => (Err(refusal), now.saturating_add(self.terms.inactive)),
        };
        Ok(Known { verdict, carrier, since: now, until })
    }

    fn admit(
        &self,
        mut claims: Claims<'_>,
        (token, text): (&str, &str),
        carrier: Carrier,
        now: Timestamp,
    ) -> Result<(Active, Timestamp), Refusal> {
        self.rules.judge_answer(&claims, self.terms.needs_audience, now)?;
        if claims.sub.is_none() && self.terms.client_is_subject {
            claims.sub = claims.client_id.clone();
        }
        let mut text = Cow::Borrowed(text);
        if claims.jti.is_none() {
            let id = id_of(token);
            text = Cow::Owned(with_id(&text, &id));
            claims.jti = Some(Cow::Owned(id));
        }
        let issuer = claims.iss.as_deref().unwrap_or(self.rules.issuer.as_str());
        let identity = state(&claims, issuer, &text, carrier)?;
        let marks = Marks::of(&claims, issuer, identity.subject(), self.shape.versioned, self.rules.leeway);
        let confirmation = claims.cnf.clone().map(Arc::new);
        Ok((Active { identity, marks, confirmation }, self.rules.accepted_until(&claims)))
    }
}

/// What a token is called whose server does not say: many do not, because their name of it is the token itself.
fn id_of(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256([token.as_bytes()]))
}

/// An answer, which is an object with `active` at least, and in it what the token is called.
fn with_id(json: &str, id: &str) -> String {
    let (before, members) = json.split_once('{').unwrap_or_default();
    format!(r#"{before}{{"jti":"{id}",{members}"#)
}

impl Perishable for Known {
    /// What was said later than now was said before the clock was set back.
    fn lasts(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }

    fn until(&self) -> Timestamp {
        self.until
    }

    fn since(&self) -> Timestamp {
        self.since
    }
}

/// Whether the server says that a token is active.
struct Activity(bool);

impl<'de> Deserialize<'de> for Activity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ActivityVisitor)
    }
}

struct ActivityVisitor;

impl<'de> Visitor<'de> for ActivityVisitor {
    type Value = Activity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an introspection response")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut active = None;
        while let Some(Text(name)) = members.next_key()? {
            if name != "active" {
                members.next_value::<IgnoredAny>()?;
            } else if active.is_some() {
                return Err(A::Error::duplicate_field("active"));
            } else {
                active = Some(members.next_value()?);
            }
        }
        active.map(Activity).ok_or_else(|| A::Error::missing_field("active"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::{Audience, Issuer};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const TERMS: Terms = Terms {
        active: Duration::from_secs(60),
        inactive: Duration::from_secs(5),
        needs_audience: true,
        client_is_subject: false,
    };

    fn judge(json: &str) -> Result<Known, NoAnswer> {
        judge_by(TERMS, json)
    }

    fn judge_by(terms: Terms, json: &str) -> Result<Known, NoAnswer> {
        let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"]));
        let (rules, shape) = issuer.rules_alone().unwrap();
        Judge { rules, shape, terms }.judge("opaque", json.as_bytes(), Carrier::Explicit, NOW)
    }

    #[test]
    fn what_has_no_verdict_is_no_answer() {
        for json in [
            "",
            "null",
            "[]",
            "{}",
            "true",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":null}"#,
            r#"{"active":true,"active":true}"#,
            r#"{"active":false,"active":true}"#,
            r#"{"Active":true}"#,
            r#"{"active":true}{}"#,
            r#"{"active":true"#,
            "<html>",
        ] {
            assert!(judge(json).is_err(), "{json}");
        }
        let mut bytes = br#"{"active":true,"sub":"a"}"#.to_vec();
        bytes[20] = 0xff;
        assert!(String::from_utf8(bytes).is_err());
    }

    #[test]
    fn what_is_said_of_an_active_token_is_judged_as_a_jwt_is() {
        let rows = [
            ("all", r#""iss":"https://idp.example","aud":"api","exp":1000300,"iat":1000000"#, None),
            ("a list", r#""aud":["b","api"]"#, None),
            ("nothing", r#""client_id":"c""#, None),
            ("another issuer", r#""iss":"https://evil.example""#, Some(Refusal::UnknownIssuer)),
            ("another audience", r#""aud":"b""#, Some(Refusal::WrongAudience)),
            ("no audience", r#""aud":[]"#, Some(Refusal::WrongAudience)),
            ("expired", r#""exp":999995"#, Some(Refusal::Expired)),
            ("just not", r#""exp":999996"#, None),
            ("not begun", r#""nbf":1000006"#, Some(Refusal::NotYetValid)),
            ("from the future", r#""iat":1000006"#, Some(Refusal::IssuedInFuture)),
            ("a refresh token", r#""typ":"Refresh""#, Some(Refusal::NotAnAccessToken)),
            ("another refresh token", r#""token_use":"refresh_token""#, Some(Refusal::NotAnAccessToken)),
            ("an access token", r#""token_use":"access_token""#, None),
            ("an ID token", r#""at_hash":"a""#, Some(Refusal::NotAnAccessToken)),
            ("a time that is none", r#""exp":"soon""#, Some(Refusal::MalformedClaims)),
            ("twice", r#""aud":"api","aud":"api""#, Some(Refusal::DuplicateClaim)),
        ];
        for (name, members, expected) in rows {
            let answer = format!(r#"{{"active":true,"sub":"ada",{members}}}"#);
            let known = judge_by(Terms { needs_audience: false, ..TERMS }, &answer).unwrap();
            assert_eq!(known.verdict.as_ref().err().copied(), expected, "{name}");
            let strictly = judge(&answer).unwrap().verdict.err();
            match members.contains(r#""aud""#) {
                true => assert_eq!(strictly, expected, "{name}"),
                false if expected.is_none() => assert_eq!(strictly, Some(Refusal::MissingAudience), "{name}"),
                false => assert!(strictly.is_some(), "{name}"),
            }
        }
        let nobody = judge(r#"{"active":true,"client_id":"c","aud":"api"}"#).unwrap();
        assert_eq!(nobody.verdict.err(), Some(Refusal::MissingSubject));
        let inactive = judge(r#"{"active":false,"sub":"ada"}"#).unwrap();
        assert_eq!(inactive.verdict.err(), Some(Refusal::Inactive));
    }

    #[test]
    fn a_token_of_which_no_user_is_named_is_its_clients_where_that_is_said() {
        let terms = Terms { client_is_subject: true, ..TERMS };
        for (members, expected) in [
            (r#""client_id":"job""#, Ok("job")),
            (r#""client_id":"job","sub":"ada""#, Ok("ada")),
            (r#""client_id":"job","sub":"""#, Err(Refusal::MissingSubject)),
            (r#""client_id":"""#, Err(Refusal::MissingSubject)),
            (r#""username":"ada""#, Err(Refusal::MissingSubject)),
        ] {
            let known = judge_by(terms, &format!(r#"{{"active":true,"aud":"api",{members}}}"#)).unwrap();
            let subject = known.verdict.as_ref().map(|active| active.identity.subject());
            assert_eq!(subject.map_err(|refusal| *refusal), expected, "{members}");
        }
    }

    #[test]
    fn a_token_without_a_name_is_called_by_its_hash_and_nothing_else_is_changed() {
        for (json, expected) in [
            (r#"{"active":true,"sub":"a","aud":"api","jti":"j"}"#, "j"),
            (
                "\n { \"sub\":\"a\",\"aud\":\"api\",\"active\":true}\n",
                "bSKYhMEmi7CrMtjaMV0P5S-RRyKL2DCje8n7KKlUlA0",
            ),
        ] {
            let mut said: serde_json::Value = serde_json::from_str(json).unwrap();
            let identity = judge(json).unwrap().verdict.unwrap().identity;
            said["jti"] = expected.into();
            assert_eq!(identity.claims::<serde_json::Value>().unwrap(), said, "{json}");
        }
    }

    #[test]
    fn an_answer_holds_for_its_time_and_never_past_the_token() {
        let until = |json: &str| judge(json).unwrap().until.as_secs() - NOW.as_secs();
        assert_eq!(until(r#"{"active":true,"sub":"a","aud":"api"}"#), 60);
        assert_eq!(until(r#"{"active":true,"sub":"a","aud":"api","exp":1000300}"#), 60);
        assert_eq!(until(r#"{"active":true,"sub":"a","aud":"api","exp":1000010}"#), 15, "and the leeway");
        assert_eq!(until(r#"{"active":false}"#), 5);
        assert_eq!(until(r#"{"active":true,"sub":"a","aud":"b"}"#), 5, "refused");
    }
}
