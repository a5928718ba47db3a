//! [`Tenants`]: those of a provider's customers whose tokens are accepted. [`IssuerName`]: what a token's `iss` must be.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use crate::bearer::claims::Claims;
use crate::bearer::refusal::Refusal;

/// The tenants of a provider whose tokens are accepted, for [`Issuer::templated`](crate::bearer::Issuer::templated).
///
/// There is no way to accept everybody's: whoever opens a tenant with the provider would be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenants(HashSet<String>);

/// What `iss` must be.
#[derive(Clone)]
pub(in crate::bearer) enum IssuerName {
    /// This, to the letter.
    Exact(String),
    /// A template, filled with a tenant that the token names in a claim of its own.
    Templated(Template),
}

/// A name with a claim in braces in it.
#[derive(Clone)]
pub(in crate::bearer) struct Template {
    text: String,
    /// What stands before the braces, in them and behind; `None` if there is not exactly one pair.
    parts: Option<(String, String, String)>,
    tenants: Tenants,
}

impl Tenants {
    /// These, as they stand in the issuer's name and in the claim, to the letter. Each is made of letters, digits, `-`, `.`
    /// and `_`.
    pub fn list<T: Into<String>>(tenants: impl IntoIterator<Item = T>) -> Self {
        Self(tenants.into_iter().map(Into::into).collect())
    }

    /// The same, in lower case, if all of them are UUIDs; else none, which no layer is built with.
    pub(in crate::bearer) fn uuids(self) -> Self {
        let all = self.0.iter().all(|tenant| is_uuid(tenant));
        Self(if all { self.0.iter().map(|it| it.to_ascii_lowercase()).collect() } else { HashSet::new() })
    }

    fn is_sound(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !self.0.is_empty() && self.0.iter().all(|it| !it.is_empty() && it.bytes().all(plain))
    }
}

impl IssuerName {
    pub(in crate::bearer) fn templated(text: String, tenants: Tenants) -> Self {
        let parts = parts(&text);
        Self::Templated(Template { text, parts, tenants })
    }

    /// As it is configured: the name, or the template.
    pub(in crate::bearer) fn as_str(&self) -> &str {
        match self {
            Self::Exact(name) => name,
            Self::Templated(template) => &template.text,
        }
    }

    /// Whether a token with this `iss` is of this issuer. Of a template that is half of the answer:
    /// [`judge`](Self::judge) compares the tenant, too.
    pub(in crate::bearer) fn is(&self, iss: &str) -> bool {
        match self {
            Self::Exact(name) => name == iss,
            Self::Templated(template) => template.tenant_of(iss).is_some(),
        }
    }

    /// Whether the claims name this issuer.
    pub(in crate::bearer) fn judge(&self, claims: &Claims<'_>) -> Result<(), Refusal> {
        let iss = claims.iss.as_deref().ok_or(Refusal::MissingClaim)?;
        let is_named = match self {
            Self::Exact(name) => name == iss,
            Self::Templated(template) => {
                let stated = template.claim().and_then(|claim| claims.text(claim));
                template.tenant_of(iss) == Some(stated.ok_or(Refusal::MissingClaim)?)
            }
        };
        if is_named { Ok(()) } else { Err(Refusal::UnknownIssuer) }
    }

    /// Whether a key that is said to be of this issuer alone may sign a token with this `iss`.
    ///
    /// Entra publishes the keys of all its tenants in one set, and beside each whose it is, with `{tenantid}` for
    /// everybody's. What other key sets say of an issuer means nothing.
    pub(in crate::bearer) fn lets_sign(&self, of: Option<&str>, iss: &str) -> bool {
        match (self, of) {
            (Self::Exact(_), _) | (_, None) => true,
            (Self::Templated(template), Some(of)) => {
                template.tenant_of(iss).is_some_and(|tenant| of.replace("{tenantid}", tenant) == iss)
            }
        }
    }

    /// The claim that names the tenant, if there are tenants.
    pub(in crate::bearer) fn claim(&self) -> Option<&str> {
        match self {
            Self::Exact(_) => None,
            Self::Templated(template) => template.claim(),
        }
    }

    pub(in crate::bearer) fn is_empty(&self) -> bool {
        self.as_str().is_empty()
    }

    /// Whether it is no template, or one with a claim in braces and with tenants to fill it.
    pub(in crate::bearer) fn is_sound(&self) -> bool {
        match self {
            Self::Exact(_) => true,
            Self::Templated(template) => template.claim().is_some() && template.tenants.is_sound(),
        }
    }

    /// Whether some token could be of both.
    pub(in crate::bearer) fn overlaps(&self, other: &Self) -> bool {
        match self {
            Self::Exact(name) => other.is(name),
            Self::Templated(template) => template.names().any(|name| other.is(&name)),
        }
    }
}

impl Template {
    fn claim(&self) -> Option<&str> {
        self.parts.as_ref().map(|(_, claim, _)| claim.as_str())
    }

