//! Edits in a line each, and any sequence of them.

use std::collections::BTreeSet;

use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::limits::{CLUSTERS, ORGANIZATION_DEPTH};
use flowforge_model::quota::{Amounts, Dimension, Level, Quota, Weight};
use flowforge_model::time::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use crate::{Change, Decision, Edit, Lookup, Organization, Refusal, decide, finished};

const AT: Timestamp = Timestamp(7);

fn id(number: u128) -> EntityId {
    EntityId(Uuid::from_u128(0x100 + number))
}

fn cpu(limit: Option<u64>) -> Quota {
    let mut limits = [None; Dimension::COUNT];
    limits[Dimension::CpuLimit as usize] = limit;
    Quota { limits, weight: Weight::default() }
}

/// An organization under edits.
struct Edited(Organization);

impl Edited {
    fn new() -> Self {
        Self(Organization::fresh(AT))
    }

    fn edit(&mut self, edit: &Edit) -> Result<Decision, Refusal> {
        let decision = decide(&self.0, edit, &BTreeSet::new(), AT)?;
        self.0.apply(&decision.changes);
        Ok(decision)
    }

    fn create(&mut self, number: u128, level: Level, parent: EntityId) -> Result<(), Refusal> {
        let parent = (level != Level::Tenant).then_some(parent);
        let name = format!("n{number}");
        self.edit(&Edit::Create { id: id(number), level, parent, name, quota: None, cluster: None })
            .map(drop)
    }

    fn quota(
        &mut self,
        entity: EntityId,
        limit: Option<u64>,
        clamp: bool,
    ) -> Result<Decision, Refusal> {
        let fresh = QuotaId(Uuid::from_u128(entity.0.as_u128() + 0x1000));
        let quota = cpu(limit);
        self.edit(&Edit::SetQuota { entity, version: None, id: fresh, quota, clamp })
    }

    fn move_to(&mut self, number: u128, parent: EntityId) -> Result<Decision, Refusal> {
        self.edit(&Edit::Update {
            id: id(number),
            version: None,
            name: None,
            parent: Some(parent),
            quota: None,
            cluster: None,
            clamp: false,
        })
    }

    /// Tenant 1, departments 2 and 3 below it, group 4 below 3, project 5 below 4.
    fn column() -> Self {
        let mut made = Self::new();
        made.create(1, Level::Tenant, id(0)).unwrap();
        made.create(2, Level::Department, id(1)).unwrap();
        made.create(3, Level::Department, id(2)).unwrap();
        made.create(4, Level::Group, id(3)).unwrap();
        made.create(5, Level::Project, id(4)).unwrap();
        made
    }
}

#[test]
fn a_limit_above_any_ancestor_is_refused_with_all_offenders() {
    let mut all = Edited::column();
    for (number, limit) in [(1, 9), (3, 7), (4, 5), (5, 5)] {
        all.quota(id(number), Some(limit), false).unwrap();
    }
    let Err(Refusal::Exceeding(found)) = all.quota(id(5), Some(6), false) else {
        panic!("5 has 6 below 5");
    };
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["cpu_limit 6 of n1/n2/n3/n4/n5 is more than the 5 of n1/n2/n3/n4"]);
    let refused = all.quota(id(1), Some(4), false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cpu_limit 7 of n1/n2/n3 is more than the 4 of n1; cpu_limit 5 of n1/n2/n3/n4 is more than \
         the 4 of n1; cpu_limit 5 of n1/n2/n3/n4/n5 is more than the 4 of n1"
    );
    // No limit of its own: that of the next ancestor is what counts.
    all.quota(id(4), None, false).unwrap();
    assert!(all.quota(id(5), Some(8), false).is_err());
    all.quota(id(5), Some(7), false).unwrap();
}

