//! Bodies of requests: their kind is checked before they are read, their size while.

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use bytes::{Bytes, BytesMut};
use flowforge_model::limits::BODY_BYTES;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::Shared;
use crate::problem::{Code, Failure};

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
}

impl Format {
    fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let refused = |what: &str| Failure::new(Code::UnsupportedMediaType, what);
        if single(headers, &CONTENT_ENCODING)?.is_some_and(|e| e != "identity") {
            return Err(refused("the body is compressed; send it as it is"));
        }
        let text = single(headers, &CONTENT_TYPE)?
            .ok_or_else(|| refused("the header `Content-Type` is missing"))?
            .to_ascii_lowercase();
        let mut parts = text.split(';').map(str::trim);
        let format = match parts.next().unwrap_or("") {
            "application/json" => Self::Json,
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Self::Yaml,
            _ => return Err(refused("send `application/json` or `application/yaml`")),
        };
        for parameter in parts.filter(|part| !part.is_empty()) {
            if !matches!(parameter, "charset=utf-8" | "charset=\"utf-8\"") {
                return Err(refused("only `charset=utf-8` is understood"));
            }
        }
        Ok(format)
    }
}

/// The value of a header that may be given once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let refused = || Failure::new(Code::UnsupportedMediaType, format!("bad header `{name}`"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| refused()),
        (Some(_), Some(_)) => Err(refused()),
    }
}

/// Reads a body of at most `most` bytes. What is longer is refused without being read on.
async fn bytes(
    shared: &Shared,
    headers: &HeaderMap,
    mut body: Body,
    most: usize,
) -> Result<Bytes, Failure> {
    let too_large = || {
        let most = match most / 1024 {
            kib if kib >= 1024 => format!("{} MiB", kib / 1024),
            kib => format!("{kib} KiB"),
        };
        Failure::new(Code::TooLarge, format!("the body is larger than {most}"))
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    if announced.is_some_and(|length| length.parse().is_ok_and(|n: usize| n > most)) {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    loop {
        let next = tokio::time::timeout(shared.config.limits.body_timeout, body.frame()).await;
        let frame = match next {
            Err(_) => {
                return Err(Failure::new(Code::RequestTimeout, Code::RequestTimeout.text()));
            }
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => {
                return Err(Failure::new(Code::BadRequest, "the body ended early"));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref() {
            if whole.len() + data.len() > most {
                return Err(too_large());
            }
            whole.extend_from_slice(data);
        }
    }
}

/// Reads a body in UTF-8 that is JSON or YAML.
pub(crate) async fn text(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Format, String), Failure> {
    let format = Format::read(headers)?;
    let bytes = bytes(shared, headers, body, BODY_BYTES).await?;
    match String::from_utf8(bytes.into()) {
        Ok(text) => Ok((format, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let detail = format!("the body is not UTF-8: byte {at} is wrong");
            Err(Failure::new(Code::BadRequest, detail))
        }
    }
}

/// Reads a JSON body that may be missing; a missing one is `{}`.
pub(crate) async fn optional_json(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, Failure> {
    if body.is_end_stream() {
        return Ok("{}".to_owned());
    }
    let (format, text) = text(shared, headers, body).await?;
    if format != Format::Json {
        let detail = "send `application/json`";
        return Err(Failure::new(Code::UnsupportedMediaType, detail));
    }
    Ok(if text.is_empty() { "{}".to_owned() } else { text })
}

/// Reads what another part of `FlowForge` wrote as JSON, at most `most` bytes of it.
pub(crate) async fn json<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Failure> {
    if Format::read(headers)? != Format::Json {
        return Err(Failure::new(Code::UnsupportedMediaType, "send `application/json`"));
    }
    let bytes = bytes(shared, headers, body, most).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::at(Code::InvalidRequest, "", error.to_string()))
}
