//! What is thought of, as clients write it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::limits::GANG_MEMBERS;
use flowforge_model::quantity::Quantity;
use flowforge_model::quota::{Amounts, Entity, Level};
use flowforge_model::resources::{Given, Resources};
use flowforge_organization::{Edit, Organization, decide};
use flowforge_ports::explain::{CHANGED, GROUPS, Group, SIMULATED, Simulation};
use uuid::Uuid;

use crate::Shared;
use crate::backend::Backend;
use crate::envelope::{Fields, scalar};
use crate::organization::quotas::standing;
use crate::organization::{input, refused};
use crate::problem::{Code, Failure};
use crate::projects::naming;

/// Quotas that are otherwise.
const QUOTAS: usize = 100;
const GPU: &str = "nvidia.com/gpu";

/// The organization as it would be, and what the scheduler is asked.
pub(super) fn read(
    shared: &Shared,
    backend: &dyn Backend,
    text: &str,
    clamp: bool,
) -> Result<(Arc<Organization>, Simulation), Failure> {
    let mut fields = Fields::read(text)?;
    let slots = fields.value("capacity", "a whole number of 0 to 4294967295");
    let mut groups = Vec::new();
    for inside in fields.objects("tasks", GROUPS) {
        groups.push(tasks(&mut fields, inside));
    }
    let quotas = fields.objects("quotas", QUOTAS);
    let total: u64 = groups.iter().map(|group| u64::from(group.count)).sum();
    fields.finish()?;
    if total > u64::from(SIMULATED) {
        let many = format!("{total} tasks are too many: at most {SIMULATED} at a time");
        return Err(Failure::at(Code::InvalidRequest, "/tasks", many));
    }
    let all = backend.organization()?;
    let (after, entities) = edited(shared, &all, quotas, clamp)?;
    let groups = groups.into_iter().enumerate();
    let found: Result<Vec<Group>, Failure> =
        groups.map(|(at, group)| group.found(shared, &after, at)).collect();
    Ok((after, Simulation { entities, slots, groups: found? }))
}

/// A group whose project is a text.
struct Named {
    project: Option<String>,
    count: u32,
    need: Amounts,
    priority: i32,
    parallelism: Option<u32>,
}

impl Named {
    fn found(self, shared: &Shared, all: &Organization, at: usize) -> Result<Group, Failure> {
        let text = self.project.as_deref().unwrap_or(&shared.config.default_project);
        let project = all.find(Level::Project, text).map_err(|why| {
            let pointer = format!("/tasks/{at}/project_id");
            Failure::at(Code::UnknownReference, pointer, naming(text, &why))
        })?;
        let Self { project: _, count, need, priority, parallelism } = self;
        Ok(Group { project: project.id, count, need, priority, parallelism })
    }
}

fn tasks<'a>(fields: &mut Fields<'a>, mut inside: Fields<'a>) -> Named {
    let whole = "a whole number of 0 to 4294967295";
    let project = inside.string("project_id");
    let count = inside.value("count", whole).unwrap_or(1);
    let priority = inside.value("priority", "a whole number of 32 bits").unwrap_or(0);
    let least = inside.value("parallelism", "a whole number of 1 to 4294967295");
    let parallelism = least.map(NonZeroU32::get);
    let replicas = members(&mut inside);
    let need = Amounts::of_pods(&resources(&mut inside), replicas);
    fields.absorb(inside);
    Named { project, count, need, priority, parallelism }
}

/// Of a gang more than one.
fn members(inside: &mut Fields<'_>) -> u32 {
    let Some(raw) = inside.take("replicas") else { return 1 };
    let read: Option<u32> = serde_json::from_str(raw.get()).ok();
    read.filter(|replicas| (2..=GANG_MEMBERS).contains(replicas)).unwrap_or_else(|| {
        let wanted = format!("`replicas` is not a whole number of 2 to {GANG_MEMBERS}");
        inside.fault(&inside.pointer("replicas"), raw, &wanted);
        1
    })
}

