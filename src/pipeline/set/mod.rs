//! The distilled set: a pair, the folder it is kept in, its card, other layouts it is written in.

pub mod card;
pub mod export;
pub mod folder;
pub mod pair;
