//! Amazon Titan Text Embeddings by Bedrock's `InvokeModel` (Bedrock User Guide, "Amazon Titan Embeddings text
//! models"): one text a call. Only version 2 lets its vectors be shortened.

use super::{Answer, Provider, drop_tasks, drop_titles, drop_truncate, drop_user, input, no_dimensions, text};
use crate::base::json::write_object;
use crate::llm::{Code, Dropped, Embed, Embeddings, Format, Refusal};
use crate::wire::codec::Unreadable;
use crate::wire::outbound::encode;

pub(super) struct Titan;

impl Provider for Titan {
    fn faults(&self) -> Format {
        Format::Converse
    }

    fn path(&self, model: &str) -> String {
        format!("/model/{}/invoke", encode(model))
    }

    fn write(&self, embed: &Embed<'_>, model: &str, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<(), Refusal> {
        let [only] = &embed.inputs[..] else {
            let message = format!("The model {model:?} takes one input a call; send each in a call of its own.");
            return Err(Refusal::new(Code::UnsupportedValue, message).param("input"));
        };
        if embed.dimensions.is_some() && !model.contains("titan-embed-text-v2") {
            return Err(no_dimensions(model));
        }
        drop_user(embed, dropped);
        drop_tasks(embed, dropped);
        drop_titles(embed, dropped);
        drop_truncate(embed, dropped);
        let text = text(only)?;
        write_object(out, |o| {
            o.text("inputText", text);
            o.number_if("dimensions", embed.dimensions);
        });
        Ok(())
    }

    fn read<'a>(&self, body: &'a [u8]) -> Result<Embeddings<'a>, Unreadable> {
        let answer = Answer::read(body)?;
        let vector = answer.vector(answer.get("embedding"))?;
        let tokens = answer.whole(answer.get("inputTextTokenCount"));
        Ok(Embeddings { vectors: vec![vector], usage: input(tokens) })
    }
}
