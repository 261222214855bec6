//! How fair the shares come out, also beside those who would like more.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx};
use flowforge_model::quota::{Amounts, Dimension, Entity, Level, Quota, Weight};
use flowforge_model::time::Timestamp;
use flowforge_scheduler::{Candidate, FairShare, Settings};

use crate::installation::{Dice, entity_id, workflow_id};
use crate::meter::row;

/// Slots for attempts.
const SLOTS: u32 = 700;
const ROUNDS: u64 = 20_000;

struct Tenant {
    number: u64,
    weight: u16,
    projects: u64,
    priority: i32,
    /// The youngest of its attempts end first: each is short.
    flood: bool,
}

impl Tenant {
    fn honest(number: u64, weight: u16) -> Self {
        Self { number, weight, projects: 1, priority: 50, flood: false }
    }
}

/// Three weights; then an honest tenant beside one that bends each of the rules.
pub(crate) fn run() {
    let weights = [25, 50, 100];
    let honest: Vec<Tenant> =
        (1..).zip(weights).map(|(at, weight)| Tenant::honest(at, weight)).collect();
    measure("weights 25:50:100", &honest);
    let hostile: [(&str, Tenant); 4] = [
        ("short attempts", Tenant { flood: true, ..Tenant::honest(2, 100) }),
        ("1,000 projects", Tenant { projects: 1000, ..Tenant::honest(2, 100) }),
        ("priorities out of range", Tenant { priority: i32::MAX, ..Tenant::honest(2, 100) }),
        ("weights 1:1000", Tenant { number: 2, ..Tenant::honest(2, 1000) }),
    ];
    for (case, tenant) in hostile {
        let honest = Tenant::honest(1, if tenant.weight == 1000 { 1 } else { 100 });
        measure(case, &[honest, tenant]);
    }
}

fn measure(case: &str, tenants: &[Tenant]) {
    let mut fair = FairShare::new(SLOTS, Settings::default());
    for tenant in tenants {
        let quota =
            Quota { weight: Weight::new(tenant.weight).unwrap_or_default(), ..Quota::default() };
        let entity = |id, level, parent| Entity {
            id,
            level,
            parent,
            name: String::new(),
            quota: None,
            cluster: None,
        };
        let top = entity_id(tenant.number);
        let put = fair.upsert(&Entity { quota: Some(quota), ..entity(top, Level::Tenant, None) });
        assert_eq!(put, Ok(()));
        for project in 0..tenant.projects {
            let put = fair.upsert(&entity(below(tenant, project), Level::Project, Some(top)));
            assert_eq!(put, Ok(()));
        }
        for node in 0..SLOTS * 2 {
            fair.offer(attempt(tenant, node));
        }
    }
    let whole: f64 = tenants.iter().map(|of| f64::from(of.weight)).sum();
    let ideal = |of: &Tenant| f64::from(SLOTS) * f64::from(of.weight) / whole;
    let (mut dice, mut now, mut next) = (Dice::new(3), 1_000_000, SLOTS * 2);
    let mut running: Vec<AttemptKey> = fair.admit(Timestamp(now), usize::MAX);
    let (mut worst, mut sums) = (0.0_f64, vec![0.0; tenants.len()]);
    for _ in 0..ROUNDS {
        now += 50;
        let floods = running.last().is_some_and(|last| {
            tenants.iter().any(|of| of.flood && workflow_id(of.number) == last.workflow)
        });
        let at = if floods { running.len() - 1 } else { dice.below(running.len()) };
        let ended = running.swap_remove(at);
        fair.release(ended);
        if let Some(of) = tenants.iter().find(|of| workflow_id(of.number) == ended.workflow) {
            next += 1;
            fair.offer(attempt(of, next));
        }
        running.extend(fair.admit(Timestamp(now), usize::MAX));
        for (sum, tenant) in sums.iter_mut().zip(tenants) {
            let place = fair.tree().place(entity_id(tenant.number));
            let used = place.map_or(0, |at| fair.tree().used(at, Dimension::Pods));
            let used = f64::from(u32::try_from(used).unwrap_or(u32::MAX));
            worst = worst.max((used - ideal(tenant)).abs());
            *sum += used / ideal(tenant);
        }
    }
    let (sum, squares) = sums.iter().fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
    let count = f64::from(u32::try_from(sums.len()).unwrap_or(u32::MAX));
    row("fair", &format!("Jain, {case}"), "1", sum * sum / (count * squares));
    row("fair", &format!("largest error, {case}"), "attempts", worst);
}

fn below(tenant: &Tenant, project: u64) -> EntityId {
    entity_id(tenant.number * 1_000_000 + project % tenant.projects)
}

/// All have waited equally long: waiting counts in shares as well.
fn attempt(tenant: &Tenant, node: u32) -> Candidate {
    let workflow = workflow_id(tenant.number);
    Candidate {
        key: AttemptKey { workflow, node: NodeIx(node), number: 1 },
        priority: tenant.priority,
        since: Timestamp(0),
        parallelism: None,
        project: below(tenant, u64::from(node)),
        need: Amounts::ZERO.with(Dimension::Pods, 1),
        root: workflow,
        storage: 0,
        called: false,
        lasts: None,
        retry: false,
        template: None,
    }
}
