//! Whether the system ended processes of this container because they took too much memory.

use std::fs;
use std::path::Path;

use flowforge_model::attempt::{Failure, FailureClass};
use flowforge_model::status::Reason;

/// Where the control group of a container is seen in it.
const GROUP: &str = "/sys/fs/cgroup";
/// Below it, by version 2 and version 1.
const COUNTERS: [&str; 2] = ["memory.events", "memory/memory.oom_control"];

/// How many processes were ended before the task began; none if that cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kills(Option<u64>);

impl Kills {
    pub(super) fn before() -> Self {
        Self(count(Path::new(GROUP)))
    }

    /// Says so if processes were ended since.
    pub(super) fn explain(self, failure: Failure) -> Failure {
        self.explain_by(count(Path::new(GROUP)), failure)
    }

    fn explain_by(self, after: Option<u64>, failure: Failure) -> Failure {
        let killed = self.0.zip(after).is_some_and(|(before, after)| after > before);
        if !killed || failure.reason != Reason::ExitCode {
            return failure;
        }
        let message = format!(
            "took more memory than its limit, and the system ended a process of it ({}): set a \
             larger limit, or let it take less",
            failure.message
        );
        Failure { class: FailureClass::User, reason: Reason::OomKilled, message }
    }
}

fn count(group: &Path) -> Option<u64> {
    COUNTERS.iter().find_map(|name| {
        let text = fs::read_to_string(group.join(name)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
        line.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_count() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(count(dir.path()), None);
        fs::create_dir(dir.path().join("memory")).unwrap();
        let old = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        fs::write(dir.path().join("memory/memory.oom_control"), old).unwrap();
        assert_eq!(count(dir.path()), Some(3));
        let new = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n";
        fs::write(dir.path().join("memory.events"), new).unwrap();
        assert_eq!(count(dir.path()), Some(1));
    }

    #[test]
    fn only_a_failure_after_a_kill_is_for_want_of_memory() {
        let failure = |reason| Failure {
            class: FailureClass::User,
            reason,
            message: "killed by signal 9".to_owned(),
        };
        let reason =
            |before, after, reason| Kills(before).explain_by(after, failure(reason)).reason;
        let (code, deadline) = (Reason::ExitCode, Reason::Deadline);
        assert_eq!(reason(Some(1), Some(2), code), Reason::OomKilled);
        assert_eq!(reason(Some(2), Some(2), code), code);
        assert_eq!(reason(None, Some(2), code), code);
        assert_eq!(reason(Some(1), None, code), code);
        assert_eq!(reason(Some(1), Some(2), deadline), deadline);
    }
}
