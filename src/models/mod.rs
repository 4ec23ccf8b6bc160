//! Networks: tensors in, tensors out. Every size, activation and normalisation comes from the checkpoint's own
//! configuration, never from its name.

pub mod clip;
pub mod demo;
pub mod device;
pub mod encoders;
pub mod files;
pub mod head;
pub mod host;
pub mod hub;
mod layers;
pub mod loss;
mod shards;
pub mod tokenizer;
pub mod train;
pub mod unclip;
pub mod weights;
