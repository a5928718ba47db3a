//! The users of a server with an aclfile, <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>.

use aws_lc_rs::digest::{SHA256, digest};

/// The testkit's own user and its password: its questions are answered whatever the test's users may do.
pub(super) const USER: &str = "portcullis-testkit";
pub(super) const PASSWORD: &str = "portcullis-testkit";

/// The text of the file. It decides about the default user, too, and `--requirepass` beside it does nothing.
pub(super) fn file(users: &[String], password: Option<&str>) -> String {
    let everything = "~* &* +@all";
    let mut text = format!("user {USER} on {} {everything}\n", secret(Some(PASSWORD)));
    if !users.iter().any(|user| user.starts_with("user default ")) {
        text.push_str(&format!("user default on {} {everything}\n", secret(password)));
    }
    text.extend(users.iter().map(|user| format!("{user}\n")));
    text
}

/// As a digest, which unlike a password never has a space.
fn secret(password: Option<&str>) -> String {
    let Some(password) = password else { return "nopass".to_owned() };
    let digest = digest(&SHA256, password.as_bytes());
    let hexadecimal: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("#{hexadecimal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_user_is_the_tests_or_has_the_password() {
        let cases = [
            (vec![], None, "\nuser default on nopass ~* &* +@all\n"),
            (
                vec!["user reader on nopass ~* +get"],
                Some("abc"),
                "\nuser default on #ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad ~* &* +@all\nuser reader on nopass ~* +get\n",
            ),
            (vec!["user default off"], Some("abc"), "\nuser default off\n"),
        ];
        for (users, password, end) in cases {
            let users: Vec<String> = users.into_iter().map(str::to_owned).collect();
            let text = file(&users, password);
            assert!(text.ends_with(end) && text.starts_with("user portcullis-testkit on #"), "{text}");
            assert_eq!(text.lines().count(), end.lines().count(), "{text}");
        }
    }
}
