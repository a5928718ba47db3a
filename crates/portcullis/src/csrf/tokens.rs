//! [`Tokens`]: makes and verifies tokens. Nothing is stored of them.

use base64_simd::{Out, URL_SAFE_NO_PAD};
use hmac::Mac as _;

use super::binding::Binding;
use super::keys::CsrfKeys;
use crate::mac::HmacSha256;
use crate::secret::{NoEntropy, constant_time_eq, random};

/// `base64url(mask || (mask XOR HMAC-SHA-256(key, "csrf1" || binding)))`.
///
/// The mask is another one each time, so that a compressed page does not give its token away (BREACH).
#[derive(Debug)]
pub(super) struct Tokens {
    keys: CsrfKeys,
}

/// Says what the signature is for, so that it is good for nothing else.
const PURPOSE: &[u8] = b"csrf1";

const MAC_LEN: usize = 32;

/// A token's, in characters of base64url.
const TOKEN_LEN: usize = 86;

impl Tokens {
    pub(super) fn new(keys: CsrfKeys) -> Self {
        Self { keys }
    }

    /// A token's text; empty if there is nothing to bind one to.
    pub(super) fn mint(&self, binding: &Binding) -> Result<String, NoEntropy> {
        let mask: [u8; MAC_LEN] = random()?;
        let Some(mac) = mac(self.keys.0.signing(), binding) else { return Ok(String::new()) };
        Ok(URL_SAFE_NO_PAD.encode_to_string([mask, xor(mask, mac)].as_flattened()))
    }

    /// Whether one of the keys has made this token for this binding. It allocates nothing.
    pub(super) fn verifies(&self, binding: &Binding, token: &[u8]) -> bool {
        let Some(presented) = unmasked(token) else { return false };
        self.keys
            .0
            .keys()
            .any(|key| mac(key, binding).is_some_and(|expected| constant_time_eq(&expected, &presented)))
    }
}

/// What stands behind the mask.
fn unmasked(token: &[u8]) -> Option<[u8; MAC_LEN]> {
    let mut halves = [[0; MAC_LEN]; 2];
    if token.len() != TOKEN_LEN {
        return None;
    }
    URL_SAFE_NO_PAD.decode(token, Out::from_slice(halves.as_flattened_mut())).ok()?;
    let [mask, masked] = halves;
    Some(xor(mask, masked))
}

fn mac(key: &HmacSha256, binding: &Binding) -> Option<[u8; MAC_LEN]> {
    let mut mac = key.clone();
    mac.update(PURPOSE);
    binding.feed(|part| mac.update(part))?;
    Some(mac.finalize().into_bytes().into())
}

