//! The walls between the rooms: a file may name what is below its room, never what is above, and no two rooms name each
//! other in a circle. Paths are read as the compiler reads them: nested, relative, handed on, inside macros.
#![allow(clippy::unwrap_used)]

mod circles;
mod names;
mod tree;

use circles::circles;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use tree::{Place, Tree, segments};

/// Rooms from top to bottom; those side by side do not name each other.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["ui"],
    &["session"],
    &["cli", "journal"],
    &["app"],
    &["config", "job"],
    &["pipeline"],
    &["data", "models"],
    &["kernels", "pixels", "lfs", "fsio"],
    &["fingerprint"],
    &["about", "caught", "door", "error", "log", "machine"],
];

/// What a room must not name although it stands higher, or belongs to another crate.
const NEVER: &[(&str, &[&str])] = &[
    ("ui", &["crate::cli", "crate::models"]),
    ("session", &["crate::cli"]),
    ("cli", &["crate::app", "ratatui", "crossterm", "viuer"]),
    ("app", &["ratatui", "crossterm", "viuer", "tokio", "std::fs", "std::thread", "std::time::Instant::now"]),
    ("pipeline", &["ratatui", "crossterm", "indicatif"]),
    ("data", &["candle_core", "candle_nn", "candle_transformers"]),
];

/// Imports that break a wall today. Nothing may be added; what is mended goes from the list.
const OFFENCES: &[&str] = &[];

/// Modules that name each other in a circle today, below the module that holds them.
const CIRCLES: &[&str] = &[];

/// Where files are opened to be read past the door: `disk` syncs what it wrote, `machine` asks the system, the store's lock
/// is nobody's input, the log's file was looked at before.
const PAST_THE_DOOR: &[&str] = &[
    "fsio/disk.rs: std::fs::File::open",
    "machine.rs: std::fs::read_to_string",
    "pipeline/store/mod.rs: std::fs::File::options",
    "ui/logfile.rs: std::fs::File::open",
];

const OPENERS: &[&str] = &["std::fs::File::open", "std::fs::File::options", "std::fs::read", "std::fs::read_to_string"];

static SOURCE: LazyLock<Tree> = LazyLock::new(|| Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));

fn floor(room: &str) -> usize {
    FLOORS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("`{room}` stands on no floor"))
}

/// Imports from the same floor or from above.
fn upward(tree: &Tree) -> BTreeSet<String> {
    let imports = tree.imports().into_iter().filter(|import| match (import.from.first(), import.to.first()) {
        (Some(from), Some(to)) => from != to && floor(from) >= floor(to),
        _ => false,
    });
    imports.map(|import| format!("{} -> {}", import.file, import.named)).collect()
}

/// What files name of `NEVER`.
fn forbidden(tree: &Tree) -> BTreeSet<String> {
    let own = tree.imports().into_iter().map(|import| (import.file, format!("crate::{}", import.named)));
    let named = own.chain(tree.foreign());
    let within = |path: &str, part: &str| path.strip_prefix(part).is_some_and(|p| p.is_empty() || p.starts_with("::"));
    let room = |file: &str| file.split(['/', '.']).next().unwrap().to_owned();
    named
        .filter(|(file, path)| {
            let mut walls = NEVER.iter().filter(|(of, _)| *of == room(file));
            walls.any(|(_, parts)| parts.iter().any(|part| within(path, part)))
        })
        .map(|(file, path)| format!("{file} -> {path}"))
        .collect()
}

/// Fails on what is found and not listed, and on what is listed and no longer found.
fn agree(found: &BTreeSet<String>, listed: &[&str]) {
    let listed: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(found).collect();
    assert!(new.is_empty() && gone.is_empty(), "\nnew: {new:#?}\nlisted, but mended: {gone:#?}");
}

/// Every file of Rust below `dir`.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| if path.is_dir() { rust_files(&path) } else { vec![path] };
    let entries = std::fs::read_dir(dir).unwrap().flat_map(|entry| below(entry.unwrap().path()));
    entries.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

#[test]
fn no_file_of_tests_is_forgotten() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (mains, files): (Vec<_>, Vec<_>) = rust_files(&tests).into_iter().partition(|path| path.ends_with("main.rs"));
    let named = mains.iter().flat_map(|main| modules(main));
    let named: BTreeSet<PathBuf> = named.flat_map(|file| [beside(&file), vec![file]].concat()).collect();
    let forgotten: Vec<_> = files.iter().filter(|path| !named.contains(*path)).collect();
    assert!(forgotten.is_empty() && mains.len() >= 6, "no module of any theme: {forgotten:?}");
}

/// The files that a `main.rs` names, by `mod` and by `#[path]`.
fn modules(main: &Path) -> Vec<PathBuf> {
    let (folder, mut path) = (main.parent().unwrap(), None);
    let mut found = Vec::new();
    for line in std::fs::read_to_string(main).unwrap().lines() {
        if let Some(name) = line.strip_prefix("#[path = \"../").and_then(|rest| rest.strip_suffix("\"]")) {
            path = Some(folder.parent().unwrap().join(name));
        } else if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            found.push(path.take().unwrap_or_else(|| folder.join(format!("{name}.rs"))));
        }
    }
    found
}

