//! The organization: edits, what they mean for work, deletion.

use flowforge_model::cluster::ClusterName;
use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::{Dimension, Level, Quota, Weight};
use flowforge_model::status::WorkflowStatus;
use flowforge_organization::{Edit, Refusal};
use flowforge_ports::organization::{Edited, Organizations};
use flowforge_ports::schedules::Schedules;
use flowforge_ports::store::{Store, StoreError};
use flowforge_ports::templates::{NewTemplate, TemplateId, TemplateKind, Templates};
use uuid::Uuid;

use super::cases;
use super::fixture::{AT, DEFAULT, Held, new_workflow, now, other_project, workflow};

cases! {
    a_fresh_store_has_a_default_tenant_and_project
    everything_written_reads_back
    limits_may_be_missing
    a_refused_edit_changes_nothing
    every_edit_raises_the_version
    a_name_is_free_again_after_a_deletion
    two_tenants_with_projects_of_one_name_see_nothing_of_each_other
    a_project_drains_and_goes_with_its_last_workflow
    what_drains_takes_nothing_new
    what_drains_takes_what_its_tasks_start
    a_tenant_goes_with_all_below_it
}

/// All that the cases need.
trait Subject: Store + Schedules + Templates + Organizations {}
impl<T: Store + Schedules + Templates + Organizations> Subject for T {}

fn id(number: u32) -> EntityId {
    EntityId(Uuid::from_u128(0x0189_0a5d_ac96_774b_bccf_0000_0000_0000 + u128::from(number)))
}

fn create(store: &impl Organizations, number: u32, level: Level, parent: Option<u32>) {
    let edit = Edit::Create {
        id: id(number),
        level,
        parent: parent.map(id),
        name: format!("{level}-{number}"),
        quota: None,
        cluster: None,
    };
    now(store.edit(edit, AT)).unwrap().unwrap();
}

fn east() -> ClusterName {
    ClusterName::parse("east").unwrap()
}

/// `tenant-1/department-2/group-3/project-4`.
fn column(store: &impl Organizations) {
    create(store, 1, Level::Tenant, None);
    create(store, 2, Level::Department, Some(1));
    create(store, 3, Level::Group, Some(2));
    create(store, 4, Level::Project, Some(3));
}

fn delete(store: &impl Organizations, of: EntityId, drain: bool, cascade: bool) -> Edited {
    now(store.edit(Edit::Delete { id: of, version: None, drain, cascade }, AT)).unwrap()
}

fn paths(store: &impl Organizations) -> Vec<String> {
    let all = now(store.organization()).unwrap();
    let mut paths: Vec<String> = all.nodes().map(|node| all.path(node)).collect();
    paths.sort();
    paths
}

fn quota(cpu: Option<u64>) -> Quota {
    let mut limits = [None; Dimension::COUNT];
    limits[Dimension::CpuLimit as usize] = cpu;
    Quota { limits, weight: Weight::default() }
}

fn a_fresh_store_has_a_default_tenant_and_project(store: &impl Subject) {
    assert_eq!(paths(store), ["default", "default/default"]);
    let (version, entities) = now(store.hierarchy()).unwrap();
    assert_eq!(version, now(store.organization_version()).unwrap());
    let ids: Vec<EntityId> = entities.iter().map(|entity| entity.id).collect();
    assert_eq!(ids, [EntityId::DEFAULT_TENANT, EntityId::DEFAULT_PROJECT]);
    let all = now(store.organization()).unwrap();
    assert_eq!(all.find(Level::Project, "default").unwrap().id, DEFAULT);
}