/// As documents have them.
fn resources(inside: &mut Fields<'_>) -> Resources {
    let mut sides = [Given::default(); 2];
    for (name, side) in ["requests", "limits"].into_iter().zip(&mut sides) {
        if let Some(mut given) = inside.object(name) {
            side.cpu = quantity(&mut given, "cpu").map(Quantity::milli_cpu);
            side.memory = quantity(&mut given, "memory").map(Quantity::bytes);
            let devices = quantity(&mut given, GPU).and_then(Quantity::whole);
            side.gpu = devices.map(|devices| u32::try_from(devices).unwrap_or(u32::MAX));
            inside.absorb(given);
        }
    }
    let [requests, limits] = sides;
    if Resources::contradictions(requests, limits).next().is_some() {
        let pointer = inside.pointer("requests");
        inside.missing(&pointer, "more is requested than the limit allows");
    }
    Resources::settled(requests, limits)
}

fn quantity(given: &mut Fields<'_>, name: &'static str) -> Option<Quantity> {
    let raw = given.take(name)?;
    let read = scalar(raw.get(), true).and_then(|text| Quantity::parse(&text).ok());
    let read = read.filter(|quantity| name != GPU || quantity.whole().is_some());
    if read.is_none() {
        let wanted = match name {
            "cpu" => "a quantity such as 500m, 0.5 or 2",
            "memory" => "a quantity such as 256Mi or 1Gi",
            _ => "a whole number of devices",
        };
        given.fault(&given.pointer(name), raw, &format!("`{name}` is {wanted}"));
    }
    read
}

/// The organization after edits, by the rules for those that are made in earnest, and the entities
/// that are otherwise then.
fn edited(
    shared: &Shared,
    all: &Arc<Organization>,
    quotas: Vec<Fields<'_>>,
    clamp: bool,
) -> Result<(Arc<Organization>, Vec<Entity>), Failure> {
    if quotas.is_empty() {
        return Ok((Arc::clone(all), Vec::new()));
    }
    let mut after = Organization::clone(all);
    for (at, fields) in quotas.into_iter().enumerate() {
        let pointer = format!("/quotas/{at}");
        edit(shared, &mut after, fields, clamp).map_err(|failure| failure.within(&pointer))?;
    }
    let before: BTreeMap<EntityId, Entity> =
        all.entities().into_iter().map(|entity| (entity.id, entity)).collect();
    let mut entities = after.entities();
    entities.retain(|entity| before.get(&entity.id) != Some(entity));
    if entities.len() > CHANGED {
        let many = format!("{} entities would be otherwise: at most {CHANGED}", entities.len());
        return Err(Failure::at(Code::InvalidRequest, "/quotas", many));
    }
    Ok((Arc::new(after), entities))
}

fn edit(
    shared: &Shared,
    after: &mut Organization,
    mut fields: Fields<'_>,
    clamp: bool,
) -> Result<(), Failure> {
    for name in ["level", "id"] {
        if !fields.says(name) {
            fields.missing(&fields.pointer(name), &format!("`{name}` is missing"));
        }
    }
    let level: Option<Level> =
        fields.value("level", "one of tenant, department, group and project");
    let (Some(level), Some(id)) = (level, fields.string("id")) else {
        return fields.finish();
    };
    let node = after.find(level, &id).map_err(|why| {
        Failure::at(Code::UnknownReference, fields.pointer("id"), naming(&id, &why))
    })?;
    let quota = input::quota(fields, standing(after, node))?;
    let id = QuotaId(Uuid::now_v7());
    let edit = Edit::SetQuota { entity: node.id, version: None, id, quota, clamp };
    let decision = decide(after, &edit, &BTreeSet::new(), shared.now());
    let decision = decision.map_err(|refusal| refused(&refusal))?;
    after.apply(&decision.changes);
    Ok(())
}
