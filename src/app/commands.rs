//! The one table of commands: keys, footer, help and palette are all read from it.

use super::{
    action::{Action as A, Pane, Which},
    glossary::{Term, folded, terms},
    key::Key::{self, Char, Ctrl},
};

/// Something the user can do.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name in configuration files.
    pub id: &'static str,
    /// The keys that do it.
    pub keys: &'static [Key],
    /// Where; everywhere if empty.
    pub panes: &'static [Pane],
    /// In a few words, for the footer; empty keeps it out of the footer.
    pub short: &'static str,
    /// In a sentence, for help and palette.
    pub title: &'static str,
    /// What it does.
    pub action: A,
}

const fn c(
    id: &'static str,
    keys: &'static [Key],
    panes: &'static [Pane],
    short: &'static str,
    title: &'static str,
    action: A,
) -> Command {
    Command { id, keys, panes, short, title, action }
}

const DATA: &[Pane] = &[Pane::Data];
const PROTOTYPES: &[Pane] = &[Pane::Prototypes];
const CAPTIONS: &[Pane] = &[Pane::Captions];
const GALLERY: &[Pane] = &[Pane::Gallery];
const RUNS: &[Pane] = &[Pane::Runs];
const OPENED: &[Pane] = &[Pane::Data, Pane::Prototypes, Pane::Gallery];
const MADE: &[Pane] = &[Pane::Prototypes, Pane::Runs];
const PICTURES: &[Pane] = &[Pane::Prototypes, Pane::Captions, Pane::Gallery];
const TABLES: &[Pane] = &[Pane::Prototypes, Pane::Captions];
const WORDED: &[Pane] = &[Pane::Data, Pane::Prototypes, Pane::Captions];
const FILTERED: &[Pane] = &[Pane::Data, Pane::Prototypes, Pane::Captions, Pane::Gallery];
const LISTS: &[Pane] = &[Pane::Data, Pane::Prototypes, Pane::Captions, Pane::Gallery];

