//! Places of artifacts: the repository of the project, a bucket, a URL, the document itself.

use flowforge_model::artifact::{Archive, S3Location, SecretKey};
use flowforge_model::plan::{Place, PlaceKind, Value};
use flowforge_model::text::{Segment, Text};

use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;

/// Bytes of a key. S3's own bound.
const KEY_BYTES: usize = 1024;
/// Headers of one request.
const HEADERS: usize = 100;

impl<'a> Doc<'a> {
    /// Where an artifact is, if its map names a place.
    pub(crate) fn place(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Place> {
        let kind = self.place_kind(node, names)?;
        let packed = match kind {
            PlaceKind::Raw(_) => Archive::None,
            PlaceKind::Http(..) | PlaceKind::Repository(_) | PlaceKind::S3(..) => {
                Archive::default()
            }
        };
        Some(Place {
            kind,
            archive: self.archive(node).unwrap_or(packed),
            sub_path: self.sub_path(node, names),
        })
    }

    /// The one place among the fields of an artifact.
    pub(crate) fn place_kind(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<PlaceKind> {
        let mut given = grammar::PLACES.into_iter().filter_map(|key| Some((key, node.field(key)?)));
        let (key, place) = given.next()?;
        if let Some((second, at)) = given.next() {
            let message = format!("the artifact is in two places, {key} and {second}");
            self.report.error("conflict", at, message, "keep one of them");
            return None;
        }
        match key {
            "raw" => self.raw(place, names),
            "http" => self.http_place(place, names),
            "s3" => self.s3(place, names),
            _ => self.key_only(place, names),
        }
    }

    fn raw(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<PlaceKind> {
        if !self.report.fields(node, &grammar::RAW) {
            return None;
        }
        let data = self.report.required(node, &grammar::RAW, "data")?;
        self.text(data, names).map(PlaceKind::Raw)
    }

    fn http_place(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<PlaceKind> {
        if !self.report.fields(node, &grammar::HTTP_PLACE) {
            return None;
        }
        let url = self.report.required(node, &grammar::HTTP_PLACE, "url")?;
        let url = self.url(url, names)?;
        Some(PlaceKind::Http(url, self.headers(node, names)))
    }

    /// A URL; what is known of it must be one.
    pub(crate) fn url(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let text = self.text(node, names)?;
        let start = match &text {
            Text::Plain(plain) => plain,
            Text::Parts(parts) => match parts.first() {
                Some(Segment::Literal(start)) if start.len() >= 8 => start,
                _ => return Some(text),
            },
        };
        let bad = |c: char| c.is_whitespace() || c.is_control();
        let scheme = ["http://", "https://"].iter().find_map(|scheme| start.strip_prefix(scheme));
        let host = scheme.is_some_and(|rest| !rest.starts_with('/'));
        let whole = text.as_plain().is_none_or(|plain| scheme != Some("") && !plain.is_empty());
        if !host || !whole || start.contains(bad) {
            let message = format!("{} is no URL to fetch", node.describe());
            let hint = "write it like https://host/path, without blanks";
            self.report.error("bad_url", node, message, hint);
            return None;
        }
        Some(text)
    }

    /// `headers`: name and value, or a secret's key.
    pub(crate) fn headers(&self, node: &'a Node, names: &Names<'_, 'a>) -> Vec<(Box<str>, Value)> {
        let items = self.report.list_field(node, "headers", "headers");
        if items.len() > HEADERS {
            let message = format!("{} headers; at most {HEADERS} are sent", items.len());
            self.report.error("limit", node, message, "");
            return Vec::new();
        }
        items.iter().filter_map(|item| self.header(item, names)).collect()
    }

    pub(crate) fn header(
        &self,
        item: &'a Node,
        names: &Names<'_, 'a>,
    ) -> Option<(Box<str>, Value)> {
        if !self.report.fields(item, &grammar::HEADER) {
            return None;
        }
        let at = self.report.required(item, &grammar::HEADER, "name")?;
        let name = self.report.string(at)?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            let message = format!("{} is no name of a header", quote(name));
            self.report.error("bad_name", at, message, "use letters, digits and -");
            return None;
        }
        if let Some(from) = item.field("valueFrom") {
            if !self.report.fields(from, &grammar::HEADER_VALUE_FROM) {
                return None;
            }
            let key = self.report.required(from, &grammar::HEADER_VALUE_FROM, "secretKeyRef")?;
            return Some((name.into(), Value::Secret(self.secret_key(key)?)));
        }
        let value = self.report.required(item, &grammar::HEADER, "value")?;
        let text = self.text(value, names)?;
        if text.as_plain().is_some_and(|plain| plain.contains(['\r', '\n'])) {
            let message = "the value of a header has one line";
            self.report.error("bad_value", value, message, "remove the line break");
        }
        Some((name.into(), Value::Text(text)))
    }

    /// A bucket of the document's own, or with only a key the repository of the project.
    fn s3(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<PlaceKind> {
        if !self.report.fields(node, &grammar::S3) {
            return None;
        }
        let key = self.report.required(node, &grammar::S3, "key")?;
        let key = self.key(key, names)?;
        let fixed = |field: &str| {
            let node = node.field(field)?;
            self.fixed_text(node, field)
        };
        let (endpoint, bucket) = (fixed("endpoint"), fixed("bucket"));
        let others = ["region", "accessKeySecret", "secretKeySecret"];
        match (endpoint, bucket) {
            (Some(endpoint), Some(bucket)) => {
                let insecure = node.field("insecure").and_then(|node| self.report.boolean(node));
                let location = S3Location {
                    endpoint,
                    bucket,
                    key: String::new(),
                    region: fixed("region"),
                    insecure: insecure.unwrap_or(false),
                    access_key: self.s3_secret(node, "accessKeySecret"),
                    secret_key: self.s3_secret(node, "secretKeySecret"),
                };
                Some(PlaceKind::S3(Box::new(location), key))
            }
            (None, None) if others.iter().all(|field| node.field(field).is_none()) => {
                Some(PlaceKind::Repository(without_slash(key)))
            }
            _ => {
                let message = "s3 needs an endpoint and a bucket, or nothing but a key";
                let hint = "with a key alone the artifact is in the repository of the project";
                self.report.error("missing_field", node, message, hint);
                None
            }
        }
    }

    fn s3_secret(&self, node: &'a Node, key: &str) -> Option<SecretKey> {
        self.secret_key(node.field(key)?)
    }

    fn key_only(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<PlaceKind> {
        if !self.report.fields(node, &grammar::KEY_ONLY) {
            return None;
        }
        let key = self.report.required(node, &grammar::KEY_ONLY, "key")?;
        self.key(key, names).map(|key| PlaceKind::Repository(without_slash(key)))
    }

    /// A string that is needed before anything runs.
    fn fixed_text(&self, node: &'a Node, what: &str) -> Option<String> {
        let text = self.report.string(node)?;
        if text.contains("{{") {
            let message = format!("{what} of s3 cannot hold tags");
            self.report.error("unsupported", node, message, "write a constant");
        } else if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let message = format!("{} is no {what}", quote(text));
            self.report.error("bad_value", node, message, "");
        }
        Some(text.to_owned())
    }

    /// The key of an object. What is known of it must stay below its root.
    fn key(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let source = self.report.string(node)?;
        let text = self.text(node, names)?;
        // A tag stands for a name: what surrounds it is checked with one in its place.
        let shape: String = match &text {
            Text::Plain(plain) => plain.to_string(),
            Text::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    Segment::Literal(text) => text,
                    Segment::Reference(_) | Segment::Expression(_) => "x",
                })
                .collect(),
        };
        let fine = crate::volumes::is_file_path(shape.strip_suffix('/').unwrap_or(&shape));
        if !fine || source.len() > KEY_BYTES {
            let message = format!("{} is no key of an artifact", quote(source));
            let hint = format!(
                "write it like dir/file: relative, no empty part, no .. and at most {KEY_BYTES} bytes"
            );
            self.report.error("bad_key", node, message, hint);
            return None;
        }
        Some(text)
    }

    /// How an artifact is packed, if the document says so.
    pub(crate) fn archive(&self, node: &'a Node) -> Option<Archive> {
        let archive = node.field("archive")?;
        if !self.report.fields(archive, &grammar::ARCHIVE) {
            return None;
        }
        let entries = archive.entries().unwrap_or(&[]);
        let [entry] = entries else {
            let message = "archive has exactly one of none, tar and zip";
            self.report.error("conflict", archive, message, "write none: {}, tar: {} or zip: {}");
            return None;
        };
        let (kind, packed) = match &*entry.key {
            "none" => (&grammar::NOTHING, Archive::None),
            "tar" => (&grammar::TAR, Archive::TarGz),
            _ => (&grammar::NOTHING, Archive::Zip),
        };
        if !entry.node.is_null() {
            self.report.fields(&entry.node, kind);
        }
        Some(packed)
    }

    /// The part of an artifact that is taken.
    pub(crate) fn sub_path(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let node = node.field("subPath")?;
        let text = self.text(node, names)?;
        let plain = text.as_plain().map(|plain| plain.trim_matches('/'));
        if plain.is_some_and(|plain| !crate::volumes::is_file_path(plain)) {
            let message = format!("{} is no path below the artifact", node.describe());
            self.report.error("bad_path", node, message, "write it like dir/file, without ..");
            return None;
        }
        Some(plain.map_or(text.clone(), Text::plain))
    }
}

/// A folder in the repository has no `/` at its end.
fn without_slash(key: Text) -> Text {
    match key {
        Text::Plain(plain) => Text::plain(plain.strip_suffix('/').unwrap_or(&plain)),
        Text::Parts(parts) => {
            let mut parts = parts.into_vec();
            if let Some(Segment::Literal(end)) = parts.last_mut() {
                *end = end.strip_suffix('/').unwrap_or(end).into();
            }
            Text::Parts(parts.into())
        }
    }
}
