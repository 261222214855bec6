//! What is called.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension, Entity, Level, Quota, Weight};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_scheduler::Candidate;
use uuid::Uuid;

use crate::dice::Dice;
use crate::model::{Model, State};
use crate::run::Tally;
use crate::subject::Subject;

/// Workflows and tasks of each that come and go.
const WORKFLOWS: u64 = 12;
const TASKS: u64 = 6;

pub(crate) struct Script {
    dice: Dice,
    only_pods: bool,
    now: Timestamp,
    tries: u32,
}

fn entity(number: u64) -> EntityId {
    EntityId(Uuid::from_u128(0x7000_8000_0000_0000_0000 << 32 | u128::from(number)))
}

fn workflow(number: u64) -> WorkflowId {
    WorkflowId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(number)))
}

impl Script {
    pub(crate) fn new(dice: Dice, only_pods: bool) -> Self {
        Self { dice, only_pods, now: Timestamp(1_700_000_000_000), tries: 0 }
    }

    /// Two or three tenants, groups below them, projects below those.
    pub(crate) fn begin(&mut self, subject: &mut Subject, model: &mut Model) {
        self.resize(subject, model);
        for tenant in 1..=3 {
            self.put(subject, model, (tenant, Level::Tenant, None));
            for group in 1..=2 {
                let group = tenant * 10 + group;
                self.put(subject, model, (group, Level::Group, Some(tenant)));
                for project in 1..=2 {
                    self.put(subject, model, (group * 10 + project, Level::Project, Some(group)));
                }
            }
        }
        model.recount();
    }

    pub(crate) fn step(
        &mut self,
        subject: &mut Subject,
        model: &mut Model,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.now = Timestamp(self.now.0 + i64::from(self.small(50)));
        // So many wait or run that all of it can be looked at after each call.
        let die = if model.tasks.len() > 40 { 98 } else { self.dice.below(100) };
        match die {
            0..35 => self.offer(subject, model),
            35..60 => {
                model.claims = model.check(&subject.claims(self.now), self.now)?;
                tally.claims += u64::from(!model.claims.is_empty());
                tally.held_back += u64::from(model.held_back());
                let admitted = subject.admit(self.now);
                model.judge(admitted, self.now)?;
                match admitted {
                    Some(key) => {
                        model.hold(key);
                        tally.admitted += 1;
                    }
                    None => tally.nothing += 1,
                }
            }
            60..80 => self.release(subject, model),
            80..85 => {
                if let Some(key) = self.task(model) {
                    subject.roll_back(key);
                    tally.rolled_back += u64::from(model.roll_back(key));
                }
            }
            85..89 => self.gate(subject, model),
            89..92 => self.end(subject, model),
            92..96 => {
                tally.edits += 1;
                self.edit(subject, model);
            }
            96 => self.resize(subject, model),
            97 => self.now = Timestamp(self.now.0 + i64::from(self.small(4_000_000))),
            _ => {
                if let Some(key) = self.task(model).filter(|key| !model.holds(*key)) {
                    subject.fair.withdraw(key);
                    model.tasks.remove(&key);
                }
            }
        }
        model.recount();
        Ok(())
    }

    fn small(&mut self, end: u64) -> u32 {
        u32::try_from(self.dice.below(end)).unwrap_or(0)
    }

    fn task(&mut self, model: &Model) -> Option<AttemptKey> {
        let keys: Vec<AttemptKey> = model.tasks.keys().copied().collect();
        self.dice.pick(&keys).copied()
    }

    fn offer(&mut self, subject: &mut Subject, model: &mut Model) {
        let number = self.dice.below(WORKFLOWS);
        // The last one was called by the first, some have a volume or a parallelism.
        let root = if number == WORKFLOWS - 1 { 0 } else { number };
        self.tries += 1;
        let node = NodeIx(self.small(TASKS));
        let key = AttemptKey { workflow: workflow(number), node, number: self.tries };
        let project = (number % 3 + 1) * 100 + (number / 3 % 2 + 1) * 10 + number % 2 + 1;
        let project = if number == WORKFLOWS - 1 { 111 } else { project };
        let need = if self.only_pods {
            Amounts::ZERO.with(Dimension::Pods, 1 + self.dice.below(2) * self.dice.below(4))
        } else {
            let need = Amounts::ZERO.with(Dimension::Pods, 1 + self.dice.below(3) / 2);
            let need = need.with(Dimension::CpuRequest, self.dice.below(4) * 250);
            need.with(Dimension::Gpu, self.dice.below(4) / 2)
        };
        // Where all dimensions count, of equal needs all last equally long: there are kinds enough.
        let step = if self.only_pods { self.dice.below(4) } else { need.get(Dimension::Gpu) * 2 };
        let lasts = (step > 0).then(|| Millis(10_000 << (2 * step)));
        let candidate = Candidate {
            key,
            priority: i32::try_from(self.dice.below(5) * 40).unwrap_or(0) - 20,
            since: Timestamp(self.now.0 - i64::from(self.small(5_000_000))),
            parallelism: (number % 4 == 3).then_some(2),
            project: entity(project),
            need,
            root: workflow(root),
            called: false,
            storage: root % 2 * 5,
            lasts,
            retry: false,
            template: None,
        };
        subject.offer(candidate);
        model.tasks.insert(key, (candidate, State::Waiting));
    }

