//! Upper and lower case of words, as the `xstrings` library turns them.

/// The upper case of a letter, if it is a single one.
pub(super) fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    upper.next().filter(|_| upper.next().is_none()).unwrap_or(c)
}

/// The lower case of a letter, if it is a single one.
pub(super) fn lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    lower.next().filter(|_| lower.next().is_none()).unwrap_or(c)
}

/// Turns the first letter behind every separator.
pub(super) fn first_of_words(
    text: &str,
    separates: impl Fn(char) -> bool,
    turn: fn(char) -> char,
) -> String {
    let mut first = true;
    let turned = text.chars().map(|c| {
        let out = if first { turn(c) } else { c };
        first = separates(c);
        out
    });
    turned.collect()
}

fn connects(c: char) -> bool {
    matches!(c, '-' | '_') || c.is_whitespace()
}

/// `some_words` to `SomeWords`.
pub(super) fn pascal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut current = None;
    let mut first_upper = false;
    for c in chars.by_ref() {
        if connects(c) {
            out.push(c);
            current = None;
            continue;
        }
        first_upper = c.is_uppercase();
        current = Some(upper(c));
        break;
    }
    let Some(mut current) = current else {
        return out;
    };
    for next in chars {
        let before = current;
        current = next;
        match (connects(next), connects(before)) {
            (true, true) => {
                out.push(before);
                continue;
            }
            (false, true) => {
                first_upper = next.is_uppercase();
                current = upper(next);
                continue;
            }
            (_, false) => {
                if first_upper && next.is_uppercase() {
                    current = lower(next);
                } else if first_upper {
                    first_upper = false;
                }
                out.push(before);
            }
        }
    }
    out.push(current);
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    End,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

impl Word {
    /// Whether no connector follows a word before this one.
    fn joins(self) -> bool {
        matches!(self, Self::Connector | Self::Punctuation)
    }
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic()
}

fn is_punctuation(c: char) -> bool {
    // Go's unicode.IsPunct: the ASCII symbols are none.
    c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c)
}

/// The first word of a text, and the rest.
fn next_word(text: &str) -> (Word, &str, &str) {
    let Some(first) = text.chars().next() else {
        return (Word::End, "", "");
    };
    let while_true = |part: &dyn Fn(char) -> bool| {
        let end = text.char_indices().skip(1).find(|(_, c)| !part(*c));
        end.map_or(text.len(), |(at, _)| at)
    };
    let letters = |c: char| is_letter(c) && !c.is_uppercase();
    let (word, end) = if connects(first) {
        (Word::Connector, while_true(&connects))
    } else if is_punctuation(first) {
        (Word::Punctuation, while_true(&is_punctuation))
    } else if first.is_uppercase() {
        let second = text.chars().nth(1);
        if second.is_some_and(char::is_uppercase) {
            let end = while_true(&char::is_uppercase);
            // `HTTPStatus` is `HTTP` and `Status`.
            let next = text.get(end..).and_then(|rest| rest.chars().next());
            let last = text.get(..end).and_then(|run| run.chars().next_back());
            let back = last.filter(|_| next.is_some_and(is_letter)).map_or(0, char::len_utf8);
            (Word::Upper, end.saturating_sub(back))
        } else {
            (Word::Upper, while_true(&letters))
        }
    } else if is_letter(first) {
        (Word::Letters, while_true(&letters))
    } else if first.is_numeric() {
        (Word::Number, while_true(&char::is_numeric))
    } else {
        let other = |c: char| !(connects(c) || is_letter(c) || c.is_numeric() || is_punctuation(c));
        (Word::Other, while_true(&other))
    };
    let (found, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (word, found, rest)
}

fn push(out: &mut String, word: Word, text: &str, connector: char) {
    match word {
        Word::Upper | Word::Connector => out.extend(text.chars().map(|c| match c {
            c if connects(c) => connector,
            c if c.is_uppercase() => lower(c),
            c => c,
        })),
        Word::End | Word::Number | Word::Letters | Word::Punctuation | Word::Other => {
            out.push_str(text);
        }
    }
}

/// `HTTP20xOK` to `http_20x_ok`.
pub(super) fn separated(text: &str, connector: char) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut word, mut part, mut rest) = next_word(text);
    while !rest.is_empty() {
        if word != Word::Connector {
            push(&mut out, word, part, connector);
        }
        let (before, last) = (word, part);
        (word, part, rest) = next_word(rest);
        match before {
            Word::Number => {
                while matches!(word, Word::Letters | Word::Number) {
                    push(&mut out, word, part, connector);
                    (word, part, rest) = next_word(rest);
                }
                if word != Word::End && !word.joins() {
                    out.push(connector);
                }
            }
            Word::Connector => push(&mut out, before, last, connector),
            Word::Punctuation => {}
            _ if word != Word::Number => {
                if !word.joins() {
                    out.push(connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = part;
                (word, part, rest) = next_word(rest);
                // A number belongs to the word before it, unless lower case follows.
                if word != Word::Letters {
                    push(&mut out, Word::Number, number, connector);
                    if !word.joins() {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                push(&mut out, Word::Number, number, connector);
                while matches!(word, Word::Letters | Word::Number) {
                    push(&mut out, word, part, connector);
                    (word, part, rest) = next_word(rest);
                }
                if word != Word::End && !word.joins() {
                    out.push(connector);
                }
            }
        }
    }
    push(&mut out, word, part, connector);
    out
}