#[test]
fn what_is_above_a_lowered_limit_is_lowered_with_it_on_request() {
    let mut all = Edited::column();
    for (number, limit) in [(1, 9), (3, 7), (5, 2)] {
        all.quota(id(number), Some(limit), false).unwrap();
    }
    let decision = all.quota(id(1), Some(4), true).unwrap();
    let clamped: Vec<_> =
        decision.clamped.iter().map(|one| (&*one.path, one.from, one.to)).collect();
    assert_eq!(clamped, [("n1/n2/n3", 7, 4)]);
    let limit = |number| {
        let node = all.0.node(id(number)).unwrap();
        all.0.quota_of(node).unwrap().quota.limit(Dimension::CpuLimit)
    };
    assert_eq!((limit(1), limit(3), limit(5)), (Some(4), Some(4), Some(2)));
    // What was asked for itself is not lowered: it is refused.
    assert!(matches!(all.quota(id(3), Some(5), true), Err(Refusal::Exceeding(_))));
}

#[test]
fn a_shared_quota_is_lowered_for_all_who_share_it() {
    let mut all = Edited::column();
    let shared = QuotaId(id(90).0);
    let quota = cpu(Some(8));
    let name = "shared".to_owned();
    all.edit(&Edit::CreateQuota { id: shared, tenant: id(1), name, quota }).unwrap();
    for number in [2, 5] {
        let update = Edit::Update {
            id: id(number),
            version: None,
            name: None,
            parent: None,
            quota: Some(Some(shared)),
            cluster: None,
            clamp: false,
        };
        all.edit(&update).unwrap();
    }
    let decision = all.quota(id(3), Some(6), true).unwrap();
    let who: Vec<&str> = decision.clamped.iter().map(|one| &*one.path).collect();
    assert_eq!(who, ["n1/n2", "n1/n2/n3/n4/n5"]);
    // One of them gets limits of its own, and the other keeps the shared ones.
    all.quota(id(5), Some(1), false).unwrap();
    assert_eq!(all.0.quota(shared).unwrap().quota, cpu(Some(6)));
    let users = Edit::DeleteQuota { id: shared, version: None };
    assert_eq!(all.edit(&users).unwrap_err(), Refusal::InUse(vec!["n1/n2".to_owned()]));
}

#[test]
fn nothing_moves_below_itself_or_to_another_tenant_or_too_deep() {
    let mut all = Edited::column();
    assert_eq!(all.move_to(2, id(3)).unwrap_err(), Refusal::Cycle);
    assert_eq!(all.move_to(3, id(3)).unwrap_err(), Refusal::Cycle);
    assert!(matches!(all.move_to(5, id(3)), Err(Refusal::Misplaced { .. })));
    assert_eq!(all.move_to(4, EntityId::DEFAULT_TENANT).unwrap_err(), Refusal::OtherTenant);
    assert!(matches!(all.move_to(1, id(2)), Err(Refusal::Cycle)));
    assert!(matches!(all.move_to(1, EntityId::DEFAULT_TENANT), Err(Refusal::OtherTenant)));
    assert!(matches!(all.move_to(4, id(77)), Err(Refusal::Missing(_))));
    all.move_to(4, id(1)).unwrap();
    let path = |all: &Edited| all.0.path(all.0.node(id(5)).unwrap());
    assert_eq!(path(&all), "n1/n4/n5");
    for number in 10..15 {
        let above = if number == 10 { 3 } else { number - 1 };
        all.create(number, Level::Department, id(above)).unwrap();
    }
    assert!(matches!(all.create(15, Level::Department, id(14)), Err(Refusal::TooDeep(9))));
    assert!(matches!(all.move_to(4, id(13)), Err(Refusal::TooDeep(9))));
    all.move_to(4, id(12)).unwrap();
}

#[test]
fn an_edit_for_an_older_row_is_refused() {
    let mut all = Edited::column();
    let rename = |version| Edit::Update {
        id: id(5),
        version,
        name: Some("x".to_owned()),
        parent: None,
        quota: None,
        cluster: None,
        clamp: false,
    };
    assert_eq!(all.edit(&rename(Some(2))).unwrap_err(), Refusal::Stale { wanted: 2, found: 1 });
    all.edit(&rename(Some(1))).unwrap();
    assert_eq!(all.edit(&rename(None)).unwrap().changes, [], "nothing changes");
}

