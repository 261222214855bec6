//! How values of settings are written: what is read, and what was wanted otherwise.

use std::net::SocketAddr;
use std::str::FromStr;

use flowforge_http::Allow;
use flowforge_model::time::Millis;
use flowforge_svc_scheduler::RetryBreaker;

/// Shorter tokens can be guessed.
const TOKEN_BYTES: usize = 16;

pub(super) fn parse<T: FromStr>(value: &str, what: &str) -> Result<T, String> {
    value.parse().map_err(|_| what.to_owned())
}

pub(super) fn number(value: &str, least: u32, most: u32) -> Result<u32, String> {
    let wanted = || format!("a whole number from {least} to {most}");
    let number = value.parse().map_err(|_| wanted())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(wanted()) }
}

pub(super) fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == value);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("one of {}", words.join(", "))
    })
}

pub(super) fn name<T: PartialEq>(value: &T, words: &[(&str, T)]) -> String {
    let found = words.iter().find(|(_, meaning)| meaning == value);
    found.map_or_else(String::new, |(word, _)| (*word).to_owned())
}

pub(super) fn program(value: &str) -> Result<String, String> {
    if matches!(value, "" | "none") || std::path::Path::new(value).is_absolute() {
        Ok(value.to_owned())
    } else {
        Err("an absolute path, none, or empty for what comes with this program".to_owned())
    }
}

pub(super) fn absolute(value: &str) -> Result<String, String> {
    if value.is_empty() || std::path::Path::new(value).is_absolute() {
        Ok(value.to_owned())
    } else {
        Err("an absolute path, or empty for the one in the data directory".to_owned())
    }
}

/// `NAME=WORD WORD; NAME=WORD`.
pub(super) fn images(value: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let wanted = || "images and what they start, such as `tool=run --fast; other=x`".to_owned();
    let mut images = Vec::new();
    for entry in value.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, words) = entry.split_once('=').ok_or_else(wanted)?;
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        if name.trim().is_empty() || words.is_empty() {
            return Err(wanted());
        }
        images.push((name.trim().to_owned(), words));
    }
    Ok(images)
}

pub(super) fn show_images(images: &[(String, Vec<String>)]) -> String {
    let entries: Vec<String> =
        images.iter().map(|(name, words)| format!("{name}={}", words.join(" "))).collect();
    entries.join("; ")
}

pub(super) fn database(value: &str) -> Result<String, String> {
    let known = ["postgresql://", "postgres://"].iter().any(|scheme| value.starts_with(scheme));
    if value.is_empty() || known {
        Ok(value.to_owned())
    } else {
        Err("a URL that begins with postgresql://, or empty for a file of our own".to_owned())
    }
}

/// Addresses with commas between them.
pub(super) fn list(value: &str) -> Result<Vec<String>, String> {
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(items.map(str::to_owned).collect())
}

pub(super) fn prefix(value: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"{}".contains(&byte);
    if value.len() <= 64 && value.bytes().all(fits) {
        Ok(value.to_owned())
    } else {
        Err("up to 64 visible ASCII characters without braces".to_owned())
    }
}

pub(super) fn file(value: &str) -> Result<String, String> {
    absolute(value).map_err(|_| "an absolute path".to_owned())
}

pub(super) fn archive(value: &str) -> Result<String, String> {
    absolute(value).map_err(|_| "an absolute path, or empty for no archive".to_owned())
}

/// Days, or a span as documents write it. Empty: none.
pub(super) fn span(value: &str) -> Result<Option<Millis>, String> {
    const DAY: u64 = 24 * 60 * 60;
    if value.is_empty() {
        return Ok(None);
    }
    let days = value.strip_suffix('d').map(|days| days.parse::<u32>().ok());
    let span = match days {
        Some(days) => days.map(|days| Millis::from_secs(u64::from(days).saturating_mul(DAY))),
        None => Millis::parse(value).ok(),
    };
    let wanted = || "a span such as 30d, 12h or 90m, or empty for ever".to_owned();
    span.map(Some).ok_or_else(wanted)
}

/// How long the intervals of the history of usage are. Empty: there is none.
pub(super) fn interval(value: &str) -> Result<Option<Millis>, String> {
    let fits = |every: &Millis| (Millis::from_secs(60)..=Millis::from_secs(86_400)).contains(every);
    let wanted = || "a span from 1m to 24h, such as 5m, or empty for no history".to_owned();
    match value {
        "" => Ok(None),
        text => Millis::parse(text).ok().filter(fits).map(Some).ok_or_else(wanted),
    }
}

/// For how long retries wait before one tries, or members of a gang for nodes.
pub(super) fn pause(value: &str) -> Result<Millis, String> {
    let fits = |pause: &Millis| (Millis::from_secs(1)..=RetryBreaker::MOST).contains(pause);
    let pause = Millis::parse(value).ok().filter(fits);
    pause.ok_or_else(|| "a span from 1s to 10m, such as 30s".to_owned())
}

pub(super) fn show_span(span: Option<Millis>) -> String {
    match span {
        None => String::new(),
        Some(Millis(span)) if span % 1000 == 0 => format!("{}s", span / 1000),
        Some(Millis(span)) => format!("{span}ms"),
    }
}

/// `HOST` or `HOST:PORT`.
pub(super) fn endpoint(value: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if value.bytes().all(fits) {
        Ok(value.to_owned())
    } else {
        Err("a host, with a port if need be, without http://".to_owned())
    }
}

/// `http://HOST:PORT`.
pub(super) fn aggregator(value: &str) -> Result<String, String> {
    server(value)
        .ok_or_else(|| "a URL such as http://logs:9095, or empty to keep logs here".to_owned())
}

pub(super) fn scheduler(value: &str) -> Result<String, String> {
    server(value).ok_or_else(|| {
        "a URL such as http://scheduler:9096, or empty for where it listens".to_owned()
    })
}

/// The URL of a server, without a path; or nothing.
pub(super) fn server(value: &str) -> Option<String> {
    let host = ["http://", "https://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let host = host.map(|host| host.strip_suffix('/').unwrap_or(host));
    let fine =
        value.is_empty() || host.is_some_and(|host| !host.is_empty() && host.bytes().all(fits));
    fine.then(|| value.to_owned())
}

pub(super) fn address(value: &str) -> Result<Option<SocketAddr>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    parse(value, "an address with a port, such as 127.0.0.1:9095, or empty").map(Some)
}

pub(super) fn plain(value: &str) -> Result<String, String> {
    if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        Ok(value.to_owned())
    } else {
        Err("a name of letters, digits, dots and dashes".to_owned())
    }
}

pub(super) fn allow(value: &str) -> Result<Allow, String> {
    Allow::parse(value).map_err(|item| {
        format!(
            "a list of hosts: {item:?} is not loopback, private, public, a name, an address or a \
             net"
        )
    })
}

/// A token that lets somebody in, or what one is.
pub(crate) fn token(value: &str) -> Result<String, String> {
    let fits = value.len() >= TOKEN_BYTES && value.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(value.to_owned())
    } else {
        Err(format!("at least {TOKEN_BYTES} printable ASCII characters without spaces"))
    }
}
