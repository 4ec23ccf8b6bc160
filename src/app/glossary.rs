//! What the words on the panes mean.

use super::action::Pane;

/// A word, what it means, and the panes that use it.
pub struct Term {
    /// As it stands on a pane.
    pub word: &'static str,
    /// In a sentence or two.
    pub means: &'static str,
    /// Where.
    panes: &'static [Pane],
}

const fn t(word: &'static str, panes: &'static [Pane], means: &'static str) -> Term {
    Term { word, means, panes }
}

use Pane::{Captions, Data, Gallery, Prototypes, Runs};

/// Every word that needs one.
pub const GLOSSARY: &[Term] = &[
    t(
        "cosine",
        &[Data, Prototypes, Captions, Gallery],
        "How alike two embeddings are in direction: 1 the same, 0 unrelated. Of a pair: of its image and its caption by CLIP.",
    ),
    t(
        "trust",
        &[Data, Prototypes],
        "How likely a pair is matched, judged by what other pairs teach; captions re-paired at random say what a mismatched pair looks like.",
    ),
    t(
        "mismatched",
        &[Data],
        "The share of pairs whose caption is about another picture, and a bound that holds 95 times in 100.",
    ),
    t(
        "threshold",
        &[Data],
        "Pairs below it are left out when prototypes are made. They are never deleted; x and K overrule it.",
    ),
    t(
        "modality gap",
        &[Data],
        "How far the mean image lies from the mean caption. CLIP keeps the two apart; large is usual, 0 would be none.",
    ),
    t("effective rank", &[Data], "In how many directions the embeddings spread: few means that much is alike."),
    t("near-duplicates", &[Data], "Images whose embeddings all but coincide."),
    t(
        "prototype",
        &[Prototypes, Captions, Gallery],
        "What one synthetic pair stands for: the mean of matched images and captions, or a chosen image.",
    ),
    t("support", &[Prototypes], "How many training pairs a prototype is the mean of."),
    t(
        "tight",
        &[Prototypes],
        "Mean cosine of its own images to a prototype: near 1 they look alike, lower they are mixed.",
    ),
    t(
        "withstands",
        &[Prototypes],
        "How many captions behind a prototype could be replaced by anything before its caption changes.",
    ),
    t(
        "candidates",
        &[Captions],
        "Training captions nearest to a prototype; one of them stands under its picture, or your own words do.",
    ),
    t(
        "guidance",
        &[Gallery],
        "How strongly the caption steers the drawing: 1 not at all, high follows words more than the prototype.",
    ),
    t(
        "noise level",
        &[Gallery],
        "Noise on the image prototype before it is drawn: more gives the decoder more freedom.",
    ),
    t("steps", &[Gallery], "Denoising steps: more take longer, and at some point change little."),
    t(
        "stale",
        &[Gallery, Captions, Prototypes],
        "A picture whose caption, seed or settings have changed since it was made.",
    ),
    t(
        "IR@k",
        &[Runs],
        "Of how many captions in 100 the image is among the first k found by a student that was trained on the set.",
    ),
    t("TR@k", &[Runs], "Of how many images in 100 one of its captions is among the first k."),
    t("R-mean", &[Runs], "The mean of the six recalls: one number to compare sets by."),
    t("chance", &[Runs], "What guessing would recall."),
    t("yardstick", &[Runs], "As many real pairs, chosen in a simple way, judged in the same way."),
    t("front", &[Runs], "Sets that no other one of as many or fewer pairs surpasses."),
];

/// The words of a pane.
pub fn terms(pane: Pane) -> impl Iterator<Item = &'static Term> {
    GLOSSARY.iter().filter(move |term| term.panes.contains(&pane))
}

/// Plain words in lines of at most `width` characters.
pub fn folded(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + 1 + word.len() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// What a first look at the demo is told, pane by pane.
pub const TOUR: &[(Pane, &str)] = &[
    (
        Data,
        "This is the demo: pictures that were drawn for it, each with captions. Here you see which pairs match badly, and \
         h and l move the threshold below which they are left out.",
    ),
    (
        Prototypes,
        "All of it is distilled into this many prototypes; h and l change the number. Enter opens one and shows the rows \
         behind it.",
    ),
    (Captions, "Each prototype has a caption. Enter chooses among the candidates, i lets you write your own."),
    (
        Gallery,
        "S draws every picture. r gives one another seed, T and W change how they are drawn; Enter shows one large.",
    ),
    (
        Runs,
        "E trains a student on the drawn pairs alone and measures how well it finds images by words and words by images. \
         a and c judge as many real pairs beside it.",
    ),
];
