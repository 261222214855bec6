//! A directory of archived workflows: `DAY/ID.jsonl.zst`, one file for each, by the day it was
//! submitted. docs/reference/archive.md describes what is in them.
//!
//! A file appears when it is complete and durable, and never changes then: it is written under
//! another name first. The same workflow again replaces it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flowforge_model::id::WorkflowId;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;

use crate::postgres::{EndedWorkflow, PostgresStore};

/// Text of rows: most of what can be had, at a tenth of the time of the highest level.
const ZSTD_LEVEL: i32 = 6;

/// An archive.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
}

/// A workflow that was archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// The workflow, as it was.
    pub workflow: EndedWorkflow,
    /// Its file.
    pub path: PathBuf,
    /// Rows in there.
    pub rows: u64,
}

impl Archive {
    /// Makes the directory if there is none, and tries whether it can be written.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let trial = directory.join(format!(".trial.{}", std::process::id()));
        File::create(&trial)?;
        fs::remove_file(&trial)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Archives a workflow. It is durable when this returns. Blocks while it writes.
    ///
    /// # Errors
    /// `NotFound` if it is gone; `Unavailable`, of the database or of the directory.
    pub async fn keep(
        &self,
        store: &PostgresStore,
        id: WorkflowId,
        at: Timestamp,
    ) -> Result<Archived, StoreError> {
        let part = self.directory.join(format!(".{id}.{}", std::process::id()));
        let kept = self.write(store, id, at, &part).await;
        if kept.is_err() {
            // It may not even be there.
            drop(fs::remove_file(&part));
        }
        kept
    }

    async fn write(
        &self,
        store: &PostgresStore,
        id: WorkflowId,
        at: Timestamp,
        part: &Path,
    ) -> Result<Archived, StoreError> {
        let told = |error: io::Error| {
            let place = self.directory.display();
            StoreError::Unavailable(format!("cannot write the archive {place}: {error}"))
        };
        let file = File::create(part).map_err(told)?;
        let encoder = zstd::Encoder::new(BufWriter::new(file), ZSTD_LEVEL).map_err(told)?;
        let (exported, encoder) = store.export(id, at, encoder).await?;
        let file = encoder.finish().and_then(|mut writer| {
            writer.flush()?;
            writer.into_inner().map_err(io::IntoInnerError::into_error)
        });
        file.and_then(|file| file.sync_all()).map_err(told)?;
        let path = self.place(id, exported.created_at);
        self.publish(part, &path).map_err(told)?;
        Ok(Archived { workflow: exported.workflow, path, rows: exported.rows })
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
