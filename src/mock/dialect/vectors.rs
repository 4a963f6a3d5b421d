//! Embeddings as Cohere has them, at its own address and on Bedrock: what is to be embedded, and vectors in
//! each of its number formats (<https://docs.cohere.com/reference/embed>, `embeddings`).

use serde_json::{Map, Value, json};

use super::super::codec::base64;
use super::super::embed;
use super::rules::list;

/// What is to be embedded.
pub(super) struct Inputs {
    /// One text for each vector: a picture counts by its address.
    pub(super) texts: Vec<String>,
    /// A quarter of the bytes of each text, rounded up; pictures have none. At least 1.
    pub(super) tokens: u64,
    pub(super) images: u64,
}

/// The most inputs of one request.
const MOST: usize = 96;

// === impl Inputs ===

impl Inputs {
    /// Reads a request whose types have been checked.
    ///
    /// # Errors
    /// None or several of `texts`, `images` and `inputs`, too many of them, or a picture that is no data URI;
    /// a sentence.
    pub(super) fn read(body: &Value) -> Result<Inputs, String> {
        let given: Vec<&str> =
            ["texts", "images", "inputs"].into_iter().filter(|name| body.get(name).is_some()).collect();
        let [name] = given[..] else {
            return Err("invalid request: exactly one of texts, images and inputs must be given".into());
        };
        let mut inputs = Inputs { texts: Vec::new(), tokens: 0, images: 0 };
        let given = list(&body[name]);
        if given.len() > MOST {
            return Err(format!("invalid request: total number of {name} must be at most {MOST}"));
        }
        for input in given {
            match name {
                "texts" => inputs.add(input.as_str().unwrap_or_default(), false)?,
                "images" => inputs.add(input.as_str().unwrap_or_default(), true)?,
                _ => {
                    for part in list(&input["content"]) {
                        let image = &part["image_url"];
                        let url = image.as_str().or_else(|| image["url"].as_str());
                        inputs.add(url.or_else(|| part["text"].as_str()).unwrap_or_default(), url.is_some())?;
                    }
                    let parts = list(&input["content"]).len();
                    let joined = inputs.texts.split_off(inputs.texts.len() - parts).join(" ");
                    inputs.texts.push(joined);
                }
            }
        }
        inputs.tokens = inputs.tokens.max(1);
        Ok(inputs)
    }

    fn add(&mut self, text: &str, image: bool) -> Result<(), String> {
        if image && !(text.starts_with("data:image/") && text.contains(";base64,")) {
            return Err("invalid request: an image must be a data URI with base64".into());
        }
        self.images += u64::from(image);
        self.tokens += if image { 0 } else { text.len().div_ceil(4) as u64 };
        self.texts.push(text.to_owned());
        Ok(())
    }

    /// A vector of so many dimensions for each input.
    pub(super) fn vectors(&self, dimensions: u32) -> Vec<Vec<f32>> {
        self.texts.iter().map(|text| embed::text_vector(text, dimensions)).collect()
    }
}

/// The vectors by each of the number formats that are asked for.
pub(super) fn by_type(vectors: &[Vec<f32>], types: &[Value]) -> Value {
    let named = types.iter().filter_map(Value::as_str);
    let of = |kind: &str| Value::Array(vectors.iter().map(|vector| numbers(vector, kind)).collect());
    Value::Object(named.map(|kind| (kind.to_owned(), of(kind))).collect::<Map<_, _>>())
}

/// One vector in one format. Bytes are scaled so that 1 is 127; a bit says that a number is above 0, the
/// first of eight in the highest place.
fn numbers(vector: &[f32], kind: &str) -> Value {
    let byte = |x: &f32| (x * 127.0).round() as i32;
    let bits = |vector: &[f32]| -> Vec<i32> {
        let packed = |eight: &[f32]| eight.iter().enumerate().map(|(at, x)| i32::from(*x > 0.0) << (7 - at)).sum();
        vector.chunks(8).map(packed).collect()
    };
    match kind {
        "int8" => json!(vector.iter().map(byte).collect::<Vec<_>>()),
        "uint8" => json!(vector.iter().map(|x| byte(x) + 128).collect::<Vec<_>>()),
        "ubinary" => json!(bits(vector)),
        "binary" => json!(bits(vector).iter().map(|byte| byte - 128).collect::<Vec<_>>()),
        "base64" => base64(&vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).into(),
        _ => json!(vector),
    }
}
