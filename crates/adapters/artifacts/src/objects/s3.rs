//! Objects of a bucket, by the six requests of S3 that this takes.
//!
//! Buckets are named in the path, which every server understands. A request that a server could
//! not answer is sent again twice; all of them can be.

mod sign;
mod upload;
mod xml;

use std::fmt::Write as _;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use flowforge_http::{Answer, Call, Client, Header, HttpError, Payload};
use flowforge_ports::artifacts::{ArtifactError, Each};

use super::{Objects, Upload};
use crate::fault::{store, through, unreachable};
use sign::{Signing, encode};
use upload::Sending;

/// Waits before a request is sent again.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
/// Bytes of an answer that is not an object: a list of a thousand keys is the longest.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// What servers that know no regions are told.
const REGION: &str = "us-east-1";

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Host, and port if it is not the usual one.
    pub endpoint: String,
    /// Its name.
    pub bucket: String,
    /// The region; `us-east-1` if none is given.
    pub region: Option<String>,
    /// Plain HTTP instead of TLS.
    pub insecure: bool,
    /// Who asks; without one anonymously.
    pub keys: Option<Keys>,
}

/// An access key and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The name of the key.
    pub access: String,
    /// The secret half.
    pub secret: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Objects of a bucket.
#[derive(Clone, Debug)]
pub(crate) struct S3 {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    bucket: Bucket,
    host: String,
}

/// One request: what is asked of which key. A query is a list of names and values.
struct Ask<'a> {
    method: &'a str,
    /// Empty for the bucket itself.
    key: &'a str,
    query: &'a [(&'a str, &'a str)],
    body: &'a [u8],
}

impl S3 {
    pub(crate) fn new(bucket: Bucket, client: Client) -> Self {
        let usual = if bucket.insecure { ":80" } else { ":443" };
        let host = bucket.endpoint.strip_suffix(usual).unwrap_or(&bucket.endpoint);
        let host = match (host, &bucket.region) {
            // The one without a region knows only the buckets of one.
            ("s3.amazonaws.com", Some(region)) => format!("s3.{region}.amazonaws.com"),
            _ => host.to_owned(),
        };
        Self { inner: Arc::new(Inner { client, bucket, host }) }
    }

    /// Sends a request until it is answered, and takes answers below 300 for good.
    fn ask(&self, ask: &Ask<'_>) -> Result<Answer, ArtifactError> {
        match self.answer(ask)? {
            answer if answer.status < 300 => Ok(answer),
            answer => Err(self.refusal(answer).0),
        }
    }

    fn answer(&self, ask: &Ask<'_>) -> Result<Answer, ArtifactError> {
        let mut waits = AGAIN.iter();
        loop {
            let outcome = self.send(ask);
            let again = match &outcome {
                Ok(answer) => answer.status >= 500 || answer.status == 429,
                Err(error) => error.transient(),
            };
            match (again, waits.next()) {
                (true, Some(wait)) => std::thread::sleep(*wait),
                _ => return outcome.map_err(|error| unreachable(&self.name(), &error)),
            }
        }
    }

    fn send(&self, ask: &Ask<'_>) -> Result<Answer, HttpError> {
        let Inner { client, bucket, host } = &*self.inner;
        let mut path = format!("/{}", encode(&bucket.bucket, false));
        if !ask.key.is_empty() {
            path.push('/');
            path.push_str(&encode(ask.key, true));
        }
        let mut query: Vec<(String, String)> =
            ask.query.iter().map(|(k, v)| (encode(k, false), encode(v, false))).collect();
        query.sort();
        let query: Vec<String> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let query = query.join("&");
        let headers = match &bucket.keys {
            None => Vec::new(),
            Some(keys) => Signing {
                keys,
                region: bucket.region.as_deref().unwrap_or(REGION),
                method: ask.method,
                host,
                path: &path,
                query: &query,
                body: ask.body,
            }
            .headers(jiff::Timestamp::now()),
        };
        let headers: Vec<Header> = headers
            .into_iter()
            .map(|(name, value)| {
                let secret = name == "authorization";
                Header { name: name.to_owned(), value: value.into_bytes(), secret }
            })
            .collect();
        let scheme = if bucket.insecure { "http" } else { "https" };
        let mut url = format!("{scheme}://{host}{path}");
        if !query.is_empty() {
            url.push('?');
            url.push_str(&query);
        }
        let payload = match ask.method {
            "PUT" | "POST" => Payload::Bytes(ask.body),
            _ => Payload::None,
        };
        let call = Call {
            method: ask.method,
            url: &url,
            headers: &headers,
            timeout: None,
            insecure: false,
            redirects: false,
        };
        client.send(&call, payload)
    }

