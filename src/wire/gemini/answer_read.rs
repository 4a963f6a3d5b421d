//! A `GenerateContentResponse`, whole or one of a stream's, as canonical steps.

use super::piece::{self, Data, Piece};
use super::seal::Seal;
use super::spelling::{Bad, elements, fields, get, message};
use super::spoken::Spoken;
use super::{fault, finish, grounding, logprobs, usage};
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::llm::part::Citation;
use crate::llm::reply::Choice;
use crate::llm::{Content, Delta, Dropped, Finish, Fold, Part, Reply, Signature, Usage};
use crate::wire::codec::{StreamReader, Unreadable};
use crate::wire::sse;

/// Candidates of one answer; the API makes at most 8.
const MOST: u64 = 128;

const PARTS: &str = "candidates[].content.parts[]";

/// Reads the responses of one answer, in order.
#[derive(Default)]
pub(super) struct Reader {
    is_started: bool,
    has_failed: bool,
    candidates: Vec<Candidate>,
    /// The last that was stated: each states the whole.
    usage: Option<Usage>,
}

/// What came of one candidate.
#[derive(Default)]
struct Candidate {
    calls: u32,
    is_finished: bool,
    /// Its last piece was text: a citation can belong to it.
    is_text: bool,
    /// The seal of that text, which stands behind its citations.
    seal: Option<Signature<'static>>,
    spoken: Spoken,
}

/// Reads a whole answer.
///
/// # Errors
/// When it is none.
pub(super) fn whole(root: Value<'_, '_>, dropped: &mut Dropped) -> Result<Reply, Bad> {
    let mut reader = Reader::default();
    let mut steps = Vec::new();
    reader.response(root, &mut steps, dropped)?;
    if reader.has_failed {
        return Err(Bad::Answer("it is an error"));
    }
    for (choice, candidate) in (0..).zip(&mut reader.candidates) {
        candidate.seal(choice, &mut steps);
    }
    steps.extend(reader.usage.map(Delta::Usage));
    steps.push(Delta::End);
    let mut fold = Fold::default();
    steps.iter().for_each(|step| fold.push(step));
    let mut reply = fold.complete().ok_or(Bad::Answer("it has more calls than can be"))?;
    // One that says nothing at all is an answer as well.
    if reply.choices.len() < reader.candidates.len() {
        reply.choices.resize_with(reader.candidates.len(), Choice::default);
    }
    match reply.choices.is_empty() {
        true => Err(Bad::Answer("it has no candidates and does not say why")),
        false => Ok(reply),
    }
}

// === impl Reader ===

impl StreamReader for Reader {
    fn read(&mut self, event: &sse::Event, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        if event.is_empty() || self.has_failed {
            return Ok(());
        }
        let tree = Tree::read(&event.data).map_err(|_| Unreadable("an event is no JSON"))?;
        self.response(tree.root(), out, dropped).map_err(Bad::unreadable)
    }

    fn end(&mut self, out: &mut Vec<Delta>) {
        if self.has_failed || !self.candidates.iter().any(|candidate| candidate.is_finished) {
            return;
        }
        out.extend(self.usage.take().map(Delta::Usage));
        out.push(Delta::End);
    }

    fn held(&self) -> usize {
        let held = |one: &Candidate| one.spoken.held() + one.seal.as_ref().map_or(0, |seal| seal.data.len());
        self.candidates.iter().map(held).sum()
    }
}

