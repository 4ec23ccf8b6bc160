//! What is told of the program's own log and of its libraries'.

use tracing_subscriber::EnvFilter;

/// What `PROTOSTILL_LOG` asks for, or warnings. The library that speaks HTTP tells no more than warnings: its traces hold
/// requests, and those the token.
pub fn filter() -> EnvFilter {
    by(&std::env::var("PROTOSTILL_LOG").unwrap_or_else(|_| "warn".into()))
}

/// Has it told on stderr.
pub fn to_stderr() {
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).with_ansi(false).init();
}

fn by(asked: &str) -> EnvFilter {
    let others: Vec<&str> = asked.split(',').filter(|rule| !rule.trim_start().starts_with("ureq")).collect();
    let quiet = |rules: &str| EnvFilter::try_new(format!("{rules},ureq=warn,ureq_proto=warn"));
    quiet(&others.join(",")).or_else(|_| quiet("warn")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_asked_for_requests_are_not_told() {
        for asked in
            ["trace", "warn,ureq=trace", "ureq::run=trace, ureq_proto=debug", "debug,ureq", "", "no=rule=at=all"]
        {
            let rules = by(asked).to_string();
            assert!(rules.contains("ureq=warn") && rules.contains("ureq_proto=warn"), "{asked}: {rules}");
            assert!(!rules.contains("ureq::") && !rules.contains("ureq=trace"), "{asked}: {rules}");
        }
    }
}
