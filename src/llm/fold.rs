//! A stream's steps, folded into the answer they spell; and an answer as the steps of a stream.

use super::part::{Content, Part, ToolCall};
use super::reply::Choice;
use super::{Delta, Reply};

/// Tool calls kept of one answer; a stream that names more is not a real one.
const MAX_TOOL_CALLS: usize = 1024;

/// Answers kept of one stream.
const MAX_CHOICES: u32 = 128;

/// Folds steps as they come.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    reply: Reply,
    /// Of each choice, where its calls stand among its parts.
    calls: Vec<Vec<usize>>,
    complete: bool,
    /// Something was said that the answer here does not hold.
    lossy: bool,
    bytes: usize,
}

// === impl Fold ===

impl Fold {
    /// Adds one step.
    pub fn push(&mut self, delta: &Delta) {
        self.bytes += delta.text_len();
        match delta {
            Delta::Start { id, model, created, usage } => {
                self.reply.id.clone_from(id);
                self.reply.model.clone_from(model);
                self.reply.created = *created;
                self.reply.usage = usage.or(self.reply.usage);
            }
            Delta::Usage(usage) => self.reply.usage = Some(*usage),
            Delta::Error(_) => self.lossy = true,
            Delta::Ping => {}
            Delta::End => self.complete = true,
            Delta::Text { choice, text } => self.push_text(*choice, text),
            Delta::Reasoning { choice, text } => self.push_reasoning(*choice, text),
            Delta::Refusal { choice, text } => self.push_refusal(*choice, text),
            Delta::ToolCall { .. } => self.push_call(delta),
            piece => self.push_piece(piece),
        }
    }

    /// Bytes held: text, and what names tool calls.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// No step came yet.
    pub fn is_fresh(&self) -> bool {
        !self.complete && !self.lossy && self.bytes == 0 && self.reply == Reply::default()
    }

    /// Something was said that this answer does not hold.
    pub fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// The answer, if its own end was seen and all of it is in it.
    pub fn complete(self) -> Option<Reply> {
        (self.complete && !self.lossy).then_some(self.reply)
    }

    /// A whole answer, as if its steps had been folded.
    pub fn whole(reply: Reply) -> Self {
        Fold { reply, complete: true, ..Fold::default() }
    }

    /// What was said by now, in as few steps as say it; those that come next go on from there.
    pub fn so_far(&self) -> Vec<Delta> {
        let mut steps = self.reply.steps();
        if !self.complete {
            steps.pop();
        }
        steps
    }

    fn choice(&mut self, index: u32) -> Option<&mut Choice> {
        if index >= MAX_CHOICES {
            self.lossy = true;
            return None;
        }
        let index = index as usize;
        if self.reply.choices.len() <= index {
            self.reply.choices.resize_with(index + 1, Choice::default);
        }
        self.reply.choices.get_mut(index)
    }

    fn push_text(&mut self, choice: u32, piece: &str) {
        let Some(choice) = self.choice(choice) else { return };
        match choice.parts.last_mut().map(|part| &mut part.content) {
            // A text that has a citation is over.
            Some(Content::Text { text, citations }) if citations.is_empty() => text.to_mut().push_str(piece),
            _ => choice.parts.push(Part::text(piece.to_owned())),
        }
    }

    fn push_reasoning(&mut self, choice: u32, piece: &str) {
        let Some(choice) = self.choice(choice) else { return };
        match choice.parts.last_mut().map(|part| &mut part.content) {
            Some(Content::Reasoning { text, signature: None }) => text.to_mut().push_str(piece),
            _ => choice.parts.push(Part::new(Content::Reasoning { text: piece.to_owned().into(), signature: None })),
        }
    }

    fn push_refusal(&mut self, choice: u32, piece: &str) {
        let Some(choice) = self.choice(choice) else { return };
        match choice.parts.last_mut().map(|part| &mut part.content) {
            Some(Content::Refusal(text)) => text.to_mut().push_str(piece),
            _ => choice.parts.push(Part::new(Content::Refusal(piece.to_owned().into()))),
        }
    }

    fn push_call(&mut self, delta: &Delta) {
        let Delta::ToolCall { choice: number, index, id, name, arguments, signature } = delta else { return };
        let index = *index as usize;
        let known = self.calls.get(*number as usize).map_or(0, Vec::len);
        // Calls are numbered as they begin; what fills a gap would be a call that nobody made.
        if index >= MAX_TOOL_CALLS || index > known {
            self.lossy = true;
            return;
        }
        if index == known {
            let Some(choice) = self.choice(*number) else { return };
            let at = choice.parts.len();
            choice.parts.push(Part::new(Content::ToolCall(ToolCall::default())));
            let calls = &mut self.calls;
            if calls.len() <= *number as usize {
                calls.resize_with(*number as usize + 1, Vec::new);
            }
            calls[*number as usize].push(at);
        }
        let place = self.calls.get(*number as usize).and_then(|calls| calls.get(index)).copied();
        let choice = self.reply.choices.get_mut(*number as usize);
        let part = place.and_then(|at| choice?.parts.get_mut(at));
        let Some(Content::ToolCall(call)) = part.map(|part| &mut part.content) else { return };
        // The first piece says who it is; providers that repeat it mean the same call.
        for (kept, said) in [(&mut call.id, id), (&mut call.name, name)] {
            if let Some(said) = said.as_ref().filter(|_| kept.is_empty()) {
                self.bytes += said.len();
                *kept = said.clone().into();
            }
        }
        if call.signature.is_none() {
            call.signature.clone_from(signature);
        }
        call.arguments.to_mut().push_str(arguments);
    }