/// The files beside it that a module names by `#[path]`.
fn beside(file: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let named = text.lines().filter_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
    named.map(|name| file.with_file_name(name)).collect()
}

#[test]
fn no_room_names_one_beside_or_above_it_but_those_listed() {
    agree(&upward(&SOURCE), OFFENCES);
}

#[test]
fn no_room_names_what_it_must_never_know() {
    agree(&forbidden(&SOURCE), &[]);
}

#[test]
fn no_modules_name_each_other_in_a_circle_but_those_listed() {
    agree(&circles(&SOURCE.imports()), CIRCLES);
}

#[test]
fn unsafe_code_stays_with_the_map_of_our_own_file_and_the_one_instruction_no_crate_wraps() {
    let files: BTreeSet<String> = SOURCE.0.values().filter(|m| m.unsafe_code).map(|m| m.file.clone()).collect();
    agree(&files, &["fsio/mod.rs", "kernels/bfloat16.rs"]);
}

#[test]
fn files_are_opened_to_be_read_by_the_door_alone() {
    let opened = SOURCE.foreign().into_iter().filter(|(_, path)| OPENERS.contains(&path.as_str()));
    agree(&opened.map(|(file, path)| format!("{file}: {path}")).collect(), PAST_THE_DOOR);
}

/// A crate whose only modules are these.
fn small(app: &str, ui: &str, view: &str) -> Tree {
    let lib = "pub mod app; pub mod ui; pub mod error;";
    Tree::of(&[("", lib), ("app", app), ("ui", ui), ("ui::view", view), ("error", "pub struct Error;")])
}

#[test]
fn imports_are_seen_through_groups_super_renaming_stars_and_macros() {
    let ui = "mod view; pub use view::View;";
    for app in [
        "use crate::{error::Error, ui::{View}};",
        "use super::ui::View as Other;",
        "use crate::ui; fn f(_: ui::View) {}",
        "use crate::ui::*; fn f(_: View) {}",
        "fn f() { g(crate::ui::View::new()) }",
        "fn f() { format!(\"{}\", crate::ui::View::new()) }",
        "fn f() { use crate::ui::View; }",
        "#[cfg(test)] mod tests { } impl From<crate::ui::View> for u8 {}",
        "use protostill::ui::View;",
    ] {
        let found = upward(&small(app, ui, "pub struct View;"));
        assert!(found.contains("app.rs -> ui::view::View"), "{app}: {found:?}");
    }
}

#[test]
fn tests_may_name_anything() {
    let app = "#[cfg(test)] mod tests { use crate::ui::View; } #[cfg(all(test, unix))] use crate::ui::View;
        #[test] fn f(_: crate::ui::View) {} struct S; impl S { #[cfg(test)] fn f(_: crate::ui::View) {} }";
    assert_eq!(upward(&small(app, "mod view; pub use view::View;", "pub struct View;")), BTreeSet::new());
}

#[test]
fn what_a_room_must_never_know_is_seen_by_its_whole_path() {
    let app =
        "use std::{fs, fs::File, time}; fn f() { File::open(g); time::Instant::now() } fn h(_: fs2::X, _: Instant) {}";
    let found = ["std::fs", "std::fs::File", "std::fs::File::open", "std::time::Instant::now"];
    assert_eq!(forbidden(&small(app, "", "")), found.map(|path| format!("app.rs -> {path}")).into());
}

#[test]
#[should_panic(expected = "mended: [\n    \"a\"")]
fn what_is_mended_must_go_from_its_list() {
    agree(&BTreeSet::new(), &["a"]);
}

#[test]
fn a_path_leads_to_where_its_item_is_defined_and_no_further() {
    let tree = small("pub use crate::ui::View;", "mod view; pub use self::view::View;", "pub enum View { Whole }");
    let place = Place::Here { module: segments("ui::view"), rest: segments("View::Whole") };
    assert_eq!(tree.resolve(&segments("error"), &segments("crate::app::View::Whole")), place);
    let time = small("use std::time::{self, Instant};", "", "");
    let now = Place::Elsewhere(segments("std::time::Instant::now"));
    assert_eq!(time.resolve(&segments("app"), &segments("Instant::now")), now);
    assert_eq!(time.resolve(&segments("app"), &segments("time::Instant::now")), now);
}

#[test]
fn circles_are_seen_among_the_children_of_one_module_and_handing_a_name_on_is_none() {
    let lone = small("", "mod view; pub use view::View; pub struct Options;", "use super::Options; pub struct View;");
    assert_eq!(circles(&lone.imports()), BTreeSet::new());
    let round = small("use crate::ui::View;", "mod view; pub use view::View;", "use crate::app::f; pub struct View;");
    assert_eq!(circles(&round.imports()), BTreeSet::from(["crate: app, ui".to_owned()]));
}
