//! What is computed in the innermost loops: products, attention, what goes element by element, panels of rows against
//! centroids, rows as vectors, one factorisation. Plain numbers in, plain numbers out; each sum in a fixed order.

pub(crate) mod attention;
pub(crate) mod bfloat16;
pub(crate) mod cholesky;
pub(crate) mod elementwise;
pub(crate) mod panels;
pub(crate) mod product;
pub(crate) mod simd;
pub(crate) mod vectors;
