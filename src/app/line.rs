//! The command line: any command by its name, or a setting with its value.

use super::{
    action::{Action, Pane},
    asks::Modal,
    commands::{Command, on},
    decision::{Decision, bounds},
    event::Effect,
    field::Field,
    key::Key,
    state::State,
};
use crate::{error::Error, pipeline::methods::Way};
use std::{ops::RangeInclusive, path::PathBuf};

/// Something that takes a value.
pub struct Setting {
    /// Its name on the command line.
    pub name: &'static str,
    /// What stands for its value in the list.
    pub value: &'static str,
    /// In a sentence.
    pub title: &'static str,
    set: fn(&mut State, &str) -> Result<Vec<Effect>, String>,
}

const fn s(
    name: &'static str,
    value: &'static str,
    title: &'static str,
    set: fn(&mut State, &str) -> Result<Vec<Effect>, String>,
) -> Setting {
    Setting { name, value, title, set }
}

/// All settings.
pub const SETTINGS: &[Setting] = &[
    s("prototypes", "N", "Number of prototypes", |state, v| state.set_prototypes(number(v)?)),
    s("prune", "PERCENT", "Share of pairs pruned", |state, v| {
        Ok(state.update(Action::ThresholdAt(within(v.trim_end_matches('%').trim(), 0..=95)?)))
    }),
    s(
        "method",
        "NAME",
        "How pairs are got: pds, need, joint, coverage, +mean, +caption, +solved, +soft",
        |state, v| {
            let way: Way = v.parse().map_err(|e: Error| e.to_string())?;
            let decision = Decision::Method(way);
            decision.check()?;
            Ok(state.decide(decision))
        },
    ),
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
    s("steps", "N", "Denoising steps", |state, v| {
        let n = within(v, bounds::STEPS)?;
        Ok(state.adjust(|s| s.steps = n))
    }),
    s("guidance", "G", "Guidance by the caption", |state, v| {
        let g = within(v, bounds::GUIDANCE)?;
        Ok(state.adjust(|s| s.guidance = g))
    }),
    s("noise", "N", "Noise level on the image prototype", |state, v| {
        let n = within(v, bounds::NOISE)?;
        Ok(state.adjust(|s| s.noise = n))
    }),
    s("runs", "N", "Runs for each encoder", |state, v| Ok(state.decide(Decision::Runs(within(v, bounds::RUNS)?)))),
    s("epochs", "N", "Epochs of a run", |state, v| Ok(state.decide(Decision::Epochs(within(v, bounds::EPOCHS)?)))),
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
];

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

/// A number that lies in `range`; another one is refused rather than bent.
fn within<T>(value: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    bounds::within(number(value)?, range)
}

/// What a line may become: its first word's completions, settings before commands.
pub fn completions(pane: Pane, line: &str) -> (Vec<&'static Setting>, Vec<&'static Command>) {
    let word = line.trim_start().split(' ').next().unwrap_or_default();
    // Once the word stands, only what it names is of interest.
    let whole = line.trim_start().len() > word.len();
    let fits = |name: &str| if whole { name == word } else { name.starts_with(word) };
    (SETTINGS.iter().filter(|s| fits(s.name)).collect(), on(pane).filter(|c| fits(c.id)).collect())
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
        let setting = SETTINGS.iter().find(|s| s.name == word);
        match (command, setting) {
            _ if word.is_empty() => vec![],
            (Some(command), _) => self.update(command.action),
            (None, Some(s)) if value.is_empty() && s.value != "WORDS" => {
                self.tell(format!("{word} takes a value: {word} {}", s.value));
                vec![]
            }
            (None, Some(setting)) => (setting.set)(self, value).unwrap_or_else(|why| {
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
        let unique: std::collections::BTreeSet<_> = SETTINGS.iter().map(|s| s.name).collect();
        assert_eq!(unique.len(), SETTINGS.len());
        assert!(SETTINGS.iter().all(|s| !s.name.contains(' ')));
    }
}
