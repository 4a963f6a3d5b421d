//! The fuzz targets on stable Rust, for a bounded number of inputs: every seed as it is, cut at every place, and changed
//! at random in a way that is the same in every run. `.ci/fuzz` runs the same targets with libFuzzer.

use std::path::{Path, PathBuf};

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use targets::{LONGEST, TARGETS, Target};

/// Changed inputs a target.
const ROUNDS: u64 = 3000;

/// What syntax is made of, and numbers that lie at a border.
const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"\n",
    b"\r\n\r\n",
    b"data: ",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"\\ud800",
    b"\xff",
    b"\xc3\xa9",
    b"\0",
    b"18446744073709551616",
    b"9007199254740993",
    b"{\"a\":",
    b"[[[[[[[[[[[[[[[[",
    b"--",
    b"event: error\n",
];

/// A small generator (xorshift64*): the same numbers in every run.
struct Random(u64);

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    /// One change of the input.
    fn change(&mut self, data: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(data.len() + 1);
        let to = (at + self.below(24)).min(data.len());
        match self.below(7) {
            0 => drop(data.drain(at..to)),
            1 => data.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (to % 8)),
            2 => data.insert(at, u8::try_from(self.next() & 0xff).unwrap_or(0)),
            3 => drop(data.splice(at..to, PIECES[self.below(PIECES.len())].iter().copied())),
            4 => drop(data.splice(at..at, data[at..to].to_vec().repeat(1 + to % 5))),
            5 => data.truncate(at),
            _ => {
                let other = &seeds[self.below(seeds.len())];
                data.extend_from_slice(&other[self.below(other.len())..]);
            }
        }
        data.truncate(LONGEST);
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = folder().join("seeds").join(target.name);
    let read = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = read.map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

/// Runs one input, and says which it was when it fails.
fn run(target: &Target, data: &[u8]) {
    if std::panic::catch_unwind(|| (target.run)(data)).is_err() {
        panic!("{} fails on {:?}", target.name, String::from_utf8_lossy(data));
    }
}

fn bounded(target: &Target) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    for seed in &seeds {
        assert!(seed.len() <= LONGEST, "{}: a seed of {} bytes", target.name, seed.len());
        (0..=seed.len()).for_each(|end| run(target, &seed[..end]));
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..ROUNDS {
        let mut data = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(6) {
            random.change(&mut data, &seeds);
        }
        run(target, &data);
    }
}

#[test]
fn no_input_breaks_a_reader() {
    TARGETS.iter().for_each(bounded);
}

#[test]
fn every_target_is_a_binary_of_the_package() {
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).expect("the manifest");
    let bins = manifest.lines().skip_while(|line| *line != "[[bin]]").filter_map(|line| line.strip_prefix("name = \""));
    let bins: Vec<&str> = bins.map(|name| name.trim_end_matches('"')).collect();
    assert_eq!(bins, TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
}