    fn release(&mut self, subject: &mut Subject, model: &mut Model) {
        let Some(key) = self.task(model).filter(|key| model.holds(*key)) else { return };
        subject.release(key);
        if self.dice.chance(30) {
            subject.release(key);
        }
        model.tasks.remove(&key);
    }

    fn gate(&mut self, subject: &mut Subject, model: &mut Model) {
        let of = workflow(self.dice.below(WORKFLOWS));
        let open = model.gated.contains(&of) || self.dice.chance(30);
        subject.fair.gate(of, open);
        if open {
            model.gated.remove(&of);
        } else {
            model.gated.insert(of);
        }
    }

    fn end(&mut self, subject: &mut Subject, model: &mut Model) {
        let of = workflow(self.dice.below(WORKFLOWS - 1));
        if self.dice.chance(50) {
            subject.fair.idle(of);
            model.idle(of);
        } else {
            subject.end_workflow(of);
            model.end(of);
        }
    }

    fn edit(&mut self, subject: &mut Subject, model: &mut Model) {
        let tenant = 1 + self.dice.below(3);
        let group = (1 + self.dice.below(3)) * 10 + 1 + self.dice.below(2);
        match self.dice.below(4) {
            0 => self.put(subject, model, (tenant, Level::Tenant, None)),
            // Groups and projects move, with all below them.
            1 => self.put(subject, model, (group, Level::Group, Some(tenant))),
            _ => {
                let below = (1 + self.dice.below(3)) * 10 + 1 + self.dice.below(2);
                let project = group * 10 + 1 + self.dice.below(2);
                self.put(subject, model, (project, Level::Project, Some(below)));
            }
        }
    }

    fn put(
        &mut self,
        subject: &mut Subject,
        model: &mut Model,
        (number, level, parent): (u64, Level, Option<u64>),
    ) {
        let mut quota = Quota { weight: self.weight(), ..Quota::default() };
        let limits: &[(Dimension, u64)] = if self.only_pods {
            &[(Dimension::Pods, 12)]
        } else {
            &[
                (Dimension::Pods, 12),
                (Dimension::CpuRequest, 4000),
                (Dimension::Gpu, 6),
                (Dimension::Workflows, 5),
                (Dimension::Storage, 20),
            ]
        };
        for (dimension, most) in limits {
            let some = self.dice.chance(40).then(|| self.dice.below(*most));
            if let Some(limit) = quota.limits.get_mut(*dimension as usize) {
                *limit = some;
            }
        }
        let (id, parent) = (entity(number), parent.map(entity));
        let entity = Entity {
            id,
            level,
            parent,
            name: number.to_string(),
            quota: Some(quota),
            cluster: None,
        };
        if subject.upsert(&entity) {
            model.entities.insert(id, entity);
        }
    }

    fn weight(&mut self) -> Weight {
        let weight = self.dice.one_of([25, 50, 100]);
        Weight::new(u16::try_from(weight).unwrap_or(100)).unwrap_or_default()
    }

    fn resize(&mut self, subject: &mut Subject, model: &mut Model) {
        let mut capacity = [None; Dimension::COUNT];
        let limits: &[(Dimension, u64)] = if self.only_pods {
            &[(Dimension::Pods, 25)]
        } else {
            &[(Dimension::Pods, 25), (Dimension::CpuRequest, 8000), (Dimension::Gpu, 10)]
        };
        for (dimension, most) in limits {
            if let Some(limit) = capacity.get_mut(*dimension as usize) {
                *limit = Some(self.dice.below(*most));
            }
        }
        subject.fair.capacity(capacity);
        model.capacity = capacity;
    }
}
