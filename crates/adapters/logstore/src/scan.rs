//! Looking through spans for the lines a query wants.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flowforge_ports::logs::{LogCursor, LogPage};

use crate::frame::{Decoder, HEAD, Head, next_line};
use crate::index::{Source, Span};
use crate::query::Matcher;

/// One call of `read`: what it looks for and what it found so far.
pub(crate) struct Scan<'q> {
    matcher: &'q Matcher<'q>,
    limit: usize,
    pub(crate) page: LogPage,
    span: Vec<u8>,
    decoder: Decoder,
    open: Option<(u64, File)>,
}

impl<'q> Scan<'q> {
    pub(crate) fn new(
        matcher: &'q Matcher<'q>,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            matcher,
            limit,
            page: LogPage { next: after, ..LogPage::default() },
            span: Vec::new(),
            decoder: Decoder::new()?,
            open: None,
        })
    }

    /// Nothing more fits.
    pub(crate) fn full(&self) -> bool {
        self.page.lines.len() >= self.limit
    }

    /// Opens the file unless it is open. Call it before another thread can rename the file.
    pub(crate) fn open(&mut self, source: &Source) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(content, _)| *content != source.content) {
            self.open = Some((source.content, File::open(&source.path)?));
        }
        Ok(())
    }

    /// Looks through a span of the open file until it ends or the page is full.
    pub(crate) fn span(&mut self, span: &Span) -> io::Result<()> {
        let bytes = usize::try_from(span.bytes).map_err(io::Error::other)?;
        let mut buffer = std::mem::take(&mut self.span);
        buffer.resize(bytes, 0);
        if let Some((_, file)) = &self.open {
            file.read_exact_at(&mut buffer, span.offset)?;
        }
        let mut rest = &buffer[..];
        while let Some(head) = Head::parse(rest) {
            let Some((frame, tail)) = rest.split_at_checked(head.total()) else {
                return Err(damaged());
            };
            rest = tail;
            if head.last() <= self.page.next.0 {
                continue;
            }
            if self.full() {
                break;
            }
            if self.matcher.may_match(&head.summary) {
                self.frame(&head, frame)?;
            } else {
                self.page.next = LogCursor(head.last());
            }
        }
        self.span = buffer;
        if self.full() || self.page.next.0 >= span.last { Ok(()) } else { Err(damaged()) }
    }

    fn frame(&mut self, head: &Head, frame: &[u8]) -> io::Result<()> {
        if !head.intact(frame) {
            return Err(damaged());
        }
        let payload = frame.get(HEAD..).unwrap_or(&[]);
        let mut rest = self.decoder.unpack(head, payload)?;
        let page = &mut self.page;
        if !self.matcher.block(rest) {
            page.next = LogCursor(head.last());
            return Ok(());
        }
        for number in head.first..=head.last() {
            let line = next_line(&mut rest, head.summary.min_at).ok_or_else(damaged)?;
            if number <= page.next.0 {
                continue;
            }
            if page.lines.len() >= self.limit {
                return Ok(());
            }
            page.next = LogCursor(number);
            let wanted = self.matcher.head(line.at, line.node, line.attempt, line.stream);
            if wanted && self.matcher.text(line.text) {
                page.lines.push((page.next, line.to_line()));
            }
        }
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a stored log frame is damaged")
}
