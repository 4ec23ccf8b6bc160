//! The distilled set: a pair, the folder it is kept in, other layouts it is written in.

pub mod export;
pub mod folder;
pub mod pair;
