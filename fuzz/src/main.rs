//! `cargo xtask fuzz TARGET`: libFuzzer, on the target of that name. Built without it, replays the files that are named.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_fuzz::chosen().run(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    let target = portcullis_fuzz::chosen();
    for file in std::env::args_os().skip(1) {
        target.run(&std::fs::read(file)?);
    }
    Ok(())
}