fn everything_written_reads_back(store: &impl Subject) {
    column(store);
    let mut limits = [None; Dimension::COUNT];
    for (at, limit) in limits.iter_mut().enumerate() {
        *limit = Some((u64::try_from(at).unwrap() + 1) << 30);
    }
    let full = Quota { limits, weight: Weight::new(7).unwrap() };
    let edit = Edit::CreateQuota {
        id: QuotaId(id(9).0),
        tenant: id(1),
        name: "large".to_owned(),
        quota: full,
    };
    now(store.edit(edit, AT)).unwrap().unwrap();
    let named = Some(Some(QuotaId(id(9).0)));
    for number in 1..=4 {
        let edit = Edit::Update {
            id: id(number),
            version: Some(1),
            name: Some(format!("n{number}")),
            parent: None,
            quota: named,
            cluster: (number == 4).then(|| Some(east())),
            clamp: false,
        };
        now(store.edit(edit, AT)).unwrap().unwrap();
    }
    let mut expected = now(store.organization()).unwrap();
    assert_eq!(expected.path(expected.node(id(4)).unwrap()), "n1/n2/n3/n4");
    for number in 1..=4 {
        let node = expected.node(id(number)).unwrap();
        assert_eq!((node.version, node.created_at, node.draining), (2, AT, false));
        assert_eq!(expected.quota_of(node).unwrap().quota, full);
        assert_eq!(node.tenant, id(1));
        assert_eq!(node.cluster, (number == 4).then(east));
    }
    // Moved to the tenant itself, and the group after it to the top.
    for (number, parent) in [(3, 1), (4, 1)] {
        let edit = Edit::Update {
            id: id(number),
            version: None,
            name: None,
            parent: Some(id(parent)),
            quota: Some(None),
            cluster: None,
            clamp: false,
        };
        now(store.edit(edit, AT)).unwrap().unwrap();
    }
    expected = now(store.organization()).unwrap();
    assert_eq!(expected.path(expected.node(id(4)).unwrap()), "n1/n4");
    let moved = expected.node(id(4)).unwrap();
    assert_eq!((moved.quota, &moved.cluster), (None, &Some(east())));
    let (_, entities) = now(store.hierarchy()).unwrap();
    let places = entities.into_iter().filter_map(|one| Some((one.id, one.cluster?)));
    assert_eq!(places.collect::<Vec<_>>(), [(id(4), east())]);
    let home = Edit::Update {
        id: id(4),
        version: None,
        name: None,
        parent: None,
        quota: None,
        cluster: Some(None),
        clamp: false,
    };
    now(store.edit(home, AT)).unwrap().unwrap();
    assert_eq!(now(store.organization()).unwrap().node(id(4)).unwrap().cluster, None);
    assert_eq!(expected.node(id(3)).unwrap().parent, Some(id(1)));
    let stale = Edit::DeleteQuota { id: QuotaId(id(9).0), version: Some(2) };
    let refused = now(store.edit(stale, AT)).unwrap();
    assert_eq!(refused.unwrap_err(), Refusal::Stale { wanted: 2, found: 1 });
}

fn limits_may_be_missing(store: &impl Subject) {
    for (version, cpu) in [(0, Some(0)), (1, None), (2, Some(5))] {
        let edit = Edit::SetQuota {
            entity: DEFAULT,
            version: Some(version),
            id: QuotaId(id(8).0),
            quota: quota(cpu),
            clamp: false,
        };
        now(store.edit(edit, AT)).unwrap().unwrap();
        let all = now(store.organization()).unwrap();
        let found = all.quota_of(all.node(DEFAULT).unwrap()).unwrap();
        assert_eq!(found.quota, quota(cpu));
        assert_eq!(found.version, version + 1);
    }
}

fn a_refused_edit_changes_nothing(store: &impl Subject) {
    column(store);
    let before = now(store.organization()).unwrap();
    let taken = Edit::Create {
        id: id(7),
        level: Level::Department,
        parent: Some(id(1)),
        name: "department-2".to_owned(),
        quota: None,
        cluster: None,
    };
    assert!(matches!(now(store.edit(taken, AT)).unwrap(), Err(Refusal::NameTaken(_))));
    assert!(matches!(delete(store, id(2), true, false), Err(Refusal::NotEmpty(2))));
    assert!(matches!(delete(store, DEFAULT, true, true), Err(Refusal::Default(_))));
    assert_eq!(now(store.organization()).unwrap(), before);
    assert_eq!(now(store.organization_version()).unwrap(), before.version);
}

