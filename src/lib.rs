//! protostill
