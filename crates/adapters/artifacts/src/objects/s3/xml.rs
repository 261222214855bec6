//! The little of XML that answers of S3 need: texts of elements, wherever they are.

/// The texts of all elements of a name that have no attributes, in order.
pub(super) fn all<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = String> + 'a {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (text, after) = after.split_once(&close)?;
        rest = after;
        Some(unescape(text))
    })
}

/// The text of the first.
pub(super) fn first(xml: &str, name: &str) -> Option<String> {
    all(xml, name).next()
}

/// Writes a text so that it can stand in an element.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let meant = after.split_once(';').and_then(|(name, after)| Some((entity(name)?, after)));
        if let Some((letter, after)) = meant {
            plain.push(letter);
            rest = after;
        } else {
            plain.push('&');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_list_are_read() {
        let page = "<?xml version=\"1.0\"?><R xmlns=\"x\"><Contents><Key>a&amp;b&#x2f;&lt;c</Key>\
                    </Contents><Contents><Key>d &broken; &#233;</Key></Contents></R>";
        assert_eq!(all(page, "Key").collect::<Vec<_>>(), ["a&b/<c", "d &broken; é"]);
        assert_eq!(first(page, "NextContinuationToken"), None);
        assert_eq!(first("<A>cut", "A"), None);
        assert_eq!(escape("\"<a&b>\""), "&quot;&lt;a&amp;b&gt;&quot;");
    }
}
