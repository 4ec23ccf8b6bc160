//! What the checkpoints at hand allow.

use super::Workbench;
use crate::{
    error::{Error, Result},
    models::unclip,
    pipeline::methods::Way,
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
        let wide = unclip::width_of(&self.checkpoints.decoder)?;
        if let Some(ready) = &self.dataset.train.ready {
            return ready.fits_decoder(wide);
        }
        match self.clip()?.width() {
            found if found == wide => Ok(()),
            found => {
                let message = format!(
                    "decodes embeddings of {wide}, where `models.clip` gives {found}; with this CLIP all methods work that \
                     draw nothing: any with real pictures (`--pictures real`, such as need+real), random, kcenter, herding"
                );
                Err(Error::setting("models.decoder", message))
            }
        }
    }
}
