//! What the checkpoints at hand allow.

use super::Workbench;
use crate::{
    error::{Error, Result},
    models::{
        clip::{ClipConfig, Kind},
        unclip,
        weights::Checkpoint,
    },
    pipeline::methods::{Method, Way},
};

impl Workbench {
    /// Whether the decoder decodes the embeddings that there are, if `way` draws; asked before anything is computed.
    ///
    /// # Errors
    /// [`Error::Input`] naming the features that it does not fit; [`Error::Setting`] saying what goes without a decoder.
    pub fn can_draw(&self, way: Way) -> Result<()> {
        if !way.draws() {
            return Ok(());
        }
        match &self.dataset.train.ready {
            Some(ready) => ready.fits_decoder(unclip::width_of(&self.checkpoints.decoder)?),
            None => fits(&self.checkpoints.clip, &self.checkpoints.decoder),
        }
    }

    /// Why nothing can be drawn, where the checkpoints that are there say so.
    pub fn undrawn(&self) -> Option<String> {
        let (error, ready) = (self.can_draw(Way::default()).err()?, self.dataset.train.ready.is_some());
        let there = ready && unclip::width_of(&self.checkpoints.decoder).is_ok();
        let known = there || matches!(error.parts().0, Error::Setting { .. });
        known.then(|| error.parts().0.to_string())
    }
}

/// Whether `decoder` decodes what `clip` gives; of neither the weights are read.
///
/// # Errors
/// [`Error::Setting`] saying why not, and what goes without it; [`Error::Io`] or [`Error::Input`] naming a file.
pub fn fits(clip: &Checkpoint, decoder: &Checkpoint) -> Result<()> {
    let given = ClipConfig::load(&clip.root())?;
    let why = match (given.kind, given.projection_dim) {
        (Kind::Siglip, _) => "decodes CLIP's embeddings, and `models.clip` is a SigLIP".to_owned(),
        (Kind::Clip, found) => match unclip::width_of(decoder)? {
            wide if wide == found => return Ok(()),
            wide => format!("decodes embeddings of {wide}, where `models.clip` gives {found}"),
        },
    };
    let way = format!("with this one all methods work that draw nothing: {}", allowed(false).join(", "));
    Err(Error::setting("models.decoder", why).or(way))
}

/// Every method, as it works without a decoder unless there is one.
pub fn allowed(drawing: bool) -> Vec<String> {
    let real = |m: Method| if !drawing && Way::from(m).draws() { format!("{m}+real") } else { m.to_string() };
    Method::all().map(real).collect()
}
