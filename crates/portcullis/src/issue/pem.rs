//! PEM (RFC 7468) with one block.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The contents of the only block of this label; `None` if there is none, or another beside it.
pub(super) fn decode(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, begun) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, rest) = begun.split_once(&format!("-----END {label}-----"))?;
    if rest.contains("-----BEGIN") {
        return None;
    }
    let base64: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    STANDARD.decode(base64.as_bytes()).ok().map(Zeroizing::new)
}

/// One block of this label, in lines of 64 characters.
pub(super) fn encode(der: &[u8], label: &str) -> String {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_as_it_was_written_and_two_are_refused() {
        let der: Vec<u8> = (0..=255).collect();
        let text = encode(&der, "PRIVATE KEY");
        assert_eq!(decode(&text, "PRIVATE KEY").as_deref(), Some(&der));
        assert!(text.lines().all(|line| line.len() <= 64));
        for (name, text, label) in [
            ("another label", text.clone(), "PUBLIC KEY"),
            ("two blocks", text.repeat(2), "PRIVATE KEY"),
            ("no end", text.replace("END", "EMD"), "PRIVATE KEY"),
            ("no base64", text.replace("AAEC", "A*EC"), "PRIVATE KEY"),
            ("nothing", String::new(), "PRIVATE KEY"),
        ] {
            assert!(decode(&text, label).is_none(), "{name}");
        }
    }
}