    fn push_piece(&mut self, delta: &Delta) {
        let number = match delta {
            Delta::Signature { choice, .. }
            | Delta::Redacted { choice, .. }
            | Delta::Citation { choice, .. }
            | Delta::Media { choice, .. }
            | Delta::Logprobs { choice, .. }
            | Delta::Finish { choice, .. } => *choice,
            _ => return,
        };
        let Some(choice) = self.choice(number) else { return };
        let last = choice.parts.last_mut().map(|part| &mut part.content);
        let mut bytes = 0;
        match (delta, last) {
            (Delta::Signature { signature, .. }, Some(Content::Reasoning { signature: kept @ None, .. })) => {
                bytes = signature.data.len();
                *kept = Some(signature.clone());
            }
            (Delta::Signature { signature, .. }, _) => {
                bytes = signature.data.len();
                let content = Content::Reasoning { text: "".into(), signature: Some(signature.clone()) };
                choice.parts.push(Part::new(content));
            }
            (Delta::Redacted { data, .. }, _) => {
                bytes = data.data.len();
                choice.parts.push(Part::new(Content::Redacted(data.clone())));
            }
            (Delta::Citation { citation, .. }, Some(Content::Text { citations, .. })) => {
                bytes = 64 + citation.quote.as_ref().map_or(0, |quote| quote.len());
                citations.push((**citation).clone());
            }
            (Delta::Citation { .. }, _) => self.lossy = true,
            (Delta::Media { media, .. }, _) => {
                bytes = media.source.len();
                choice.parts.push(Part::new(Content::Media((**media).clone())));
            }
            (Delta::Logprobs { tokens, .. }, _) => {
                bytes = tokens.len();
                let kept = choice.logprobs.get_or_insert_default();
                if !kept.is_empty() {
                    kept.push(',');
                }
                kept.push_str(tokens);
            }
            (Delta::Finish { finish, stop_sequence, .. }, _) => {
                choice.finish = Some(*finish);
                choice.stop_sequence.clone_from(stop_sequence);
            }
            _ => {}
        }
        self.bytes += bytes;
    }
}

// === impl Reply ===

impl Reply {
    /// This answer as the steps of a stream.
    pub fn steps(&self) -> Vec<Delta> {
        let mut deltas =
            vec![Delta::Start { id: self.id.clone(), model: self.model.clone(), created: self.created, usage: None }];
        for (choice, said) in (0..).zip(&self.choices) {
            let mut index = 0;
            for part in &said.parts {
                push_steps(choice, part, &mut index, &mut deltas);
            }
            deltas.extend(said.logprobs.clone().map(|tokens| Delta::Logprobs { choice, tokens }));
            let stop_sequence = said.stop_sequence.clone();
            deltas.extend(said.finish.map(|finish| Delta::Finish { choice, finish, stop_sequence }));
        }
        deltas.extend(self.usage.map(Delta::Usage));
        deltas.push(Delta::End);
        deltas
    }
}

fn push_steps(choice: u32, part: &Part<'static>, index: &mut u32, out: &mut Vec<Delta>) {
    match &part.content {
        Content::Text { text, citations } => {
            out.push(Delta::Text { choice, text: text.to_string() });
            let cite = |citation: &_| Delta::Citation { choice, citation: Box::new(Clone::clone(citation)) };
            out.extend(citations.iter().map(cite));
        }
        Content::Reasoning { text, signature } => {
            if !text.is_empty() {
                out.push(Delta::Reasoning { choice, text: text.to_string() });
            }
            out.extend(signature.clone().map(|signature| Delta::Signature { choice, signature }));
        }
        Content::Redacted(data) => out.push(Delta::Redacted { choice, data: data.clone() }),
        Content::Refusal(text) => out.push(Delta::Refusal { choice, text: text.to_string() }),
        Content::Media(media) => out.push(Delta::Media { choice, media: Box::new(media.clone()) }),
        Content::ToolCall(call) => {
            out.push(Delta::ToolCall {
                choice,
                index: *index,
                id: Some(call.id.to_string()),
                name: Some(call.name.to_string()),
                arguments: call.arguments.to_string(),
                signature: call.signature.clone(),
            });
            *index += 1;
        }
        // No model returns what a function did.
        Content::ToolResult(_) => {}
    }
}

#[cfg(test)]
mod tests;
