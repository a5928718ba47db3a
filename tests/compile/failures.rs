//! What the documentation says does not compile, and with what words: cases of `trybuild` in `failures/`.
//!
//! What is expected is compared to the letter, and compilers change their letters: `TRYBUILD=overwrite` writes it anew.

#[test]
fn what_is_documented_as_wrong_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("failures/*.rs");
}
