//! [io] Counters by the part of a Cluster that has them: what is done to one group is done by one script.

use crate::store::slot::of_tag;

/// The slot of all that belongs to a counter, whatever the prefix: its text stands in the braces. It begins with
/// a limit's id, and so not with a brace.
pub(super) fn slot(counter: &str) -> u16 {
    of_tag(counter.split_once('}').map_or(counter, |(tag, _)| tag))
}

/// The places of counters by slot, each group in its order, and the groups in that of their first.
pub(super) fn groups(counters: &[&str]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(u16, Vec<usize>)> = Vec::new();
    for (place, counter) in counters.iter().enumerate() {
        let slot = slot(counter);
        match groups.iter_mut().find(|(of, _)| *of == slot) {
            Some((_, places)) => places.push(place),
            None => groups.push((slot, vec![place])),
        }
    }
    groups.into_iter().map(|(_, places)| places).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::Names;
    use super::*;
    use crate::limit::window::Window;
    use crate::limit::{Limit, Unit};
    use crate::store::slot;

    #[test]
    fn counters_of_one_slot_are_one_group() {
        assert_eq!(groups(&["a", "b}x", "a}y", "c", "b"]), [vec![0, 2], vec![1, 4], vec![3]]);
    }

    proptest! {
        /// A counter and the marks beside it are in one slot, whatever a caller is called.
        #[test]
        fn all_of_a_counter_is_in_one_slot(value in "[{}|~a-c]{0,8}", prefix in "[-A-Za-z0-9_.:]{1,8}", id in any::<u128>()) {
            let (names, counter) = (Names::new(&prefix), format!("policy/limit|{value}"));
            let limit = Limit::new("policy/limit", Unit::Tokens, 1, Window::Held);
            prop_assert_eq!(slot::of(names.counter(&limit, &counter)), super::slot(&counter));
            prop_assert_eq!(slot::of(names.mark(&counter, id)), super::slot(&counter));
        }
    }
}
