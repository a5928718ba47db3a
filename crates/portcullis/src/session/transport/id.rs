//! [`Token`]: what a session's cookie holds, `locator.secret`. [`Presented`]: what a request claims to hold.
//!
//! The locator finds the record and is no secret. The secret proves possession; only its SHA-256 is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_store::{Header, Locator, SecretHash, Timestamp};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

use crate::secret::{NoEntropy, Redacted, constant_time_eq, random};

/// A freshly minted token. It exists until its cookie is written.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) locator: Locator,
    secret: Redacted<String>,
}

/// A well-formed token as a request presents it, its secret hashed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) locator: Locator,
    hash: SecretHash,
}

/// 256 bits of base64url without padding.
const SECRET_LEN: usize = 43;

/// The length of every token's text.
pub(crate) const TOKEN_LEN: usize = Locator::LEN + 1 + SECRET_LEN;

impl Token {
    /// A new session's token.
    pub(crate) fn mint() -> Result<Self, NoEntropy> {
        Self::renewed(Locator::from_bytes(random()?))
    }

    /// A new secret for a session that exists.
    pub(crate) fn renewed(locator: Locator) -> Result<Self, NoEntropy> {
        let secret = URL_SAFE_NO_PAD.encode(random::<32>()?);
        Ok(Self { locator, secret: Redacted(secret) })
    }

    /// The text that goes into the cookie.
    pub(crate) fn value(&self) -> String {
        format!("{}.{}", self.locator, self.secret.0)
    }

    /// What is stored of the secret.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.secret.0.as_bytes()).into())
    }
}

impl Presented {
    /// Reads a token; `None` unless it is one that [`Token::value`] could have made.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (locator, rest) = value.split_first_chunk::<{ Locator::LEN }>()?;
        let (dot, secret) = rest.split_first()?;
        let secret = secret.try_into().ok()?;
        let well_formed = *dot == b'.' && is_base64url(secret);
        let locator = Locator::from_ascii(locator)?;
        well_formed.then(|| Self { locator, hash: hash(secret) })
    }

    /// One that was presented before.
    pub(crate) const fn of(locator: Locator, hash: SecretHash) -> Self {
        Self { locator, hash }
    }

    /// Whether it holds the record's secret, compared in constant time.
    pub(crate) fn proves(&self, header: &Header, now: Timestamp) -> Proof {
        if constant_time_eq(&self.hash.0, &header.secret.0) {
            return Proof::Current;
        }
        match &header.previous {
            Some((previous, until)) if now <= *until && constant_time_eq(&self.hash.0, &previous.0) => {
                Proof::Previous
            }
            Some(_) | None => Proof::None,
        }
    }
}

/// Which secret of a session was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The one that is good.
    Current,
    /// The one before, within its grace.
    Previous,
    /// Neither.
    None,
}

/// Every byte is looked at, sixteen at a time, which takes less time than stopping at the first bad one would save. Those
/// that sixteen do not divide into are looked at together with some before, where they are.
fn is_base64url(secret: &[u8; SECRET_LEN]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() | (*byte == b'-') | (*byte == b'_');
    let all_legal = |block: &[u8; 16]| block.iter().fold(true, |all, byte| all & legal(byte));
    let blocks = secret.as_chunks().0.iter().chain(secret.last_chunk());
    blocks.fold(true, |all, block| all & all_legal(block))
}

/// What SHA-256 starts from (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A block of 64 bytes, but for the secret at its start: what pads a message of that length (section 5.1.1).
const PADDED: [u8; 64] = {
    let mut block = [0; 64];
    block[SECRET_LEN] = 0x80;
    let [.., high, low] = (8 * SECRET_LEN as u64).to_be_bytes();
    (block[62], block[63]) = (high, low);
    block
};

/// SHA-256 of a secret. Padded it is one block, which takes two thirds of the time that a hasher of texts of any length does.
fn hash(secret: &[u8; SECRET_LEN]) -> SecretHash {
    let mut block = PADDED;
    if let Some(start) = block.first_chunk_mut() {
        *start = *secret;
    }
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    let mut hash = [0; 32];
    hash.as_chunks_mut::<4>().0.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_be_bytes());
    SecretHash(hash)
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "tokens are ASCII")]
mod tests {
    use super::*;
    use portcullis_store::Tag;

