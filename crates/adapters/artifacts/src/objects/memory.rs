//! Objects in memory, for tests.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowforge_ports::artifacts::{ArtifactError, Each};

use super::{Objects, Upload};

type Map = BTreeMap<String, Arc<[u8]>>;

/// Objects in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    objects: Arc<Mutex<Map>>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Map> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects for Memory {
    fn get(&self, key: &str) -> Result<Option<Box<dyn Read>>, ArtifactError> {
        let found = self.lock().get(key).cloned();
        Ok(found.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read>))
    }

    fn create(&self, key: &str) -> Result<Box<dyn Upload>, ArtifactError> {
        Ok(Box::new(Filling { memory: self.clone(), key: key.to_owned(), bytes: Vec::new() }))
    }

    fn list(&self, key: &str, each: &mut Each<'_>) -> Result<(), ArtifactError> {
        let prefix = format!("{key}/");
        let keys: Vec<String> = self.lock().keys().cloned().collect();
        keys.iter().filter_map(|key| key.strip_prefix(&prefix)).try_for_each(each)
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

struct Filling {
    memory: Memory,
    key: String,
    bytes: Vec<u8>,
}

impl Write for Filling {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.bytes.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Filling {
    fn finish(self: Box<Self>) -> Result<(), ArtifactError> {
        self.memory.lock().insert(self.key, self.bytes.into());
        Ok(())
    }
}