fn xor(one: [u8; MAC_LEN], other: [u8; MAC_LEN]) -> [u8; MAC_LEN] {
    let mut both = one;
    for (byte, other) in both.iter_mut().zip(other) {
        *byte ^= other;
    }
    both
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as REFERENCE;
    use portcullis_store::Locator;
    use smallvec::smallvec;

    use super::*;

    fn locator(byte: u8) -> Locator {
        Locator::from_bytes([byte; 16])
    }

    fn session(byte: u8) -> Binding {
        Binding::of(smallvec![locator(byte)], || None)
    }

    fn visitor(byte: u8) -> Binding {
        Binding::of(smallvec![], || Some(locator(byte)))
    }

    fn tokens(key: u8) -> Tokens {
        Tokens::new(CsrfKeys::new([key; 32]))
    }

    #[test]
    fn a_token_is_good_for_what_it_is_bound_to_and_nothing_else() {
        let both = |one, other| Binding::of(smallvec![locator(one), locator(other)], || None);
        let bindings = [
            ("a session", session(1)),
            ("another session", session(2)),
            ("both sessions", both(1, 2)),
            ("a visitor of the session's name", visitor(1)),
            ("another visitor", visitor(2)),
        ];
        for (minted_for, binding) in &bindings {
            let token = tokens(1).mint(binding).unwrap();
            for (name, other) in &bindings {
                let verifies = tokens(1).verifies(other, token.as_bytes());
                assert_eq!(verifies, binding == other, "of {minted_for}, for {name}");
            }
        }
        let token = tokens(1).mint(&both(1, 2)).unwrap();
        assert!(tokens(1).verifies(&both(2, 1), token.as_bytes()), "in whatever order the layers stand");
    }

    #[test]
    fn without_anything_to_bind_to_nothing_verifies() {
        let nothing = Binding::of(smallvec![], || None);
        assert_eq!(tokens(1).mint(&nothing).unwrap(), "");
        for token in [String::new(), "A".repeat(86), tokens(1).mint(&visitor(0)).unwrap()] {
            assert!(!tokens(1).verifies(&nothing, token.as_bytes()), "{token:?}");
        }
    }

    #[test]
    fn tokens_differ_on_each_render() {
        let minted: std::collections::HashSet<_> =
            (0..100).map(|_| tokens(1).mint(&session(1)).unwrap()).collect();
        assert_eq!(minted.len(), 100);
        // Not in the first half only: what is the same in all of them could be guessed byte by byte.
        let second: std::collections::HashSet<_> =
            minted.iter().map(|token| token.as_bytes()[43..].to_vec()).collect();
        assert_eq!(second.len(), 100);
        assert!(minted.iter().all(|token| tokens(1).verifies(&session(1), token.as_bytes())));
    }

    #[test]
    fn the_first_key_makes_tokens_and_all_verify() {
        let new = Tokens::new(CsrfKeys::new([2; 32]).add_key([1; 32]));
        let token = |tokens: &Tokens| tokens.mint(&session(1)).unwrap();
        let rows = [
            ("its own", &new, token(&new), true),
            ("the one before", &new, token(&tokens(1)), true),
            ("the new one, where it is the only key", &tokens(2), token(&new), true),
            ("one to come", &tokens(1), token(&new), false),
            ("another's", &tokens(3), token(&new), false),
        ];
        for (name, tokens, token, verifies) in rows {
            assert_eq!(tokens.verifies(&session(1), token.as_bytes()), verifies, "{name}");
        }
    }

    #[test]
    fn every_character_of_a_token_counts() {
        let token = tokens(1).mint(&session(1)).unwrap().into_bytes();
        assert_eq!(token.len(), TOKEN_LEN);
        for at in 0..token.len() {
            for byte in 0..=u8::MAX {
                let mut changed = token.clone();
                changed[at] = byte;
                assert_eq!(tokens(1).verifies(&session(1), &changed), changed == token, "{byte} at {at}");
            }
        }
        for wrong in [&token[1..], &token[..85], &[&token[..], b"="].concat(), &[&token[..], &token].concat()]
        {
            assert!(!tokens(1).verifies(&session(1), wrong));
        }
    }

    /// What a token lacks would count as zeros, so this is tried with one that ends in zero.
    #[test]
    fn a_token_is_good_at_its_whole_length_only() {
        let mut minted = std::iter::repeat_with(|| tokens(1).mint(&session(1)).unwrap());
        let token = minted.find(|token| REFERENCE.decode(token).unwrap().ends_with(&[0])).unwrap();
        assert!(tokens(1).verifies(&session(1), token.as_bytes()));
        assert!(!tokens(1).verifies(&session(1), &token.as_bytes()[..84]));
    }

    /// By Python's `hmac`, so that tokens stay good when the code changes, and others can make them.
    #[test]
    fn a_token_unmasked_is_hmac_sha_256_over_purpose_and_binding() {
        let unmasked = |binding: &Binding| {
            let token = REFERENCE.decode(tokens(1).mint(binding).unwrap()).unwrap();
            REFERENCE.encode(xor(token[..32].try_into().unwrap(), token[32..].try_into().unwrap()))
        };
        assert_eq!(unmasked(&session(7)), "y1jXgl_4aDF3b0LtiafGfeP-UHbB9xERWR3TYP3i4rw");
        assert_eq!(unmasked(&visitor(7)), "lpmkDUAPNDbMG65oc-7O06ygsEXN9z7K3lPSYqeYONQ");
    }
}
