//! Cohere's API version 2, `POST /v2/rerank` (docs.cohere.com/reference/rerank): documents are texts.

use super::{Shape, read_request, write_meta, write_results};
use crate::base::json::{Tree, write_object};
use crate::llm::{Dropped, Format, Ranking, Refusal, Rerank};
use crate::wire::codec::Writing;

pub(super) struct Cohere;

impl Shape for Cohere {
    fn faults(&self) -> Format {
        Format::Cohere
    }

    fn read_request<'a>(&self, body: &Tree<'a>, dropped: &mut Dropped) -> Result<Rerank<'a>, Refusal> {
        read_request(body, false, dropped)
    }

    fn write_request(&self, rerank: &Rerank<'_>, model: &str, out: &mut Vec<u8>, _: &mut Dropped) {
        write_object(out, |o| {
            o.text("model", model);
            o.text("query", &rerank.query);
            o.array("documents", |a| rerank.documents.iter().for_each(|document| a.text(document)));
            o.number_if("top_n", rerank.top_n);
            o.number_if("max_tokens_per_doc", rerank.max_tokens_per_document);
            o.number_if("priority", rerank.priority);
        });
    }

    fn write_reply(&self, ranking: &Ranking, to: &Writing, out: &mut Vec<u8>) {
        write_object(out, |o| {
            o.text("id", if ranking.id.is_empty() { &to.id } else { &ranking.id });
            write_results(o, ranking);
            write_meta(o, "2", ranking.usage.as_ref());
        });
    }
}
