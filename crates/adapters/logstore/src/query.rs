//! Whether a line, or a whole frame of lines, is wanted.

use flowforge_model::id::{NodeIx, mix};
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{LogLine, LogQuery, Stream};
use memchr::memmem::Finder;

/// A [`LogQuery`] made ready for many lines.
pub(crate) struct Matcher<'q> {
    query: &'q LogQuery,
    /// Sorted.
    nodes: Vec<NodeIx>,
    node_bits: u64,
    text: Option<Finder<'q>>,
}

/// What the head of a frame, or the index, says about a run of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Earliest line, milliseconds since the epoch.
    pub(crate) min_at: i64,
    /// Latest line.
    pub(crate) max_at: i64,
    /// A Bloom filter over the nodes: one bit each.
    pub(crate) node_bits: u64,
}

impl Summary {
    /// Of no line at all.
    pub(crate) const EMPTY: Self = Self { min_at: i64::MAX, max_at: i64::MIN, node_bits: 0 };

    /// Takes one more line in.
    pub(crate) fn add(&mut self, at: Timestamp, node: NodeIx) {
        self.merge(&Self { min_at: at.0, max_at: at.0, node_bits: node_bit(node) });
    }

    /// Takes other lines in.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.min_at = self.min_at.min(other.min_at);
        self.max_at = self.max_at.max(other.max_at);
        self.node_bits |= other.node_bits;
    }
}

fn node_bit(node: NodeIx) -> u64 {
    1 << (mix(u64::from(node.0)) & 63)
}

impl<'q> Matcher<'q> {
    pub(crate) fn new(query: &'q LogQuery) -> Self {
        let mut nodes = query.nodes.clone();
        nodes.sort_unstable();
        Self {
            query,
            node_bits: nodes.iter().fold(0, |bits, &node| bits | node_bit(node)),
            nodes,
            text: query.contains.as_deref().map(Finder::new),
        }
    }

    /// Whether any line of the summary may match; false is certain.
    pub(crate) fn may_match(&self, summary: &Summary) -> bool {
        (self.nodes.is_empty() || self.node_bits & summary.node_bits != 0)
            && self.query.since.is_none_or(|at| summary.max_at >= at.0)
            && self.query.until.is_none_or(|at| summary.min_at <= at.0)
    }

    /// Whether a block of encoded lines may hold the text; false is certain.
    pub(crate) fn block(&self, block: &[u8]) -> bool {
        self.text.as_ref().is_none_or(|finder| finder.find(block).is_some())
    }

    /// Everything but the text, cheapest first.
    pub(crate) fn head(&self, at: Timestamp, node: NodeIx, attempt: u32, stream: Stream) -> bool {
        self.query.attempt.is_none_or(|wanted| wanted == attempt)
            && self.query.stream.is_none_or(|wanted| wanted == stream)
            && self.query.since.is_none_or(|since| at >= since)
            && self.query.until.is_none_or(|until| at <= until)
            && (self.nodes.is_empty() || self.nodes.binary_search(&node).is_ok())
    }

    /// The text.
    pub(crate) fn text(&self, text: &[u8]) -> bool {
        self.block(text)
    }

    /// A whole line.
    pub(crate) fn line(&self, line: &LogLine) -> bool {
        self.head(line.at, line.node, line.attempt, line.stream) && self.text(line.text.as_bytes())
    }
}