    #[test]
    fn a_minted_token_is_read_back_and_proves_itself() {
        let token = Token::mint().unwrap();
        let value = token.value();
        assert_eq!(value.len(), TOKEN_LEN);
        let presented = Presented::parse(value.as_bytes()).unwrap();
        assert_eq!((presented.locator, presented.hash), (token.locator, token.hash()));
    }

    #[test]
    fn what_is_presented_is_hashed_by_sha_256() {
        let secrets = ["A", "_", "-", "z"].map(|character| character.repeat(SECRET_LEN));
        let minted = std::iter::repeat_with(|| Token::mint().unwrap().secret.0).take(100);
        for secret in secrets.into_iter().chain(minted) {
            let expected: [u8; 32] = Sha256::digest(&secret).into();
            assert_eq!(hash(secret.as_bytes().try_into().unwrap()).0, expected, "{secret}");
        }
    }

    #[test]
    fn only_a_well_formed_token_is_read() {
        let good = Token::mint().unwrap().value();
        let rows = [
            ("empty", String::new()),
            ("a byte short", good[..TOKEN_LEN - 1].to_owned()),
            ("a byte long", format!("{good}A")),
            ("another separator", good.replace('.', ":")),
            ("no separator", good.replace('.', "")),
            ("padding", format!("{}=", &good[..TOKEN_LEN - 1])),
            ("a quote", format!("\"{}", &good[1..])),
            ("not ascii", format!("é{}", &good[2..])),
            ("nul", format!("{}\0", &good[..TOKEN_LEN - 1])),
        ];
        for (name, value) in rows {
            assert_eq!(Presented::parse(value.as_bytes()), None, "{name}");
        }
        assert_eq!(Presented::parse(&[0xff; TOKEN_LEN]), None, "arbitrary bytes");
    }

    fn header(secret: SecretHash, previous: Option<(SecretHash, Timestamp)>) -> Header {
        Header {
            tags: [Tag::default(); 4],
            flags: 0,
            secret,
            previous,
            secret_since: Timestamp::EPOCH,
            created: Timestamp::EPOCH,
            authenticated: None,
            absolute_deadline: Timestamp::MAX,
            idle: std::time::Duration::ZERO,
            idle_deadline: Timestamp::MAX,
        }
    }

    #[test]
    fn a_secret_proves_possession_and_the_one_before_until_its_grace_ends() {
        let [token, other] = [Token::mint().unwrap(), Token::mint().unwrap()];
        let presented = Presented::parse(token.value().as_bytes()).unwrap();
        let until = |millis| Some((token.hash(), Timestamp::from_millis(millis)));
        let rows = [
            ("the current one", header(token.hash(), None), Proof::Current),
            ("another", header(other.hash(), None), Proof::None),
            ("the one before, in time", header(other.hash(), until(1000)), Proof::Previous),
            ("the one before, late", header(other.hash(), until(999)), Proof::None),
            ("both", header(token.hash(), until(1000)), Proof::Current),
        ];
        for (name, header, expected) in rows {
            assert_eq!(presented.proves(&header, Timestamp::from_millis(1000)), expected, "{name}");
        }
    }

    #[test]
    fn every_bit_of_a_secret_counts() {
        let token = Token::mint().unwrap();
        let presented = Presented::parse(token.value().as_bytes()).unwrap();
        for bit in 0..256 {
            let mut almost = token.hash();
            almost.0[bit / 8] ^= 1 << (bit % 8);
            let header = header(almost, Some((almost, Timestamp::MAX)));
            assert_eq!(presented.proves(&header, Timestamp::EPOCH), Proof::None, "bit {bit}");
        }
    }

    #[test]
    fn debug_shows_the_locator_and_no_secret() {
        let token = Token::mint().unwrap();
        let text = format!("{token:?} {:?}", Presented::parse(token.value().as_bytes()));
        let (locator, secret) =
            token.value().split_once('.').map(|(l, s)| (l.to_owned(), s.to_owned())).unwrap();
        assert!(text.contains(&locator) && !text.contains(&secret), "{text}");
    }
}
