//! What a question costs the semantic cache: the scan of a place full of vectors, the veto, and the vector of
//! `builtin: Lexical`. The scan is worth a build for the processor at hand (`RUSTFLAGS="-C target-cpu=x86-64-v3"`).

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir::cache::semantic::{Index, Kept, Limit, Vector, lexical, veto};
use weir::cache::{Key, Place, Tag};

const ENTRIES: u32 = 100_000;
const RUNS: usize = 101;

/// The rows of the table, a step each.
pub fn rows() -> Vec<(String, Duration)> {
    let text = "How do I sort a list of 1,000 numbers in Python without a library? ".repeat(16);
    let text = &text[..1024];
    let mut rows: Vec<(String, Duration)> = [384, 1536].map(scan).into_iter().flatten().collect();
    rows.push(("veto, two questions of 1 KB".to_owned(), median(|| veto(black_box(text), black_box(text)))));
    rows.push(("veto, two of 64 bytes".to_owned(), median(|| veto(black_box(&text[..64]), black_box(&text[..64])))));
    rows.push(("lexical vector of 1 KB".to_owned(), median(|| lexical::embed(black_box(text)))));
    rows
}

/// A scan that finds its own entry among all of one fingerprint, and how large they are.
fn scan(dimensions: usize) -> Vec<(String, Duration)> {
    let entries = if dimensions > 384 { ENTRIES / 4 } else { ENTRIES };
    let place = Place { namespace: Arc::from("bench"), tag: Tag([1; 16]) };
    let mut index = Index::new(Limit { bytes: 1 << 30, place: 1 << 30 });
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let mut asked = None;
    for number in 0..entries {
        let Ok(vector) = Vector::new(&(0..dimensions).map(|_| next()).collect::<Vec<f32>>()) else { continue };
        let mut key = Key([0; 32]);
        key.0[..4].copy_from_slice(&number.to_le_bytes());
        index.add(&place, Key([2; 32]), &Kept { key, vector: vector.clone(), stored: 1, expires: 9 }, 1);
        asked = (number == entries / 2).then_some(vector).or(asked);
    }
    let Some(asked) = asked else { return Vec::new() };
    let found = index.nearest(&place, Key([2; 32]), &asked, 2, 0.95).len();
    let time = median(|| index.nearest(&place, Key([2; 32]), black_box(&asked), 2, 0.95));
    let each = index.bytes() / index.len().max(1);
    let name = format!("nearest of {entries} x {dimensions} ({found} found; {each} bytes an entry)");
    vec![(name, time)]
}

fn median<T>(mut work: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            black_box(work());
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}