fn every_edit_raises_the_version(store: &impl Subject) {
    let mut last = now(store.organization_version()).unwrap();
    let mut rose = || {
        let next = now(store.organization_version()).unwrap();
        assert_eq!(now(store.organization()).unwrap().version, next);
        assert!(std::mem::replace(&mut last, next) < next);
    };
    column(store);
    rose();
    let edit = Edit::SetQuota {
        entity: id(4),
        version: None,
        id: QuotaId(id(8).0),
        quota: quota(Some(1)),
        clamp: false,
    };
    now(store.edit(edit, AT)).unwrap().unwrap();
    rose();
    delete(store, id(4), false, false).unwrap();
    rose();
    assert_eq!(now(store.reap(AT)).unwrap(), [id(4)]);
    rose();
}

fn a_name_is_free_again_after_a_deletion(store: &impl Subject) {
    let first = other_project(store);
    delete(store, first, false, false).unwrap();
    assert_eq!(now(store.reap(AT)).unwrap(), [first]);
    let edit = Edit::Create {
        id: id(1),
        level: Level::Project,
        parent: Some(EntityId::DEFAULT_TENANT),
        name: "other".to_owned(),
        quota: None,
        cluster: None,
    };
    now(store.edit(edit, AT)).unwrap().unwrap();
    let mut new = new_workflow(workflow(1));
    new.project = first;
    assert!(matches!(now(store.insert(new)), Err(StoreError::Refused(_))));
    assert!(now(store.reap(AT)).unwrap().is_empty());
}

fn two_tenants_with_projects_of_one_name_see_nothing_of_each_other(store: &impl Subject) {
    let etl = |tenant: u32, project: u32| {
        create(store, tenant, Level::Tenant, None);
        let edit = Edit::Create {
            id: id(project),
            level: Level::Project,
            parent: Some(id(tenant)),
            name: "etl".to_owned(),
            quota: None,
            cluster: None,
        };
        now(store.edit(edit, AT)).unwrap().unwrap();
        TemplateId::new(TemplateKind::WorkflowTemplate, id(project), "t")
    };
    let (mine, yours) = (etl(1, 2), etl(3, 4));
    let document = |id: &TemplateId, text: &str| NewTemplate {
        id: id.clone(),
        document: text.to_owned(),
        labels: Vec::new(),
        by: "ada".to_owned(),
        at: AT,
    };
    now(store.put(vec![document(&mine, "mine")])).unwrap();
    assert!(matches!(now(store.template(yours.clone(), None)), Err(StoreError::NotFound)));
    now(store.put(vec![document(&yours, "yours")])).unwrap();
    assert_eq!(now(store.template(mine, None)).unwrap().document, "mine");
    assert_eq!(now(store.template(yours, None)).unwrap().document, "yours");
    let mut names = Vec::new();
    for (number, project) in [(1, 2), (2, 4)] {
        let mut new = new_workflow(workflow(number));
        new.project = id(project);
        // The same key in two tenants is two requests.
        new.idempotency = Some(("key".to_owned(), format!("{number}")));
        assert!(!now(store.insert(new)).unwrap().replayed);
        let run = now(store.load(workflow(number))).unwrap();
        assert_eq!((run.project, &*run.namespace), (id(project), "etl"));
        names.push(run.lock_name);
    }
    assert_ne!(names[0], names[1], "their locks have keys of their own");
}

