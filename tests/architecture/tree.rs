//! The crate's modules as the compiler finds them, and where a path written in one of them leads.

use super::names::Reader;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// The segments of a path.
pub type Segments = Vec<String>;

/// First segments that lead to a module of this crate wherever they stand.
const ROOTS: [&str; 4] = ["crate", "protostill", "self", "super"];

/// What a name means in the module that knows it.
pub enum Name {
    /// Defined there.
    Item,
    Module,
    /// Brought in by a `use` of this path.
    Alias(Segments),
}

/// One module, without what is compiled for tests alone.
#[derive(Default)]
pub struct Module {
    /// Below `src`.
    pub file: String,
    pub names: HashMap<String, Name>,
    pub globs: Vec<Segments>,
    /// Paths of `use` items, and whether the item hands the name on.
    pub uses: Vec<(Segments, bool)>,
    /// Paths in expressions, types, patterns and the tokens of macros and attributes.
    pub paths: Vec<Segments>,
    /// Whether an attribute names `unsafe_code`.
    pub unsafe_code: bool,
}

/// Where a path leads.
#[derive(Debug, PartialEq)]
pub enum Place {
    /// To a module of this crate, or to the first of `rest` there.
    Here { module: Segments, rest: Segments },
    /// To another crate, a local name or the prelude.
    Elsewhere(Segments),
}

/// One file naming what is defined in a module of this crate.
pub struct Import {
    pub file: String,
    pub from: Segments,
    pub to: Segments,
    /// `models::weights::Part`
    pub named: String,
}

/// Modules by their path; the library's root is the empty one, the program's is `main`.
#[derive(Default)]
pub struct Tree(pub BTreeMap<Segments, Module>);

impl Tree {
    /// Reads the library and the program below `src`.
    pub fn read(src: &Path) -> Self {
        let mut tree = Self::default();
        tree.file(src, "lib.rs", Vec::new());
        tree.file(src, "main.rs", vec!["main".into()]);
        tree
    }

    /// A tree of texts instead of files: `(path, text)`, with the modules between declared in the texts themselves.
    pub fn of(texts: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in texts {
            let at = segments(path);
            tree.items(&format!("{path}.rs"), at, &syn::parse_file(text).unwrap().items, &mut Vec::new());
        }
        tree
    }

    fn file(&mut self, src: &Path, file: &str, at: Segments) {
        let parsed = syn::parse_file(&fs::read_to_string(src.join(file)).unwrap()).unwrap();
        let mut children = Vec::new();
        self.items(file, at, &parsed.items, &mut children);
        for child in children {
            let file = child_file(src, file, child.last().unwrap());
            self.file(src, &file, child);
        }
    }

    /// Enters the module `at` with these items; declared modules with a file of their own go to `children`.
    fn items(&mut self, file: &str, at: Segments, items: &[syn::Item], children: &mut Vec<Segments>) {
        let mut reader = Reader::default();
        items.iter().for_each(|item| reader.item(item));
        let (mut module, inner) = reader.done();
        for (name, content) in inner {
            let child: Segments = at.iter().cloned().chain([name]).collect();
            match content {
                Some(items) => self.items(file, child, &items, children),
                None => children.push(child),
            }
        }
        module.file = file.into();
        self.0.insert(at, module);
    }

