//! Every setting, in one place: read from TOML, overridden by flags, checked before anything runs.

use crate::{
    data::{Orientation, Rules, caption::PreCaption, fields::Names, world::Among},
    door,
    error::{Error, Result},
    fsio::expanded,
    pipeline::{
        cluster::ClusterSettings,
        draw::synthesize,
        methods::Way,
        prototypes::{PrototypeSettings, caption::CaptionSettings},
        recipe::Recipe,
        ridge::targets::TargetSettings,
        score::evaluate,
        setting::{self, Change},
        trust::prune::PruneSettings,
    },
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The built-in default, as shipped in `configs/demo.toml`.
pub const DEMO: &str = include_str!("../configs/demo.toml");

/// All settings of a run. What a file leaves out is the method's own default, on the demo's data and checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random; each stage draws from a stream of its own.
    pub seed: u64,
    /// How pairs are got.
    pub method: Way,
    /// What is distilled.
    pub data: Data,
    /// The checkpoints.
    pub models: Models,
    /// Dropping mismatched pairs.
    pub prune: PruneSettings,
    /// Clustering into prototypes.
    pub cluster: ClusterSettings,
    /// Matched clusters to prototypes.
    pub prototype: PrototypeSettings,
    /// Choosing captions.
    pub caption: CaptionSettings,
    /// Decoding prototypes to images.
    pub synthesis: synthesize::Settings,
    /// What students match pictures with.
    pub targets: TargetSettings,
    /// The scoring protocol.
    pub evaluation: evaluate::Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 42,
            method: Way::default(),
            data: Data::default(),
            models: Models::default(),
            prune: PruneSettings::default(),
            cluster: ClusterSettings::default(),
            prototype: PrototypeSettings::default(),
            caption: CaptionSettings::default(),
            synthesis: synthesize::Settings::default(),
            targets: TargetSettings::default(),
            evaluation: evaluate::Settings::default(),
        }
    }
}

/// Which data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// `world` for the demo, or a folder.
    pub source: String,
    /// How a folder lies on disk; if none is named, what it looks like.
    pub layout: Option<String>,
    /// Which picture of a row or sample counts where it has several: a key, a column, a member's extension.
    pub image: Option<String>,
    /// The same for captions.
    pub caption: Option<String>,
    /// Training scenes of the demo world.
    pub scenes: usize,
    /// Fraction of the demo world's training captions swapped between scenes.
    pub noise: f32,
    /// Between which scenes of the demo world.
    pub noise_among: Among,
    /// The seed of what is swapped; the demo world's own, if none is given.
    pub noise_seed: Option<u64>,
    /// What becomes of the EXIF orientation of a folder's images.
    pub orientation: Orientation,
    /// What CLIP and the decoder read in the place of a folder's captions.
    pub pre_caption: PreCaption,
    /// The licence of the data, as the hub names it (`cc-by-4.0`): it goes into the card of each set.
    #[serde(alias = "license")]
    pub licence: Option<String>,
}

/// Which checkpoints: `demo`, a folder in the library's own layout, or a name on the Hugging Face hub (`org/model` or
/// `org/model@revision`) that its cache has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// A Hugging Face `CLIPModel`.
    pub clip: String,
    /// A diffusers `StableUnCLIPImg2ImgPipeline` for the same CLIP image space.
    pub decoder: String,
    /// The folder with a timm model per evaluation encoder; encoders with a name on the hub need none.
    pub encoders: String,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            source: "world".into(),
            layout: None,
            image: None,
            caption: None,
            scenes: 2_000,
            noise: 0.0,
            noise_among: Among::All,
            noise_seed: None,
            orientation: Orientation::default(),
            pre_caption: PreCaption::default(),
            licence: None,
        }
    }
}

impl Default for Models {
    fn default() -> Self {
        let demo = || "demo".to_owned();
        Self { clip: demo(), decoder: demo(), encoders: demo() }
    }
}

impl Data {
    /// How a folder is read.
    pub fn rules(&self) -> Rules {
        let names = Names { image: self.image.clone(), caption: self.caption.clone() };
        Rules { layout: self.layout.clone(), names, orientation: self.orientation, pre_caption: self.pre_caption }
    }
}

