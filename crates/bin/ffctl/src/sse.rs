//! Server-sent events: bytes in, frames out, wherever the bytes are cut.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

/// Bytes of one frame. Far above any event or log line; a stream beyond it is not ours.
const FRAME_BYTES: usize = 16 * 1024 * 1024;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The last `id` seen on the stream so far.
    pub(crate) id: Option<String>,
    /// Its kind; empty for the usual one.
    pub(crate) event: String,
    /// Its data, lines joined by newlines.
    pub(crate) data: String,
}

/// A frame is larger than any of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Takes a stream apart.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    begun: bool,
    after_return: bool,
    data_lines: usize,
    frame: Frame,
}

impl Parser {
    /// Takes the next bytes; gives the frames that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, TooLarge> {
        let mut frames = Vec::new();
        for &byte in bytes {
            let second_of_crlf = self.after_return && byte == b'\n';
            self.after_return = byte == b'\r';
            if second_of_crlf {
                continue;
            }
            if matches!(byte, b'\n' | b'\r') {
                let line = std::mem::take(&mut self.line);
                frames.extend(self.end_line(&line));
                self.line = line;
                self.line.clear();
            } else {
                self.line.push(byte);
                if self.line.len() + self.frame.data.len() > FRAME_BYTES {
                    return Err(TooLarge);
                }
            }
        }
        Ok(frames)
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Frame> {
        let first = !std::mem::replace(&mut self.begun, true);
        let line = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        if line.is_empty() {
            return self.end_frame();
        }
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.data_lines > 0 {
                    self.frame.data.push('\n');
                }
                self.data_lines += 1;
                self.frame.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.frame.event),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            // Comments (an empty field), `retry` and what is to come.
            _ => {}
        }
        None
    }

    fn end_frame(&mut self) -> Option<Frame> {
        let id = self.frame.id.clone();
        let frame = std::mem::take(&mut self.frame);
        self.frame.id = id;
        let lines = std::mem::take(&mut self.data_lines);
        // The standard drops frames without data; our `end` may come without.
        (lines > 0 || !frame.event.is_empty()).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\r\nid: 7\r\nevent: task\r\ndata: {\"a\":\r\ndata: \"é\"}\r\n\r\n\
        : beat\n\nretry: 5\n\ndata:x\rdata\r\rid:9\nevent: end\n\nid: 10\ndata: never ended\n";

    fn frame(id: &str, event: &str, data: &str) -> Frame {
        Frame { id: Some(id.to_owned()), event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn frames_are_the_same_wherever_the_bytes_are_cut() {
        let expected =
            [frame("7", "task", "{\"a\":\n\"é\"}"), frame("7", "", "x\n"), frame("9", "end", "")];
        let bytes = STREAM.as_bytes();
        assert_eq!(Parser::default().push(bytes).unwrap(), expected);
        for at in 0..bytes.len() {
            let mut parser = Parser::default();
            let mut frames = parser.push(&bytes[..at]).unwrap();
            frames.extend(parser.push(&bytes[at..]).unwrap());
            assert_eq!(frames, expected, "cut at {at}");
        }
        let mut parser = Parser::default();
        let single = bytes.iter().flat_map(|&b| parser.push(&[b]).unwrap());
        assert_eq!(single.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        let mut parser = Parser::default();
        let part = [b'x'; 1 << 20];
        let refused = (0..20).find_map(|_| parser.push(&part).err());
        assert_eq!(refused, Some(TooLarge));
    }
}
