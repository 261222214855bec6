//! A text as the texts of its documents, each to be kept on its own.

use crate::library::Sheet;
use crate::located;
use crate::problem::Problems;
use crate::{DocumentInfo, yaml_out};

/// A document of a text, cut out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it says it is.
    pub info: DocumentInfo,
    /// Its text: as it stands, comments and all, or written anew for an item of a `List`.
    pub text: String,
    /// Where it stands in its document, as a JSON pointer, if it is an item of a `List`.
    pub prefix: String,
    /// Lines of the whole text before its own; none for an item of a `List`, whose text has other
    /// lines.
    pub lines_before: Option<u32>,
}

/// The documents of a text, in its order.
///
/// # Errors
/// The text is not YAML or JSON, or too large.
pub fn split(source: &str) -> Result<Vec<Part>, Problems> {
    let located = located::read(source)?;
    let texts = located::parts(source.strip_prefix('\u{feff}').unwrap_or(source));
    let parts = located.documents.iter().map(|document| {
        let info = Sheet::of(&document.root).info();
        let begins = |line: usize| u32::try_from(line).is_ok_and(|line| line < info.line);
        let found = texts.iter().take_while(|(line, _)| begins(*line)).last();
        match found {
            Some((line, text)) if document.prefix.is_empty() => Part {
                info,
                text: text.strip_prefix('\n').unwrap_or(text).to_owned(),
                prefix: String::new(),
                lines_before: u32::try_from(*line)
                    .ok()
                    .map(|line| line.saturating_add(u32::from(text.starts_with('\n')))),
            },
            _ => Part {
                info,
                text: yaml_out::write(&document.root),
                prefix: document.prefix.clone(),
                lines_before: None,
            },
        }
    });
    Ok(parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(source: &str) -> Vec<(u32, Option<u32>, String, String)> {
        let parts = split(source).unwrap();
        let one = |part: Part| (part.info.line, part.lines_before, part.prefix, part.text);
        parts.into_iter().map(one).collect()
    }

    #[test]
    fn documents_keep_their_text_and_know_their_lines() {
        let source = "# one\na: 1\n---\n\n# two\nb: |\n  x\n  --- no\n--- # three\nc: 3\n---\n{\"d\": 4}\n---\n# nothing\n";
        let cut = cut(source);
        let texts: Vec<&str> = cut.iter().map(|one| &*one.3).collect();
        let two = "\n# two\nb: |\n  x\n  --- no\n";
        assert_eq!(texts, ["# one\na: 1\n", two, " # three\nc: 3\n", "{\"d\": 4}\n"]);
        for (line, before, prefix, text) in cut {
            let own = split(&text).unwrap().remove(0).info.line;
            assert_eq!((own + before.unwrap(), &*prefix), (line, ""), "{text:?}");
        }
    }

    #[test]
    fn items_of_a_list_are_written_anew() {
        let source = "kind: List\napiVersion: v1\nitems:\n- kind: ConfigMap\n  data: {a: \"1\"}\n- b: 2\n---\nc: 3\n";
        let cut = cut(source);
        assert_eq!(cut.len(), 3);
        assert_eq!((cut[0].1, &*cut[0].2), (None, "/items/0"));
        assert_eq!(cut[0].3, "kind: ConfigMap\ndata:\n  a: \"1\"\n");
        assert_eq!((&*cut[1].2, &*cut[1].3), ("/items/1", "b: 2\n"));
        assert_eq!((cut[2].1, &*cut[2].3), (Some(7), "c: 3\n"));
    }

    #[test]
    fn what_is_no_text_of_documents_is_refused() {
        for bad in ["", "a: [", "---\n---\n"] {
            assert!(split(bad).is_err(), "{bad:?}");
        }
    }
}
