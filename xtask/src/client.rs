//! A client that costs next to nothing: one connection per request, no library, so that what is
//! measured is the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;

/// Longer than any case takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Longer than any workflow that is waited for.
const LIFE: Duration = Duration::from_secs(1800);

/// How long between two looks.
const GLANCE: Duration = Duration::from_millis(10);

const JSON: &str = "application/json";

/// Where a server is and how to be let in.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: String,
    token: String,
    patience: Duration,
}

impl Client {
    pub(crate) fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").context("the server's address")?;
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { address, token: token.to_owned(), patience: PATIENCE })
    }

    /// The same, which gives up after so long.
    pub(crate) fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn send(
        &self,
        (method, path): (&str, &str),
        (kind, accept): (&str, &str),
        body: &str,
    ) -> anyhow::Result<BufReader<TcpStream>> {
        self.send_with((method, path), &format!("Accept: {accept}\r\nContent-Type: {kind}"), body)
    }

    fn send_with(
        &self,
        (method, path): (&str, &str),
        headers: &str,
        body: &str,
    ) -> anyhow::Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(&self.address).context("connect")?;
        stream.set_nodelay(true).context("set up the connection")?;
        stream.set_read_timeout(Some(self.patience)).context("set up the connection")?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             {headers}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).context("send")?;
        stream.write_all(body.as_bytes()).context("send")?;
        Ok(BufReader::new(stream))
    }

    /// The JSON that a request is answered with.
    pub(crate) fn json(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        self.answer((method, &format!("/api/v1{path}")), JSON, body)
    }

    /// The same for a path that is not the API's.
    pub(crate) fn outside(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(("GET", path), JSON, "")
    }

    /// The text at such a path.
    pub(crate) fn text(&self, path: &str) -> anyhow::Result<String> {
        let (status, text) = whole(self.send(("GET", path), (JSON, "*/*"), "")?)?;
        let text = String::from_utf8(text).context("read the answer")?;
        ensure!(status == 200, "{path}: {status} {text}");
        Ok(text)
    }

    fn answer(
        &self,
        (method, path): (&str, &str),
        kind: &str,
        body: &str,
    ) -> anyhow::Result<Value> {
        let (status, text) = whole(self.send((method, path), (kind, JSON), body)?)?;
        ensure!(
            (200..300).contains(&status),
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(&text)
        );
        serde_json::from_slice(&text).context("read the answer")
    }

    /// Submits a document; its id.
    pub(crate) fn submit(&self, document: &str) -> anyhow::Result<String> {
        let answer = self.json("POST", "/workflows", document)?;
        Ok(answer["id"].as_str().context("an id")?.to_owned())
    }

    /// Submits a document in YAML; its id.
    pub(crate) fn submit_yaml(&self, document: &str) -> anyhow::Result<String> {
        let answer = self.answer(("POST", "/api/v1/workflows"), "application/yaml", document)?;
        Ok(answer["id"].as_str().context("an id")?.to_owned())
    }

    /// Submits a document under a key, once however often this is called: status and answer.
    pub(crate) fn submit_once(
        &self,
        key: &str,
        kind: &str,
        document: &str,
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        let headers = format!("Accept: {JSON}\r\nContent-Type: {kind}\r\nIdempotency-Key: {key}");
        whole(self.send_with(("POST", "/api/v1/workflows"), &headers, document)?)
    }

    /// Waits for the end of a workflow, after record `after` of its history; its last status.
    pub(crate) fn wait(&self, id: &str) -> anyhow::Result<String> {
        let path = format!("/api/v1/workflows/{id}/events");
        let mut answer = self.send(("GET", &path), (JSON, "text/event-stream"), "")?;
        let (status, _) = head(&mut answer)?;
        ensure!(status == 200, "GET {path}: {status}");
        let begun = Instant::now();
        let mut line = String::new();
        // The server says something every few seconds, also if nothing happens.
        while answer.read_line(&mut line).context("follow the workflow")? > 0 {
            ensure!(begun.elapsed() < LIFE, "{id} does not end");
            if line.starts_with("event: end") {
                let workflow = self.json("GET", &format!("/workflows/{id}"), "")?;
                return Ok(workflow["status"].as_str().context("a status")?.to_owned());
            }
            line.clear();
        }
        bail!("the server closed the stream before the workflow ended")
    }

    /// Waits until no workflow is left to do, without following any: what is measured is not how many
    /// people look on.
    fn wait_for_all(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let unfinished = "/workflows?status=PENDING,RUNNING,PAUSED&limit=1";
        while self.json("GET", unfinished, "")?["items"] != Value::Array(Vec::new()) {
            ensure!(begun.elapsed() < self.patience, "workflows do not end");
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Submits a document so many times; their ids.
    pub(crate) fn submit_all(&self, document: &str, copies: usize) -> anyhow::Result<Vec<String>> {
        // As many users as submissions, up to eight: they come at once, not one after the other.
        let users = copies.clamp(1, 8);
        let ids = thread::scope(|scope| {
            let submit = |user: usize| {
                let own = (user..copies).step_by(users);
                own.map(|_| self.submit(document)).collect::<anyhow::Result<Vec<_>>>()
            };
            let all: Vec<_> = (0..users).map(|user| scope.spawn(move || submit(user))).collect();
            all.into_iter()
                .map(|user| user.join().map_err(|_| anyhow!("a user panicked"))?)
                .collect::<anyhow::Result<Vec<_>>>()
        })?;
        Ok(ids.concat())
    }

    /// From submitting a document, `copies` times, to the end of the last one, found out at most
    /// 10 ms and an answer later.
    pub(crate) fn makespan(&self, document: &str, copies: usize) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let ids = self.submit_all(document, copies)?;
        self.wait_for_all()?;
        let took = begun.elapsed();
        for id in &ids {
            let workflow = self.json("GET", &format!("/workflows/{id}"), "")?;
            ensure!(workflow["status"] == "SUCCEEDED", "{id} is {}", workflow["status"]);
        }
        Ok(took)
    }
}

/// Status and body.
fn whole(mut answer: BufReader<TcpStream>) -> anyhow::Result<(u16, Vec<u8>)> {
    let (status, chunked) = head(&mut answer)?;
    let mut text = Vec::new();
    answer.read_to_end(&mut text).context("read the answer")?;
    Ok((status, if chunked { unchunk(&text)? } else { text }))
}

/// Status and whether the body comes in chunks.
fn head(answer: &mut BufReader<TcpStream>) -> anyhow::Result<(u16, bool)> {
    let mut line = String::new();
    answer.read_line(&mut line).context("read the answer")?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("an answer that is not HTTP: {line:?}"))?;
    let mut chunked = false;
    loop {
        line.clear();
        answer.read_line(&mut line).context("read the answer")?;
        if line.trim().is_empty() {
            return Ok((status, chunked));
        }
        chunked |= line.to_ascii_lowercase().starts_with("transfer-encoding: chunked");
    }
}

fn unchunk(mut bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.iter().position(|byte| *byte == b'\n').context("a chunk")?;
        let size = std::str::from_utf8(&bytes[..end]).context("a chunk's size")?;
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        if size == 0 {
            return Ok(whole);
        }
        let from = end + 1;
        whole.extend(bytes.get(from..from + size).context("a whole chunk")?);
        bytes = bytes.get(from + size + 2..).context("the next chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::unchunk;

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(unchunk(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").unwrap(), b"abcde");
        assert!(unchunk(b"9\r\nabc").is_err());
    }
}
