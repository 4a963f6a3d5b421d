//! [io] Embeddings made in this process, by a BERT of MiniLM's class from a directory that the operator supplies:
//! `model.safetensors`, `tokenizer.json` and `config.json`, as sentence-transformers publish them. Loading reads these
//! files; embedding is a pure function of the text, on one thread: tens of milliseconds for a hundred tokens.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{D, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, DTYPE};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokenizers::{Tokenizer, TruncationParams};

/// A loaded model.
pub struct Embedder {
    model: BertModel,
    tokenizer: Tokenizer,
    /// The one thread on which its sums are done: candle would take every core there is.
    thread: ThreadPool,
    dimensions: usize,
}

/// Why a directory is no model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{path}: {source}; it must be readable, and come with the model's other files")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: larger than {limit} bytes; a model of MiniLM's class is meant, not a language model")]
    Large { path: PathBuf, limit: u64 },
    #[error("{path}: no configuration of a BERT model: {source}")]
    Config { path: PathBuf, source: serde_json::Error },
    #[error("{path}: no tokenizer: {source}")]
    Tokenizer { path: PathBuf, source: tokenizers::Error },
    #[error("{path}: not the weights of the BERT model that config.json describes: {source}")]
    Weights { path: PathBuf, source: candle_core::Error },
    #[error("no thread for the embedder: {0}; look at the limit of processes")]
    Thread(#[from] rayon::ThreadPoolBuildError),
}

/// Why a text has no vector.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    #[error("the text cannot be split into tokens: {0}")]
    Tokens(tokenizers::Error),
    #[error("the model cannot be applied: {0}; are its files of one model?")]
    Model(#[from] candle_core::Error),
}

/// A text is read so far, as the models are trained.
const TOKENS: usize = 256;
/// More bytes than that many tokens have, so that a long text costs no more than its beginning.
const BYTES: usize = 8 * 1024;
/// The largest files.
const WEIGHTS: u64 = 512 << 20;
const OTHERS: u64 = 32 << 20;

// === impl Embedder ===

impl Embedder {
    /// Loads a model from its directory.
    pub fn load(directory: &Path) -> Result<Embedder, LoadError> {
        let path = directory.join("config.json");
        let config: Config =
            serde_json::from_slice(&read(&path, OTHERS)?).map_err(|source| LoadError::Config { path, source })?;
        let path = directory.join("tokenizer.json");
        let mut tokenizer = match Tokenizer::from_bytes(read(&path, OTHERS)?) {
            Ok(tokenizer) => tokenizer,
            Err(source) => return Err(LoadError::Tokenizer { path, source }),
        };
        let most = TOKENS.min(config.max_position_embeddings);
        let truncation = TruncationParams { max_length: most, ..TruncationParams::default() };
        tokenizer.with_padding(None);
        if let Err(source) = tokenizer.with_truncation(Some(truncation)) {
            return Err(LoadError::Tokenizer { path, source });
        }
        let path = directory.join("model.safetensors");
        let weights = read(&path, WEIGHTS)?;
        let model = VarBuilder::from_buffered_safetensors(weights, DTYPE, &Device::Cpu)
            .and_then(|weights| BertModel::load(weights, &config))
            .map_err(|source| LoadError::Weights { path, source })?;
        let thread = ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "embedder".to_owned()).build()?;
        Ok(Embedder { model, tokenizer, thread, dimensions: config.hidden_size })
    }

    /// How many dimensions its vectors have.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The vector of a text, of length one: the mean over its first 256 tokens. It blocks for as long as it takes, and
    /// callers wait for one another.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let start = text.get(..text.floor_char_boundary(BYTES)).unwrap_or(text);
        let tokens = self.tokenizer.encode(start, true).map_err(EmbedError::Tokens)?;
        Ok(self.thread.install(|| self.apply(tokens.get_ids()))?)
    }

    fn apply(&self, ids: &[u32]) -> candle_core::Result<Vec<f32>> {
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        let kinds = ids.zeros_like()?;
        let mean = self.model.forward(&ids, &kinds, None)?.mean(1)?;
        let length = mean.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        mean.broadcast_div(&length)?.squeeze(0)?.to_vec1()
    }
}

/// Without what it has read: weights say nothing in a log.
impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Embedder({} dimensions)", self.dimensions)
    }
}

/// A file as a whole, up to a size.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // Asked for before it is read: what grows meanwhile is cut off, and then too large.
    let size = fs::metadata(path).map_err(failed)?.len();
    if size <= limit {
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default());
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if size > limit || bytes.len() as u64 > limit {
        return Err(LoadError::Large { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
