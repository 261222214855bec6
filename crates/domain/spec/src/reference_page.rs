//! The page that says what becomes of every field of a manifest.

use std::fmt::Write as _;

use crate::grammar::{self, Holds, Kind, Support};

const HEAD: &str = "# Fields of Argo's manifests

What becomes of each field. A field that stands in no table is an error: nothing of a manifest is
dropped in silence. `ffctl import argo FILE...` says it for the fields that a manifest uses. This
page is written by `BLESS=1 cargo test -p flowforge-spec --test reference` from
`crates/domain/spec/src/grammar`, which is the place to change one.

| | |
|---|---|
| yes | means what it means in Argo |
| emulated | done by other means |
| no effect | accepted with a warning, changes nothing |
| no | refused by name, with its line |
";

/// The page as Markdown.
#[must_use]
pub fn reference_page() -> String {
    let mut kinds: Vec<&'static Kind> =
        vec![&grammar::MANIFEST, &grammar::CRON_MANIFEST, &grammar::CONFIG_MAP];
    let mut at = 0;
    // Every kind after the one it was first met in; each once.
    while let Some(kind) = kinds.get(at).copied() {
        for field in kind.fields() {
            if let Some((below, _)) = below(field.holds)
                && !kinds.iter().any(|known| std::ptr::eq(*known, below))
            {
                kinds.push(below);
            }
        }
        at = at.saturating_add(1);
    }
    let mut out = HEAD.to_owned();
    for (title, kind) in titles(&kinds) {
        table(&mut out, &title, kind);
    }
    out
}

/// The name of each kind, told apart if several have the same.
fn titles(kinds: &[&'static Kind]) -> Vec<(String, &'static Kind)> {
    let mut out: Vec<(String, &'static Kind)> = Vec::new();
    for kind in kinds {
        let mut title = kind.short_name().to_owned();
        let same = kinds.iter().take_while(|known| !std::ptr::eq(**known, *kind));
        let before = same.filter(|known| known.short_name() == title).count();
        if before > 0 {
            let _infallible = write!(title, " ({})", before.saturating_add(1));
        }
        out.push((title, kind));
    }
    out
}

fn table(out: &mut String, title: &str, kind: &Kind) {
    let _infallible = write!(out, "\n## {title}\n\n| field | | |\n|---|---|---|\n");
    for field in kind.fields() {
        let (word, mut note) = match field.support {
            Support::Full => ("yes", String::new()),
            Support::Emulated(how) => ("emulated", how.to_owned()),
            Support::NoEffect(why) => ("no effect", why.to_owned()),
            Support::Unsupported(why) => ("no", why.to_owned()),
        };
        if let Some((below, how)) = below(field.holds)
            && note.is_empty()
            && !matches!(field.support, Support::Unsupported(_))
        {
            note = format!("{how}{}", below.short_name());
        }
        let _infallible = writeln!(out, "| `{}` | {word} | {note} |", field.key);
    }
}

fn below(holds: Holds) -> Option<(&'static Kind, &'static str)> {
    match holds {
        Holds::Value | Holds::AnyString => None,
        Holds::Map(kind) => Some((kind, "")),
        Holds::List(kind) => Some((kind, "list: ")),
        Holds::Groups(kind) => Some((kind, "list of lists: ")),
        Holds::Named(kind) => Some((kind, "by name: ")),
    }
}
