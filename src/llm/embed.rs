//! What is to be turned into vectors, and the vectors, in no wire format.

use std::borrow::Cow;

use super::Usage;

/// One call for embeddings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embed<'a> {
    /// At least one; the vectors come in this order.
    pub inputs: Vec<Input<'a>>,
    /// How long each vector shall be.
    pub dimensions: Option<u64>,
    /// The client wants each vector in base64 of little-endian 32-bit numbers.
    pub base64: bool,
    /// What the vectors are for, where an input does not say it itself.
    pub task: Option<Task>,
    /// Whether an input that is too long is cut; else it is an error.
    pub truncate: Option<bool>,
    /// Who the caller's own user is.
    pub user: Option<Cow<'a, str>>,
}

/// One thing to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    pub content: Content<'a>,
    pub task: Option<Task>,
    /// Of the document that the text is from.
    pub title: Option<Cow<'a, str>>,
}

/// What one input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    Text(Cow<'a, str>),
    /// Numbers of a tokenizer that only one family of models has, as JSON.
    Tokens(&'a str),
}

/// What vectors are for: the same text has another one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    Query,
    Document,
    Similarity,
    Classification,
    Clustering,
    Question,
    Fact,
    CodeQuery,
}

/// The vectors of one call, borrowed from the answer that holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embeddings<'a> {
    /// Each as a JSON array of numbers, as its provider wrote it, in the order of the inputs.
    pub vectors: Vec<&'a str>,
    pub usage: Option<Usage>,
}

/// Tasks as Google and as Cohere name them. Cohere has fewer.
const TASKS: &[(Task, &str, Option<&str>)] = &[
    (Task::Query, "RETRIEVAL_QUERY", Some("search_query")),
    (Task::Document, "RETRIEVAL_DOCUMENT", Some("search_document")),
    (Task::Similarity, "SEMANTIC_SIMILARITY", None),
    (Task::Classification, "CLASSIFICATION", Some("classification")),
    (Task::Clustering, "CLUSTERING", Some("clustering")),
    (Task::Question, "QUESTION_ANSWERING", None),
    (Task::Fact, "FACT_VERIFICATION", None),
    (Task::CodeQuery, "CODE_RETRIEVAL_QUERY", None),
];

// === impl Task ===

impl Task {
    /// The task of this name, whichever of the two named it.
    pub fn named(name: &str) -> Option<Task> {
        let found = TASKS.iter().find(|(_, google, cohere)| *google == name || *cohere == Some(name));
        found.map(|(task, ..)| *task)
    }

    /// Google's `taskType`.
    pub fn google(self) -> &'static str {
        TASKS.iter().find(|(task, ..)| *task == self).map_or("", |(_, google, _)| google)
    }

    /// Cohere's `input_type`, where it has one.
    pub fn cohere(self) -> Option<&'static str> {
        TASKS.iter().find(|(task, ..)| *task == self).and_then(|(.., cohere)| *cohere)
    }
}

// === impl Embed ===

impl Embed<'_> {
    /// What this input is for.
    pub fn task_of(&self, input: &Input<'_>) -> Option<Task> {
        input.task.or(self.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_read_by_each_of_its_names() {
        for &(task, google, cohere) in TASKS {
            assert_eq!((Task::named(google), task.google(), task.cohere()), (Some(task), google, cohere));
            assert_eq!(cohere.map(Task::named), cohere.map(|_| Some(task)));
        }
        assert_eq!(Task::named("retrieval_query"), None);
    }
}
