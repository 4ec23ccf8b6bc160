//! Ways to get pairs: a row for each in one table, and what may be changed about it.

pub mod apm;
pub mod choice;
pub mod coreset;
pub mod coverage;
pub mod covmatch;
pub mod joint;
pub mod lors;
pub mod need;
mod pick;
pub mod select;

use crate::error::{Error, Result};
use choice::{Choose, Pick};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A way to get pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the table's words")]
pub enum Method {
    Pds,
    Need,
    Joint,
    Coverage,
    Coreset,
    Random,
    Kcenter,
    Herding,
    ClipScore,
    NearestImage,
    NearestText,
    Lors,
    Mdw,
    Covmatch,
    Apm,
}

/// What a method starts from.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// Image and caption clusters, matched: the paper's prototypes.
    Clusters,
    /// A choice of its own, of which prototypes are made.
    Choice(Choose),
    /// Real pairs, without a prototype.
    Pairs(Pick),
}

/// Where a set's pictures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pictures {
    /// The decoder.
    Drawn,
    /// The training images.
    Real,
}

/// What a student is to match a picture with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Targets {
    /// The mean of the captions that a prototype rests on; of a real pair, its caption.
    Mean,
    /// The caption: what those who train on the words get.
    Caption,
    /// What brings a student trained on the pictures to the map from text to image that all trusted pairs teach.
    Solved,
    /// Learned together with how far pairs belong together: [`lors`].
    Learned,
    /// What gives the set the cross-covariance of all pairs: [`covmatch`].
    Covariance,
    /// What gives the set the projector of all pairs: [`apm`].
    Projected,
}

/// A line of the table.
struct Row {
    method: Method,
    name: &'static str,
    words: &'static str,
    start: Start,
    pictures: Pictures,
    targets: Targets,
}

const fn row(method: Method, name: &'static str, words: &'static str, how: (Start, Pictures, Targets)) -> Row {
    Row { method, name, words, start: how.0, pictures: how.1, targets: how.2 }
}

/// Every method, in the order of the help.
#[rustfmt::skip]
const TABLE: [Row; 15] = {
    use {Pictures::{Drawn, Real}, Start::{Choice, Clusters, Pairs}, Targets::{Caption, Covariance, Learned, Mean, Projected, Solved}};
    [
        row(Method::Pds, "pds", "matched clusters of images and captions, drawn (Choi, Mo, Chae 2026)", (Clusters, Drawn, Mean)),
        row(Method::Need, "need", "images that best explain what trusted captions ask for (A-optimal), drawn, targets solved", (Choice(need::choose), Drawn, Solved)),
        row(Method::Joint, "joint", "clusters of trusted pairs, image and caption together, drawn, targets solved", (Choice(joint::choose), Drawn, Solved)),
        row(Method::Coverage, "coverage", "trusted images, each the farthest from those before, drawn, targets solved", (Choice(coverage::choose), Drawn, Solved)),
        row(Method::Coreset, "coreset", "trusted pairs that teach a ridge student most as they are, drawn, captions as targets", (Choice(coreset::choose), Drawn, Caption)),
        row(Method::Random, "random", "real pairs at random", (Pairs(pick::random), Real, Caption)),
        row(Method::Kcenter, "kcenter", "real pairs, each the farthest from those before (Sener and Savarese 2018)", (Pairs(pick::k_center), Real, Caption)),
        row(Method::Herding, "herding", "real pairs whose mean follows the mean of all (Welling 2009)", (Pairs(pick::herding), Real, Caption)),
        row(Method::ClipScore, "clip-score", "real pairs of highest cosine", (Pairs(pick::clip_score), Real, Caption)),
        row(Method::NearestImage, "nearest-image", "the real image nearest to each image prototype of pds", (Clusters, Real, Mean)),
        row(Method::NearestText, "nearest-text", "the real caption nearest to each text prototype of pds, with its image", (Clusters, Real, Caption)),
        row(Method::Lors, "lors", "real pairs at random, targets and low-rank similarities learned in CLIP's space (after Xu et al. 2024)", (Pairs(pick::random), Real, Learned)),
        row(Method::Mdw, "mdw", "the same with all similarities free (in the manner of MDW, arXiv 2506.01586, of which no more than the abstract is to be had)", (Pairs(pick::random), Real, Learned)),
        row(Method::Covmatch, "covmatch", "real pairs at random, targets that match cross-covariances in CLIP's space (after Lee and Chung 2025)", (Pairs(pick::random), Real, Covariance)),
        row(Method::Apm, "apm", "real pairs at random, targets that match closed-form projectors in CLIP's space (after Bo and Wang 2026)", (Pairs(pick::random), Real, Projected)),
    ]
};

impl Method {
    /// Every method, in the order of the help.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.method)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name in settings and on the command line.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it is, in a line.
    pub fn words(self) -> &'static str {
        self.row().words
    }

    /// What it starts from.
    pub fn start(self) -> Start {
        self.row().start
    }

    /// Whether it starts from clusters.
    pub fn clusters(self) -> bool {
        matches!(self.start(), Start::Clusters)
    }

    /// Whether it picks real pairs, and has no prototypes.
    pub fn picks(self) -> bool {
        matches!(self.start(), Start::Pairs(_))
    }

    /// What its prototypes are made of, to name what is made of them.
    pub fn origin(self) -> String {
        match self.start() {
            Start::Clusters => "Clusters".into(),
            Start::Choice(_) => format!("{self:?}"),
            Start::Pairs(_) => "Pairs".into(),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::all().find(|m| m.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Self::name).collect();
            Error::setting("method", format!("unknown method `{name}`; one of {}", names.join(", ")))
        })
    }
}

