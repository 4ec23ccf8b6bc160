//! What is said of a scene: a small grammar with synonyms, in which most attributes may be left out.
//!
//! Every caption keeps what it claims ([`Claim`]) next to its words, so that it can be asked of any other scene: how far
//! captions tell scenes apart is then known, not guessed.

use super::scene::{COLOURS, Lots, Object, SHAPES, SIZES, SLOTS, Scene};

/// Captions of each scene.
pub const CAPTIONS: usize = 5;

const SHAPE_WORDS: [&[&str]; SHAPES.len()] = [
    &["ball", "sphere"],
    &["box", "square"],
    &["triangle"],
    &["star"],
    &["heart"],
    &["tree"],
    &["house", "home"],
    &["boat", "ship"],
    &["ring", "hoop"],
    &["cross"],
    &["moon", "crescent"],
    &["car"],
];
const SIZE_WORDS: [&[&str]; SIZES.len()] = [&["small", "little"], &["big", "large"]];
const BACKDROP_WORDS: [&[&str]; 8] = [
    &["in a meadow", "on the grass", "in a field"],
    &["at night", "in the dark", "under the night sky"],
    &["on a beach", "on the beach", "on the shore"],
    &["in the snow", "in winter", "on a snowy day"],
    &["at sea", "on the sea", "on the ocean"],
    &["in the desert", "in a desert", "among the dunes"],
    &["in a room", "inside", "indoors"],
    &["on a road", "on the road", "on the street"],
];
const SLOT_WORDS: [&[&str]; SLOTS.len()] = [&["on the left"], &["in the middle", "in the centre"], &["on the right"]];
const OPENINGS: [&str; 2] = ["there is ", "a picture of "];

/// In how many of 100 cases the backdrop, an object's colour, its size and a lone object's place are named.
const NAMED: (usize, usize, usize, usize) = (84, 90, 56, 60);
/// In how many of 100 cases one of the objects is passed over.
const PASSED_OVER: usize = 18;

/// What a caption says of one object; `None` where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Index into [`SHAPES`]; always said.
    pub shape: usize,
    /// Index into [`COLOURS`].
    pub colour: Option<usize>,
    /// Index into [`SIZES`].
    pub size: Option<usize>,
    /// Index into [`SLOTS`].
    pub slot: Option<usize>,
}

/// How mentioned objects stand to each other, by their index among the mentions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The first is somewhere to the left of the second.
    LeftOf(usize, usize),
    /// The first is between the two others.
    Between(usize, usize, usize),
}

/// All that a caption says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Index into [`BACKDROPS`](super::BACKDROPS).
    pub backdrop: Option<usize>,
    /// The objects it mentions.
    pub mentions: Vec<Mention>,
    /// How they stand to each other.
    pub relations: Vec<Relation>,
}

impl Claim {
    /// Whether all of it is true of `scene`.
    pub fn holds(&self, scene: &Scene) -> bool {
        if self.backdrop.is_some_and(|backdrop| backdrop != scene.backdrop) {
            return false;
        }
        // Shapes are unique within a scene, so a mention can only mean one object.
        let meant: Option<Vec<usize>> = self.mentions.iter().map(|mention| slot_of(mention, scene)).collect();
        meant.is_some_and(|slots| {
            self.relations.iter().all(|relation| match *relation {
                Relation::LeftOf(a, b) => slots[a] < slots[b],
                Relation::Between(a, b, c) => slots[b].min(slots[c]) < slots[a] && slots[a] < slots[b].max(slots[c]),
            })
        })
    }
}

fn slot_of(mention: &Mention, scene: &Scene) -> Option<usize> {
    let object = scene.objects.iter().find(|object| object.shape == mention.shape)?;
    let fits = mention.colour.is_none_or(|colour| colour == object.colour)
        && mention.size.is_none_or(|size| size == object.size)
        && mention.slot.is_none_or(|slot| slot == object.slot);
    fits.then_some(object.slot)
}

/// A caption and what it claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// Lower-case English, at most 24 words.
    pub text: String,
    /// The same as data.
    pub claim: Claim,
}

impl Scene {
    /// The five captions of the scene; no two read the same.
    pub fn captions(&self) -> [String; CAPTIONS] {
        self.described().map(|caption| caption.text)
    }

    /// The five captions with what they claim.
    pub fn described(&self) -> [Caption; CAPTIONS] {
        let mut lots = Lots::new(self.seed, 1);
        let mut told: Vec<String> = Vec::with_capacity(CAPTIONS);
        std::array::from_fn(|_| {
            // Even the barest scene can be told in dozens of ways, so this ends.
            let caption = loop {
                let caption = tell(self, &mut lots);
                if !told.contains(&caption.text) {
                    break caption;
                }
            };
            told.push(caption.text.clone());
            caption
        })
    }
}

