//! Cohere's embeddings: version 2 of its own API (docs.cohere.com/reference/embed), and the same models by
//! Bedrock's `InvokeModel` (Bedrock User Guide, "Cohere Embed v3" and "Cohere Embed v4"), whose bodies name no
//! model and whose answers state no usage but in a header.

use super::{Answer, Provider, drop_titles, drop_user, input, no_dimensions, texts};
use crate::base::json::{Kind, ObjectWriter, write_object};
use crate::llm::embed::Task;
use crate::llm::{Code, Dropped, Embed, Embeddings, Format, Refusal};
use crate::wire::codec::Unreadable;
use crate::wire::outbound::encode;

/// Cohere itself.
pub(super) struct Cohere;

/// Bedrock.
pub(super) struct Invoke;

/// What vectors are for where nobody says it: the API insists on a word.
const USUAL: &str = "search_document";

impl Provider for Cohere {
    fn faults(&self) -> Format {
        Format::Cohere
    }

    fn path(&self, _: &str) -> String {
        "/embed".to_owned()
    }

    fn write(&self, embed: &Embed<'_>, model: &str, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<(), Refusal> {
        let body = Body::of(embed, model, dropped)?;
        write_object(out, |o| {
            o.text("model", model);
            body.write(o, "END");
        });
        Ok(())
    }

    fn read<'a>(&self, body: &'a [u8]) -> Result<Embeddings<'a>, Unreadable> {
        read(body)
    }
}

impl Provider for Invoke {
    fn faults(&self) -> Format {
        Format::Converse
    }

    fn path(&self, model: &str) -> String {
        format!("/model/{}/invoke", encode(model))
    }

    fn write(&self, embed: &Embed<'_>, model: &str, out: &mut Vec<u8>, dropped: &mut Dropped) -> Result<(), Refusal> {
        let body = Body::of(embed, model, dropped)?;
        // Version 4 names the ends of a text otherwise.
        let cut = if is_old(model) { "END" } else { "RIGHT" };
        write_object(out, |o| body.write(o, cut));
        Ok(())
    }

    fn read<'a>(&self, body: &'a [u8]) -> Result<Embeddings<'a>, Unreadable> {
        read(body)
    }
}

/// Models up to version 3 have vectors of one length.
fn is_old(model: &str) -> bool {
    ["-v2", "-v3"].iter().any(|version| model.contains(version))
}

/// What both say.
struct Body<'e> {
    texts: Vec<&'e str>,
    purpose: &'static str,
    dimensions: Option<u64>,
    truncate: Option<bool>,
}

impl<'e> Body<'e> {
    fn of(embed: &'e Embed<'_>, model: &str, dropped: &mut Dropped) -> Result<Self, Refusal> {
        if embed.dimensions.is_some() && is_old(model) {
            return Err(no_dimensions(model));
        }
        drop_user(embed, dropped);
        drop_titles(embed, dropped);
        let mut tasks = embed.inputs.iter().map(|input| embed.task_of(input));
        let task = tasks.next().flatten();
        if tasks.any(|other| other != task) {
            let message = "This model's provider takes one task type for all inputs of a call; send those of each \
                           task type in a call of their own.";
            return Err(Refusal::new(Code::UnsupportedValue, message).param("input[].task_type"));
        }
        let purpose = task.and_then(Task::cohere);
        if task.is_some() && purpose.is_none() {
            dropped.field("task_type");
        }
        let (dimensions, truncate) = (embed.dimensions, embed.truncate);
        Ok(Body { texts: texts(embed)?, purpose: purpose.unwrap_or(USUAL), dimensions, truncate })
    }

    fn write(&self, o: &mut ObjectWriter<'_>, cut: &str) {
        o.array("texts", |a| self.texts.iter().for_each(|text| a.text(text)));
        o.text("input_type", self.purpose);
        o.array("embedding_types", |a| a.text("float"));
        o.number_if("output_dimension", self.dimensions);
        o.text_if("truncate", self.truncate.map(|cuts| if cuts { cut } else { "NONE" }));
    }
}

/// Vectors by their type; older answers on Bedrock have them without one.
fn read(body: &[u8]) -> Result<Embeddings<'_>, Unreadable> {
    let answer = Answer::read(body)?;
    let found = answer.get("embeddings");
    let by_type = found.filter(|(_, kind)| *kind == Kind::Object).is_some();
    let vectors = answer.vectors(if by_type { answer.inside(found, &["float"]) } else { found })?;
    let tokens = answer.inside(answer.get("meta"), &["billed_units", "input_tokens"]);
    Ok(Embeddings { vectors, usage: input(answer.whole(tokens)) })
}