/// All commands; the footer shows them in this order.
pub const COMMANDS: &[Command] = &[
    c("threshold.down", &[Char('h'), Key::Left], DATA, "", "Prune one percent less", A::Threshold(-1)),
    c("threshold.up", &[Char('l'), Key::Right], DATA, "threshold", "Prune one percent more", A::Threshold(1)),
    c("pair.drop", &[Char('x')], DATA, "drop", "Drop pairs, or let the threshold decide again", A::Drop),
    c("pair.keep", &[Char('K')], DATA, "keep", "Keep pairs, or let the threshold decide again", A::Keep),
    c(
        "open",
        &[Key::Enter],
        OPENED,
        "open",
        "Give a pair, a prototype or a picture the whole pane; Esc goes back",
        A::Enter,
    ),
    c("member.drop", &[Char('x')], PROTOTYPES, "", "In an opened prototype: drop a row, or take it back", A::Drop),
    c("prototypes.less", &[Char('h'), Key::Left, Char('-')], PROTOTYPES, "", "One prototype less", A::Prototypes(-1)),
    c(
        "prototypes.more",
        &[Char('l'), Key::Right, Char('+')],
        PROTOTYPES,
        "number",
        "One prototype more",
        A::Prototypes(1),
    ),
    c("prototypes.type", &[Char('m')], PROTOTYPES, "type it", "Type the number of prototypes", A::AskPrototypes),
    c(
        "method",
        &[Char('A')],
        MADE,
        "method",
        "Get prototypes by another method: pds, need, joint, coverage",
        A::Method,
    ),
    c("targets", &[Char('B')], MADE, "targets", "Match pictures with other targets: mean, caption, solved", A::Targets),
    c(
        "prototypes.sort",
        &[Char('o')],
        PICTURES,
        "sort",
        "Sort by cosine, support, tightness, CLIP or caption",
        A::Sort,
    ),
    c("caption.choose", &[Key::Enter], CAPTIONS, "choose", "Choose among the candidates", A::Enter),
    c("caption.edit", &[Char('i')], PICTURES, "edit", "Edit the caption", A::EditCaption),
    c("caption.auto", &[Char('d')], PICTURES, "", "Go back to automatic captions", A::AutoCaption),
    c("caption.distinct", &[Char('D')], TABLES, "distinct", "Allow no caption twice, or allow it again", A::Distinct),
    c("gallery.left", &[Char('h'), Key::Left], GALLERY, "", "One picture to the left", A::Across(-1)),
    c("gallery.right", &[Char('l'), Key::Right], GALLERY, "", "One picture to the right", A::Across(1)),
    c(
        "synthesise.one",
        &[Char('s')],
        PICTURES,
        "synthesise",
        "Synthesise the selected picture, or the marked ones",
        A::Synthesise(Which::Selected),
    ),
    c(
        "synthesise.stale",
        &[Char('S')],
        PICTURES,
        "all stale",
        "Synthesise what is missing or stale",
        A::Synthesise(Which::Stale),
    ),
    c("picture.reroll", &[Char('r')], GALLERY, "reroll", "Give pictures another seed", A::Reroll),
    c(
        "picture.flip",
        &[Char('b')],
        GALLERY,
        "versions",
        "Show an earlier version of the picture, or the newest",
        A::Flip,
    ),
    c("picture.scrub.back", &[Char('(')], GALLERY, "", "All pictures at an earlier denoising step", A::Scrub(-1)),
    c("picture.scrub.on", &[Char(')')], GALLERY, "", "All pictures at a later denoising step", A::Scrub(1)),
    c("picture.seed", &[Char('Y')], GALLERY, "", "Copy the whole seed of the picture", A::CopySeed),
    c("picture.steps.less", &[Char('t')], GALLERY, "", "Fewer denoising steps", A::Steps(-1)),
    c("picture.steps.more", &[Char('T')], GALLERY, "steps", "More denoising steps", A::Steps(1)),
    c("picture.guidance.less", &[Char('w')], GALLERY, "", "Less guidance by the caption", A::Guidance(-1)),
    c("picture.guidance.more", &[Char('W')], GALLERY, "guidance", "More guidance by the caption", A::Guidance(1)),
    c("picture.noise.less", &[Char('n')], GALLERY, "", "Less noise on the image prototype", A::Noise(-1)),
    c("picture.noise.more", &[Char('N')], GALLERY, "noise", "More noise on the image prototype", A::Noise(1)),
    c(
        "picture.alone",
        &[Char(',')],
        GALLERY,
        "this one",
        "Change the settings of the selected or marked pictures alone, or of all",
        A::Alone,
    ),
    c("caption.rank.less", &[Char('<')], CAPTIONS, "", "Automatic captions from a nearer candidate", A::Rank(-1)),
    c("caption.rank.more", &[Char('>')], CAPTIONS, "re-rank", "Automatic captions from the next candidate", A::Rank(1)),
    c(
        "caption.prefix",
        &[Char('P')],
        CAPTIONS,
        "prefix",
        "Put words in front of every automatic caption",
        A::AskPrefix,
    ),
    c("runs.evaluate", &[Char('E')], &[], "", "Train on the set and measure recall", A::Evaluate),
    c(
        "runs.evaluate.here",
        &[Key::Enter],
        RUNS,
        "evaluate this set",
        "Train on the set and measure recall",
        A::Evaluate,
    ),
    c(
        "runs.random",
        &[Char('a')],
        RUNS,
        "random pairs",
        "Evaluate as many random real pairs, out of all pairs",
        A::Yardstick("random"),
    ),
    c(
        "runs.kcenter",
        &[Char('c')],
        RUNS,
        "k-center",
        "Evaluate as many real pairs by k-center, out of all pairs",
        A::Yardstick("kcenter"),
    ),
    c(
        "runs.nearest",
        &[Char('n')],
        RUNS,
        "nearest real",
        "Evaluate the kept real images nearest to the prototypes",
        A::Yardstick("nearest-image"),
    ),
    c(
        "runs.herding",
        &[Char('b')],
        RUNS,
        "",
        "Evaluate as many real pairs by herding, out of all pairs",
        A::Yardstick("herding"),
    ),
    c(
        "data.scatter",
        &[Char('s')],
        DATA,
        "scatter",
        "Show the embeddings in a plane as large as there is room, or the histogram",
        A::Scatter,
    ),
    c("runs.number.less", &[Char('r')], RUNS, "", "One run less for each encoder", A::Runs(-1)),
    c("runs.number.more", &[Char('R')], RUNS, "runs", "One run more for each encoder", A::Runs(1)),
    c("runs.epochs.less", &[Char('t')], RUNS, "", "Fewer epochs", A::Epochs(-1)),
    c("runs.epochs.more", &[Char('T')], RUNS, "epochs", "More epochs", A::Epochs(1)),
    c("runs.encoders", &[Char('o')], RUNS, "encoders", "Judge by all encoders, or by one of them", A::Encoders),
    c(
        "runs.pairs",
        &[Char('v')],
        RUNS,
        "by pairs",
        "Plot R-mean against the number of pairs, or the training",
        A::ByPairs,
    ),
    c(
        "runs.pin",
        &[Char('p')],
        RUNS,
        "pin",
        "Show all others as differences from this line, or plain numbers",
        A::PinRun,
    ),
    c("runs.mark", &[Char(' ')], RUNS, "", "Mark a set to compare it with another one, or unmark it", A::Mark),
    c(
        "runs.compare",
        &[Char('=')],
        RUNS,
        "compare",
        "Lay two marked sets side by side, or the selected one and that on screen",
        A::Compare,
    ),
    c("runs.log", &[Char('L')], RUNS, "", "Plot on a logarithmic scale, or a plain one", A::LogScale),
    c("runs.read.back", &[Char('h'), Key::Left], RUNS, "", "Read the plot one place to the left", A::Read(-1)),
    c(
        "runs.read.on",
        &[Char('l'), Key::Right],
        RUNS,
        "",
        "Read the plot one place to the right; Esc ends it",
        A::Read(1),
    ),
    c("queue.up", &[Char('K')], RUNS, "", "Select the job above", A::PickJob(-1)),
    c("queue.down", &[Char('J')], RUNS, "job", "Select the job below", A::PickJob(1)),
    c("queue.stop", &[Char('x')], RUNS, "stop", "Stop the selected job", A::StopJob),
    c("queue.later", &[Char('<')], RUNS, "", "Move the selected job back in the queue", A::Queue(1)),
    c("queue.sooner", &[Char('>')], RUNS, "", "Move the selected job forward in the queue", A::Queue(-1)),
    c("mark", &[Char(' ')], LISTS, "mark", "Mark a line for the next edit, or unmark it", A::Mark),
    c("mark.range", &[Char('v')], LISTS, "", "Mark a range: from here to where v is pressed again", A::Range),
    c("pin", &[Char('p')], PICTURES, "", "Pin prototypes to the top of every list, or let them go", A::Pin),
    c("next", &[Char('n')], WORDED, "", "The next line that the filter finds, around the end", A::Next(1)),
    c("next.back", &[Char('N')], WORDED, "", "The line before, around the end", A::Next(-1)),
    c("filter", &[Char('/')], FILTERED, "filter", "Show only lines that contain some words", A::Filter),
    c("find", &[Char('f')], FILTERED, "find", "Nearest first to words, or to the picture of a path, by CLIP", A::Find),
    c("job.cancel", &[Ctrl('c')], &[], "", "Cancel the newest job", A::CancelJob),
    c("copy", &[Char('y')], &[], "", "Copy the caption, the score or the log", A::Copy),
    c("undo", &[Char('u')], &[], "undo", "Take the last decision back", A::Undo),
    c("redo", &[Ctrl('r')], &[], "", "Bring back what was undone", A::Redo),
    c("export", &[Char('e')], &[], "", "Write the set into a folder", A::Export),
    c("zoom", &[Char('z')], &[], "", "Give the list or the picture all the room", A::Zoom),
    c("up", &[Char('k'), Key::Up], &[], "", "Up", A::Move(-1)),
    c("down", &[Char('j'), Key::Down], &[], "", "Down", A::Move(1)),
    c("page.up", &[Key::PageUp, Ctrl('u')], &[], "", "A page up", A::Page(-1)),
    c("page.down", &[Key::PageDown, Ctrl('d')], &[], "", "A page down", A::Page(1)),
    c("first", &[Char('g'), Key::Home], &[], "", "To the first line", A::First),
    c("last", &[Char('G'), Key::End], &[], "", "To the last line", A::Last),
    c("pane.data", &[Char('1')], &[], "", "Show the data", A::Show(Pane::Data)),
    c("pane.prototypes", &[Char('2')], &[], "", "Show the prototypes", A::Show(Pane::Prototypes)),
    c("pane.captions", &[Char('3')], &[], "", "Show the captions", A::Show(Pane::Captions)),
    c("pane.gallery", &[Char('4')], &[], "", "Show the gallery", A::Show(Pane::Gallery)),
    c("pane.runs", &[Char('5')], &[], "", "Show the runs", A::Show(Pane::Runs)),
    c("pane.log", &[Char('6')], &[], "", "Show the log", A::Show(Pane::Log)),
    c("pane.next", &[Key::Tab, Char(']')], &[], "", "Next pane", A::Turn(1)),
    c("pane.previous", &[Key::BackTab, Char('[')], &[], "", "Previous pane", A::Turn(-1)),
    c("help", &[Char('?'), Key::F(1)], &[], "help", "Show every key of this pane", A::Help),
    c("glossary", &[Key::F(2)], &[], "", "Show what the words on this pane mean", A::Glossary),
    c("palette", &[Ctrl('p')], &[], "commands", "Find a command by its name", A::Palette),
    c("line", &[Char(':')], &[], "", "Type a command, or a setting and its value", A::Line),
    c("back", &[Key::Esc], &[], "", "One level back", A::Back),
    c("mouse", &[Char('M')], &[], "", "Let the mouse point here, or leave it to the terminal", A::Mouse),
    c("suspend", &[Ctrl('z')], &[], "", "Go to the shell; fg comes back", A::Suspend),
    c("redraw", &[Key::Ctrl('l')], &[], "", "Paint the screen anew", A::Redraw),
    c("detach", &[], &[], "", "Leave, and go on with what waits without a terminal", A::Detach),
    c("quit", &[Char('q')], &[], "quit", "Leave; everything decided is kept", A::Quit),
];

