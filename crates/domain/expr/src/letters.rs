//! Go's classes of characters, where Rust's are wider.

/// The zeros of Unicode's decimal digits beyond ASCII; nine more follow each.
const ZEROS: [u32; 37] = [
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6,
    0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50,
    0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0,
];

/// `unicode.IsDigit`: a decimal digit, not a fraction or a superscript.
pub(crate) fn is_digit(c: char) -> bool {
    let decimal = |c: u32| ZEROS.iter().any(|zero| (*zero..zero.saturating_add(10)).contains(&c));
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric() && decimal(u32::from(c)))
}

/// `unicode.IsLetter` or `unicode.IsDigit`.
pub(crate) fn is_alphanumeric(c: char) -> bool {
    c.is_alphabetic() || is_digit(c)
}
