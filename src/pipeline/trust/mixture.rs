//! Two humps.
