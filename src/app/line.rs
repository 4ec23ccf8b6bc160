//! The command line: any command by its name, or a setting with its value.

use super::{
    action::{Action, Pane},
    asks::Modal,
    commands::{Command, on},
    decision::{Decision, Synthesis},
    event::Effect,
    field::Field,
    key::Key,
    state::State,
};
use crate::{
    error::Error,
    pipeline::{
        methods::Way,
        setting::{SETTINGS, Setting},
    },
};
use std::path::PathBuf;

/// Something that takes a value.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// What stands for its value in the list.
    pub value: &'static str,
    /// In a sentence.
    pub title: &'static str,
    set: Set,
}

/// How it takes the value.
#[derive(Clone, Copy, Debug)]
enum Set {
    /// By a way of its own.
    By(fn(&mut State, &str) -> Result<Vec<Effect>, String>),
    /// As a decision.
    Setting(&'static Setting),
}

const fn s(
    name: &'static str,
    value: &'static str,
    title: &'static str,
    set: fn(&mut State, &str) -> Result<Vec<Effect>, String>,
) -> Entry {
    Entry { name, value, title, set: Set::By(set) }
}

/// What takes a value here and nowhere else, or is bound by the data.
const OWN: &[Entry] = &[
    s("prototypes", "N", "Number of prototypes", |state, v| state.set_prototypes(number(v)?)),
    s("prune", "PERCENT", "Share of pairs pruned", |state, v| {
        let percent: u64 = number(v.trim_end_matches('%').trim())?;
        if percent > 95 {
            return Err(format!("{percent} is not between 0 and 95"));
        }
        Ok(state.update(Action::ThresholdAt(percent as u8)))
    }),
    s("sweep", "N …", "Distil and judge sets of these sizes by the method of the settings", |state, v| {
        state.sweep(v)
    }),
    s(
        "judge",
        "NAME",
        "Judge as many pairs got by another method: random, kcenter, herding, nearest-image …",
        |state, v| {
            let way: Way = v.parse().map_err(|e: Error| e.to_string())?;
            Ok(state.yardstick(&way.to_string()))
        },
    ),
    s("caption", "WORDS", "Caption of the selected prototype", |state, v| Ok(state.write_caption(state.prototype, v))),
    s("prefix", "WORDS", "Words in front of every automatic caption", |state, v| {
        Ok(state.decide(Decision::Prefix(v.to_owned())))
    }),
    s("filter", "WORDS", "Only lines that contain these words", |state, v| {
        state.filter_by(v);
        Ok(vec![])
    }),
    s("find", "WORDS", "Nearest first to words, or to the picture of a path", |state, v| Ok(state.find(v))),
    s("save-plot", "FILE.svg", "Draw the screen into a file; z gives a plot all of it", |_, v| {
        Ok(vec![Effect::SavePlot(named(v, "svg")?)])
    }),
    s("sbatch", "FILE", "Write a SLURM script that carries out what waits, in this session", |state, v| {
        Ok(vec![Effect::Sbatch(named(v, "")?, state.lines_of_queue())])
    }),
    s("go", "N", "To a pair or prototype by its number", |state, v| {
        let n = number::<usize>(v)?;
        Ok(match state.pane {
            Pane::Data => state.update(Action::PickRow(u32::try_from(n).map_err(|_| not_a_number(v))?)),
            _ if (1..=state.pairs.len()).contains(&n) => state.update(Action::PickPrototype(n - 1)),
            _ => return Err(format!("there is no prototype {n}")),
        })
    }),
    s("seed", "N", "Seed of the selected picture, or of the marked ones", |state, v| {
        let seed: u64 = number(v)?;
        let basis = state.basis().ok_or("the prototypes are not there yet")?;
        let one = |prototype| Decision::Seed { basis: basis.clone(), prototype, seed };
        let all = state.chosen().into_iter().filter(|i| *i < state.pairs.len()).map(one).collect();
        Ok(Decision::many(all).map_or(vec![], |d| state.decide(d)))
    }),
    s("export", "DIR", "Write the set into a folder", |state, v| Ok(state.export(v))),
    s("compare", "[SESSION]", "Lay two marked sets side by side, or another session beside this one", |state, v| {
        if v.is_empty() { state.compare() } else { state.compare_with(v) }
    }),
    s("report", "[FILE]", "Show the set on a page for a browser [report.html]", |state, v| Ok(state.report(v))),
    s("push", "ORG/NAME", "Upload the set to the Hugging Face hub, private, after asking", |state, v| state.push(v)),
];

/// All that takes a value: settings by their words, those of the line, then the other settings by their full names.
pub fn entries() -> impl Iterator<Item = Entry> {
    let taken = |name: &str| OWN.iter().any(|e| e.name == name);
    let open = SETTINGS.iter().filter(move |s| !taken(s.called()) && !Decision::at_start(s));
    let entry =
        |s: &'static Setting| Entry { name: s.called(), value: s.kind.metavar(), title: s.says, set: Set::Setting(s) };
    let (words, names): (Vec<_>, Vec<_>) = open.partition(|s| !s.word.is_empty());
    words.into_iter().map(entry).chain(OWN.iter().copied()).chain(names.into_iter().map(entry))
}

fn not_a_number(value: &str) -> String {
    format!("`{}` is not such a number", crate::fsio::printable(value))
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| not_a_number(value))
}

