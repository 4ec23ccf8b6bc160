//! Tables in text: columns apart by commas, tabs or bars, the first line naming them or not.

use crate::{
    data::{
        fields::{Names, one_or_many},
        files::text,
        folder::{head, read_list},
        rows::{Columns, Kind, Picture, Texts},
    },
    error::{Error, Result},
    fsio::printable,
};
use csv::{ReaderBuilder, StringRecord};
use std::path::Path;

/// Longest cell, in bytes: a longer one is a quote that was never closed.
const MAX_CELL: usize = 1 << 20;
/// Most columns.
const MAX_COLUMNS: usize = 1000;
/// Endings of pictures by which a line without names is understood.
const PICTURES: [&str; 9] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "jfif"];

/// A table as it was written.
pub(super) struct Table {
    columns: Vec<(String, Kind)>,
    rows: Vec<StringRecord>,
    /// The line that each row begins in.
    lines: Vec<u64>,
}

/// How a file is laid out.
#[derive(Debug, PartialEq)]
struct Layout {
    delimiter: u8,
    /// Names of the columns where the first line does not say them.
    names: Option<[&'static str; 2]>,
}

impl Table {
    /// Whether the file `path` begins as a table of pictures and captions.
    pub fn is(path: &Path) -> bool {
        let begin = head(path).and_then(|head| text::unmarked(head[..head.len() & !1].to_vec()).ok());
        begin.is_some_and(|head| layout(&String::from_utf8_lossy(&head), &Names::default()).is_some())
    }

    /// # Errors
    /// [`Error::Input`] naming the line of what is no text, no table, or has a cell without end; [`Error::Io`].
    pub fn open(path: &Path, names: &Names) -> Result<Self> {
        let text = text::text(read_list(path)?).map_err(|what| Error::input(path, what))?;
        let lacking = || {
            let first: String = printable(text.lines().next().unwrap_or_default()).chars().take(200).collect();
            let message = format!(
                "line 1 names no column of pictures and one of captions (`data.image`, `data.caption`): {first}"
            );
            let error = Error::input(path, message);
            let urls = text.lines().next().is_some_and(|line| line.contains("://"));
            if urls {
                error.or("fetch the pictures first, with img2dataset for one, and name what it leaves")
            } else {
                error
            }
        };
        let Layout { delimiter, names: given } = layout(&text, names).ok_or_else(lacking)?;
        let mut reader = ReaderBuilder::new();
        // What writes bars or no names writes its quotes as they are.
        let reader =
            reader.delimiter(delimiter).flexible(true).has_headers(false).quoting(given.is_none() && delimiter != b'|');
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for record in reader.from_reader(text.as_bytes()).into_records() {
            let mut record = record.map_err(|e| Error::input(path, printable(&e.to_string())))?;
            record.trim();
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() > MAX_COLUMNS || record.iter().any(|cell| cell.len() > MAX_CELL) {
                let message = format!(
                    "line {line}: over {MAX_COLUMNS} columns, or a cell of over {MAX_CELL} bytes; is a quote never closed?"
                );
                return Err(Error::input(path, message));
            }
            lines.push(line);
            rows.push(record);
        }
        let columns: Vec<(String, Kind)> = match given {
            Some(names) => names.iter().map(|name| ((*name).to_owned(), Kind::Text)).collect(),
            None => {
                lines.remove(0);
                rows.remove(0).iter().map(|name| (name.to_owned(), Kind::Text)).collect()
            }
        };
        Ok(Self { columns, rows, lines })
    }
}

/// How `text` is laid out, by its first lines.
fn layout(text: &str, names: &Names) -> Option<Layout> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    for delimiter in [b'\t', b'|', b','] {
        let cells: Vec<&str> = first.split(char::from(delimiter)).map(|cell| cell.trim().trim_matches('"')).collect();
        let (image, caption) = (
            cells.iter().position(|c| names.image(c).is_some()),
            cells.iter().position(|c| names.caption(c).is_some()),
        );
        if image.is_some() && caption.is_some() && image != caption {
            return Some(Layout { delimiter, names: None });
        }
    }
    // Without names: a path and a caption, or the other way round; of Flickr's lists the path has a number.
    let (one, other) = first.split_once('\t')?;
    match (is_picture(one), is_picture(other)) {
        (true, false) => Some(Layout { delimiter: b'\t', names: Some(["image", "caption"]) }),
        (false, true) => Some(Layout { delimiter: b'\t', names: Some(["caption", "image"]) }),
        _ => None,
    }
}

