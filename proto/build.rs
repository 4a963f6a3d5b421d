//! Compiles Weir's own messages without an installed protoc: Rust types and their canonical
//! proto-JSON form.

use std::error::Error;

const FILES: &[&str] = &["weir/v1/usage.proto"];

/// Well-known types whose Rust form is Weir's own, because `prost-types` has no JSON form.
const TIMES: &[(&str, &str)] = &[
    (".google.protobuf.Timestamp", "crate::telemetry::time::Timestamp"),
    (".google.protobuf.Duration", "crate::telemetry::time::Duration"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;

    let mut json = pbjson_build::Builder::new();
    let mut messages = prost_build::Config::new();
    for file in &descriptors.file {
        json.register_file_descriptor(file.clone());
    }
    for (proto, rust) in TIMES {
        json.extern_path(*proto, *rust);
        messages.extern_path(*proto, *rust);
    }
    // A reader of an older version must get along with a field that a newer one added.
    json.ignore_unknown_fields().build(&[".weir.v1"])?;
    messages.compile_fds(descriptors)?;
    Ok(())
}
