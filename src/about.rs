//! Which program this is: version, commit, target, features.

use serde_json::{Value, json};

/// The crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The last commit that changed what the program was built of, or `unknown`.
pub const COMMIT: &str = env!("PROTOSTILL_COMMIT");
/// The target triple that it was built for.
pub const TARGET: &str = env!("PROTOSTILL_TARGET");

/// The features that it was built with, by name.
pub fn features() -> Vec<&'static str> {
    [("cuda", cfg!(feature = "cuda")), ("tui", cfg!(feature = "tui"))]
        .into_iter()
        .filter_map(|(name, on)| on.then_some(name))
        .collect()
}

/// In a line, for people.
pub fn line() -> String {
    let commit = COMMIT.get(..12).unwrap_or(COMMIT);
    format!("protostill {VERSION} ({commit}, {TARGET}, features: {})", features().join(" "))
}

/// For machines and manifests.
pub fn json() -> Value {
    json!({ "version": VERSION, "commit": COMMIT, "target": TARGET, "features": features() })
}
