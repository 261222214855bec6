//! A directory of archived workflows: `DAY/ID.jsonl.zst`, one file for each, by the day it was
//! submitted. docs/reference/archive.md describes what is in them.
//!
//! A file appears when it is complete and durable: it is written under another name first. The same
//! workflow again replaces it as a whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flowforge_model::id::WorkflowId;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::postgres::{EndedWorkflow, PostgresStore};

/// Text of rows: most of what can be had, at a tenth of the time of the highest level.
const ZSTD_LEVEL: i32 = 6;

/// In place of a workflow's id in a file that is no sooner there than gone.
const TRIAL: &str = "trial";
/// What is still being written is younger than this.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// An archive.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
}

/// A workflow that was archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Its file.
    pub path: PathBuf,
    /// Rows in there.
    pub rows: u64,
}

impl Archive {
    /// Makes the directory if there is none, and tries whether it can be written. Removes what others
    /// began to write a day ago and left behind.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let trial = directory.join(format!(".{TRIAL}.{}", Uuid::now_v7()));
        File::create_new(&trial)?;
        fs::remove_file(&trial)?;
        let archive = Self { directory: directory.to_owned() };
        archive.clean(SystemTime::now())?;
        Ok(archive)
    }

    /// Others may be at it too.
    fn clean(&self, now: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(ours) {
                continue;
            }
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let stale = |at| now.duration_since(at).is_ok_and(|age| age > STALE);
            if written.is_ok_and(stale) {
                drop(fs::remove_file(entry.path()));
            }
        }
        Ok(())
    }

    /// Archives a workflow. It is durable when this returns. Blocks while it writes.
    ///
    /// # Errors
    /// `NotFound` if it is gone, or not as it was: it was retried. `Unavailable`, of the database or of
    /// the directory.
    pub async fn keep(
        &self,
        store: &PostgresStore,
        workflow: EndedWorkflow,
        at: Timestamp,
    ) -> Result<Archived, StoreError> {
        // Another machine may write the same workflow, and know no other number of its process.
        let part = self.directory.join(format!(".{}.{}", workflow.id, Uuid::now_v7()));
        let kept = self.write(store, workflow, at, &part).await;
        if kept.is_err() {
            // It may not even be there.
            drop(fs::remove_file(&part));
        }
        kept
    }

    async fn write(
        &self,
        store: &PostgresStore,
        workflow: EndedWorkflow,
        at: Timestamp,
        part: &Path,
    ) -> Result<Archived, StoreError> {
        let told = |error: io::Error| {
            let place = self.directory.display();
            StoreError::Unavailable(format!("cannot write the archive {place}: {error}"))
        };
        let file = File::create_new(part).map_err(told)?;
        let encoder = zstd::Encoder::new(BufWriter::new(file), ZSTD_LEVEL).map_err(told)?;
        // Compressed and written by this thread: those of the store have others waiting.
        let (lines, written) = mpsc::channel(1);
        let (exported, encoder) =
            tokio::join!(store.export(workflow, at, lines), drain(written, encoder));
        // What ends the export, if it fails itself.
        let encoder = encoder.map_err(told)?;
        let exported = exported?;
        let file = encoder.finish().and_then(|mut writer| {
            writer.flush()?;
            writer.into_inner().map_err(io::IntoInnerError::into_error)
        });
        file.and_then(|file| file.sync_all()).map_err(told)?;
        let path = self.place(workflow.id, exported.created_at);
        self.publish(part, &path).map_err(told)?;
        Ok(Archived { path, rows: exported.rows })
    }

    fn place(&self, id: WorkflowId, created_at: Timestamp) -> PathBuf {
        let moment = created_at.rfc3339();
        let day = moment.split_once('T').map_or("unknown", |(day, _)| day);
        self.directory.join(day).join(format!("{id}.jsonl.zst"))
    }

    /// The folder first: a name in a folder that is not durable is not durable either.
    fn publish(&self, part: &Path, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.directory);
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            File::open(&self.directory)?.sync_all()?;
        }
        fs::rename(part, path)?;
        File::open(folder)?.sync_all()
    }
}

async fn drain<W: Write>(mut lines: mpsc::Receiver<Vec<u8>>, mut sink: W) -> io::Result<W> {
    while let Some(some) = lines.recv().await {
        sink.write_all(&some)?;
    }
    Ok(sink)
}

/// Whether an archive made this name of a file that is not complete; the directory may hold other things.
fn ours(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|name| name.split_once('.'));
    parts.is_some_and(|(of, unique)| {
        (of == TRIAL || of.parse::<WorkflowId>().is_ok()) && Uuid::parse_str(unique).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_left_behind_goes_after_a_day_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let id = "01890a5d-ac96-774b-bcce-b30200000001";
        let [part, trial, fresh] =
            [format!(".{id}.{id}"), format!(".trial.{id}"), format!(".{id}.{}", Uuid::now_v7())];
        let others = [".bashrc".to_owned(), format!(".{id}"), format!(".{id}.1"), id.to_owned()];
        let before = SystemTime::now() - STALE - Duration::from_secs(60);
        for name in [&part, &trial].into_iter().chain(&others) {
            File::create(dir.path().join(name)).unwrap().set_modified(before).unwrap();
        }
        File::create(dir.path().join(&fresh)).unwrap();
        Archive::open(dir.path()).unwrap();
        let mut left: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = others.to_vec();
        expected.push(fresh);
        expected.sort();
        assert_eq!(left, expected);
    }
}
