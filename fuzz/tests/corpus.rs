//! The corpus, replayed without libFuzzer, and each input with every byte changed, cut or doubled.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_fuzz::Target;

fn corpus(target: Target) -> Vec<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name());
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.collect()
}

fn replay(target: Target) {
    let inputs = corpus(target);
    assert!(inputs.len() >= 3, "{target:?} has a corpus");
    for input in inputs {
        target.run(&input);
        for at in 0..input.len() {
            let (before, after) = input.split_at(at);
            let (byte, rest) = after.split_first().unwrap();
            target.run(&[before, &[byte ^ 1], rest].concat());
            target.run(&[before, &[byte ^ 0x20], rest].concat());
            target.run(&[before, rest].concat());
            target.run(&[before, &[*byte, *byte], rest].concat());
            target.run(before);
        }
    }
}

#[test]
fn no_authorization_gives_a_5xx_and_what_is_accepted_is_so_by_the_reference() {
    replay(Target::Authorization);
}

#[test]
fn no_header_of_a_token_gives_a_5xx_and_what_is_accepted_is_so_by_the_reference() {
    replay(Target::Header);
}

#[test]
fn no_claims_give_a_5xx_and_what_is_accepted_is_so_by_the_reference() {
    replay(Target::Claims);
}

#[test]
fn no_key_set_verifies_what_its_keys_have_not_signed() {
    replay(Target::Jwks);
}

#[test]
fn no_cookie_gives_a_5xx_and_none_but_the_good_one_signs_in() {
    replay(Target::Cookie);
}

#[test]
fn no_origin_gives_a_5xx_and_none_but_the_service_s_own_and_trusted_ones_pass() {
    replay(Target::Origin);
}

#[test]
fn no_proof_gives_a_5xx_and_what_is_accepted_is_so_by_the_reference_and_once_only() {
    replay(Target::Dpop);
}

#[test]
fn no_header_of_a_proof_gives_a_5xx_and_what_is_accepted_is_so_by_the_reference() {
    replay(Target::DpopHeader);
}

#[test]
fn no_claims_of_a_proof_give_a_5xx_and_what_is_accepted_is_so_by_the_reference() {
    replay(Target::DpopClaims);
}

#[test]
fn every_target_has_a_name_of_its_own_and_is_found_by_it() {
    for target in Target::ALL {
        assert_eq!(Target::named(target.name()), Some(target));
    }
    assert_eq!(Target::named("nothing"), None);
}
