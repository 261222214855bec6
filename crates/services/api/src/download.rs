//! Artifacts of tasks, to be downloaded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flowforge_model::artifact::{Archive, Artifact, StageIn};
use flowforge_model::id::WorkflowId;
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::{ArtifactError, Artifacts};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use uuid::Uuid;

use crate::Shared;
use crate::backend::Backend;
use crate::path::ArtifactPath;
use crate::problem::{Code, Failure, shown};
use crate::query::Query;
use crate::tasks;

/// Bytes of one piece, and pieces that wait to be sent.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;
/// Files of a folder that are named to whoever asked for the folder.
const NAMED: usize = 20;

/// Where artifacts come from, and a directory to put them down in on the way.
#[derive(Clone)]
pub struct Downloads {
    /// The places of artifacts.
    pub artifacts: Arc<dyn Artifacts>,
    /// A directory of the server's own. What is in it lives as long as one request.
    pub scratch: PathBuf,
}

impl std::fmt::Debug for Downloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Downloads").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

/// Download an artifact
///
/// What the task gave, unpacked if it is a file. A folder comes as it is kept, as an archive; with
/// `path` one file of it.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/tasks/{task}/artifacts/{name}", tag = "tasks",
    params(
        ("id" = String, Path, description = "The workflow's id"),
        ("task" = String, Path, description = "The task's dotted name, or its id"),
        ("name" = String, Path, description = "The artifact's name"),
        ("path" = Option<String>, Query, description = "Only this file of a folder"),
    ),
    responses((status = 200, description = "Its bytes", body = String, content_type = "application/octet-stream"))
)]
pub(crate) async fn download(
    State(shared): State<Arc<Shared>>,
    path: ArtifactPath,
    uri: Uri,
) -> Result<Response, Failure> {
    let query = Query::parse(&uri, &["path"])?;
    let part = query.one("path")?.map(part).transpose()?;
    let ArtifactPath { id, task, name } = path;
    let wanted = name.clone();
    let find = move |backend: &dyn Backend| find(backend, id, (&task, &wanted), part);
    let artifact = shared.call(find).await?;
    let Some(downloads) = shared.config.downloads.clone() else {
        return Err(Failure::new(Code::Refused, "this server keeps no artifacts"));
    };
    let permit = Arc::clone(&shared.downloads).acquire_owned().await;
    let permit = permit.map_err(|_| Failure::new(Code::Unavailable, "the server is going down"))?;
    let closing = shared.closing.watch();
    let fetch = move || {
        let fetched = Fetching { downloads: &downloads, closing: &closing }.run(&name, artifact);
        (fetched, closing)
    };
    let (fetched, closing) = tokio::task::spawn_blocking(fetch).await.map_err(|error| {
        tracing::error!(%error, "a download panicked");
        Failure::new(Code::Internal, Code::Internal.text())
    })?;
    let Fetched { file, bytes, name } = fetched?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    // Whatever a task wrote never runs in the place of this server.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    if let Ok(value) = HeaderValue::try_from(disposition(&name)) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok((headers, body(file, (permit, closing))).into_response())
}

/// A part of a folder: relative, and nowhere else.
fn part(text: &str) -> Result<String, Failure> {
    let clean = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if clean && !text.contains('\\') {
        Ok(text.to_owned())
    } else {
        let detail = "`path` is a path within the artifact: no `/` at its ends, no `.` or `..`";
        Err(Failure::at(Code::BadParameter, "?path", detail))
    }
}

fn find(
    backend: &dyn Backend,
    id: WorkflowId,
    (task, name): (&str, &str),
    part: Option<String>,
) -> Result<Artifact, Failure> {
    let row = tasks::find(backend, id, task)?;
    let outputs = row.state.outputs.unwrap_or_default();
    let known: Vec<String> = outputs.artifacts.iter().map(|(name, _)| name.clone()).collect();
    let found = outputs.artifacts.into_iter().find(|(of, _)| of == name);
    let Some((_, mut artifact)) = found else {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let detail =
            format!("the task gave no artifact `{}`; it gave: {}", shown(name), shown(&known));
        return Err(Failure::new(Code::NotFound, detail));
    };
    if let Some(part) = part {
        artifact.sub_path = Some(match artifact.sub_path {
            Some(base) => format!("{}/{part}", base.trim_end_matches('/')),
            None => part,
        });
    }
    Ok(artifact)
}

/// A file to send. Nothing of it is left on the disk but its contents, until it is closed.
struct Fetched {
    file: File,
    bytes: u64,
    name: String,
}

struct Fetching<'a> {
    downloads: &'a Downloads,
    closing: &'a watch::Receiver<bool>,
}

