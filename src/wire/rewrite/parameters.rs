//! Members of the request that a rule sets, fills in or takes out.

use super::{Subject, bound};
use crate::llm::Refusal;
use crate::wire::edit::Edits;
use crate::wire::keys;

/// One top-level member of a request, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub action: Action,
}

/// What becomes of a member. The values are JSON, and replace a value whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Inserted where the request has no such member. One that is `null` is there: the client has said
    /// that it wants none.
    Default(Vec<u8>),
    /// Replaced, or inserted.
    Override(Vec<u8>),
    Remove,
}

/// Says whether anything was changed. `most` bounds also what a rule itself puts in.
pub(super) fn edit<'c>(
    parameters: &'c [Parameter],
    most: Option<u64>,
    subject: Subject<'_>,
    edits: &mut Edits<'c>,
) -> Result<bool, Refusal> {
    let mut edited = false;
    for Parameter { name, action } in parameters {
        let found = keys::named(subject.dialect(), subject.members, name)?;
        let bounded = |json| bound::lowered(json, name, most, subject);
        match (action, found) {
            (Action::Default(json) | Action::Override(json), None) => {
                edits.insert_member(subject.whole(), subject.members, name, bounded(json)?);
            }
            (Action::Override(json), Some(index)) => {
                let member = &subject.members[index];
                let json = bounded(json)?;
                if subject.bytes(member) == &json[..] {
                    continue;
                }
                edits.replace(member.value, json);
            }
            (Action::Remove, Some(index)) => edits.remove_member(subject.whole(), subject.members, index),
            (Action::Default(_), Some(_)) | (Action::Remove, None) => continue,
        }
        edited = true;
    }
    Ok(edited)
}
