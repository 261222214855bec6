//! Tenants with departments, groups and projects, and tasks of some shapes.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId, mix};
use flowforge_model::quota::{Amounts, Dimension, Entity, Level, Quota, Weight};
use flowforge_model::time::Timestamp;
use flowforge_scheduler::{Candidate, FairShare, Settings};

/// Chance that can be repeated.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from(mix(self.0) % end).unwrap_or(0)
    }

    pub(crate) fn amount(&mut self, end: usize) -> u64 {
        u64::try_from(self.below(end)).unwrap_or(0)
    }
}

pub(crate) fn entity_id(number: u64) -> EntityId {
    EntityId(uuid::Uuid::from_u128(0x7000_8000_0000_0000_0000_u128 << 48 | u128::from(number)))
}

pub(crate) fn workflow_id(number: u64) -> WorkflowId {
    // As they are in life: the time first, then chance.
    let time = u128::from(1_700_000_000_000 + number / 10) << 80;
    WorkflowId(uuid::Uuid::from_u128(time | u128::from(mix(number))))
}

/// `(cpu, memory in MiB, gpu, pods)`: eight, two of them gangs.
const SHAPES: [(u64, u64, u64, u64); 8] = [
    (100, 128, 0, 1),
    (250, 512, 0, 1),
    (500, 1024, 0, 1),
    (1000, 2048, 0, 1),
    (4000, 16_384, 0, 1),
    (1000, 4096, 1, 1),
    (8000, 16_384, 0, 8),
    (4000, 16_384, 4, 4),
];

pub(crate) fn need(shape: usize) -> Amounts {
    let (cpu, memory, gpu, pods) = SHAPES[shape % SHAPES.len()];
    let memory = memory << 20;
    Amounts([cpu, cpu * 2, memory, memory * 2, gpu, pods, 0, 0])
}

/// Who shares, and the tasks that come.
pub(crate) struct Installation {
    pub(crate) fair: FairShare,
    pub(crate) projects: Vec<EntityId>,
    dice: Dice,
    /// By project, the workflow that its next task belongs to and the number of that task.
    current: Vec<(u64, u32)>,
    workflows: u64,
}

/// Tasks of a workflow.
pub(crate) const TASKS: u32 = 8;

impl Installation {
    /// About twelve entities for each tenant. `running` tasks have room.
    pub(crate) fn new(tenants: u64, running: u64) -> Self {
        let mut dice = Dice::new(7);
        let mut fair = FairShare::new(0, Settings::default());
        let mut capacity = [None; Dimension::COUNT];
        // What the shapes need on average.
        let per = [1600, 3200, 5200 << 20, 10_400 << 20, 1, 2];
        for (slot, per) in capacity.iter_mut().zip(per) {
            *slot = Some(per * running);
        }
        capacity[Dimension::Gpu as usize] = Some(running / 3);
        fair.capacity(capacity);
        let (mut next, mut projects) = (1_u64, Vec::new());
        let mut add = |fair: &mut FairShare, level, parent: Option<EntityId>, quota| {
            let id = entity_id(next);
            next += 1;
            let entity = Entity { id, level, parent, name: String::new(), quota, cluster: None };
            assert_eq!(fair.upsert(&entity), Ok(()));
            id
        };
        for _ in 0..tenants {
            let weight = [25, 50, 100, 200][dice.below(4)];
            let mut quota =
                Quota { weight: Weight::new(weight).unwrap_or_default(), ..Quota::default() };
            let most = running / tenants * 8 + dice.amount(50);
            quota.limits[Dimension::Pods as usize] = Some(most * 2);
            quota.limits[Dimension::CpuRequest as usize] = Some(most * 1600);
            quota.limits[Dimension::Gpu as usize] = Some(most);
            let tenant = add(&mut fair, Level::Tenant, None, Some(quota));
            let mut above = add(&mut fair, Level::Department, Some(tenant), None);
            if dice.below(2) == 0 {
                above = add(&mut fair, Level::Department, Some(above), None);
            }
            for _ in 0..2 {
                quota.limits[Dimension::Pods as usize] = Some(most);
                let group = add(&mut fair, Level::Group, Some(above), Some(quota));
                for _ in 0..3 + dice.below(3) {
                    projects.push(add(&mut fair, Level::Project, Some(group), None));
                }
            }
        }
        let current = vec![(0, TASKS); projects.len()];
        Self { fair, projects, dice, current, workflows: 0 }
    }

    /// Workflows so far, numbered from 1.
    pub(crate) fn begun(&self) -> u64 {
        self.workflows
    }

    pub(crate) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// A task of some project. Each workflow has [`TASKS`].
    pub(crate) fn arrival(&mut self, now: Timestamp) -> Candidate {
        let at = self.dice.below(self.projects.len());
        let shape = self.dice.below(SHAPES.len());
        let priority = [0, 50, 50, 100][self.dice.below(4)];
        let (workflow, task) = &mut self.current[at];
        if *task == TASKS {
            self.workflows += 1;
            (*workflow, *task) = (self.workflows, 0);
        }
        let id = workflow_id(*workflow);
        let key = AttemptKey { workflow: id, node: NodeIx(*task), number: 1 };
        *task += 1;
        Candidate {
            key,
            priority,
            since: now,
            parallelism: None,
            project: self.projects[at],
            need: need(shape),
            root: id,
            storage: 0,
            called: false,
            lasts: None,
            retry: false,
            template: None,
        }
    }
}
