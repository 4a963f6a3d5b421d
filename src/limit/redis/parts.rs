//! A reserve whose counters are in several slots of a Cluster: each slot's takes are a part, asked by a script of its
//! own under the same id, all at the same time. What the parts say is one answer in the end:
//!
//! * If any part refuses, the call is refused, and every part that took something gives it back.
//! * What a part's server did not say is unknown: its takes are unchecked, and follow their limits' `onError`; the
//!   others hold. Only if no part has an answer nothing is known at all.
//!
//! So others may be denied early for as long as a part is taken in vain, and nobody is admitted late.

use std::borrow::Cow;
use std::time::Duration;

use super::Down;
use crate::limit::take::{Grant, Refused, Standing, Take, Taken};

/// The takes of one slot, and what was said of them.
pub(super) struct Part<'a> {
    /// Among all takes of the call, rising.
    pub places: Vec<usize>,
    /// These.
    pub takes: Cow<'a, [Take]>,
    /// [`Down::Shut`] as long as it was not asked.
    pub said: Result<Result<Grant, Refused>, Down>,
}

/// What all parts come to.
pub(super) struct Joined<'a> {
    pub answer: Result<Result<Grant, Refused>, Down>,
    /// What has to be taken back: the parts of which nobody shall have anything, or of which nobody knows.
    pub undone: Vec<Cow<'a, [Take]>>,
}

// === impl Part ===

impl<'a> Part<'a> {
    /// All takes of a call, which one script does.
    pub(super) fn whole(takes: &'a [Take]) -> Part<'a> {
        Part { places: (0..takes.len()).collect(), takes: Cow::Borrowed(takes), said: Err(Down::Shut) }
    }

    /// One for each group of places.
    pub(super) fn divide(groups: Vec<Vec<usize>>, takes: &[Take]) -> Vec<Part<'a>> {
        let part = |places: Vec<usize>| {
            let takes = places.iter().filter_map(|place| takes.get(*place).cloned()).collect();
            Part { places, takes, said: Err(Down::Shut) }
        };
        groups.into_iter().map(part).collect()
    }

    /// It may have taken something without anybody's knowing. An error may be the answer to what was sent once more.
    fn is_unheard(&self) -> bool {
        matches!(self.said, Err(Down::Late(_) | Down::Lost(_) | Down::Answer(_) | Down::Strange))
    }
}

// === impl Joined ===

impl<'a> Joined<'a> {
    /// The parts of a reserve of so many takes, under this id.
    pub(super) fn of(id: u128, count: usize, mut parts: Vec<Part<'a>>) -> Joined<'a> {
        if parts.len() == 1
            && let Some(part) = parts.pop()
        {
            let undone = part.is_unheard().then_some(part.takes).into_iter().collect();
            return Joined { answer: part.said, undone };
        }
        let is_over = parts.iter().any(|part| matches!(part.said, Err(Down::Over)));
        let is_refused = parts.iter().any(|part| matches!(part.said, Ok(Err(_))));
        let is_known = parts.iter().any(|part| part.said.is_ok());
        let answer = match (is_over, is_refused, is_known) {
            (true, ..) => Err(Down::Over),
            (_, true, _) => Ok(Err(refusal(count, &parts))),
            (.., true) => Ok(Ok(Grant { id, taken: rows(id, count, &parts) })),
            _ => Err(parts.iter().find_map(|part| part.said.clone().err()).unwrap_or(Down::Shut)),
        };
        let is_kept = matches!(answer, Ok(Ok(_)));
        let is_undone = |part: &Part<'_>| part.is_unheard() || !is_kept && matches!(part.said, Ok(Ok(_)));
        let undone = parts.into_iter().filter(is_undone).map(|part| part.takes).collect();
        Joined { answer, undone }
    }
}

/// How all limits stand, in order; [`Standing::UNKNOWN`] where that is not known. What was taken in vain is as if it
/// had not been, as far as that can be told: where a limit was only observed and is over, nothing is left of it.
pub(super) fn standings(count: usize, parts: &[Part<'_>]) -> Vec<Standing> {
    let mut all = vec![Standing::UNKNOWN; count];
    for part in parts {
        let told: Vec<Standing> = match &part.said {
            Ok(Ok(grant)) => grant.taken.iter().map(|taken| untaken(taken, grant)).collect(),
            Ok(Err(refused)) => refused.standings.clone(),
            Err(_) => continue,
        };
        for (place, standing) in part.places.iter().zip(told) {
            if let Some(of) = all.get_mut(*place) {
                *of = standing;
            }
        }
    }
    all
}

/// How it stood before its grant.
fn untaken(taken: &Taken, grant: &Grant) -> Standing {
    let Standing { ceiling, left, reset } = taken.standing;
    let same = |other: &&Taken| other.limit.id == taken.limit.id && other.key == taken.key;
    let charged: u64 = grant.taken.iter().filter(same).map(|other| other.amount).sum();
    let had = if left == 0 && charged > ceiling { 0 } else { left.saturating_add(charged).min(ceiling) };
    Standing { ceiling, left: had, reset: if had == ceiling { Duration::ZERO } else { reset } }
}

/// The refusal for which the call waits longest; of several the one whose take comes first.
fn refusal(count: usize, parts: &[Part<'_>]) -> Refused {
    let refusals = parts.iter().filter_map(|part| {
        let Ok(Err(refused)) = &part.said else { return None };
        Some((*part.places.get(refused.take)?, refused.wait))
    });
    // None is for ever, or nobody knows.
    let longest = |(place, wait): &(usize, Option<Duration>)| (wait.is_none(), *wait, std::cmp::Reverse(*place));
    let (take, wait) = refusals.max_by_key(longest).unwrap_or_default();
    Refused { take, wait, standings: standings(count, parts) }
}

fn rows(id: u128, count: usize, parts: &[Part<'_>]) -> Vec<Taken> {
    let mut rows: Vec<Option<Taken>> = vec![None; count];
    for part in parts {
        let taken: Vec<Taken> = match &part.said {
            Ok(Ok(grant)) => grant.taken.clone(),
            _ => part.takes.iter().map(|take| Taken::unchecked(id, take)).collect(),
        };
        for (place, taken) in part.places.iter().zip(taken) {
            if let Some(row) = rows.get_mut(*place) {
                *row = Some(taken);
            }
        }
    }
    rows.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
