//! The table.

use super::{
    End::{In, Open, Out},
    Kind::{self, Flag, Maybe, Names, Note, OneOf, Real, Way, Whole, Words},
    Setting,
};

const fn s(name: &'static str, kind: Kind, says: &'static str) -> Setting {
    Setting { name, word: "", flag: "", kind, says }
}

impl Setting {
    /// With a word in the explorer.
    const fn word(self, word: &'static str) -> Self {
        Self { word, ..self }
    }

    /// With a flag on the command line.
    const fn flag(self, flag: &'static str) -> Self {
        Self { flag, ..self }
    }
}

const ANY: Kind = Whole(0, u64::MAX);
const SOME: Kind = Whole(1, u64::MAX);
const POSITIVE: Kind = Real(Out(0.0), Open);
const NOT_NEGATIVE: Kind = Real(In(0.0), Open);
const BELOW_ONE: Kind = Real(In(0.0), Out(1.0));
const UP_TO_ONE: Kind = Real(In(0.0), In(1.0));

/// Every setting, by sections in the order of a file. Adding one takes a row here and a field in its section's struct.
pub const SETTINGS: &[Setting] = &[
    s("seed", ANY, "Seed of everything random; each stage draws from a stream of its own"),
    s("method", Way, "How to get pairs: a method and what is otherwise about it, such as need+real or pds+solved")
        .word("method")
        .flag("method"),
    s("data.source", Words, "world for the demo, or a folder, or a pattern of shards"),
    s("data.layout", Note, "How a folder lies on disk (`--as`); if none is named, what it looks like"),
    s(
        "data.image",
        Note,
        "Which picture of a row or sample counts where it has several: a key, a column, an extension",
    ),
    s("data.caption", Note, "The same for captions"),
    s("data.scenes", SOME, "Training scenes of the demo world"),
    s("data.noise", UP_TO_ONE, "Fraction of the demo world's training captions swapped between scenes"),
    s("data.noise_among", OneOf(&["all", "neighbours"]), "Between which scenes: any, or those that look alike"),
    s("data.noise_seed", Maybe(0, u64::MAX), "Seed of what is swapped; the demo world's own, if none is given"),
    s(
        "data.orientation",
        OneOf(&["apply", "ignore"]),
        "What becomes of an EXIF orientation: turned upright, or taken as stored (the reference)",
    ),
    s(
        "data.pre_caption",
        OneOf(&["reference", "off"]),
        "What CLIP and the decoder read in the place of a caption: BLIP's pre_caption to 30 words, or the caption",
    ),
    s("data.licence", Note, "The licence of the data, as the hub names it; it goes into the card of each set"),
    s(
        "models.clip",
        Words,
        "A Hugging Face CLIPModel, or a SiglipModel to draw nothing: demo, a folder, or a name on the hub",
    ),
    s("models.decoder", Words, "A diffusers StableUnCLIPImg2ImgPipeline for the same CLIP image space"),
    s("models.encoders", Words, "The folder with a timm model for each evaluation encoder"),
    s("prune.ratio", BELOW_ONE, "The share of pairs that clip-score drops").word("prune"),
    s(
        "prune.method",
        OneOf(&["trust", "clip-score"]),
        "Which pairs are left out: those more likely mismatched than not, or a share of lowest cosine (the paper)",
    ),
    s("cluster.prototypes", SOME, "Number of pairs (prototypes)").word("prototypes").flag("pairs"),
    s("cluster.n_init", SOME, "Starts, of which the one of lowest inertia is kept"),
    s("cluster.breath", Whole(0, 1000), "Centres added and merged at once to leave a poor optimum; 0 for speed"),
    s("cluster.max_iter", SOME, "Most Lloyd rounds of a start"),
    s("cluster.tolerance", NOT_NEGATIVE, "Stop when a round saves no more than this share of the inertia"),
    s("cluster.seed", ANY, "Seed of the starts; the run's own seed takes its place"),
    s("cluster.normalise", Flag, "Cluster directions instead of raw embeddings"),
    s(
        "prototype.empty",
        OneOf(&["drop", "centroid", "rematch"]),
        "What becomes of matched clusters that share no pair: dropped, the two centroids, or matched anew",
    ),
    s("caption.candidates", SOME, "Captions ranked for each prototype"),
    s("caption.distinct", Flag, "No caption twice").word("distinct"),
    s(
        "caption.by",
        OneOf(&["text", "pair"]),
        "What makes a caption near: its cosine to the text prototype (the paper), or its image's too",
    ),
    s("synthesis.steps", Whole(1, 1000), "Denoising steps").word("steps").flag("steps"),
    s("synthesis.guidance", Real(In(0.0), In(100.0)), "Guidance scale: how far to go by the caption")
        .word("guidance")
        .flag("guidance"),
    s("synthesis.noise_level", Whole(0, 999), "Noise level added to the image prototype")
        .word("noise")
        .flag("noise-level"),
    s(
        "synthesis.candidates",
        Whole(1, 64),
        "Images drawn for each prototype, of which the nearest to it and its caption by CLIP is kept",
    )
    .word("candidates")
    .flag("candidates"),
    s("synthesis.negative_prompt", Words, "What not to draw"),
    s("synthesis.scheduler", OneOf(&["pndm", "ddim"]), "The solver: PNDM (the paper) or DDIM"),
    s("synthesis.batch", Maybe(1, u64::MAX), "Images at once; changes speed and memory, never an image"),
    s("synthesis.preview_every", ANY, "Network calls between two previews in the explorer; 0 for none"),
    s("synthesis.size", Maybe(8, 4096), "Side of the images in pixels; by default what the decoder was trained on"),
    s("synthesis.output", Maybe(8, 4096), "Side that finished images are brought to by Lanczos"),
    s("targets.lam", POSITIVE, "Ridge of the map from captions to images, relative to its mean eigenvalue"),
    s("targets.mu", POSITIVE, "Ridge of the pictures' own inner products, relative to their mean"),
    s("targets.eps", UP_TO_ONE, "What a pair's soft correspondence gives to the others"),
    s("targets.tau", POSITIVE, "Temperature of their cosines"),
    s("evaluation.encoders", Names, "Frozen image encoders, separated by commas").word("encoders").flag("encoders"),
    s(
        "evaluation.features",
        OneOf(&["logits", "pooled"]),
        "What of an encoder describes an image: its logits (the reference), or what is before them",
    ),
    s(
        "evaluation.pixels",
        OneOf(&["reference", "own"]),
        "How an encoder is shown images: by CLIP's mean, deviation and a side of 224 (the reference), or by its own",
    ),
    s("evaluation.runs", Whole(1, 1000), "Runs with different initialisation").word("runs").flag("runs"),
    s("evaluation.epochs", Whole(1, 1_000_000), "Passes over the distilled pairs").word("epochs"),
    s("evaluation.lr", POSITIVE, "Learning rate before drop_at"),
    s("evaluation.momentum", BELOW_ONE, "SGD's momentum"),
    s("evaluation.weight_decay", NOT_NEGATIVE, "Weight decay on every parameter"),
    s("evaluation.batch", SOME, "Pairs in a batch, or all if there are fewer"),
    s("evaluation.temperature", POSITIVE, "Divides the cosines"),
    s("evaluation.dropout", BELOW_ONE, "Dropout inside the projection head"),
    s("evaluation.drop_at", ANY, "First epoch at a tenth of the learning rate"),
    s(
        "evaluation.selection",
        OneOf(&["last", "validation", "best-on-test"]),
        "Which epoch counts; best-on-test sees the answers, for comparison with published numbers only",
    )
    .flag("selection"),
    s("evaluation.split", OneOf(&["test", "val"]), "Split that recall is measured on; val to tune on").flag("split"),
];
