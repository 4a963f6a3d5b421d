//! Ways to cut bytes in pieces, for the property that how a body was cut changes nothing. Deterministic.

/// How many cuts in three a test gets at most.
const THREES: usize = 2000;

/// Every cut in two, the empty pieces at both ends included.
pub fn two(bytes: &[u8]) -> impl Iterator<Item = [&[u8]; 2]> {
    (0..=bytes.len()).map(|at| [&bytes[..at], &bytes[at..]])
}

/// Every cut in three when there are at most [`THREES`], else that many spread over all of them.
pub fn three(bytes: &[u8]) -> impl Iterator<Item = [&[u8]; 3]> {
    let ends = bytes.len() + 1;
    // The pairs (first, second) with first <= second, as rows of a triangle.
    let all = ends * (ends + 1) / 2;
    let wanted = all.min(THREES);
    (0..wanted).map(move |index| {
        let (first, second) = pair(index * all / wanted);
        [&bytes[..first], &bytes[first..second], &bytes[second..]]
    })
}

/// Every piece of at most `size` bytes (at least 1), in order.
pub fn pieces(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    bytes.chunks(size).collect()
}

/// The pair at `index` of (0,0) (0,1) (1,1) (0,2) (1,2) (2,2) …
fn pair(index: usize) -> (usize, usize) {
    let mut second = ((8 * index + 1).isqrt() - 1) / 2;
    while (second + 1) * (second + 2) / 2 <= index {
        second += 1;
    }
    (index - second * (second + 1) / 2, second)
}

#[test]
fn every_cut_gives_the_bytes_back() {
    let bytes = b"abcd";
    assert_eq!(two(bytes).count(), 5);
    assert!(two(bytes).all(|cut| cut.concat() == bytes));
    let all: std::collections::BTreeSet<_> = three(bytes).collect();
    assert_eq!(all.len(), 15);
    assert!(all.iter().all(|cut| cut.concat() == bytes));
    assert_eq!(pieces(bytes, 3), [&b"abc"[..], b"d"]);
}

#[test]
fn long_bytes_are_sampled_over_their_whole_length() {
    let bytes: Vec<u8> = (0..5000_u32).map(|value| value.to_le_bytes()[0]).collect();
    let cuts: Vec<_> = three(&bytes).collect();
    assert_eq!(cuts.len(), THREES);
    assert!(cuts.iter().all(|cut| cut.concat() == bytes));
    assert!(cuts.iter().any(|cut| cut[0].len() > 4000) && cuts.iter().any(|cut| cut[2].len() > 4000));
}