#[test]
fn limits_that_rows_cannot_hold_are_refused() {
    let mut all = Edited::column();
    for (dimension, limit) in [
        (Dimension::CpuLimit, Amounts::MOST + 1),
        (Dimension::MemoryLimit, (1 << 20) + 1),
        (Dimension::Storage, 1 << 29),
        (Dimension::Pods, u64::MAX),
    ] {
        let mut quota = cpu(None);
        quota.limits[dimension as usize] = Some(limit);
        let edit = Edit::SetQuota {
            entity: id(5),
            version: None,
            id: QuotaId(id(9).0),
            quota,
            clamp: true,
        };
        assert_eq!(all.edit(&edit).unwrap_err(), Refusal::BadLimit(dimension));
    }
}

#[test]
fn names_are_found_where_they_are_clear() {
    let mut all = Edited::column();
    let tenant = Edit::Create {
        id: id(30),
        level: Level::Tenant,
        parent: None,
        name: "b".to_owned(),
        quota: None,
        cluster: None,
    };
    all.edit(&tenant).unwrap();
    for (number, parent) in [(31, id(30)), (32, id(1))] {
        for (more, name) in [(0, "etl"), (100, "default")] {
            let edit = Edit::Create {
                id: id(number + more),
                level: Level::Project,
                parent: Some(parent),
                name: name.to_owned(),
                quota: None,
                cluster: None,
            };
            all.edit(&edit).unwrap();
        }
    }
    let find = |text: &str| all.0.find(Level::Project, text).map(|node| node.id);
    let both = vec!["b/etl".to_owned(), "n1/etl".to_owned()];
    assert_eq!(find("etl"), Err(Lookup::Ambiguous(both)));
    assert_eq!(find("b/etl"), Ok(id(31)));
    assert_eq!(find("n5"), Ok(id(5)));
    assert_eq!(find("n1/n2/n3/n4/n5"), Ok(id(5)));
    assert_eq!(find(&id(5).to_string()), Ok(id(5)));
    // Others are called `default`, too; whoever says only that means the one there always was.
    assert_eq!(find("default"), Ok(EntityId::DEFAULT_PROJECT));
    for nothing in ["", "/", "n1", "b/", "/etl", "b//etl", "x", &id(4).to_string()] {
        assert_eq!(find(nothing), Err(Lookup::Missing("project")), "{nothing}");
    }
}

