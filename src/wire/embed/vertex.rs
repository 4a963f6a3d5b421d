//! Vertex AI v1, `publishers/google/models/…:predict` for text embeddings (Google Cloud, "Text embeddings
//! API"). `gemini-embedding-001` takes one input a call there, which Vertex AI itself says.

use super::{Answer, Provider, drop_user, input, texts};
use crate::base::json::write_object;
use crate::llm::{Dropped, Embed, Embeddings, Format, Refusal};
use crate::wire::codec::Unreadable;
use crate::wire::outbound::encode;

pub(super) struct Vertex;

impl Provider for Vertex {
    fn faults(&self) -> Format {
        Format::Gemini
    }

    fn path(&self, model: &str) -> String {
        format!("/publishers/google/models/{}:predict", encode(model))
    }

    fn write(&self, embed: &Embed<'_>, _: &str, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<(), Refusal> {
        drop_user(embed, dropped);
        let texts = texts(embed)?;
        write_object(out, |o| {
            o.array("instances", |a| {
                for (input, text) in embed.inputs.iter().zip(texts) {
                    a.object(|o| {
                        o.text("content", text);
                        o.text_if("task_type", embed.task_of(input).map(|task| task.google()));
                        o.text_if("title", input.title.as_deref());
                    });
                }
            });
            o.object("parameters", |o| {
                o.number_if("outputDimensionality", embed.dimensions);
                o.flag_if("autoTruncate", embed.truncate);
            });
        });
        Ok(())
    }

    fn read<'a>(&self, body: &'a [u8]) -> Result<Embeddings<'a>, Unreadable> {
        let answer = Answer::read(body)?;
        let each = answer.elements(answer.get("predictions"))?;
        let vector = |one: &_| answer.vector(answer.inside(Some(*one), &["embeddings", "values"]));
        let vectors = each.iter().map(vector).collect::<Result<_, _>>()?;
        let tokens = |one: &_| answer.whole(answer.inside(Some(*one), &["embeddings", "statistics", "token_count"]));
        // A sum of which a part is not known is not known.
        let sum = each.iter().map(tokens).try_fold(0_u64, |sum, tokens| Some(sum.saturating_add(tokens?)));
        Ok(Embeddings { vectors, usage: input(sum.filter(|_| !each.is_empty())) })
    }
}
