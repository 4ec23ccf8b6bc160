//! `protostill settings`.

use super::{args::Global, print, print_json, table::render};
use crate::{
    error::Result,
    fsio::printable,
    pipeline::setting::{SETTINGS, schema},
};

/// Prints every setting with its value, or the schema of settings in TOML.
pub fn run(global: &Global) -> Result<()> {
    let all = super::settings(global)?.checked()?.json();
    if global.json {
        return print_json(&schema(&all));
    }
    let row = |s: &crate::pipeline::setting::Setting| {
        let value = s.of(&all).filter(|v| !v.is_null()).map_or("default".into(), |v| printable(&v.to_string()));
        vec![s.name.to_owned(), value, s.kind.words(), s.says.to_owned()]
    };
    let rows: Vec<_> = SETTINGS.iter().map(row).collect();
    print(format_args!("{}", render(&["setting", "value", "may be", "what it is"], &rows)))
}