/// A method, and what is otherwise about it than by its row: `need`, `pds+solved`, `need+real+caption+soft`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Way {
    /// The method.
    pub method: Method,
    /// Pictures from elsewhere.
    pub pictures: Option<Pictures>,
    /// Other targets.
    pub targets: Option<Targets>,
    /// The student's loss knows which pairs are alike, too: changes the protocol.
    pub soft: bool,
}

impl Default for Way {
    fn default() -> Self {
        Method::Pds.into()
    }
}

impl From<Method> for Way {
    fn from(method: Method) -> Self {
        Self { method, pictures: None, targets: None, soft: false }
    }
}

/// What a word after a method's name does.
type Setter = fn(&mut Way);

/// The words after a method's name.
const OPTIONS: [(&str, Setter); 6] = [
    ("drawn", |w| w.pictures = Some(Pictures::Drawn)),
    ("real", |w| w.pictures = Some(Pictures::Real)),
    ("mean", |w| w.targets = Some(Targets::Mean)),
    ("caption", |w| w.targets = Some(Targets::Caption)),
    ("solved", |w| w.targets = Some(Targets::Solved)),
    ("soft", |w| w.soft = true),
];

impl Way {
    /// Where its pictures come from.
    pub fn pictures(self) -> Pictures {
        self.pictures.unwrap_or(self.method.row().pictures)
    }

    /// What students match them with.
    pub fn targets(self) -> Targets {
        self.targets.unwrap_or(self.method.row().targets)
    }

    /// Whether pictures get the words that teach most once they are there: where targets would be solved, and captions are
    /// asked for.
    pub fn retells(self) -> bool {
        self.targets() == Targets::Caption && self.method.row().targets == Targets::Solved
    }

    /// Whether it needs the decoder; then it makes prototypes, since real pairs leave nothing to draw.
    pub fn draws(self) -> bool {
        self.pictures() == Pictures::Drawn
    }

    /// In words: the method and what it comes to.
    pub fn in_words(self) -> String {
        let targets = match self.targets() {
            Targets::Mean => "mean captions",
            Targets::Caption => "their captions",
            Targets::Solved => "solved targets",
            Targets::Learned => "learned targets",
            Targets::Covariance => "targets of the data's cross-covariance",
            Targets::Projected => "targets of the data's projector",
        };
        let soft = if self.soft { ", softly" } else { "" };
        format!("{}, matched with {targets}{soft}", self.method)
    }

    /// The next method that makes prototypes, with its own targets.
    #[must_use]
    pub fn next_method(self) -> Self {
        let drawn: Vec<Method> = Method::all().filter(|m| Self::from(*m).draws()).collect();
        let at = drawn.iter().position(|m| *m == self.method).map_or(0, |i| i + 1);
        Self { method: drawn[at % drawn.len()], ..self }
    }

    /// The same with the next kind of targets.
    #[must_use]
    pub fn next_targets(self) -> Self {
        let next = match self.targets() {
            Targets::Mean => Targets::Caption,
            Targets::Caption => Targets::Solved,
            Targets::Solved | Targets::Learned | Targets::Covariance | Targets::Projected => Targets::Mean,
        };
        Self { targets: (next != self.method.row().targets).then_some(next), ..self }
    }

    /// The same with one of its options (`real`, `solved`, `soft` …) set.
    ///
    /// # Errors
    /// [`Error::Setting`] for a word that is no option, or where no prototypes are that could be drawn.
    pub fn with(mut self, option: &str) -> Result<Self> {
        let Some((_, set)) = OPTIONS.iter().find(|(name, _)| *name == option) else {
            let names: Vec<_> = OPTIONS.iter().map(|o| o.0).collect();
            return Err(Error::setting("method", format!("unknown option `{option}`; one of {}", names.join(", "))));
        };
        set(&mut self);
        if self.method.picks() && self.draws() {
            let message = format!("{} chooses real pairs, and has no prototype to draw", self.method);
            return Err(Error::setting("method", message));
        }
        Ok(self)
    }
}

impl FromStr for Way {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split('+');
        let method: Method = parts.next().unwrap_or_default().parse()?;
        parts.try_fold(method.into(), Self::with)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.name())?;
        let said = OPTIONS.iter().filter(|(_, set)| {
            let (mut bare, mut own) = (Self::from(self.method), *self);
            set(&mut bare);
            let same = own;
            set(&mut own);
            own == same && bare != Self::from(self.method)
        });
        said.into_iter().try_for_each(|(name, _)| write!(f, "+{name}"))
    }
}

impl TryFrom<String> for Way {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Way> for String {
    fn from(way: Way) -> Self {
        way.to_string()
    }
}

/// A line for each method, for the help.
pub fn help() -> String {
    TABLE.iter().map(|row| format!("  {:14} {}\n", row.name, row.words)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_row_stands_where_its_method_looks_for_it() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.method as usize, i);
            assert_eq!(row.name.parse::<Method>().unwrap(), row.method);
        }
    }

    #[test]
    fn a_way_is_read_as_it_is_written() {
        for text in ["pds", "pds+solved", "need+real+caption+soft", "joint+mean", "random+solved", "need+drawn"] {
            assert_eq!(text.parse::<Way>().unwrap().to_string(), text);
        }
        for wrong in ["", "pd", "pds+", "pds+x", "random+drawn", "kcenter+drawn+solved"] {
            assert!(wrong.parse::<Way>().is_err(), "{wrong}");
        }
        assert!("need".parse::<Way>().unwrap().draws() && !"need+real".parse::<Way>().unwrap().draws());
    }
}