impl Config {
    /// The settings in `path`, or the built-in ones.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Input`] naming file, line and key if it does not parse or has an
    /// unknown key.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let (name, text) = match path {
            None => (PathBuf::from("configs/demo.toml"), DEMO.to_owned()),
            Some(path) => (path.to_owned(), door::read_to_string(path, door::SETTINGS).map_err(Error::io(path))?),
        };
        let mut config: Self = toml::from_str(&text).map_err(|e| Error::input(&name, one_line(&text, &e)))?;
        let Models { clip, decoder, encoders } = &mut config.models;
        let own = [&mut config.data.source, clip, decoder, encoders].into_iter();
        for path in own.chain(&mut config.evaluation.encoders).filter(|path| path.starts_with('~')) {
            let home = std::env::var_os("HOME").map(PathBuf::from);
            *path = expanded(PathBuf::from(&*path), home).display().to_string();
        }
        Ok(config)
    }

    /// What makes a distilled set: the settings without data, checkpoints and protocol.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            seed: self.seed,
            method: self.method,
            prune: self.prune.clone(),
            cluster: self.cluster.clone(),
            prototype: self.prototype.clone(),
            caption: self.caption.clone(),
            synthesis: self.synthesis.clone(),
            targets: self.targets.clone(),
        }
    }

    /// As JSON, for the table of settings.
    pub fn json(&self) -> serde_json::Value {
        // A map with text keys and numbers: there is nothing in it that JSON lacks.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// With `change` made.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that it may not be.
    pub fn with(self, change: &Change) -> Result<Self> {
        change.applied(&self)
    }

    /// Seeds the stages from the one seed and checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first setting that is out of range.
    pub fn checked(mut self) -> Result<Self> {
        self.cluster.seed = self.seed;
        setting::check_all(&self.json(), |_| true)?;
        Ok(self)
    }
}

/// toml's message with its line and key, without the drawing around it.
fn one_line(text: &str, e: &toml::de::Error) -> String {
    let line = e.span().map_or(1, |s| 1 + text.bytes().take(s.start).filter(|&b| b == b'\n').count());
    format!("line {line}: {}", e.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tilde_in_a_file_is_the_home_folder() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("home.toml");
        std::fs::write(&file, "[data]\nsource = \"~/d\"\n[models]\nclip = \"~/clip\"\ndecoder = \"a/~\"\n").unwrap();
        let found = Config::load(Some(&file)).unwrap();
        let home = std::env::var("HOME").unwrap_or_else(|_| "~".into());
        let all = [found.data.source, found.models.clip, found.models.decoder];
        assert_eq!(all, [format!("{home}/d"), format!("{home}/clip"), "a/~".into()]);
    }

    #[test]
    fn settings_that_would_never_end_or_mean_nothing_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("far.toml");
        for (text, said) in [
            ("[cluster]\nbreath = 1001", "cluster.breath: 1001 is not between 0 and 1000"),
            ("[synthesis]\nguidance = 100.5", "synthesis.guidance: 100.5 is not between 0 and 100"),
            ("[synthesis]\nguidance = nan", "synthesis.guidance: NaN is not"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Config::load(Some(&file)).and_then(Config::checked).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn every_setting_is_in_the_table_and_the_table_has_no_other() {
        let mut found = Vec::new();
        for (name, value) in Config::default().json().as_object().unwrap() {
            match value.as_object() {
                Some(section) => found.extend(section.keys().map(|key| format!("{name}.{key}"))),
                None => found.push(name.clone()),
            }
        }
        found.sort();
        let mut listed: Vec<_> = setting::SETTINGS.iter().map(|s| s.name.to_owned()).collect();
        listed.sort();
        assert_eq!(found, listed);
        Config::default().checked().unwrap();
    }

    #[test]
    fn the_readme_lists_every_setting_as_the_table_has_it() {
        let all = Config::default().json();
        let line = |s: &setting::Setting| {
            let value = s.of(&all).filter(|v| !v.is_null()).map_or_else(|| "default".into(), ToString::to_string);
            format!("| `{}` | `{value}` | {} | {} |\n", s.name, s.kind.words(), s.says)
        };
        let lines: String = setting::SETTINGS.iter().map(line).collect();
        assert!(include_str!("../README.md").contains(&lines), "README.md lacks:\n{lines}");
    }

    #[test]
    fn a_setting_is_changed_by_its_name_and_refused_by_its_kind() {
        let change = |name: &str, text: &str| {
            let change = setting::Setting::find(name).unwrap().to(text).map_err(|e| Error::setting(name, e))?;
            Config::default().with(&change)
        };
        assert_eq!(change("cluster.n_init", "7").unwrap().cluster.n_init, 7);
        assert_eq!(change("synthesis.batch", "default").unwrap().synthesis.batch, None);
        assert_eq!(change("method", "need+real").unwrap().method.to_string(), "need+real");
        for (name, text) in
            [("cluster.n_init", "0"), ("method", "nonsense"), ("prune.method", "x"), ("data.noise", "2")]
        {
            let error = change(name, text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
    }

    #[test]
    fn a_file_that_names_one_setting_leaves_the_others_at_their_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("few.toml");
        std::fs::write(&file, "[data]\nnoise = 0.2\n[cluster]\nprototypes = 7\n").unwrap();
        let found = Config::load(Some(&file)).unwrap();
        let cluster = ClusterSettings { prototypes: 7, ..ClusterSettings::default() };
        let data = Data { noise: 0.2, ..Data::default() };
        assert_eq!(found, Config { cluster, data, ..Config::default() });
        // The demo asks for more than the defaults, and by name.
        assert_ne!(Config::load(None).unwrap(), Config::default());
    }
}