/// A file that is to be written, with this ending.
fn named(value: &str, ending: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    let fits = ending.is_empty() || path.extension().is_some_and(|e| e == ending);
    if fits { Ok(path) } else { Err(format!("`{}` does not end in .{ending}", crate::fsio::printable(value))) }
}

/// What a line may become: its first word's completions, settings before commands.
pub fn completions(pane: Pane, line: &str) -> (Vec<Entry>, Vec<&'static Command>) {
    let word = line.trim_start().split(' ').next().unwrap_or_default();
    // Once the word stands, only what it names is of interest.
    let whole = line.trim_start().len() > word.len();
    let fits = |name: &str| if whole { name == word } else { name.starts_with(word) };
    (entries().filter(|e| fits(e.name)).collect(), on(pane).filter(|c| fits(c.id)).collect())
}

impl Entry {
    fn take(&self, state: &mut State, value: &str) -> Result<Vec<Effect>, String> {
        let setting = match self.set {
            Set::By(set) => return set(state, value),
            Set::Setting(setting) => setting,
        };
        let change = setting.to(value)?;
        // What single pictures may have of their own goes to all or to the chosen ones.
        if let Some(own) = Synthesis::changed(&change) {
            return Ok(state.adjust(own));
        }
        let decision = Decision::Set(change);
        decision.check()?;
        Ok(state.decide(decision))
    }
}

impl State {
    /// A key while a command line is typed.
    pub(super) fn line_key(&mut self, mut field: Field, key: Key) -> Vec<Effect> {
        match key {
            Key::Esc | Key::Ctrl('c') => return vec![],
            // As in vi: deleting the last character of nothing leaves.
            Key::Backspace if field.text().is_empty() => return vec![],
            Key::Enter => return self.carry_out(field.text().trim()),
            Key::Tab => field = Field::new(&completed(self.pane, field.text())),
            key => drop(field.key(key)),
        }
        self.modal = Some(Modal::Line(field));
        vec![]
    }

    /// Does what a command line says, as if it had been typed.
    pub fn carry_out(&mut self, line: &str) -> Vec<Effect> {
        let (word, value) = line.split_once(' ').map_or((line, ""), |(word, value)| (word, value.trim()));
        // As everywhere since vi.
        let word = if word == "q" { "quit" } else { word };
        let command = on(self.pane).find(|c| c.id == word).filter(|_| value.is_empty());
        let entry = entries().find(|e| e.name == word || matches!(e.set, Set::Setting(s) if s.name == word));
        match (command, entry) {
            _ if word.is_empty() => vec![],
            (Some(command), _) => self.update(command.action),
            (None, Some(s)) if value.is_empty() && s.value != "WORDS" && !s.value.starts_with('[') => {
                self.tell(format!("{word} takes a value: {word} {}", s.value));
                vec![]
            }
            (None, Some(entry)) => entry.take(self, value).unwrap_or_else(|why| {
                self.tell(format!("{word}: {why}"));
                vec![]
            }),
            (None, None) => {
                self.tell(format!("nothing here is called `{}`; Tab completes", crate::fsio::printable(word)));
                vec![]
            }
        }
    }
}

/// The line with its first word as long as all completions agree; where only one is left, a space if it takes a value.
fn completed(pane: Pane, line: &str) -> String {
    let (settings, commands) = completions(pane, line);
    let names: Vec<&str> = settings.iter().map(|s| s.name).chain(commands.iter().map(|c| c.id)).collect();
    let Some(first) = names.first().filter(|_| !line.trim().contains(' ')) else { return line.to_owned() };
    if names.iter().all(|name| name == first) {
        return format!("{first}{}", if settings.is_empty() { "" } else { " " });
    }
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let common = names.iter().map(|name| shared(first, name)).min().unwrap_or(0);
    first[..common].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_completed_as_far_as_all_names_agree() {
        assert_eq!(completed(Pane::Data, "gu"), "guidance ");
        assert_eq!(completed(Pane::Data, "fil"), "filter ");
        assert_eq!(completed(Pane::Data, "pane.p"), "pane.pr");
        assert_eq!(completed(Pane::Data, "pr"), "pr");
        assert_eq!(completed(Pane::Data, "zzz"), "zzz");
        assert_eq!(completed(Pane::Data, "guidance 3"), "guidance 3");
    }

    #[test]
    fn settings_have_names_of_their_own() {
        let names: Vec<_> = entries().map(|e| e.name).collect();
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| !name.contains(' ')));
    }
}
