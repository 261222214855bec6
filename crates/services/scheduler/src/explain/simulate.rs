//! What would be, by the decisions that are made in earnest.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::NodeIx;
use flowforge_model::time::Timestamp;
use flowforge_ports::explain::{Group, SIMULATED, Simulated, Simulation};
use flowforge_scheduler::{Batch, Candidate, Change, FairShare};

use super::shown;

/// What would start at once, and why the rest would wait; or why such changes cannot be.
pub(super) fn simulate(
    fair: &FairShare,
    simulation: &Simulation,
    now: Timestamp,
) -> Result<Simulated, String> {
    if !simulation.bounded() {
        return Err("too much is asked".to_owned());
    }
    let mut changes: Vec<Change> =
        simulation.entities.iter().cloned().map(Change::Entity).collect();
    changes.extend(simulation.slots.map(Change::Slots));
    let groups = simulation.groups.iter().enumerate();
    let batches: Vec<Batch> = groups.map(|(at, group)| batch(at, group, now)).collect();
    let most = usize::try_from(SIMULATED).unwrap_or(usize::MAX);
    let preview = fair.preview(now, &changes, &batches, most).map_err(|error| error.to_string())?;
    let waits = preview.waits.into_iter().map(|one| one.map(|(key, why)| shown(key, why)));
    Ok(Simulated { starts: preview.starts, complete: preview.complete, waits: waits.collect() })
}

