//! Documents in the order in which they answer a query, in no wire format.

use std::borrow::Cow;

use super::Usage;

/// One call for a ranking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rerank<'a> {
    pub query: Cow<'a, str>,
    pub documents: Vec<Cow<'a, str>>,
    /// How many of the best are wanted; all where it is not said.
    pub top_n: Option<u64>,
    /// How much of a document is looked at.
    pub max_tokens_per_document: Option<u64>,
    /// How urgent it is, as Cohere counts it: 0 is most.
    pub priority: Option<u64>,
}

/// The best documents, the best one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// The provider's id of the answer; empty where it gives none.
    pub id: String,
    pub results: Vec<Ranked>,
    pub usage: Option<Usage>,
}

/// A document's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Of the document in the request.
    pub index: u64,
    /// The relevance as the provider wrote it, a JSON number.
    pub score: String,
}