/// Commands that work in `pane`.
pub fn on(pane: Pane) -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(move |c| c.panes.is_empty() || c.panes.contains(&pane))
}

/// A line of a help page.
#[derive(Clone, Debug)]
pub enum HelpLine {
    /// A head; nothing for a gap.
    Head(&'static str),
    /// A command.
    Key(&'static Command),
    /// A word and the first line of its meaning, or no word and a further line.
    Word(&'static str, String),
}

/// A pane's help: its keys, what its words mean, and the keys of all panes, in lines whose meanings take `width` characters.
pub fn help(pane: Pane, width: usize) -> Vec<HelpLine> {
    let (own, general): (Vec<_>, Vec<_>) = on(pane).partition(|c| !c.panes.is_empty());
    let mut lines = Vec::new();
    let mut section = |title: &'static str, more: Vec<HelpLine>| {
        if !more.is_empty() {
            let gap = if lines.is_empty() { None } else { Some(HelpLine::Head("")) };
            lines.extend(gap.into_iter().chain([HelpLine::Head(title)]).chain(more));
        }
    };
    let keys = |commands: Vec<&'static Command>| commands.into_iter().map(HelpLine::Key).collect();
    section(pane.title(), keys(own));
    section("Everywhere", keys(general));
    section(WORDS, words(pane, width));
    lines
}

/// Head of the words in a help page.
pub const WORDS: &str = "Words";

fn words(pane: Pane, width: usize) -> Vec<HelpLine> {
    let lines = |term: &'static Term| {
        let parts = folded(term.means, width.max(16)).into_iter().enumerate();
        parts.map(|(i, part)| HelpLine::Word(if i == 0 { term.word } else { "" }, part)).collect::<Vec<_>>()
    };
    terms(pane).flat_map(lines).collect()
}

/// Commands of `pane` whose title or name has all words of `query`, in the table's order.
pub fn matching(pane: Pane, query: &str) -> Vec<&'static Command> {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let has = |c: &&Command| {
        let text = format!("{} {}", c.title.to_lowercase(), c.id);
        words.iter().all(|w| text.contains(w))
    };
    on(pane).filter(has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_pane() {
        for pane in Pane::ALL {
            for own in [true, false] {
                let keys: Vec<Key> =
                    on(pane).filter(|c| c.panes.is_empty() != own).flat_map(|c| c.keys).copied().collect();
                let unique: std::collections::BTreeSet<_> = keys.iter().collect();
                assert_eq!(unique.len(), keys.len(), "{pane:?}: {keys:?}");
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let unique: std::collections::BTreeSet<_> = COMMANDS.iter().map(|c| c.id).collect();
        assert_eq!(unique.len(), COMMANDS.len());
    }

    #[test]
    fn keys_that_belong_to_tmux_and_the_window_manager_are_left_alone() {
        let taken = ['h', 'j', 'k', 'b', 'a'].map(Key::Ctrl);
        assert!(COMMANDS.iter().flat_map(|c| c.keys).all(|k| !taken.contains(k)));
    }

    #[test]
    fn the_palette_finds_words_in_any_order() {
        let ids: Vec<_> = matching(Pane::Gallery, "stale syn").iter().map(|c| c.id).collect();
        assert_eq!(ids, ["synthesise.stale"]);
    }
}
