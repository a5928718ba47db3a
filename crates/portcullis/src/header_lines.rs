//! [`each`]: the lines of one field, for layers that mark what they find there as sensitive.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Shows all lines of this name, in whatever order. Inlined, for the hash of a name that stands in the code is known then.
#[inline]
pub(crate) fn each(headers: &mut HeaderMap, name: &HeaderName, mut see: impl FnMut(&mut HeaderValue)) {
    // As a rule no field is there twice, and one line is found by itself.
    if headers.len() == headers.keys_len() {
        headers.get_mut(name).into_iter().for_each(see);
    } else {
        headers.iter_mut().filter(|(at, _)| *at == name).for_each(|(_, line)| see(line));
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, AUTHORIZATION, COOKIE};

    use super::*;

    #[test]
    fn every_line_of_the_name_is_shown_and_no_other() {
        let line = |name: &HeaderName, value| (name.clone(), HeaderValue::from_static(value));
        let rows = [
            ("none", vec![line(&ACCEPT, "a")], 0),
            ("one", vec![line(&COOKIE, "a"), line(&ACCEPT, "b")], 1),
            (
                "one, beside two of another",
                vec![line(&ACCEPT, "a"), line(&COOKIE, "b"), line(&ACCEPT, "c")],
                1,
            ),
            ("none, beside two of another", vec![line(&ACCEPT, "a"), line(&ACCEPT, "c")], 0),
            (
                "three",
                vec![line(&COOKIE, "a"), line(&COOKIE, "b"), line(&AUTHORIZATION, "c"), line(&COOKIE, "d")],
                3,
            ),
        ];
        for (name, lines, expected) in rows {
            let mut headers: HeaderMap = lines.into_iter().collect();
            let mut seen = 0;
            each(&mut headers, &COOKIE, |line| {
                seen += 1;
                line.set_sensitive(true);
            });
            let marked = headers.iter().filter(|(at, value)| value.is_sensitive() && **at == COOKIE).count();
            let all_marked = headers.values().filter(|value| value.is_sensitive()).count();
            assert_eq!((seen, marked, all_marked), (expected, expected, expected), "{name}");
        }
    }
}
