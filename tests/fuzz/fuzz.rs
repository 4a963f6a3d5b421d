//! What every binary of this package is: libFuzzer around the target that is named as the binary is.

#![no_main]

mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = env!("CARGO_BIN_NAME");
    targets::TARGETS.iter().find(|target| target.name == name).map(|target| target.run).expect("a target of the table")
});

fuzz_target!(|data: &[u8]| RUN(data));
