//! What every store does. Each case runs on each implementation.

mod admissions;
mod children;
pub(crate) mod fixture;
mod leaders;
mod locks;
mod organization;
mod random;
mod roles;
mod schedules;
mod templates;
mod usage;
mod writes;

use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_ports::catalog::{AttemptView, Catalog, EventView};
use flowforge_ports::schedules::Schedules;
use flowforge_ports::store::Store;

use self::fixture::now;
use crate::{MemoryStore, PostgresStore, SqliteStore};

/// A store whose history and attempts can be looked at.
pub(crate) trait Subject: Store + Schedules {
    fn history(&self, id: WorkflowId) -> Vec<EventView>;
    fn attempts(&self, id: WorkflowId) -> Vec<AttemptView>;
}

impl Subject for MemoryStore {
    fn history(&self, id: WorkflowId) -> Vec<EventView> {
        Self::history(self, id)
    }

    fn attempts(&self, id: WorkflowId) -> Vec<AttemptView> {
        Self::attempts(self, id)
    }
}

impl Subject for SqliteStore {
    fn history(&self, id: WorkflowId) -> Vec<EventView> {
        now(self.events(id, 0, 1000)).unwrap_or_default()
    }

    fn attempts(&self, id: WorkflowId) -> Vec<AttemptView> {
        now(Catalog::attempts(self, id, NodeIx(0), NodeIx(u32::MAX))).unwrap_or_default()
    }
}

impl Subject for PostgresStore {
    fn history(&self, id: WorkflowId) -> Vec<EventView> {
        now(self.events(id, 0, 1000)).unwrap_or_default()
    }

    fn attempts(&self, id: WorkflowId) -> Vec<AttemptView> {
        now(Catalog::attempts(self, id, NodeIx(0), NodeIx(u32::MAX))).unwrap_or_default()
    }
}

/// A store in a directory of its own, which goes with it.
pub(crate) fn sqlite() -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("flowforge.db")).unwrap();
    (store, dir)
}

/// One test per case and store that several servers can share. Those on PostgreSQL need a server:
/// `cargo xtask test --tier postgres`.
macro_rules! shared_cases {
    ($($case:ident)+) => {
        mod on_postgres { $(
            #[test]
            #[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
            fn $case() {
                let fresh = crate::postgres::tests::fresh();
                super::$case(&fresh.store());
            }
        )+ }
        mod in_memory { $(#[test] fn $case() {
            super::$case(&crate::MemoryStore::new());
        })+ }
    };
}
pub(crate) use shared_cases;

/// One test per case and store.
macro_rules! cases {
    ($($case:ident)+) => {
        crate::conformance::shared_cases! { $($case)+ }
        mod on_sqlite { $(#[test] fn $case() {
            let (store, _dir) = crate::conformance::sqlite();
            super::$case(&store);
        })+ }
    };
}
pub(crate) use cases;
