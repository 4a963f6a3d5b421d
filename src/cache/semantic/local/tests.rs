//! The embedder with the weights of all-MiniLM-L6-v2, which `.ci/local-embedder` installs, and with none.

use std::env;

use super::super::Vector;
use super::*;

/// The similarities that the suite of pairs goes by.
const RECORDED: &str = include_str!("../tests/minilm.txt");

fn weights() -> PathBuf {
    let directory = env::var_os("WEIR_TEST_MINILM");
    directory.expect("WEIR_TEST_MINILM names no directory with a model; start this by .ci/local-embedder").into()
}

fn vector(embedder: &Embedder, text: &str) -> Vector {
    Vector::new(&embedder.embed(text).unwrap()).unwrap()
}

#[test]
fn it_says_what_was_recorded_of_the_pairs() {
    let embedder = Embedder::load(&weights()).unwrap();
    assert_eq!(embedder.dimensions(), 384);
    let mut pairs = 0;
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let [similarity, one, other] = line.splitn(3, " | ").collect::<Vec<_>>().try_into().unwrap();
        let is = vector(&embedder, one).similarity(&vector(&embedder, other));
        assert!((is - similarity.parse::<f32>().unwrap()).abs() < 1e-3, "{is}: {line}");
        pairs += 1;
    }
    assert!(pairs > 390);
}

#[test]
fn any_text_has_a_vector_and_only_its_beginning_counts() {
    let embedder = Embedder::load(&weights()).unwrap();
    for text in ["", " ", "\0", "→ 中文 \u{301}", "a"] {
        let components = embedder.embed(text).unwrap();
        assert!((components.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-4, "{text}");
    }
    let long = "weir ".repeat(10_000);
    assert_eq!(embedder.embed(&long).unwrap(), embedder.embed(&long[..5_000]).unwrap());
    assert_ne!(embedder.embed(&long).unwrap(), embedder.embed(&long[..50]).unwrap());
    assert_eq!(embedder.embed(&"é".repeat(BYTES)).unwrap().len(), 384);
}

#[test]
fn what_is_no_model_is_refused_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let refused = || Embedder::load(directory.path()).unwrap_err().to_string();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
    assert!(refused().contains("config.json"), "{}", refused());
    write("config.json", b"{}");
    assert!(refused().contains("no configuration of a BERT model"), "{}", refused());
    write("config.json", &fs::read(weights().join("config.json")).unwrap());
    assert!(refused().contains("tokenizer.json"), "{}", refused());
    write("tokenizer.json", b"{}");
    assert!(refused().contains("no tokenizer"), "{}", refused());
    write("tokenizer.json", &fs::read(weights().join("tokenizer.json")).unwrap());
    assert!(refused().contains("model.safetensors"), "{}", refused());
    write("model.safetensors", b"no tensors");
    assert!(refused().contains("not the weights"), "{}", refused());
    File::create(directory.path().join("model.safetensors")).unwrap().set_len(WEIGHTS + 1).unwrap();
    assert!(refused().contains("larger than"), "{}", refused());
}