/// As the controller would offer them: ready now, each workflow with a slot of its own.
fn batch(at: usize, group: &Group, now: Timestamp) -> Batch {
    let workflow = Simulation::workflow(at);
    let first = Candidate {
        key: AttemptKey { workflow, node: NodeIx(0), number: 1 },
        priority: group.priority,
        since: now,
        parallelism: group.parallelism,
        project: group.project,
        need: group.need,
        root: workflow,
        storage: 0,
        called: false,
        lasts: None,
        retry: false,
        template: None,
    };
    Batch { first, count: group.count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowforge_model::id::{EntityId, WorkflowId};
    use flowforge_model::quota::{Amounts, Dimension, Entity, Level, Quota};
    use flowforge_model::resources::{Bytes, Resources};
    use flowforge_ports::admission::{Admission as _, Ready};
    use flowforge_ports::explain::{Answer, Question};

    use crate::{LocalAdmission, Rules};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn entities(pods: u64) -> [Entity; 2] {
        let quota = |most| {
            let mut quota = Quota::default();
            quota.limits[Dimension::Pods as usize] = Some(most);
            Some(quota)
        };
        let entity = |id, level, parent, quota| {
            let name = "default".to_owned();
            Entity { id, level, parent, name, quota, cluster: None }
        };
        let tenant = EntityId::DEFAULT_TENANT;
        [
            entity(tenant, Level::Tenant, None, quota(7)),
            entity(EntityId::DEFAULT_PROJECT, Level::Project, Some(tenant), quota(pods)),
        ]
    }

    fn ready(workflow: WorkflowId, node: u32, priority: i32) -> Ready {
        let Resources { requests, limits } = Resources::default();
        let (project, pods, parallelism) = (EntityId::DEFAULT_PROJECT, 1, None);
        let key = AttemptKey { workflow, node: NodeIx(node), number: 1 };
        Ready {
            key,
            priority,
            since: NOW,
            project,
            requests,
            limits,
            pods,
            storage: Bytes(0),
            parallelism,
            lasts: None,
            retry: false,
            template: None,
            called: false,
        }
    }

    #[test]
    fn a_retry_whose_template_breaks_again_and_again_is_told_so_and_goes_on_later() {
        use flowforge_model::attempt::{Outcome, TemplateKey};
        use flowforge_model::time::Millis;
        use flowforge_ports::explain::Tripped;
        use flowforge_ports::handover::{Call, Released};

        use crate::elsewhere::play;

        let mut here = LocalAdmission::new(100, Rules::default());
        here.share_among(&entities(7));
        let id: WorkflowId = "01890a5d-ac96-774b-bcce-b302099a8001".parse().unwrap();
        let template = Some(TemplateKey::of("fetch"));
        let of = |node| Ready { template, ..ready(id, node, 50) };
        here.admit(NOW, 0);
        for node in 0..20 {
            here.offer(of(node));
            assert_eq!(here.admit(NOW, 10), [of(node).key]);
            here.release(of(node).key, Some(Outcome::Broken));
        }
        // As controllers say it to the scheduler.
        let retry = Ready { retry: true, ..of(20) };
        here.offer(serde_json::from_value(serde_json::to_value(retry).unwrap()).unwrap());
        assert_eq!(here.admit(NOW, 10), []);
        let later = NOW.plus(Millis(30_000));
        let Some(Answer::Why(Some(why))) = here.explain(&Question::Why(retry.key), NOW) else {
            panic!("it waits")
        };
        assert_eq!(why.code, "CIRCUIT_OPEN");
        assert_eq!(why.tripped, Some(Tripped { failures: 20, ahead: 0, at: Some(later) }));
        assert_eq!(here.next_look(), Some(later));
        assert_eq!(here.admit(later, 10), [retry.key]);

        // What tries and breaks between servers is judged: the next one waits for twice as long.
        here.offer(Ready { retry: true, ..of(21) });
        let (key, outcome) = (retry.key, Some(Outcome::Broken));
        play(Call::Release(Released { key, outcome }), &mut here);
        assert_eq!(here.admit(later, 10), []);
        assert_eq!(here.next_look(), Some(later.plus(Millis(60_000))));
    }

    fn group(count: u32, priority: i32) -> Group {
        let need = Amounts::of_pod(&Resources::default());
        Group { project: EntityId::DEFAULT_PROJECT, count, need, priority, parallelism: None }
    }

    /// As an API server and a scheduler exchange it.
    fn asked(admission: &LocalAdmission, simulation: Simulation) -> Result<Simulated, String> {
        let question = Question::Simulate(Box::new(simulation));
        let question = serde_json::from_slice(&serde_json::to_vec(&question).unwrap()).unwrap();
        let answer = admission.explain(&question, NOW).unwrap();
        let answer = serde_json::from_slice(&serde_json::to_vec(&answer).unwrap()).unwrap();
        let Answer::Simulate(said) = answer else { panic!("{answer:?}") };
        said.map(|said| *said)
    }

    #[test]
    fn a_simulated_admission_is_what_then_happens() {
        let mut admission = LocalAdmission::new(10, Rules::default());
        admission.share_among(&entities(4));
        let id = |number: u8| -> WorkflowId {
            format!("01890a5d-ac96-774b-bcce-b302099a80{number:02x}").parse().unwrap()
        };
        for node in 0..3 {
            admission.offer(ready(id(1), node, 0));
        }
        assert_eq!(admission.admit(NOW, 2).len(), 2);
        let before = format!("{admission:?}");
        let narrow = Group { parallelism: Some(1), ..group(4, 90) };
        let groups = vec![group(3, 0), narrow];
        let simulation = Simulation { entities: entities(6).to_vec(), slots: Some(5), groups };
        let said = asked(&admission, simulation).unwrap();
        assert_eq!(format!("{admission:?}"), before, "nothing changes");

        admission.share_among(&entities(6));
        admission.resize(5);
        let real = [id(2), id(3)];
        for (at, (count, priority)) in [(3, 0), (4, 90)].into_iter().enumerate() {
            for node in 0..count {
                let parallelism = (at == 1).then_some(1);
                admission.offer(Ready { parallelism, ..ready(real[at], node, priority) });
            }
        }
        let named = |key: &AttemptKey| match Simulation::group(key.workflow) {
            Some(group) => AttemptKey { workflow: real[group], ..*key },
            None => *key,
        };
        let starts: Vec<AttemptKey> = said.starts.iter().map(named).collect();
        assert_eq!(starts, admission.admit(NOW, 100));
        assert_eq!((starts.len(), said.complete), (3, true));
        let codes: Vec<_> = said.waits.iter().flatten().map(|why| &*why.code).collect();
        assert_eq!(codes, ["CAPACITY_FULL", "WORKFLOW_LIMIT"]);
    }

    #[test]
    fn too_much_and_what_cannot_be_is_refused() {
        let admission = LocalAdmission::new(10, Rules::default());
        let many =
            Simulation { groups: vec![group(SIMULATED, 0), group(1, 0)], ..Simulation::default() };
        assert_eq!(asked(&admission, many), Err("too much is asked".to_owned()));
        let mut entities = entities(1).to_vec();
        entities[0].parent = Some(EntityId::DEFAULT_PROJECT);
        let circle = Simulation { entities, ..Simulation::default() };
        assert!(asked(&admission, circle).is_err());
    }

    #[test]
    fn no_workflow_that_was_submitted_is_one_that_is_thought_of() {
        let latest = "ffffffff-ffff-7fff-bfff-ffffffffffff".parse().unwrap();
        assert_eq!(Simulation::group(latest), None);
        let last = Simulation::workflow(99);
        assert!(last > latest);
        assert_eq!(Simulation::group(last), Some(99));
    }
}