    /// What a bad answer says, and its code.
    fn refusal(&self, answer: Answer) -> (ArtifactError, String) {
        let status = answer.status;
        let body = answer.bytes(ANSWER_BYTES).unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        let code = xml::first(&body, "Code").unwrap_or_default();
        let mut message = format!("{} answers {status}", self.name());
        if !code.is_empty() {
            let said = xml::first(&body, "Message").unwrap_or_default();
            let said: String = said.chars().take(200).collect();
            let written = write!(message, ", {code}: {said}");
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        let mut error = store(message);
        error.transient = status >= 500 || status == 429;
        (error, code)
    }

    fn text(&self, ask: &Ask<'_>) -> Result<String, ArtifactError> {
        let body = self.ask(ask)?.bytes(ANSWER_BYTES);
        let body = body.map_err(|error| unreachable(&self.name(), &error))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

#[cfg(test)]
impl S3 {
    /// Makes the bucket.
    pub(crate) fn make(&self) -> Result<(), ArtifactError> {
        self.ask(&Ask { method: "PUT", key: "", query: &[], body: &[] }).map(|_| ())
    }

    /// The uploads in parts that nobody finished.
    pub(crate) fn unfinished(&self) -> Result<usize, ArtifactError> {
        let ask = Ask { method: "GET", key: "", query: &[("uploads", "")], body: &[] };
        Ok(xml::all(&self.text(&ask)?, "UploadId").count())
    }
}

impl Objects for S3 {
    fn get(&self, key: &str) -> Result<Option<Box<dyn Read>>, ArtifactError> {
        let answer = self.answer(&Ask { method: "GET", key, query: &[], body: &[] })?;
        if answer.status < 300 {
            let place = self.name();
            return Ok(Some(Box::new(Received { place, inner: answer.into_reader() })));
        }
        let status = answer.status;
        match self.refusal(answer) {
            (_, code) if status == 404 && code != "NoSuchBucket" => Ok(None),
            (error, _) => Err(error),
        }
    }

    fn create(&self, key: &str) -> Result<Box<dyn Upload>, ArtifactError> {
        Ok(Box::new(Sending::new(self.clone(), key)))
    }

    fn list(&self, key: &str, each: &mut Each<'_>) -> Result<(), ArtifactError> {
        let prefix = format!("{key}/");
        let mut more = None;
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", prefix.as_str())];
            query.extend(more.as_deref().map(|token| ("continuation-token", token)));
            let page = self.text(&Ask { method: "GET", key: "", query: &query, body: &[] })?;
            for key in xml::all(&page, "Key") {
                if let Some(below) = key.strip_prefix(&prefix) {
                    each(below)?;
                }
            }
            let token = xml::first(&page, "NextContinuationToken");
            match token {
                // The same again would be a list without an end.
                Some(token) if more.as_ref() != Some(&token) => more = Some(token),
                _ => return Ok(()),
            }
        }
    }

    fn name(&self) -> String {
        let Inner { bucket, host, .. } = &*self.inner;
        format!("the bucket {} at {host}", bucket.bucket)
    }
}

/// An object on its way in.
pub(crate) struct Received {
    pub(crate) place: String,
    pub(crate) inner: Box<dyn Read>,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => {
                let mut broken = store(format!("{} broke off: {error}", self.place));
                broken.transient = true;
                through(broken)
            }
        })
    }
}
