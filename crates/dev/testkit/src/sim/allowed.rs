//! The quota that everybody in the world shares, and whether it is kept.

use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::{Dimension, Quota};
use flowforge_model::time::Timestamp;
use flowforge_ports::organization::{Edit, Organizations};
use flowforge_ports::store::StoredRun;
use flowforge_store::MemoryStore;
use uuid::Uuid;

use super::users::Users;
use super::world::block_on;
use crate::checker::Broken;
use crate::dice::Dice;

/// How many attempts and how many workflows may run at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    pods: u64,
    workflows: Option<u64>,
}

impl Allowed {
    /// Low enough to be reached.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let pods = 1 + dice.below(5);
        let workflows = dice.below(3);
        Self { pods, workflows: (workflows > 0).then_some(workflows) }
    }

    /// Gives the default tenant this quota.
    pub(super) fn set(self, rows: &MemoryStore) {
        let (tenant, id) = (EntityId::DEFAULT_TENANT, QuotaId(Uuid::from_u128(1)));
        let mut quota = Quota::default();
        quota.limits[Dimension::Pods as usize] = Some(self.pods);
        quota.limits[Dimension::Workflows as usize] = self.workflows;
        let name = "all".to_owned();
        let names = Edit::Update {
            id: tenant,
            version: None,
            name: None,
            parent: None,
            quota: Some(Some(id)),
            cluster: None,
            clamp: false,
        };
        for edit in [Edit::CreateQuota { id, tenant, name, quota }, names] {
            let made = block_on(rows.edit(edit, Timestamp(0)));
            assert!(matches!(made, Ok(Ok(_))), "{made:?}");
        }
    }

    /// No more is open than is allowed, and what is open is of workflows that hold their slots.
    pub(super) fn check(self, users: &Users, runs: &[StoredRun]) -> Result<(), Broken> {
        let (mut pods, mut workflows) = (0, 0);
        for run in runs {
            pods += u64::try_from(users.with_pods(run)?).unwrap_or(u64::MAX);
            // One that was called runs in the slot of another.
            let called = run.parent.is_some_and(|parent| parent.root.is_some());
            workflows += u64::from(run.slot && !called && !run.state.status.terminal());
            if !run.open.is_empty() && !run.slot && !run.state.status.terminal() {
                return Err(format!("INV-8 {} runs without its slot", run.id));
            }
        }
        if pods > self.pods || self.workflows.is_some_and(|most| workflows > most) {
            return Err(format!("INV-8 {pods} attempts, {workflows} workflows; {self:?}"));
        }
        Ok(())
    }
}
