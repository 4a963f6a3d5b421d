//! Names of backends as names of Kubernetes resources: no two backends share one. Pure.

use std::fmt::Write as _;

/// The longest name of a resource.
const MOST: usize = 253;
/// What is left of a name that is too long, before its hash.
const KEPT: usize = MOST - 17;

/// The name of a backend's resources. `NAME` is `llm-NAME` and `NAMESPACE/NAME` is `llm.NAMESPACE.NAME`: a namespace
/// holds no dot, so neither meets the other.
pub fn of(backend: &str) -> String {
    let name = match backend.split_once('/') {
        Some((namespace, name)) => format!("llm.{namespace}.{name}"),
        None => format!("llm-{backend}"),
    };
    if name.len() <= MOST { name } else { shortened(&name) }
}

/// The name of a file as a key of a ConfigMap.
pub(super) fn file(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or_default();
    let plain: String = base
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || ".-_".contains(char) { char } else { '_' })
        .collect();
    let plain = plain.trim_start_matches('.');
    if plain.ends_with(".yaml") || plain.ends_with(".yml") { plain.to_owned() } else { format!("{plain}.yaml") }
}

/// The beginning and a hash of the whole (FNV-1a).
fn shortened(name: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    let mut kept: String = name.chars().take(KEPT).collect();
    while kept.ends_with(['.', '-']) {
        kept.pop();
    }
    // Writing into a String cannot fail.
    let _ = write!(kept, "-{hash:016x}");
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_backends_share_a_name() {
        let long = "a".repeat(300);
        let backends =
            ["own", "shop/own", "shop.own", "shop-own", "a/b.c", "ab/c", "a-b/c", &long, &format!("{long}b")];
        let names: HashSet<String> = backends.iter().map(|backend| of(backend)).collect();
        assert_eq!(names.len(), backends.len(), "{names:?}");
        for name in names {
            assert!(name.len() <= MOST && !name.contains('/') && !name.ends_with('-'), "{name}");
        }
    }

    #[test]
    fn files_become_keys_that_weir_reads() {
        for (path, key) in [("a/b/weir.yaml", "weir.yaml"), ("stdin", "stdin.yaml"), ("my docs.yml", "my_docs.yml")] {
            assert_eq!(file(path), key);
        }
    }
}
