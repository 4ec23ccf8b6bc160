//! Files that the loop writes: what was copied, a picture of the screen, a script for a batch queue.

use super::Loop;
use crate::{
    app::{Event, Level},
    error::{Error, Result},
    fsio::{printable, write_atomic},
    journal,
    ui::{painter, svg, terminal, view},
};
use ratatui::buffer::Buffer;
use std::path::Path;

impl Loop {
    /// To the terminal's clipboard (OSC 52), and always to a file too if there can be one: not every terminal has a clipboard.
    pub(super) fn copy(&mut self, words: &str) -> Result<()> {
        terminal::copy(words)?;
        let written = journal::state_folder().and_then(|folder| {
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
            let path = folder.join("copied.txt");
            write_atomic(&path, words.as_bytes()).map(|()| path)
        });
        let (level, told) = match written {
            Ok(path) => (Level::Notice, format!("copied, also to {}", path.display())),
            Err(e) => (Level::Warning, format!("copied to the terminal's clipboard alone; no file was written: {e}")),
        };
        self.apply(Event::Log(level, printable(&told)))
    }

    /// The screen as it is, without what lies over the pane.
    pub(super) fn save_plot(&mut self, path: &Path) -> Result<()> {
        let mut cells = Buffer::empty(painter::area().map_err(Error::io("terminal"))?);
        view::draw(&mut cells, &self.state, &self.look);
        let written = write_atomic(path, svg::of(&cells, self.look.theme.light).as_bytes());
        self.wrote(path, written)
    }

    /// A SLURM script that carries out `lines` in this session, on the machine where it is queued.
    pub(super) fn sbatch(&mut self, path: &Path, lines: &[String]) -> Result<()> {
        let text = script(self.session.journal(), self.session.flags(), lines);
        let written = write_atomic(path, text.as_bytes());
        self.wrote(path, written)
    }

    fn wrote(&mut self, path: &Path, written: Result<()>) -> Result<()> {
        let (level, told) = match written {
            Ok(()) => (Level::Notice, format!("written to {}", path.display())),
            Err(e) => (Level::Error, e.to_string()),
        };
        self.apply(Event::Log(level, printable(&told)))
    }
}

/// The script: what SLURM reads, and one command.
fn script(session: &Path, again: &[String], lines: &[String]) -> String {
    let session = std::path::absolute(session).unwrap_or_else(|_| session.to_owned());
    let mut command = format!("protostill explore --session {}", quoted(&session.display().to_string()));
    again.iter().for_each(|arg| command.push_str(&format!(" {}", quoted(arg))));
    if lines.is_empty() {
        command.push_str(" \\\n  --run runs.evaluate");
    }
    lines.iter().for_each(|line| command.push_str(&format!(" \\\n  --run {}", quoted(line))));
    let head = [
        "#!/bin/bash",
        "#SBATCH --job-name=protostill",
        "#SBATCH --output=protostill-%j.log",
        "#SBATCH --cpus-per-task=8",
    ];
    let about =
        "# Carries out what waited when this was written, in the same session: leave the explorer before it starts.";
    format!("{}\n{about}\nset -euo pipefail\n{command}\n", head.join("\n"))
}

/// As a shell takes one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_the_session_whatever_it_is_called_and_every_line() {
        let lines = ["sweep 25 50".to_owned(), "runs.evaluate".to_owned()];
        let text = script(Path::new("/tmp/it's here.jsonl"), &["--device".into(), "cuda".into()], &lines);
        assert!(text.starts_with("#!/bin/bash\n#SBATCH "), "{text}");
        let command = "protostill explore --session '/tmp/it'\\''s here.jsonl' --device cuda";
        let command = format!("{command} \\\n  --run 'sweep 25 50' \\\n  --run runs.evaluate\n");
        assert!(text.ends_with(&command), "{text}");
    }
}
