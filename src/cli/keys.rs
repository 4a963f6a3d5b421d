//! `weir key new`: a key for a consumer, shown once, and the row of the configuration that knows it by
//! its digest alone. Nothing is stored.

use crate::identity::key::{Digest, RANDOM, new_key};

use super::say;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// A new consumer key: the key itself, and the row for the LLMConsumer that shall have it.
    New(New),
}

#[derive(Debug, clap::Args)]
pub struct New {
    /// The key's name among those of its consumer.
    #[arg(long, default_value = "key", value_parser = label)]
    name: String,
    /// Print a whole LLMConsumer of this name instead of a row.
    #[arg(long, value_parser = subdomain)]
    consumer: Option<String>,
    /// Print the key as a Kubernetes Secret of this name, to be piped into `kubectl apply -f -`.
    #[arg(long, value_name = "SECRET", value_parser = subdomain)]
    to_secret: Option<String>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the operating system gives no random bytes: {0}; try again when it has started up")]
    Random(getrandom::Error),
    #[error("not a name: use lower-case letters, digits, '-' and '.'; begin and end with a letter or digit")]
    Name,
}

/// Runs one of the commands.
///
/// # Errors
/// When the system has no random bytes.
pub fn run(command: &Command) -> Result<(), KeyError> {
    let Command::New(new) = command;
    let mut random = [0; RANDOM];
    getrandom::fill(&mut random).map_err(KeyError::Random)?;
    say(new.text(&random).trim_end());
    Ok(())
}

// === impl New ===

impl New {
    /// YAML in which the key stands once: in a comment, or in a Secret.
    fn text(&self, random: &[u8; RANDOM]) -> String {
        let key = new_key(random);
        let row = format!("{{name: {}, sha256: {}, state: Active}}", self.name, Digest::of(&key).hex());
        let known = match &self.consumer {
            None => format!("- {{keys: [{row}]}}\n"),
            Some(consumer) => format!(
                "apiVersion: weir.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {consumer}}}\nspec:\n  match:\n  \
                 - {{keys: [{row}]}}\n"
            ),
        };
        let commented = || known.lines().map(|line| format!("# {line}\n")).collect::<String>();
        match &self.to_secret {
            None => format!(
                "# The key, shown this once: {key}\n# For the configuration, `match` of an LLMConsumer:\n{known}"
            ),
            Some(secret) => format!(
                "# For the configuration, `match` of an LLMConsumer:\n{}apiVersion: v1\nkind: Secret\nmetadata: {{name: \
                 {secret}}}\ntype: Opaque\nstringData:\n  {}: {key}\n",
                commented(),
                self.name
            ),
        }
    }
}

fn label(text: &str) -> Result<String, KeyError> {
    let is_label = text.len() <= 63 && is_label(text);
    if is_label { Ok(text.to_owned()) } else { Err(KeyError::Name) }
}

fn subdomain(text: &str) -> Result<String, KeyError> {
    let is_name = text.len() <= 253 && text.split('.').all(is_label);
    if is_name { Ok(text.to_owned()) } else { Err(KeyError::Name) }
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(consumer: Option<&str>, to_secret: Option<&str>) -> (String, String, String) {
        let random = [9; RANDOM];
        let owned = |name: Option<&str>| name.map(str::to_owned);
        let new = New { name: "ci".to_owned(), consumer: owned(consumer), to_secret: owned(to_secret) };
        let key = new_key(&random);
        (new.text(&random), Digest::of(&key).hex(), key)
    }

    #[test]
    fn the_key_stands_there_once_beside_its_digest() {
        for (consumer, secret) in [(None, None), (Some("search"), None), (None, Some("s")), (Some("search"), Some("s"))]
        {
            let (text, digest, key) = new(consumer, secret);
            assert_eq!((text.matches(&key).count(), text.matches(&digest).count()), (1, 1), "{text}");
            let yaml: String = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
            assert_eq!(yaml.contains(&key), secret.is_some(), "{text}");
            assert_eq!(yaml.contains("kind: Secret"), secret.is_some(), "{text}");
            assert_eq!(text.contains("kind: LLMConsumer"), consumer.is_some(), "{text}");
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_its_place() {
        for text in ["", "A", "a}", "a, state: Blocked", "a\nb", "-a", "a-"] {
            assert!(label(text).is_err() && subdomain(text).is_err(), "{text:?}");
        }
        assert!(label("ci-1").is_ok() && subdomain("team.search").is_ok() && label("team.search").is_err());
    }
}
