//! Small deterministic vectors: the sum of a pseudo-random vector per word, so that the same text has
//! the same vector, texts with most words in common are near, and others are far.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::codec::base64;
use super::openai::Refuse;
use super::request::{Request, Text};

pub(super) const DIMENSIONS: u32 = 16;
const MOST_DIMENSIONS: u32 = 4096;
/// As with OpenAI.
const MOST_INPUTS: usize = 2048;

/// One thing to embed.
enum Input<'a> {
    Text(Cow<'a, str>),
    Tokens(Vec<u64>),
}

/// The elements of `data` as JSON, and the tokens of all inputs: a quarter of the bytes of each text,
/// rounded up, and each token that was sent as a number; at least 1.
pub(super) fn vectors(request: &Request) -> Result<(String, u64), Refuse> {
    if request.model.as_deref().is_none_or(str::is_empty) {
        return Err(Refuse::bad("you must provide a model parameter", Some("model")));
    }
    let Some(inputs) = request.input.and_then(inputs).filter(|list| !list.is_empty()) else {
        return Err(Refuse::bad("'$.input' is invalid.", Some("input")));
    };
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS);
    if inputs.len() > MOST_INPUTS || !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(Refuse::bad("Too many inputs or dimensions.", Some("input")));
    }
    let (mut data, mut tokens) = (String::new(), 0);
    for (index, input) in inputs.iter().enumerate() {
        let vector = vector(input, dimensions);
        let embedding = if request.base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            format!("\"{}\"", base64(&bytes))
        } else {
            let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
            format!("[{}]", numbers.join(","))
        };
        let comma = if index == 0 { "" } else { "," };
        data.push_str(&format!(r#"{comma}{{"object":"embedding","index":{index},"embedding":{embedding}}}"#));
        tokens += match input {
            Input::Text(text) => text.len().div_ceil(4),
            Input::Tokens(tokens) => tokens.len(),
        };
    }
    Ok((data, tokens.max(1) as u64))
}

/// The vector of one text.
pub(super) fn text_vector(text: &str, dimensions: u32) -> Vec<f32> {
    vector(&Input::Text(text.into()), dimensions)
}

/// A string, strings, tokens, or lists of tokens.
fn inputs(raw: &RawValue) -> Option<Vec<Input<'_>>> {
    let text = raw.get();
    if let Ok(Text(one)) = serde_json::from_str(text) {
        return Some(vec![Input::Text(one)]);
    }
    if let Ok(tokens) = serde_json::from_str::<Vec<u64>>(text) {
        return Some(if tokens.is_empty() { Vec::new() } else { vec![Input::Tokens(tokens)] });
    }
    if let Ok(texts) = serde_json::from_str::<Vec<Text>>(text) {
        return Some(texts.into_iter().map(|text| Input::Text(text.0)).collect());
    }
    let lists: Vec<Vec<u64>> = serde_json::from_str(text).ok()?;
    Some(lists.into_iter().map(Input::Tokens).collect())
}

/// A vector of length 1.
fn vector(input: &Input, dimensions: u32) -> Vec<f32> {
    let mut sum = vec![0.0_f32; dimensions as usize];
    match input {
        Input::Text(text) => text.split_whitespace().for_each(|word| {
            let lower = word.to_lowercase();
            add(&mut sum, lower.bytes().fold(OFFSET, |hash, byte| step(hash, u64::from(byte))));
        }),
        Input::Tokens(tokens) => tokens.iter().for_each(|token| add(&mut sum, step(OFFSET, *token))),
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length == 0.0 {
        sum[0] = 1.0;
        return sum;
    }
    sum.iter().map(|x| x / length).collect()
}

/// Adds the vector of one word.
fn add(sum: &mut [f32], mut hash: u64) {
    for x in sum {
        hash = step(hash, 1);
        // 16 bits of the hash as a number in -1..1.
        let bits = u16::try_from(hash >> 48).unwrap_or(0);
        *x += f32::from(bits) / 32768.0 - 1.0;
    }
}

/// The start of FNV-1a.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// A step of FNV-1a over a word of 64 bits, with the high bits folded in.
fn step(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
