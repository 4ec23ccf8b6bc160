//! Which of a checkpoint's files says how images are prepared.

use super::config::Kind;
use crate::{
    error::{Error, Result},
    models::weights::Part,
    pixels::Processor,
};
use serde_json::{Value, json};

/// Where a checkpoint may have it, by preference.
const FILES: [&str; 2] = ["processor_config.json", "preprocessor_config.json"];

/// Reads `image_processor` of `processor_config.json`, where transformers 5 writes it, else `preprocessor_config.json`;
/// absent keys have transformers' defaults.
///
/// # Errors
/// [`Error::Input`] if both are missing or it asks for what CLIP's processor does not do; [`Error::Io`].
pub fn processor(part: &Part<'_>, kind: Kind) -> Result<Processor> {
    let (file, mut json) = settings(part)?;
    if let (Kind::Siglip, Some(json)) = (kind, json.as_object_mut()) {
        // `SiglipImageProcessor`'s: nothing is cut off, and what lies around 0 has the same reach on both sides.
        json.retain(|_, value| !value.is_null());
        let size = json!({ "height": 224, "width": 224 });
        let (half, none) = (json!([0.5, 0.5, 0.5]), json!(false));
        for (key, default) in
            [("size", size), ("image_mean", half.clone()), ("image_std", half), ("do_center_crop", none)]
        {
            json.entry(key).or_insert(default);
        }
    }
    Processor::read(json).map_err(|m| Error::input(part.path(file), m))
}

/// The settings and the file that has them.
fn settings(part: &Part<'_>) -> Result<(&'static str, Value)> {
    let [whole, own] = FILES;
    if part.has(whole)
        && let Some(inner) = part.json::<Value>(whole)?.get_mut("image_processor").map(Value::take)
    {
        return Ok((whole, inner));
    }
    let lacking = |e| match e {
        Error::Io { path, .. } if !part.has(own) => {
            Error::input(path, format!("is missing, and no {whole} beside it has an `image_processor`"))
        }
        other => other,
    };
    Ok((own, part.json(own).map_err(lacking)?))
}