    /// The tenant by which the template is filled to be this.
    fn tenant_of<'i>(&self, iss: &'i str) -> Option<&'i str> {
        let (before, _, behind) = self.parts.as_ref()?;
        let tenant = iss.strip_prefix(before.as_str())?.strip_suffix(behind.as_str())?;
        self.tenants.0.contains(tenant).then_some(tenant)
    }

    fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let parts = self.parts.iter();
        parts.flat_map(|(before, _, behind)| {
            self.tenants.0.iter().map(move |tenant| format!("{before}{tenant}{behind}").into())
        })
    }
}

/// What stands before, in and behind the only braces.
fn parts(template: &str) -> Option<(String, String, String)> {
    let (before, rest) = template.split_once('{')?;
    let (claim, behind) = rest.split_once('}')?;
    let plain = |text: &str| !text.contains(['{', '}']);
    let sound = !claim.is_empty() && plain(claim) && plain(before) && plain(behind);
    sound.then(|| (before.to_owned(), claim.to_owned(), behind.to_owned()))
}

/// RFC 9562, section 4.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Debug for IssuerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str, tenants: &[&str]) -> IssuerName {
        IssuerName::templated(text.to_owned(), Tenants::list(tenants.iter().copied()))
    }

    #[test]
    fn a_template_has_one_claim_in_braces_and_plain_tenants() {
        let rows: [(&str, &[&str], bool); 16] = [
            ("https://idp.example/{tid}/v2.0", &["a", "b-1.c_d"], true),
            ("{tid}", &["a"], true),
            ("https://idp.example/", &["a"], false),
            ("https://idp.example/{}", &["a"], false),
            ("https://idp.example/{tid", &["a"], false),
            ("https://idp.example/tid}", &["a"], false),
            ("https://{a}.example/{b}", &["a"], false),
            ("https://idp.example/{{tid}}", &["a"], false),
            ("https://idp.example/{{tid}", &["a"], false),
            ("https://idp}.example/{tid}", &["a"], false),
            ("https://idp.example/{tid}", &[], false),
            ("https://idp.example/{tid}", &[""], false),
            ("https://idp.example/{tid}", &["a", "b/c"], false),
            ("https://idp.example/{tid}", &["{tid}"], false),
            ("https://idp.example/{tid}", &["a b"], false),
            ("https://idp.example/{tid}", &["a%2fb"], false),
        ];
        for (text, tenants, sound) in rows {
            assert_eq!(template(text, tenants).is_sound(), sound, "{text} {tenants:?}");
        }
    }

    #[test]
    fn issuers_overlap_when_a_token_could_be_of_both() {
        let exact = |name: &str| IssuerName::Exact(name.to_owned());
        let both = template("https://idp.example/{tid}/v2.0", &["a", "b"]);
        let rows = [
            ("the same", exact("x"), exact("x"), true),
            ("others", exact("x"), exact("y"), false),
            ("one of the tenants", both.clone(), exact("https://idp.example/b/v2.0"), true),
            ("another tenant", both.clone(), exact("https://idp.example/c/v2.0"), false),
            ("the template's text", both.clone(), exact("https://idp.example/{tid}/v2.0"), false),
            ("a tenant in common", both.clone(), template("https://idp.example/{org}/v2.0", &["b"]), true),
            ("none in common", both.clone(), template("https://idp.example/{tid}/v2.0", &["c"]), false),
        ];
        for (name, one, other, expected) in rows {
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (expected, expected), "{name}");
        }
    }

    #[test]
    fn tenants_by_uuid_are_uuids() {
        let id = "72F988BF-86f1-41af-91ab-2d7cd011db47";
        assert_eq!(Tenants::list([id]).uuids(), Tenants::list([id.to_ascii_lowercase()]));
        for other in
            ["common", "contoso.onmicrosoft.com", "72f988bf86f141af91ab2d7cd011db47", &id.replace('F', "g")]
        {
            assert!(!Tenants::list([id, other]).uuids().is_sound(), "{other}");
        }
    }

    #[test]
    fn a_key_of_one_tenant_signs_for_no_other() {
        let both = template("https://idp.example/{tid}/v2.0", &["a", "b"]);
        let rows = [
            ("no word", None, true),
            ("everybody's", Some("https://idp.example/{tenantid}/v2.0"), true),
            ("the tenant's", Some("https://idp.example/a/v2.0"), true),
            ("another's", Some("https://idp.example/b/v2.0"), false),
            ("a stranger's", Some("https://idp.example/c/v2.0"), false),
            ("another version's", Some("https://idp.example/{tenantid}/"), false),
            ("empty", Some(""), false),
        ];
        for (name, of, expected) in rows {
            assert_eq!(both.lets_sign(of, "https://idp.example/a/v2.0"), expected, "{name}");
        }
        assert!(IssuerName::Exact("x".to_owned()).lets_sign(Some("y"), "x"));
    }
}
