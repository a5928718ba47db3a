//! RSA keys: their bounds, and what is made of them.

use super::super::algorithm::Algorithm;
use super::super::crypto::PublicKey;
use super::{Material, Unusable, der};

/// A modulus and an exponent within bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct RsaKey<'a> {
    n: &'a [u8],
    e: &'a [u8],
}

impl<'a> RsaKey<'a> {
    /// Big-endian numbers; zeros in front do not count.
    pub(super) fn new(n: &'a [u8], e: &'a [u8]) -> Result<Self, Unusable> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        if !(2048..=8192).contains(&bits(n)) || is_even(n) || !is_good_exponent(e) {
            return Err(Unusable::RsaSize);
        }
        if is_roca(n) { Err(Unusable::Roca) } else { Ok(Self { n, e }) }
    }

    /// Reads an `RSAPublicKey`.
    pub(super) fn of_der(der: &'a [u8]) -> Result<Self, Unusable> {
        let (n, e) = numbers(der).ok_or(Unusable::BadParameter)?;
        Self::new(n, e)
    }

    /// The key for one of the RSA algorithms.
    pub(super) fn material(self, algorithm: Algorithm) -> Result<Material, Unusable> {
        if !Algorithm::RSA.contains(&algorithm) {
            return Err(Unusable::WrongAlgorithm);
        }
        PublicKey::rsa(algorithm, self.n, self.e).map(Material::Public).ok_or(Unusable::BadParameter)
    }
}

/// Modulus and exponent of an `RSAPublicKey`, without zeros in front.
pub(crate) fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    der::rsa_numbers(der).map(|(n, e)| (without_zeros(n), without_zeros(e)))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn bits(number: &[u8]) -> usize {
    let spare = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - spare
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|byte| byte % 2 == 0)
}

/// Odd, at least 3, and at most 33 bits, which is what AWS-LC verifies with.
fn is_good_exponent(e: &[u8]) -> bool {
    bits(e) <= 33 && !is_even(e) && e != [1]
}

/// Whether the modulus has the fingerprint of the broken generator: its remainder by each of many small primes is a
/// power of 65537 (Nemec et al., "The Return of Coppersmith's Attack", section 4.4). A good modulus has it once in
/// 2^27.
fn is_roca(n: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
        103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| is_power_of_65537(remainder(n, prime), prime))
}

fn remainder(n: &[u8], prime: u32) -> u32 {
    n.iter().fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % prime)
}

fn is_power_of_65537(rest: u32, prime: u32) -> bool {
    std::iter::successors(Some(1), |power| Some(power * 65537 % prime))
        .take(prime as usize)
        .any(|power| power == rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 65537 to the power of `exponent`, as the broken generator would have it.
    fn power_of_65537(exponent: usize) -> Vec<u8> {
        let mut number = vec![1u8];
        for _ in 0..exponent {
            // Times 65536 and once more.
            let mut sum = number.clone();
            sum.extend([0, 0]);
            let mut carry = 0u16;
            for at in 0..sum.len() {
                let digit = number.iter().rev().nth(at).copied().unwrap_or(0);
                let place = sum.len() - 1 - at;
                let total = u16::from(sum[place]) + u16::from(digit) + carry;
                sum[place] = total as u8;
                carry = total >> 8;
            }
            number = sum;
        }
        number
    }

    #[test]
    fn a_modulus_with_the_fingerprint_of_roca_is_dropped() {
        let n = power_of_65537(130);
        assert_eq!(RsaKey::new(&n, &[1, 0, 1]).err(), Some(Unusable::Roca));
        let mut other = n;
        *other.last_mut().unwrap() ^= 2;
        assert!(RsaKey::new(&other, &[1, 0, 1]).is_ok());
    }

    #[test]
    fn an_rsa_key_stays_within_bounds() {
        let n = |bytes: usize| {
            let mut n = vec![0xc5; bytes];
            n[bytes - 1] = 0xc7;
            n
        };
        let rows: [(&str, Vec<u8>, &[u8], bool); 14] = [
            ("2048", n(256), &[1, 0, 1], true),
            ("8192", n(1024), &[1, 0, 1], true),
            ("zeros in front", [vec![0; 3], n(256)].concat(), &[0, 1, 0, 1], true),
            ("e = 3", n(256), &[3], true),
            ("1024", n(128), &[1, 0, 1], false),
            ("2040", n(255), &[1, 0, 1], false),
            ("1024 with zeros in front", [vec![0; 128], n(128)].concat(), &[1, 0, 1], false),
            ("8200", n(1025), &[1, 0, 1], false),
            ("even modulus", [n(255), vec![0xc6]].concat(), &[1, 0, 1], false),
            ("no modulus", vec![], &[1, 0, 1], false),
            ("e = 1", n(256), &[1], false),
            ("e even", n(256), &[1, 0, 0], false),
            ("no e", n(256), &[0], false),
            ("e huge", n(256), &[1; 9], false),
        ];
        for (name, n, e, good) in rows {
            assert_eq!(RsaKey::new(&n, e).is_ok(), good, "{name}");
        }
    }
}
