//! An object on its way out: whole if it is small, else in parts.

use std::io::{self, Write};

use flowforge_ports::artifacts::ArtifactError;

use super::{Ask, S3, xml};
use crate::fault::{store, through, unreachable};
use crate::objects::{Objects, Upload};

/// Bytes of a part, held until they are sent. S3 takes parts of 5 MiB and more, and 10,000 of them:
/// this is room for 80 GB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// An object that is being sent.
pub(super) struct Sending {
    bucket: S3,
    key: String,
    buffer: Vec<u8>,
    /// The upload in parts, once there is one.
    parts: Option<Parts>,
}

struct Parts {
    id: String,
    tags: Vec<String>,
}

impl Sending {
    pub(super) fn new(bucket: S3, key: &str) -> Self {
        Self { bucket, key: key.to_owned(), buffer: Vec::new(), parts: None }
    }

    fn send_part(&mut self) -> Result<(), ArtifactError> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => {
                let query = [("uploads", "")];
                let ask = Ask { method: "POST", key: &self.key, query: &query, body: &[] };
                let answer = self.bucket.text(&ask)?;
                let id = xml::first(&answer, "UploadId").ok_or_else(|| {
                    store(format!("{} begins no upload in parts", self.bucket.name()))
                })?;
                none.insert(Parts { id, tags: Vec::new() })
            }
        };
        let number = (parts.tags.len() + 1).to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", parts.id.as_str())];
        let ask = Ask { method: "PUT", key: &self.key, query: &query, body: &self.buffer };
        let answer = self.bucket.ask(&ask)?;
        parts.tags.push(answer.header("etag").unwrap_or_default().to_owned());
        drain(&self.bucket, answer)?;
        self.buffer.clear();
        Ok(())
    }

    fn complete(&self, parts: &Parts) -> Result<(), ArtifactError> {
        let list: Vec<String> = (1..)
            .zip(&parts.tags)
            .map(|(number, tag): (u32, _)| {
                let tag = xml::escape(tag);
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
            })
            .collect();
        let list = list.concat();
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let query = [("uploadId", parts.id.as_str())];
        let ask = Ask { method: "POST", key: &self.key, query: &query, body: body.as_bytes() };
        let answer = self.bucket.text(&ask)?;
        // It may fail after the server has begun to answer that it did not.
        match xml::first(&answer, "Code").filter(|_| answer.contains("<Error>")) {
            None => Ok(()),
            Some(code) => {
                let mut error =
                    store(format!("{} cannot join the parts: {code}", self.bucket.name()));
                error.transient = true;
                Err(error)
            }
        }
    }
}

/// A connection is used again when its answer has been read.
fn drain(bucket: &S3, answer: flowforge_http::Answer) -> Result<(), ArtifactError> {
    let read = answer.bytes(super::ANSWER_BYTES);
    read.map(|_| ()).map_err(|error| unreachable(&bucket.name(), &error))
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PART_BYTES - self.buffer.len().min(PART_BYTES);
        let count = bytes.len().min(room);
        self.buffer.extend_from_slice(bytes.get(..count).unwrap_or(&[]));
        if self.buffer.len() >= PART_BYTES {
            self.send_part().map_err(through)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Sending {
    fn finish(mut self: Box<Self>) -> Result<(), ArtifactError> {
        if self.parts.is_none() {
            let ask = Ask { method: "PUT", key: &self.key, query: &[], body: &self.buffer };
            return drain(&self.bucket, self.bucket.ask(&ask)?);
        }
        if !self.buffer.is_empty() {
            self.send_part()?;
        }
        if let Some(parts) = self.parts.take()
            && let Err(error) = self.complete(&parts)
        {
            self.parts = Some(parts);
            return Err(error);
        }
        Ok(())
    }
}

impl Drop for Sending {
    /// Parts of what is not finished would be paid for for ever.
    fn drop(&mut self) {
        let Some(parts) = &self.parts else {
            return;
        };
        let query = [("uploadId", parts.id.as_str())];
        let ask = Ask { method: "DELETE", key: &self.key, query: &query, body: &[] };
        if let Err(error) = self.bucket.ask(&ask) {
            tracing::warn!(%error, key = self.key, "parts of an upload are left");
        }
    }
}
