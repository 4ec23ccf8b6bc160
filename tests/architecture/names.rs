//! Every path that a module writes, past what is compiled for tests alone.

use super::tree::{Module, Name, Segments};
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ImplItemFn, Item, ItemMod, ItemUse, Meta, UseTree, Visibility,
    visit::{self, Visit},
};

/// A module's items as they are read; inner modules are kept for later, with their items where they stand inline.
#[derive(Default)]
pub struct Reader {
    module: Module,
    inner: Vec<(String, Option<Vec<Item>>)>,
}

/// A module inside a file: its name, and its items if they stand there.
pub type Inner = (String, Option<Vec<Item>>);

impl Reader {
    /// Reads one item of the module itself: it gives a name to the module.
    pub fn item(&mut self, item: &Item) {
        if for_tests(attributes(item)) {
            return;
        }
        if let Some(name) = defined(item) {
            self.module.names.entry(name).or_insert(Name::Item);
        }
        self.visit_item(item);
    }

    pub fn done(self) -> (Module, Vec<Inner>) {
        (self.module, self.inner)
    }

    /// The leaves of a `use` tree below `prefix`. A name taken inside a function counts for the whole module.
    fn leaves(&mut self, prefix: &[String], tree: &UseTree, hands_on: bool) {
        let with = |last: &dyn ToString| [prefix, &[last.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.leaves(&with(&path.ident), &path.tree, hands_on),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.leaves(prefix, tree, hands_on)),
            UseTree::Glob(_) => {
                self.module.uses.push((prefix.to_vec(), hands_on));
                self.module.globs.push(prefix.to_vec());
            }
            UseTree::Name(name) if name.ident == "self" => self.alias(prefix.to_vec(), None, hands_on),
            UseTree::Name(name) => self.alias(with(&name.ident), None, hands_on),
            UseTree::Rename(rename) if rename.ident == "self" => {
                self.alias(prefix.to_vec(), Some(rename.rename.to_string()), hands_on);
            }
            UseTree::Rename(rename) => self.alias(with(&rename.ident), Some(rename.rename.to_string()), hands_on),
        }
    }

    /// In macros and attributes a path is two names or more with `::` between them.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Segments::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    self.module.unsafe_code |= name == "unsafe_code";
                    if colons != 2 {
                        self.written(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(p) if p.as_char() == ':' => colons += 1,
                other => {
                    self.written(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.written(&mut path);
    }

    /// Ends a path of a token stream.
    fn written(&mut self, path: &mut Segments) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.module.paths.push(path);
        }
    }

    fn alias(&mut self, path: Segments, name: Option<String>, hands_on: bool) {
        let name = name.unwrap_or_else(|| path.last().unwrap().clone());
        // `use clap::{self}` says nothing new.
        if path != [name.clone()] {
            self.module.names.entry(name).or_insert(Name::Alias(path.clone()));
        }
        self.module.uses.push((path, hands_on));
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        self.module.names.insert(name.clone(), Name::Module);
        self.inner.push((name, item.content.as_ref().map(|(_, items)| items.clone())));
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.leaves(&[], &item.tree, !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.module.paths.push(path.segments.iter().map(|s| s.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// `pub(in crate::data)` takes nothing from there.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.tokens(tokens.clone());
    }
}

/// Whether these attributes keep an item out of every build but the tests'.
fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && needs_test(list.tokens.clone()),
        Meta::NameValue(_) => false,
    })
}

/// `test`, or `all(..)` of it and more.
fn needs_test(condition: TokenStream) -> bool {
    let mut all = false;
    condition.into_iter().any(|token| match token {
        TokenTree::Ident(name) => {
            all = name == "all";
            name == "test"
        }
        TokenTree::Group(group) => all && needs_test(group.stream()),
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Union(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// The name that an item defines.
fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(i) => &i.ident,
        Item::Enum(i) => &i.ident,
        Item::Fn(i) => &i.sig.ident,
        Item::Macro(i) => i.ident.as_ref()?,
        Item::Static(i) => &i.ident,
        Item::Struct(i) => &i.ident,
        Item::Trait(i) => &i.ident,
        Item::Type(i) => &i.ident,
        Item::Union(i) => &i.ident,
        _ => return None,
    };
    Some(name.to_string())
}