    /// Where `path`, written in the module `at`, leads: through groups, `self`, `super`, `crate` and re-exports to the
    /// module that defines what it names.
    pub fn resolve(&self, at: &[String], path: &[String]) -> Place {
        let root = usize::from(at.first().is_some_and(|s| s == "main"));
        match path[0].as_str() {
            "crate" => self.walk(at[..root].to_vec(), &path[1..]),
            "protostill" => self.walk(Vec::new(), &path[1..]),
            "self" => self.walk(at.to_vec(), &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|s| *s == "super").count();
                self.walk(at[..at.len() - ups].to_vec(), &path[ups..])
            }
            first if self.knows(at, first) => self.walk(at.to_vec(), path),
            first => match self.by_stars(at, first) {
                Some(module) => self.walk(module, path),
                None => Place::Elsewhere(path.to_vec()),
            },
        }
    }

    fn walk(&self, module: Segments, path: &[String]) -> Place {
        let Some(first) = path.first() else { return Place::Here { module, rest: Vec::new() } };
        match self.0.get(&module).and_then(|m| m.names.get(first)) {
            Some(Name::Module) => self.walk([module, vec![first.clone()]].concat(), &path[1..]),
            // `use walk::walk` of another crate.
            Some(Name::Alias(target)) if target[0] == *first => Place::Elsewhere([target, &path[1..]].concat()),
            Some(Name::Alias(target)) => self.resolve(&module, &[target, &path[1..]].concat()),
            Some(Name::Item) => Place::Here { module, rest: path.to_vec() },
            None => match self.by_stars(&module, first) {
                Some(other) => self.walk(other, path),
                None => Place::Here { module, rest: path.to_vec() },
            },
        }
    }

    fn knows(&self, module: &[String], name: &str) -> bool {
        self.0.get(module).is_some_and(|m| m.names.contains_key(name))
    }

    fn by_stars(&self, at: &[String], name: &str) -> Option<Segments> {
        let own = |first: &String| ROOTS.contains(&first.as_str()) || self.knows(at, first);
        self.0.get(at)?.globs.iter().filter(|glob| own(&glob[0])).find_map(|glob| match self.resolve(at, glob) {
            Place::Here { module, rest } if rest.is_empty() && self.knows(&module, name) => Some(module),
            _ => None,
        })
    }

    /// What each file names of this crate's other modules. A module that hands on names of its own children names
    /// nothing by that: whoever takes one names the child.
    pub fn imports(&self) -> Vec<Import> {
        let mut found = BTreeMap::new();
        for (from, path, hands_on) in self.written() {
            let Place::Here { module: to, rest } = self.resolve(from, path) else { continue };
            let bare_module = path.len() == 1 && rest.is_empty();
            if to != *from && !bare_module && !(hands_on && to.starts_with(from)) {
                let named = to.iter().chain(rest.first()).cloned().collect::<Vec<_>>().join("::");
                let file = self.0[from].file.clone();
                found.insert((file.clone(), named.clone()), Import { file, from: from.clone(), to, named });
            }
        }
        found.into_values().collect()
    }

    /// What each file names of other crates: the file and the whole path.
    pub fn foreign(&self) -> Vec<(String, String)> {
        let foreign = self.written().filter_map(|(from, path, _)| match self.resolve(from, path) {
            Place::Elsewhere(path) => Some((self.0[from].file.clone(), path.join("::"))),
            Place::Here { .. } => None,
        });
        foreign.collect()
    }

    fn written(&self) -> impl Iterator<Item = (&Segments, &Segments, bool)> {
        self.0.iter().flat_map(|(at, module)| {
            let uses = module.uses.iter().map(move |(path, hands_on)| (at, path, *hands_on));
            uses.chain(module.paths.iter().map(move |path| (at, path, false)))
        })
    }
}

/// `a::b` in segments; nothing for the empty path.
pub fn segments(path: &str) -> Segments {
    path.split("::").filter(|s| !s.is_empty()).map(String::from).collect()
}

/// The file of a module declared in `parent`.
fn child_file(src: &Path, parent: &str, name: &str) -> String {
    let parent = Path::new(parent);
    let own_folder = ["lib", "main", "mod"].iter().any(|stem| parent.file_stem().is_some_and(|s| s == *stem));
    let folder = if own_folder { parent.parent().unwrap().to_owned() } else { parent.with_extension("") };
    let candidates: [PathBuf; 2] = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
    let found = candidates.iter().find(|file| src.join(file).is_file());
    let found = found.unwrap_or_else(|| panic!("no file for the module {name} of {}", parent.display()));
    found.to_str().unwrap().replace('\\', "/")
}