fn tell(scene: &Scene, lots: &mut Lots) -> Caption {
    let mut chosen = scene.objects.clone();
    if chosen.len() > 1 && lots.chance(PASSED_OVER) {
        chosen.remove(lots.below(chosen.len()));
    }
    let mut claim = Claim::default();
    let body = match chosen.as_slice() {
        [one] => one_object(one, &mut claim, lots),
        [left, right] => two_objects(left, right, &mut claim, lots),
        objects => three_objects(objects, &mut claim, lots),
    };
    let text = if lots.chance(NAMED.0) {
        claim.backdrop = Some(scene.backdrop);
        let place = lots.pick(BACKDROP_WORDS[scene.backdrop]);
        if lots.chance(35) { format!("{place}, {body}") } else { format!("{}{body} {place}", opening(lots)) }
    } else {
        format!("{}{body}", opening(lots))
    };
    Caption { text, claim }
}

fn opening(lots: &mut Lots) -> &'static str {
    if lots.chance(20) { lots.pick(&OPENINGS) } else { "" }
}

/// "a big red star"; the mention is added to the claim.
fn noun(object: &Object, claim: &mut Claim, lots: &mut Lots) -> String {
    let colour = lots.chance(NAMED.1).then_some(object.colour);
    let size = lots.chance(NAMED.2).then_some(object.size);
    claim.mentions.push(Mention { shape: object.shape, colour, size, slot: None });
    let mut words = Vec::with_capacity(4);
    words.extend(size.map(|size| lots.pick(SIZE_WORDS[size])));
    words.extend(colour.map(|colour| COLOURS[colour]));
    words.push(lots.pick(SHAPE_WORDS[object.shape]));
    let article = if words[0] == "orange" { "an" } else { "a" };
    format!("{article} {}", words.join(" "))
}

/// "a big red star on the left".
fn placed(object: &Object, claim: &mut Claim, lots: &mut Lots) -> String {
    let noun = noun(object, claim, lots);
    if let Some(mention) = claim.mentions.last_mut() {
        mention.slot = Some(object.slot);
    }
    format!("{noun} {}", lots.pick(SLOT_WORDS[object.slot]))
}

fn one_object(object: &Object, claim: &mut Claim, lots: &mut Lots) -> String {
    if lots.chance(NAMED.3) { placed(object, claim, lots) } else { noun(object, claim, lots) }
}

fn two_objects(left: &Object, right: &Object, claim: &mut Claim, lots: &mut Lots) -> String {
    let flipped = lots.chance(50);
    let (first, second) = if flipped { (right, left) } else { (left, right) };
    match lots.weighted(&[45, 25, 30]) {
        0 => {
            let (a, b) = (noun(first, claim, lots), noun(second, claim, lots));
            claim.relations.push(if flipped { Relation::LeftOf(1, 0) } else { Relation::LeftOf(0, 1) });
            let side = if flipped { "right" } else { "left" };
            format!("{a} to the {side} of {b}")
        }
        1 => {
            let (a, b) = (placed(first, claim, lots), placed(second, claim, lots));
            format!("{a} and {b}")
        }
        _ => {
            let (a, b) = (noun(first, claim, lots), noun(second, claim, lots));
            let joint = lots.pick(&["and", "and", "with", "beside", "near"]);
            format!("{a} {joint} {b}")
        }
    }
}

fn three_objects(objects: &[Object], claim: &mut Claim, lots: &mut Lots) -> String {
    match lots.weighted(&[25, 30, 25, 20]) {
        0 => {
            let [a, b, c] = [0, 1, 2].map(|index| noun(&objects[index], claim, lots));
            claim.relations.extend([Relation::LeftOf(0, 1), Relation::LeftOf(1, 2)]);
            format!("{a}, {b} and {c} from left to right")
        }
        1 => {
            let order = if lots.chance(50) { [1, 0, 2] } else { [1, 2, 0] };
            let [a, b, c] = order.map(|index| noun(&objects[index], claim, lots));
            claim.relations.push(Relation::Between(0, 1, 2));
            format!("{a} between {b} and {c}")
        }
        2 => {
            let mut order = [0, 1, 2];
            lots.shuffle(&mut order);
            let [a, b, c] = order.map(|index| noun(&objects[index], claim, lots));
            format!("{a}, {b} and {c}")
        }
        _ => outermost(objects, claim, lots),
    }
}

/// "a star to the left of a ball and a car".
fn outermost(objects: &[Object], claim: &mut Claim, lots: &mut Lots) -> String {
    let leftmost = lots.chance(50);
    let (side, order) = if leftmost { ("left", [0, 1, 2]) } else { ("right", [2, 0, 1]) };
    let [a, b, c] = order.map(|index| noun(&objects[index], claim, lots));
    for other in [1, 2] {
        claim.relations.push(if leftmost { Relation::LeftOf(0, other) } else { Relation::LeftOf(other, 0) });
    }
    format!("{a} to the {side} of {b} and {c}")
}
