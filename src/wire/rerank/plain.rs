//! `POST /rerank` as Cohere's API had it before version 2, and as Jina (api.jina.ai, "Reranker") and vLLM
//! ("Re-rank API") have it: documents may be objects, and usage may be tokens.

use super::{Shape, read_request, write_meta, write_results};
use crate::base::json::{Tree, write_object};
use crate::llm::{Dropped, Format, Ranking, Refusal, Rerank};
use crate::wire::codec::Writing;

pub(super) struct Plain;

impl Shape for Plain {
    fn faults(&self) -> Format {
        Format::Chat
    }

    fn read_request<'a>(&self, body: &Tree<'a>, dropped: &mut Dropped) -> Result<Rerank<'a>, Refusal> {
        read_request(body, true, dropped)
    }

    fn write_request(&self, rerank: &Rerank<'_>, model: &str, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if rerank.max_tokens_per_document.is_some() {
            dropped.field("max_tokens_per_doc");
        }
        if rerank.priority.is_some() {
            dropped.field("priority");
        }
        write_object(out, |o| {
            o.text("model", model);
            o.text("query", &rerank.query);
            o.array("documents", |a| rerank.documents.iter().for_each(|document| a.text(document)));
            o.number_if("top_n", rerank.top_n);
            // Some send all documents back where nobody says otherwise.
            o.flag("return_documents", false);
        });
    }

    fn write_reply(&self, ranking: &Ranking, to: &Writing, out: &mut Vec<u8>) {
        write_object(out, |o| {
            o.text("id", if ranking.id.is_empty() { &to.id } else { &ranking.id });
            o.text("model", &to.model);
            write_results(o, ranking);
            write_meta(o, "1", ranking.usage.as_ref());
            if let Some(usage) = ranking.usage.filter(|usage| usage.total_input() > 0) {
                o.object("usage", |o| o.number("total_tokens", usage.total_input()));
            }
        });
    }
}
