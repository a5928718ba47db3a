//! [`Entry`]: an enrolment as the scripts take it.

use portcullis_store::{Enrolment, Locator, Timestamp};

use crate::command::Argument;
use crate::script::LAST_TIME;

/// An enrolment as the scripts take it.
pub(crate) struct Entry<'a> {
    deadline: String,
    /// Without them a script has less to do.
    conditions: Option<Conditions<'a>>,
}

struct Conditions<'a> {
    limit: String,
    version: String,
    replaces: Option<Locator>,
    evicted: &'a [Locator],
}

impl<'a> Entry<'a> {
    pub(crate) fn of(enrolment: &Enrolment<'a>) -> Self {
        let Enrolment { limit, credential_version: version, evicted, .. } = *enrolment;
        let conditional = limit.is_some() || version.is_some() || !evicted.is_empty();
        let conditions = conditional.then(|| Conditions {
            limit: limit.map_or_else(String::new, |limit| limit.to_string()),
            version: version.map_or_else(String::new, |version| version.0.to_string()),
            replaces: enrolment.replaces,
            evicted,
        });
        Self { deadline: score(enrolment.deadline), conditions }
    }

    /// As arguments of a script, see `lua/index.lua`.
    pub(crate) fn push_onto<'b>(&'b self, arguments: &mut Vec<Argument<'b>>) {
        arguments.push((&*self.deadline).into());
        let Some(conditions) = &self.conditions else { return };
        let replaces = conditions.replaces.as_ref().map_or(&b""[..], |locator| locator.as_bytes());
        arguments.extend::<[Argument<'_>; 3]>([
            (&*conditions.limit).into(),
            (&*conditions.version).into(),
            replaces.into(),
        ]);
        arguments.extend(conditions.evicted.iter().map(|locator| Argument::from(locator.as_bytes())));
    }
}

fn score(deadline: Timestamp) -> String {
    deadline.as_millis().min(LAST_TIME).to_string()
}