#[test]
fn no_name_reads_like_an_id_or_a_path() {
    let mut all = Edited::new();
    for bad in ["", "a/b", "-a", "a-", "A", "ä", "a b", "a\0", &"a".repeat(64), &id(1).to_string()]
    {
        let edit = Edit::Create {
            id: id(1),
            level: Level::Tenant,
            parent: None,
            name: bad.to_owned(),
            quota: None,
            cluster: None,
        };
        assert!(matches!(all.edit(&edit), Err(Refusal::BadName(_))), "{bad:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Create(u128, Level, u128),
    Move(u128, u128),
    Quota(u128, Option<u64>, bool),
    Share(u128, u128),
    Delete(u128, bool),
    Reap,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0_u128..14;
    let level = prop::sample::select(Level::ALL.to_vec());
    let limit = prop::option::of(0_u64..6);
    prop_oneof![
        4 => (number.clone(), level, number.clone()).prop_map(|(a, b, c)| Step::Create(a, b, c)),
        3 => (number.clone(), number.clone()).prop_map(|(a, b)| Step::Move(a, b)),
        4 => (number.clone(), limit, any::<bool>()).prop_map(|(a, b, c)| Step::Quota(a, b, c)),
        2 => (number.clone(), number.clone()).prop_map(|(a, b)| Step::Share(a, b)),
        1 => (number, any::<bool>()).prop_map(|(a, b)| Step::Delete(a, b)),
        1 => Just(Step::Reap),
    ]
}

/// Found here without the crate's own search for offenders.
fn assert_sound(all: &Organization) {
    for node in all.nodes() {
        let above: Vec<_> = all.above(node).collect();
        assert!(above.len() < ORGANIZATION_DEPTH, "{}", all.path(node));
        let top = above.last().map_or(node, |top| top);
        assert_eq!((top.level, top.parent, top.id), (Level::Tenant, None, node.tenant));
        assert!(node.level.fits_below(above.first().map(|above| above.level)));
        let Some(own) = all.quota_of(node) else {
            assert_eq!(node.quota, None, "a quota that is not there");
            continue;
        };
        assert_eq!(own.tenant, node.tenant);
        for above in above.into_iter().filter_map(|above| all.quota_of(above)) {
            let (own, most) =
                (own.quota.limit(Dimension::CpuLimit), above.quota.limit(Dimension::CpuLimit));
            assert!(own.zip(most).is_none_or(|(own, most)| own <= most), "{}", all.path(node));
        }
    }
}

proptest! {
    /// QINV-18: after any edits there is no cycle and no limit above an ancestor's.
    #[test]
    fn any_edits_leave_it_sound(steps in prop::collection::vec(step(), 0..80)) {
        let mut all = Edited::new();
        for step in steps {
            // Names are numbers: half of the creations find theirs taken, and numbers come again.
            let done = match step {
                Step::Create(number, level, parent) => all.create(number, level, id(parent)).is_ok(),
                Step::Move(number, parent) => all.move_to(number, id(parent)).is_ok(),
                Step::Quota(number, limit, clamp) => all.quota(id(number), limit, clamp).is_ok(),
                Step::Share(number, from) => {
                    let quota = all.0.node(id(from)).map(|node| node.quota);
                    let edit = Edit::Update {
                        id: id(number), version: None, name: None, parent: None, quota, cluster: None, clamp: from % 2 == 0,
                    };
                    all.edit(&edit).is_ok()
                }
                Step::Delete(number, cascade) => {
                    let edit = Edit::Delete { id: id(number), version: None, drain: false, cascade };
                    all.edit(&edit).is_ok()
                }
                Step::Reap => {
                    let changes = finished(&all.0, &BTreeSet::new());
                    all.0.apply(&changes);
                    prop_assert!(!all.0.nodes().any(|node| node.draining), "{changes:?}");
                    changes.iter().any(|change| matches!(change, Change::NodeGone(..)))
                }
            };
            if done {
                assert_sound(&all.0);
            }
        }
    }
}

#[test]
fn projects_name_clusters_and_not_too_many() {
    let mut all = Edited::new();
    all.create(1, Level::Tenant, id(1)).unwrap();
    let place = |of: EntityId, cluster: Option<&str>| Edit::Update {
        id: of,
        version: None,
        name: None,
        parent: None,
        quota: None,
        cluster: Some(cluster.map(|name| ClusterName::parse(name).unwrap())),
        clamp: false,
    };
    assert_eq!(all.edit(&place(id(1), Some("a"))).unwrap_err(), Refusal::NoCluster(Level::Tenant));
    assert!(all.edit(&place(id(1), None)).unwrap().changes.is_empty());
    for number in 0..=CLUSTERS {
        let create = Edit::Create {
            id: id(100 + number as u128),
            level: Level::Project,
            parent: Some(id(1)),
            name: format!("p{number}"),
            quota: None,
            cluster: Some(ClusterName::parse(&format!("c{number}")).unwrap()),
        };
        match all.edit(&create) {
            Ok(_) => assert!(number < CLUSTERS),
            Err(refusal) => assert_eq!((refusal, number), (Refusal::TooManyClusters, CLUSTERS)),
        }
    }
    // One that is named already may be named again.
    let decision = all.edit(&place(id(100), Some("c5"))).unwrap();
    assert!(matches!(&decision.changes[..], [Change::Node(node)] if node.version == 2));
    let of = |number| all.0.node(id(number)).unwrap().cluster.clone();
    assert_eq!(of(100), of(105));
    assert_eq!(all.0.clusters().len(), CLUSTERS - 1);
    let entity = all.0.entities().into_iter().find(|one| one.id == id(100)).unwrap();
    assert_eq!(entity.cluster, of(105));
    all.edit(&place(id(100), None)).unwrap();
    assert_eq!(all.0.node(id(100)).unwrap().cluster, None);
}