impl Reader {
    fn response(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Bad> {
        if let Some(fault) = fault::of(root, None) {
            self.has_failed = true;
            out.push(Delta::Error(fault));
            return Ok(());
        }
        let known = ["candidates", "promptFeedback", "usageMetadata"];
        if !known.iter().any(|name| get(root, name).is_some()) {
            return Err(Bad::Answer("it is no response of Gemini's"));
        }
        if !std::mem::replace(&mut self.is_started, true) {
            let text = |name| get(root, name).and_then(Value::text).unwrap_or_default().into_owned();
            out.push(Delta::Start { id: text("responseId"), model: text("modelVersion"), created: 0, usage: None });
        }
        for (key, value) in message(root, "the response")? {
            match &*key {
                "candidates" if value.kind() != Kind::Array => return Err(Bad::Type("candidates", "an array")),
                "candidates" => {
                    for (at, candidate) in (0..).zip(elements(value, "candidates")?) {
                        self.candidate(at, candidate, out, dropped)?;
                    }
                }
                "promptFeedback" => self.feedback(value, out, dropped)?,
                "usageMetadata" => self.usage = usage::read(value).or(self.usage),
                "modelVersion" | "responseId" | "createTime" => {}
                _ if value.is_empty() => {}
                other => dropped.field(other.to_owned()),
            }
        }
        Ok(())
    }

    /// The prompt was stopped: there is no candidate.
    fn feedback(&mut self, value: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Bad> {
        for (key, value) in fields(value)? {
            match &*key {
                "blockReason" if value.text().is_some_and(|word| word != "BLOCKED_REASON_UNSPECIFIED") => {
                    let Some(first) = self.state(0) else { continue };
                    if !std::mem::replace(&mut first.is_finished, true) {
                        out.push(Delta::finish(Finish::ContentFilter));
                    }
                }
                _ if value.is_empty() => {}
                other => dropped.inside("promptFeedback.", other),
            }
        }
        Ok(())
    }

    fn state(&mut self, index: u64) -> Option<&mut Candidate> {
        let index = usize::try_from(index).ok().filter(|_| index < MOST)?;
        if self.candidates.len() <= index {
            self.candidates.resize_with(index + 1, Candidate::default);
        }
        self.candidates.get_mut(index)
    }

    fn candidate(
        &mut self,
        at: u64,
        value: Value<'_, '_>,
        out: &mut Vec<Delta>,
        dropped: &mut Dropped,
    ) -> Result<(), Bad> {
        let index = get(value, "index").and_then(Value::whole).unwrap_or(at);
        let state = self.state(index).ok_or(Bad::Answer("it has more candidates than can be"))?;
        // Below `MOST`.
        let choice = u32::try_from(index).unwrap_or_default();
        let (mut reason, mut cited) = (None, Vec::new());
        // What is said comes before what is said about it, wherever it stands.
        for part in
            get(value, "content").and_then(|content| get(content, "parts")).into_iter().flat_map(Value::elements)
        {
            state.piece(choice, piece::read(part, PARTS, dropped)?, out, dropped);
        }
        for (key, value) in message(value, "candidates[]")? {
            match &*key {
                "content" => {
                    for (key, value) in message(value, "candidates[].content")? {
                        if !matches!(&*key, "parts" | "role") && !value.is_empty() {
                            dropped.inside("candidates[].content.", &key);
                        }
                    }
                }
                "finishReason" => reason = value.text().filter(|word| word != "FINISH_REASON_UNSPECIFIED"),
                "citationMetadata" => grounding::citations(value, &state.spoken, &mut cited),
                "groundingMetadata" => grounding::grounding(value, &state.spoken, &mut cited, dropped),
                "logprobsResult" => {
                    out.extend(logprobs::read(value).map(|tokens| Delta::Logprobs { choice, tokens }));
                }
                // A mean of what `logprobsResult` says, and a part of the usage.
                "index" | "avgLogprobs" | "tokenCount" => {}
                _ if value.is_empty() => {}
                other => dropped.inside("candidates[].", other),
            }
        }
        state.cite(choice, cited, out, dropped);
        if let Some(word) = reason.filter(|_| !state.is_finished) {
            let (finish, is_all) = finish::read(&word, state.calls > 0);
            if !is_all {
                dropped.field("candidates[].finishReason");
            }
            state.is_finished = true;
            state.seal(choice, out);
            out.push(Delta::Finish { choice, finish, stop_sequence: None });
        }
        Ok(())
    }
}

// === impl Candidate ===

impl Candidate {
    fn piece(&mut self, choice: u32, piece: Piece<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let Piece { data, is_thought, seal } = piece;
        let seal = seal.map(|seal| match seal {
            Seal::Signed(signature) | Seal::Redacted(signature) => signature.into_owned(),
        });
        if !matches!(&data, Data::Nothing) && !matches!(&data, Data::Text(text) if text.is_empty()) {
            self.seal(choice, out);
        }
        match data {
            Data::Call(call) => {
                out.push(Delta::ToolCall {
                    choice,
                    index: self.calls,
                    id: Some(call.id.into_owned()),
                    name: Some(call.name.into_owned()),
                    arguments: call.arguments.into_owned(),
                    signature: seal,
                });
                self.calls = self.calls.saturating_add(1);
                self.is_text = false;
                return;
            }
            Data::Text(text) if !text.is_empty() => {
                self.is_text = !is_thought;
                if is_thought {
                    out.push(Delta::Reasoning { choice, text: text.into_owned() });
                } else {
                    self.spoken.push(&text);
                    out.push(Delta::Text { choice, text: text.into_owned() });
                }
            }
            Data::Media(media) => {
                self.is_text = false;
                let Content::Media(media) = Part::new(Content::Media(media)).into_owned().content else { return };
                out.push(Delta::Media { choice, media: Box::new(media) });
            }
            Data::Response(_) => dropped.inside(PARTS, ".functionResponse"),
            Data::Text(_) | Data::Nothing => {}
        }
        if let Some(signature) = seal {
            if self.is_text && self.seal.is_none() {
                self.seal = Some(signature);
            } else {
                self.seal(choice, out);
                out.push(Delta::Signature { choice, signature });
            }
        }
    }

    /// Says the seal of a text that is over.
    fn seal(&mut self, choice: u32, out: &mut Vec<Delta>) {
        if let Some(signature) = self.seal.take() {
            self.is_text = false;
            out.push(Delta::Signature { choice, signature });
        }
    }

    /// A citation belongs to the text before it; one of an answer whose text is over has no place.
    fn cite(&self, choice: u32, cited: Vec<Citation<'static>>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        if !self.is_text && !cited.is_empty() {
            return dropped.field("candidates[].groundingMetadata");
        }
        out.extend(cited.into_iter().map(|citation| Delta::Citation { choice, citation: Box::new(citation) }));
    }
}
