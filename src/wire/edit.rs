//! In-place edits of a JSON body: every byte that no edit names stays as it was sent, white space,
//! key order, number spelling, unknown and duplicate fields included.
//!
//! Edits are collected against the spans that [`crate::base::json`] found in one body and applied
//! together. Spans of one document contain one another or are disjoint, so edits cannot conflict
//! by halves: an edit inside what another edit replaces or removes has no effect, and of two edits
//! of the very same span the later call wins. A span that does not lie in the body, or that cuts
//! an earlier one in half, belongs to another body; it is ignored, never a panic.

use std::borrow::Cow;

use crate::base::json::{self, Member, Span};

/// Edits of one body.
#[derive(Clone, Debug, Default)]
pub struct Edits<'a> {
    replaced: Vec<Splice<'a>>,
    objects: Vec<ObjectEdit<'a>>,
}

/// The bytes of `at` become `bytes`.
#[derive(Clone, Debug)]
struct Splice<'a> {
    at: Span,
    bytes: Cow<'a, [u8]>,
}

/// What happens to the members of one object. Kept apart until [`Edits::apply`], because which
/// comma goes depends on all of it.
#[derive(Clone, Debug)]
struct ObjectEdit<'a> {
    object: Span,
    /// From the quote of the key to the end of the value; whether it stays.
    members: Vec<(Span, bool)>,
    appended: Vec<(&'a str, Cow<'a, [u8]>)>,
}

// === impl Edits ===

impl<'a> Edits<'a> {
    /// No edits.
    pub fn new() -> Self {
        Edits::default()
    }

    /// The value at `span` becomes `bytes`, which must be one JSON value.
    pub fn replace(&mut self, span: Span, bytes: impl Into<Cow<'a, [u8]>>) {
        self.replaced.push(Splice { at: span, bytes: bytes.into() });
    }

    /// Appends a member to the object at `object`, whose members are `members`. A member that is
    /// there already under that key is not looked for.
    pub fn insert_member(
        &mut self,
        object: Span,
        members: &[Member<'_>],
        key: &'a str,
        raw_json: impl Into<Cow<'a, [u8]>>,
    ) {
        self.object(object, members).appended.push((key, raw_json.into()));
    }

    /// Removes the member `index` of the object at `object` and exactly one comma with it, if there
    /// is one. An index that does not exist is ignored.
    pub fn remove_member(&mut self, object: Span, members: &[Member<'_>], index: usize) {
        if let Some((_, stays)) = self.object(object, members).members.get_mut(index) {
            *stays = false;
        }
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.replaced.is_empty() && self.objects.iter().all(ObjectEdit::is_empty)
    }

    /// The edited body, in one allocation of exactly its length.
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        let splices = self.splices(body.len());
        let length = splices.iter().fold(body.len(), |length, Splice { at, bytes }| {
            length - (at.end - at.start) + bytes.len() // The spans are disjoint and lie in the body.
        });
        let mut out = Vec::with_capacity(length);
        let mut copied = 0;
        for Splice { at, bytes } in &splices {
            out.extend_from_slice(&body[copied..at.start]);
            out.extend_from_slice(bytes);
            copied = at.end;
        }
        out.extend_from_slice(&body[copied..]);
        out
    }

    /// What to write where: in order, disjoint, within `length` bytes.
    fn splices(&self, length: usize) -> Vec<Splice<'_>> {
        let mut wanted: Vec<Splice<'_>> = Vec::new();
        // The later call first: of equal spans the stable sort keeps it first, and the first one wins.
        wanted
            .extend(self.replaced.iter().rev().map(|splice| Splice { at: splice.at, bytes: (&*splice.bytes).into() }));
        self.objects.iter().for_each(|edit| edit.splices(&mut wanted));
        wanted.retain(|splice| splice.at.start <= splice.at.end && splice.at.end <= length);
        // An insertion is empty: where it stands at the edge of another edit, it comes before it if
        // it is at its start, and behind it if it is at its end. Of two at one place the wider wins.
        wanted.sort_by_key(|Splice { at, .. }| (at.start, at.start != at.end, std::cmp::Reverse(at.end)));
        let mut done = 0;
        wanted.retain(|splice| {
            let free = splice.at.start >= done;
            done = done.max(if free { splice.at.end } else { 0 });
            free
        });
        wanted
    }

    fn object(&mut self, object: Span, members: &[Member<'_>]) -> &mut ObjectEdit<'a> {
        let known = self.objects.iter().position(|edit| edit.object == object);
        let at = known.unwrap_or_else(|| {
            let span = |member: &Member<'_>| Span { start: member.key_span.start, end: member.value.end };
            let members = members.iter().map(|member| (span(member), true)).collect();
            self.objects.push(ObjectEdit { object, members, appended: Vec::new() });
            self.objects.len() - 1
        });
        &mut self.objects[at]
    }
}

// === impl ObjectEdit ===

impl ObjectEdit<'_> {
    fn is_empty(&self) -> bool {
        self.appended.is_empty() && self.members.iter().all(|&(_, stays)| stays)
    }

    /// A member that goes takes the comma behind it along, unless no member behind it stays; then
    /// it takes the comma before it.
    fn splices<'s>(&'s self, out: &mut Vec<Splice<'s>>) {
        let gone = |start, end| Splice { at: Span { start, end }, bytes: Cow::Borrowed(&[]) };
        let kept = self.members.iter().rposition(|&(_, stays)| stays);
        for (index, &(span, stays)) in self.members.iter().enumerate() {
            if stays {
                continue;
            }
            let before = index.checked_sub(1).map(|previous| self.members[previous].0.end);
            let behind = self.members.get(index + 1).map(|next| next.0.start);
            out.push(match (kept, before, behind) {
                (Some(kept), _, Some(behind)) if index < kept => gone(span.start, behind),
                (Some(_), Some(before), _) => gone(before, span.end),
                // Nothing stays: all that lies between the braces' white space goes.
                (_, _, behind) => gone(span.start, behind.unwrap_or(span.end)),
            });
        }
        if self.appended.is_empty() {
            return;
        }
        let first = self.members.first().map_or(self.object.start.saturating_add(1), |&(span, _)| span.start);
        let place = kept.map_or(first, |kept| self.members[kept].0.end);
        let mut text = Vec::new();
        for (index, (key, value)) in self.appended.iter().enumerate() {
            if index > 0 || kept.is_some() {
                text.push(b',');
            }
            json::write_string(&mut text, key);
            text.push(b':');
            text.extend_from_slice(value);
        }
        out.push(Splice { at: Span { start: place, end: place }, bytes: text.into() });
    }
}

#[cfg(test)]
mod tests;
