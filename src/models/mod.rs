//! Networks: tensors in, tensors out. Every size, activation and normalisation comes from the checkpoint's own
//! configuration, never from its name.

mod attention;
mod bfloat16;
pub mod clip;
pub mod demo;
pub mod dense;
pub mod device;
pub mod encoders;
mod files;
pub mod head;
pub mod hub;
mod kernels;
mod layers;
pub mod loss;
mod product;
mod shards;
pub mod tokenizer;
pub mod unclip;
pub mod weights;
