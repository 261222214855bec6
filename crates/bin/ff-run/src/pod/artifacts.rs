//! Artifacts, moved again from their start when the server goes away meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowforge_artifacts::Carried;
use flowforge_model::artifact::{Artifact, StageIn, StageOut};
use flowforge_ports::artifacts::{ArtifactError, Artifacts};
use flowforge_process::Warden;

use super::backoff::Backoff;
use super::line::ServerLine;
use super::server::Server;

/// A transfer that was cut after it had lasted longer than all waiting may is begun again so often.
const LONG_ONES: u32 = 3;

/// A line to the server, and the patience to wait for it.
pub(super) struct Patient {
    line: Arc<ServerLine>,
    carried: Carried,
    warden: Arc<Warden>,
    wait: Duration,
}

impl Patient {
    /// Waits for the server for `wait` in all, for each artifact. `scratch` is as for [`Carried`].
    pub(super) fn new(
        server: &Server,
        warden: &Arc<Warden>,
        wait: Duration,
        scratch: &Path,
    ) -> Self {
        let line = Arc::new(ServerLine::new(server.clone()));
        let carried = Carried::new(Arc::<ServerLine>::clone(&line), scratch.to_owned());
        Self { line, carried, warden: Arc::clone(warden), wait }
    }

    /// Tries until it is done, or what stands in the way is not that the server is away.
    fn again<T>(
        &self,
        mut go: impl FnMut() -> Result<T, ArtifactError>,
    ) -> Result<T, ArtifactError> {
        let mut backoff = Backoff::new(self.wait);
        let mut long_ones = 0;
        loop {
            self.line.forget();
            let begun = Instant::now();
            let error = match go() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(trouble) = self.line.trouble() else { return Err(error) };
            if begun.elapsed() > self.wait && long_ones < LONG_ONES {
                long_ones += 1;
                backoff = Backoff::new(self.wait);
            }
            let next = if trouble.is_final() { None } else { backoff.next(trouble.fatal_after()) };
            let Some(pause) = next else { return Err(error) };
            if self.warden.sleep(pause).is_err() || self.warden.asked() {
                return Err(error);
            }
        }
    }
}

impl Artifacts for Patient {
    fn fetch(
        &self,
        input: &StageIn,
        to: &Path,
        stopped: &dyn Fn() -> bool,
    ) -> Result<bool, ArtifactError> {
        self.again(|| self.carried.fetch(input, to, stopped))
    }

    fn keep(
        &self,
        from: &Path,
        output: &StageOut,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Artifact>, ArtifactError> {
        self.again(|| self.carried.keep(from, output, stopped))
    }
}