impl Fetching<'_> {
    fn run(&self, name: &str, artifact: Artifact) -> Result<Fetched, Failure> {
        let folder = Folder::new(&self.downloads.scratch)?;
        let to = folder.0.join("data");
        let last = artifact.sub_path.as_deref().and_then(|path| path.rsplit('/').next());
        let file_name = last.unwrap_or(name).to_owned();
        self.fetch(name, artifact.clone(), &to)?;
        if to.is_file() {
            return open(&to, file_name);
        }
        let ending = match artifact.archive {
            Archive::TarGz => "tgz",
            Archive::Zip => "zip",
            Archive::None => return Err(is_folder(&to)),
        };
        if artifact.sub_path.is_some() {
            return Err(is_folder(&to));
        }
        // The archive itself: a folder is best sent as what it was packed into.
        let packed = folder.0.join("packed");
        self.fetch(name, Artifact { archive: Archive::None, ..artifact }, &packed)?;
        open(&packed, format!("{file_name}.{ending}"))
    }

    fn fetch(&self, name: &str, artifact: Artifact, to: &Path) -> Result<(), Failure> {
        let input = StageIn {
            name: name.to_owned(),
            path: String::new(),
            artifact: Some(artifact),
            optional: false,
            mode: None,
            recurse: false,
        };
        let stopped = || *self.closing.borrow();
        self.downloads.artifacts.fetch(&input, to, &stopped).map(|_| ()).map_err(refused)
    }
}

fn refused(error: ArtifactError) -> Failure {
    let code = match error.reason {
        Reason::ArtifactMissing => Code::NotFound,
        Reason::Stopped => Code::Unavailable,
        _ if error.transient => Code::Unavailable,
        _ => Code::Refused,
    };
    Failure::new(code, error.message)
}

fn is_folder(path: &Path) -> Failure {
    let mut names = Vec::new();
    files(path, "", &mut names);
    names.sort_unstable();
    let more = if names.len() > NAMED { ", ..." } else { "" };
    names.truncate(NAMED);
    let list: Vec<_> = names.iter().map(|name| shown(name)).collect();
    let detail = format!(
        "it is a folder: name a file in it with `path`, one of {}{more}",
        if list.is_empty() { "none".to_owned() } else { list.join(", ") }
    );
    Failure::new(Code::Refused, detail)
}

/// Files below a folder, at most a few more than are named.
fn files(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if names.len() > NAMED {
            return;
        }
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&entry.path(), &format!("{name}/"), names);
        } else {
            names.push(name);
        }
    }
}

fn open(path: &Path, name: String) -> Result<Fetched, Failure> {
    let file = File::open(path).and_then(|file| file.metadata().map(|about| (file, about.len())));
    let (file, bytes) = file.map_err(|error| on_disk(&error))?;
    Ok(Fetched { file, bytes, name })
}

fn on_disk(error: &io::Error) -> Failure {
    tracing::error!(%error, "an artifact cannot be put down");
    Failure::new(Code::Unavailable, "the server cannot put the artifact down on its disk")
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(scratch: &Path) -> Result<Self, Failure> {
        let path = scratch.join(format!("download-{}", Uuid::now_v7()));
        fs::create_dir_all(&path).map_err(|error| on_disk(&error))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot be removed");
        }
    }
}

/// The bytes of a file, read as far ahead as the client reads on. Ends early when the server goes
/// down or the client does.
fn body(mut file: File, (permit, closing): (OwnedSemaphorePermit, watch::Receiver<bool>)) -> Body {
    let (to, from) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut piece = vec![0; PIECE];
        loop {
            let read = match file.read(&mut piece) {
                Ok(0) => return,
                Ok(_) if *closing.borrow() => Err(io::Error::other("the server is going down")),
                Ok(bytes) => Ok(Bytes::copy_from_slice(piece.get(..bytes).unwrap_or_default())),
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if to.blocking_send(read).is_err() || failed {
                return;
            }
        }
    });
    Body::from_stream(stream::unfold(from, async |mut from| Some((from.recv().await?, from))))
}

/// A name to save it under, in both forms of RFC 6266.
fn disposition(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    let ascii: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let mut escaped = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{escaped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stays_inside_and_names_are_harmless() {
        for bad in ["", "/a", "a/", "..", "a/../b", "./a", "a//b", "a\\b"] {
            assert!(part(bad).is_err(), "{bad}");
        }
        assert_eq!(part("a/b.txt").unwrap(), "a/b.txt");
        assert_eq!(
            disposition("a\"b\r\né/x.txt"),
            "attachment; filename=\"a_b____x.txt\"; filename*=UTF-8''a%22b%0D%0A%C3%A9%2Fx.txt"
        );
    }
}
