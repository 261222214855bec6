//! Tags inside of expressions. Argo puts a value's text into the source before it is parsed; here
//! the tag becomes a name, so that no value is ever code.

use flowforge_model::text::Segment;

use crate::items::term;
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;

/// A piece of a string literal, or of what stands between them.
enum Piece<'s> {
    Text(&'s str),
    Tag(&'s str),
}

impl<'a> Doc<'a> {
    /// The expression without its tags. One outside of quotes stands for the number, bool or other
    /// JSON its value is; one inside of quotes for its text.
    pub(crate) fn without_tags(
        &self,
        node: &'a Node,
        source: &str,
        names: &Names<'_, 'a>,
    ) -> Option<String> {
        let mut out = String::with_capacity(source.len());
        let mut rest = source;
        while let Some(at) = rest.find(['\'', '"', '`']) {
            let (before, literal) = rest.split_at_checked(at)?;
            self.bare(node, before, names, &mut out)?;
            let end = literal_end(literal);
            let (literal, after) = literal.split_at_checked(end)?;
            self.quoted(node, literal, names, &mut out)?;
            rest = after;
        }
        self.bare(node, rest, names, &mut out)?;
        Some(out)
    }

    /// What stands between string literals.
    fn bare(
        &self,
        node: &'a Node,
        text: &str,
        names: &Names<'_, 'a>,
        out: &mut String,
    ) -> Option<()> {
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Tag(tag) => {
                    let term = self.tag_term(node, tag, names)?;
                    out.push_str(&format!("fromJSON({term})"));
                }
            }
        }
        Some(())
    }

    /// A string literal with its quotes: one that holds tags becomes a sum.
    fn quoted(
        &self,
        node: &'a Node,
        literal: &str,
        names: &Names<'_, 'a>,
        out: &mut String,
    ) -> Option<()> {
        let pieces = pieces(literal);
        if !pieces.iter().any(|piece| matches!(piece, Piece::Tag(_))) {
            out.push_str(literal);
            return Some(());
        }
        let mark = literal.get(..1).unwrap_or("");
        out.push('(');
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Tag(tag) => {
                    let term = self.tag_term(node, tag, names)?;
                    out.push_str(&format!("{mark} + {term} + {mark}"));
                }
            }
        }
        out.push(')');
        Some(())
    }

    fn tag_term(&self, node: &'a Node, tag: &str, names: &Names<'_, 'a>) -> Option<String> {
        if tag.starts_with('=') {
            let message = format!("the expression {} stands inside of one", quote(tag));
            self.report.error("unsupported", node, message, "write it without {{= and }}");
            return None;
        }
        let reference = self.tag(node, tag, names)?;
        Some(term(&Segment::Reference(reference), names))
    }
}

/// The end of the string literal that `text` begins with; all of it if the quote is not closed.
fn literal_end(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = chars.next().map_or('"', |(_, c)| c);
    let mut escaped = false;
    for (at, c) in chars {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            return at.saturating_add(c.len_utf8());
        }
    }
    text.len()
}

/// Takes whole tags apart; braces that are no tag are text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut literal = 0_usize;
    while let Some((before, tag)) = rest.get(literal..).and_then(|tail| tail.split_once("{{")) {
        let start = literal.saturating_add(before.len());
        let whole = tag.split_once("}}").filter(|(tag, _)| {
            let name = tag.trim();
            !name.is_empty() && !name.contains(['{', '}', '\'', '"', '`'])
        });
        let Some((tag, after)) = whole else {
            literal = start.saturating_add(2);
            continue;
        };
        out.extend(rest.get(..start).filter(|text| !text.is_empty()).map(Piece::Text));
        out.push(Piece::Tag(tag.trim()));
        rest = after;
        literal = 0;
    }
    if !rest.is_empty() {
        out.push(Piece::Text(rest));
    }
    out
}