fn is_picture(cell: &str) -> bool {
    let path = numberless(cell.trim());
    let ending = path.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    !path.contains("://") && ending.is_some_and(|end| PICTURES.contains(&end.as_str()))
}

/// `a.jpg` of `a.jpg#3`.
fn numberless(path: &str) -> &str {
    match path.rsplit_once('#') {
        Some((path, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => path,
        _ => path,
    }
}

impl Columns for Table {
    fn columns(&self) -> &[(String, Kind)] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn texts(&self, at: usize) -> Result<Texts> {
        let cell = |row: &StringRecord| match row.get(at) {
            None => Vec::new(),
            Some(text) if text.starts_with("[\"") => {
                let list = one_or_many(&mut serde_json::Deserializer::from_str(text));
                list.unwrap_or_else(|_| vec![text.to_owned()])
            }
            Some(text) => vec![numberless_path(text)],
        };
        Ok(self.rows.iter().map(cell).collect())
    }

    fn pictures(&self, _: usize) -> Result<Vec<Option<Picture>>> {
        Ok(vec![None; self.rows.len()])
    }

    fn place(&self, row: usize) -> String {
        format!("line {}", self.lines[row])
    }
}

/// Captions stay as they are; a path loses its number.
fn numberless_path(text: &str) -> String {
    if is_picture(text) { numberless(text).to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<Vec<String>>, Vec<String>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        assert!(Table::is(file.path()), "{text}");
        let table = Table::open(file.path(), &Names::default()).unwrap();
        let column = |name: &str| {
            let at = table
                .columns()
                .iter()
                .position(|(n, _)| ["image", "image_name", "filepath"].contains(&n.as_str()) == (name == "image"));
            table.texts(at.unwrap()).unwrap()
        };
        let places = (0..table.rows()).map(|row| table.place(row)).collect();
        (column("image").into_iter().flatten().collect(), column("caption"), places)
    }

    #[test]
    fn tables_of_flickr_open_clip_and_conceptual_captions_are_understood() {
        let (images, captions, places) = read("image,caption\na.jpg,\"A dog, running .\"\nb.jpg,two\n");
        assert_eq!(
            (images, captions),
            (vec!["a.jpg".into(), "b.jpg".into()], vec![vec!["A dog, running .".to_owned()], vec!["two".into()]])
        );
        assert_eq!(places, ["line 2", "line 3"]);
        let (images, captions, _) = read("a.jpg#0\tA \"dog\" .\na.jpg#1\tNo. #2 in a.jpg .\n");
        assert_eq!((images, captions[0][0].as_str()), (vec!["a.jpg".to_owned(), "a.jpg".into()], "A \"dog\" ."));
        let (images, captions, _) = read("a dog\ttrain/0.jpg\n");
        assert_eq!((images, captions), (vec!["train/0.jpg".to_owned()], vec![vec!["a dog".to_owned()]]));
        let (images, captions, _) = read("title\tfilepath\n\"a \"\"dog\"\"\"\t/x/0.jpg\n");
        assert_eq!((images, captions), (vec!["/x/0.jpg".to_owned()], vec![vec!["a \"dog\"".to_owned()]]));
    }

    #[test]
    fn a_list_in_a_cell_is_captions_and_prose_is_no_table() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "raw,split,filename\n\"[\"\"one\"\", \"\"two\"\"]\",train,a.jpg\n").unwrap();
        let table = Table::open(file.path(), &Names::default()).unwrap();
        assert_eq!(table.texts(0).unwrap(), [["one", "two"]]);
        for text in ["a dog\na cat\n", "", "a dog, an image\n", "a dog\thttps://x.org/a.jpg\n"] {
            std::fs::write(file.path(), text).unwrap();
            assert!(!Table::is(file.path()), "{text}");
        }
    }
}
