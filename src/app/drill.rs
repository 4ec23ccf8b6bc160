//! Looking closer: from a list to one of its lines in the whole pane, from a prototype to a row behind it, and back.

use super::{
    action::Pane,
    lists::Cursor,
    model::{Near, Protos},
    state::State,
};
use std::collections::BTreeSet;

/// How close the pane in front looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drill {
    /// All of it.
    #[default]
    List,
    /// One pair, prototype or picture, in the whole pane.
    Whole,
    /// One of the rows behind a prototype.
    Row,
}

/// What is looked at closely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// How close.
    pub drill: Drill,
    /// The selected row behind the prototype.
    pub member: Cursor,
    /// A prototype, and how many versions back its picture is shown.
    pub flip: (usize, usize),
    /// All pictures as they were after so many denoising steps.
    pub scrub: Option<usize>,
}

impl State {
    /// Whether one line has the whole pane.
    pub fn is_drilled(&self) -> bool {
        self.focus.drill > Drill::List
    }

    /// Rows behind the selected prototype, nearest image first.
    pub fn members(&self) -> &[Near] {
        let proto = self.protos.as_ref().and_then(|p| p.list.get(self.prototype));
        proto.map_or(&[], |p| &p.rows)
    }

    /// The selected one of them, once the prototype is looked at closely.
    pub fn member_row(&self) -> Option<u32> {
        let open = self.pane == Pane::Prototypes && self.is_drilled();
        self.members().get(self.focus.member.0).filter(|_| open).map(|near| near.row)
    }

    /// One level deeper.
    pub(super) fn enter(&mut self) {
        let there = self.prototype < self.pairs.len();
        match (self.pane, self.focus.drill) {
            (Pane::Captions, _) => self.inside = self.protos.is_some(),
            (Pane::Data, Drill::List) if self.selected_row().is_some() => self.focus.drill = Drill::Whole,
            (Pane::Gallery, Drill::List) if there => self.focus.drill = Drill::Whole,
            (Pane::Prototypes, Drill::List) if there => {
                (self.focus.drill, self.focus.member) = (Drill::Whole, Cursor(0));
            }
            (Pane::Prototypes, Drill::Whole) if self.member_row().is_some() => self.focus.drill = Drill::Row,
            _ => {}
        }
    }

    /// One level back; whether there was one.
    pub(super) fn leave(&mut self) -> bool {
        let (drill, there) = match self.focus.drill {
            Drill::List => (Drill::List, false),
            Drill::Whole => (Drill::List, true),
            Drill::Row => (Drill::Whole, true),
        };
        self.focus.drill = drill;
        there
    }

    /// Keys that move a slider of the list go from one to the next where one has the whole pane; whether it has.
    pub(super) fn next_whole(&mut self, by: i64) -> bool {
        if !self.is_drilled() {
            return false;
        }
        match self.pane {
            Pane::Data => self.pair.step(by, self.pair_lines().len()),
            _ => {
                self.across(by);
                (self.focus.drill, self.focus.member) = (Drill::Whole, Cursor(0));
            }
        }
        true
    }

    /// The prototype of a newer clustering that has most rows of the one that is looked at closely.
    pub(super) fn heir(&self, newer: &Protos) -> Option<usize> {
        let rows: BTreeSet<u32> = self.members().iter().map(|near| near.row).collect();
        let shared = |i: usize| newer.list[i].rows.iter().filter(|near| rows.contains(&near.row)).count();
        let open = self.pane == Pane::Prototypes && self.is_drilled() && !rows.is_empty();
        (0..newer.list.len()).filter(|_| open).max_by_key(|&i| (shared(i), std::cmp::Reverse(i)))
    }
}
