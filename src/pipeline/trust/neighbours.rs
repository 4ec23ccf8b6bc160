//! A second null.
