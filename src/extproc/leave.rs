//! What an exchange leaves for others to work off: its notes.

use crate::exchange::event::{Action, Note};
use crate::world::{Permit, World};

/// Leaves every note among what the exchange says at its end; nothing else of it can be done any more.
pub(super) fn leave_all<W: World>(world: &W, mut permit: Option<&mut Permit>, actions: Vec<Action>) {
    for action in actions {
        if let Action::Note(note) = action {
            leave(world, permit.as_deref_mut(), note);
        }
    }
}

/// A note that must not be lost takes a reserved place; others take what room there is.
pub(super) fn leave<W: World>(world: &W, permit: Option<&mut Permit>, note: Note) {
    match (&note, permit) {
        (Note::Publish(..) | Note::Shadow { .. } | Note::Observe(_), _) => world.hint(note),
        (_, Some(permit)) => permit.note(note),
        (_, None) => {}
    }
}