fn a_project_drains_and_goes_with_its_last_workflow(store: &impl Subject) {
    let project = other_project(store);
    let mut new = new_workflow(workflow(1));
    new.project = project;
    now(store.insert(new)).unwrap();
    assert!(matches!(delete(store, project, false, false), Err(Refusal::Busy(_))));
    delete(store, project, true, false).unwrap();
    assert!(now(store.reap(AT)).unwrap().is_empty(), "its workflow is unfinished");
    let all = now(store.organization()).unwrap();
    assert!(all.node(project).unwrap().draining);
    assert!(now(store.hierarchy()).unwrap().1.iter().any(|entity| entity.id == project));
    let epoch = now(store.take_over(super::fixture::instance())).unwrap();
    let mut held = Held { store, epoch, id: workflow(1), seq: 0 };
    held.become_(WorkflowStatus::Failed, 1).unwrap();
    assert_eq!(now(store.reap(AT)).unwrap(), [project]);
    assert_eq!(paths(store), ["default", "default/default"]);
    // What was there is still read, and is not begun again.
    assert_eq!(now(store.load(workflow(1))).unwrap().project, project);
    let retried = now(store.ask(workflow(1), Command::Retry, AT));
    assert!(matches!(retried, Err(StoreError::Refused(_))));
}

fn what_drains_takes_nothing_new(store: &impl Subject) {
    let project = other_project(store);
    let mut new = new_workflow(workflow(1));
    new.project = project;
    let key = ("key".to_owned(), "digest".to_owned());
    new.idempotency = Some(key.clone());
    now(store.insert(new.clone())).unwrap();
    let mut schedule = super::schedules::put(1);
    schedule.project = project;
    now(store.put_schedule(schedule.clone())).unwrap();
    delete(store, project, true, false).unwrap();
    // Its schedules are gone; a repeated request is answered as before.
    assert!(matches!(now(store.schedule(schedule.id)), Err(StoreError::NotFound)));
    assert!(matches!(now(store.put_schedule(schedule)), Err(StoreError::Refused(_))));
    assert!(now(store.insert(new)).unwrap().replayed);
    let mut another = new_workflow(workflow(2));
    another.project = project;
    let refused = now(store.insert(another)).unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(why) if why.contains("other")), "{refused}");
}

fn what_drains_takes_what_its_tasks_start(store: &impl Subject) {
    let project = other_project(store);
    let mut new = new_workflow(workflow(1));
    new.project = project;
    now(store.insert(new)).unwrap();
    let epoch = now(store.take_over(super::fixture::instance())).unwrap();
    let mut held = Held { store, epoch, id: workflow(1), seq: 0 };
    held.queue(0, 1, true);
    delete(store, project, true, false).unwrap();
    let mut new = super::children::started(held.key(0, 1), None);
    new.project = project;
    let mut commit = held.commit();
    commit.runs[0].children.push(new);
    held.write(commit).unwrap();
    assert_eq!(now(store.load(held.key(0, 1).child())).unwrap().project, project);
    // It is waited for as others are.
    held.become_(WorkflowStatus::Failed, 1).unwrap();
    assert!(now(store.reap(AT)).unwrap().is_empty());
}

fn a_tenant_goes_with_all_below_it(store: &impl Subject) {
    column(store);
    let edit = Edit::SetQuota {
        entity: id(3),
        version: None,
        id: QuotaId(id(8).0),
        quota: quota(Some(1)),
        clamp: false,
    };
    now(store.edit(edit, AT)).unwrap().unwrap();
    let mut new = new_workflow(workflow(1));
    new.project = id(4);
    now(store.insert(new)).unwrap();
    delete(store, id(1), false, true).unwrap();
    assert!(now(store.reap(AT)).unwrap().is_empty());
    let epoch = now(store.take_over(super::fixture::instance())).unwrap();
    let mut held = Held { store, epoch, id: workflow(1), seq: 0 };
    held.become_(WorkflowStatus::Cancelled, 1).unwrap();
    assert_eq!(now(store.reap(AT)).unwrap(), [id(4), id(3), id(2), id(1)]);
    assert_eq!(paths(store), ["default", "default/default"]);
    assert_eq!(now(store.organization()).unwrap().quotas().count(), 0);
}
