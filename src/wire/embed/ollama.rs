//! Ollama's own `/api/embed` (ollama/ollama, docs/api.md, "Generate Embeddings"). Without `truncate` it cuts
//! what is too long.

use super::{Answer, Provider, drop_tasks, drop_titles, drop_user, input, texts};
use crate::base::json::write_object;
use crate::llm::{Dropped, Embed, Embeddings, Format, Refusal};
use crate::wire::codec::Unreadable;

pub(super) struct Ollama;

impl Provider for Ollama {
    fn faults(&self) -> Format {
        Format::Ollama
    }

    fn path(&self, _: &str) -> String {
        "/api/embed".to_owned()
    }

    fn write(&self, embed: &Embed<'_>, model: &str, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<(), Refusal> {
        drop_user(embed, dropped);
        drop_tasks(embed, dropped);
        drop_titles(embed, dropped);
        let texts = texts(embed)?;
        write_object(out, |o| {
            o.text("model", model);
            o.array("input", |a| texts.iter().for_each(|text| a.text(text)));
            o.flag_if("truncate", embed.truncate);
            o.number_if("dimensions", embed.dimensions);
        });
        Ok(())
    }

    fn read<'a>(&self, body: &'a [u8]) -> Result<Embeddings<'a>, Unreadable> {
        let answer = Answer::read(body)?;
        let vectors = answer.vectors(answer.get("embeddings"))?;
        Ok(Embeddings { vectors, usage: input(answer.whole(answer.get("prompt_eval_count"))) })
    }
}
