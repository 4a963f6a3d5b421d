//! What could not be said in another wire format.

use std::fmt;

use super::Finish;
use crate::base::words::Words;

/// The most names that are kept; more are only counted.
const KEPT: usize = 32;

/// The longest name that is kept, in bytes: a name comes from a body as often as not.
const LONGEST: usize = 64;

/// Names of request or answer fields that were left out, each once, in the order in which they were found.
/// A name is the field's path in the API of whoever said it: `logit_bias`, `messages[].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    names: Vec<Words>,
    more: u32,
}

// === impl Dropped ===

impl Dropped {
    /// Names a field that goes no further.
    pub fn field(&mut self, name: impl Into<Words>) {
        let name = name.into();
        if self.names.contains(&name) {
            return;
        }
        if self.names.len() == KEPT {
            self.more = self.more.saturating_add(1);
            return;
        }
        self.names.push(match name.len() > LONGEST {
            true => shorten(&name).into(),
            false => name,
        });
    }

    /// Names a field inside of `place`: `messages[].` and `name`.
    pub fn inside(&mut self, place: &'static str, name: &str) {
        self.field([place, name].concat());
    }

    /// Names what most APIs do not say of an answer's end: which stop sequence it was (Anthropic's and Bedrock's
    /// `stop_sequence`), and that the turn only pauses (Anthropic's `pause_turn`).
    pub fn ending(&mut self, finish: Option<Finish>, has_sequence: bool) {
        if has_sequence {
            self.field("stop_sequence");
        }
        if finish == Some(Finish::Pause) {
            self.field("stop_reason");
        }
    }

    pub fn names(&self) -> &[Words] {
        &self.names
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// In a line, for a header, a record or an error: `a, b and 3 more`.
impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        Ok(())
    }
}

fn shorten(name: &str) -> String {
    let mut end = LONGEST;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\u{2026}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_once_and_only_so_many() {
        let mut dropped = Dropped::default();
        for at in 0..40 {
            dropped.field(format!("f{at}"));
            dropped.field("f0");
        }
        assert_eq!((dropped.names().len(), dropped.more), (KEPT, 8));
        assert!(dropped.to_string().ends_with("f31 and 8 more"));
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        let mut dropped = Dropped::default();
        dropped.field("é".repeat(60));
        assert!(dropped.names()[0].len() <= LONGEST + 3);
    }
}
