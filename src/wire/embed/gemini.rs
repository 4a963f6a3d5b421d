//! Gemini API v1beta, `models.batchEmbedContents` (ai.google.dev/api/embeddings): one input of a client's is
//! one request of a batch.

use super::{Answer, Provider, drop_truncate, drop_user, input, texts};
use crate::base::json::write_object;
use crate::llm::{Dropped, Embed, Embeddings, Format, Refusal};
use crate::wire::codec::Unreadable;
use crate::wire::outbound::encode;

/// AI Studio.
pub(super) struct Gemini;

impl Provider for Gemini {
    fn faults(&self) -> Format {
        Format::Gemini
    }

    fn path(&self, model: &str) -> String {
        format!("/models/{}:batchEmbedContents", encode(model))
    }

    fn write(&self, embed: &Embed<'_>, model: &str, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<(), Refusal> {
        drop_user(embed, dropped);
        drop_truncate(embed, dropped);
        let texts = texts(embed)?;
        write_object(out, |o| {
            o.array("requests", |a| {
                for (input, text) in embed.inputs.iter().zip(texts) {
                    a.object(|o| {
                        o.text("model", &["models/", model].concat());
                        o.object("content", |o| o.array("parts", |a| a.object(|o| o.text("text", text))));
                        o.text_if("taskType", embed.task_of(input).map(|task| task.google()));
                        o.text_if("title", input.title.as_deref());
                        o.number_if("outputDimensionality", embed.dimensions);
                    });
                }
            });
        });
        Ok(())
    }

    fn read<'a>(&self, body: &'a [u8]) -> Result<Embeddings<'a>, Unreadable> {
        let answer = Answer::read(body)?;
        let each = answer.elements(answer.get("embeddings"))?;
        let vector = |one| answer.vector(answer.inside(Some(one), &["values"]));
        let vectors = each.into_iter().map(vector).collect::<Result<_, _>>()?;
        // Older answers state no usage.
        let tokens = answer.inside(answer.get("usageMetadata"), &["promptTokenCount"]);
        Ok(Embeddings { vectors, usage: input(answer.whole(tokens)) })
    }
}
