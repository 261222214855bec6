//! Artifacts behind URLs: fetched by GET, kept by PUT.

use std::fs::File;
use std::io::{Read, Seek};

use flowforge_http::{Answer, Call, Client, HttpError, Payload, headers};
use flowforge_model::artifact::HttpLocation;
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::ArtifactError;
use flowforge_ports::secrets::Secrets;

use crate::fault::{disk, secret_missing, unreachable};
use crate::objects::Received;

/// One place behind a URL.
pub(crate) struct Web<'a> {
    pub(crate) client: &'a Client,
    pub(crate) secrets: &'a dyn Secrets,
    pub(crate) place: &'a HttpLocation,
}

impl Web<'_> {
    /// What is there; none if nothing is.
    pub(crate) fn get(&self, sub: Option<&str>) -> Result<Option<Box<dyn Read>>, ArtifactError> {
        let url = match sub {
            None => self.place.url.clone(),
            Some(sub) => below(&self.place.url, sub),
        };
        let answer = self.send("GET", &url, Payload::None)?;
        match answer.status {
            200..300 => {
                let place = self.place.url.clone();
                Ok(Some(Box::new(Received { place, inner: answer.into_reader() })))
            }
            404 | 410 => Ok(None),
            status => Err(refused(&self.place.url, status)),
        }
    }

    /// Puts a whole file there.
    pub(crate) fn put(&self, mut file: File) -> Result<(), ArtifactError> {
        let length = file.stream_position().map_err(|error| disk("cannot read it", &error))?;
        file.rewind().map_err(|error| disk("cannot read it", &error))?;
        let payload = Payload::Stream(&mut file, length);
        let answer = self.send("PUT", &self.place.url, payload)?;
        match answer.status {
            200..300 => Ok(()),
            status => Err(refused(&self.place.url, status)),
        }
    }

    fn send(&self, method: &str, url: &str, payload: Payload<'_>) -> Result<Answer, ArtifactError> {
        let headers = headers(&self.place.headers, self.secrets).map_err(secret_missing)?;
        let call = Call {
            method,
            url,
            headers: &headers,
            timeout: None,
            insecure: false,
            redirects: true,
        };
        self.client.send(&call, payload).map_err(|error| failed(&self.place.url, &error))
    }
}

fn failed(url: &str, error: &HttpError) -> ArtifactError {
    ArtifactError { reason: Reason::HttpFailed, ..unreachable(url, error) }
}

fn refused(url: &str, status: u16) -> ArtifactError {
    ArtifactError {
        reason: Reason::HttpFailed,
        transient: status >= 500 || status == 429,
        message: format!("{url} answers {status}"),
    }
}

/// The URL of a part.
fn below(url: &str, sub: &str) -> String {
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url, None),
    };
    let mut joined = format!("{}/{sub}", path.trim_end_matches('/'));
    if let Some(query) = query {
        joined.push('?');
        joined.push_str(query);
    }
    joined
}
