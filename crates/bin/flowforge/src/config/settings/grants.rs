//! What documents may ask for: of everybody, or of those below one tenant, department, group or project.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use flowforge_cluster::Grants;
use flowforge_model::id::EntityId;
use flowforge_model::labels::is_label_value;

use super::kubernetes::KubernetesSettings;
use super::values::list;

/// Grants of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted(Vec<Grant>);

/// Something that is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    what: String,
    /// To what is below this one; to all if it is not said.
    below: Option<EntityId>,
}

impl Granted {
    /// What holds for one of these ids: a project and what is above it.
    fn to(&self, ids: &[EntityId]) -> Vec<String> {
        let held = self.0.iter().filter(|grant| grant.below.is_none_or(|id| ids.contains(&id)));
        held.map(|grant| grant.what.clone()).collect()
    }

    /// The same of a kind of which everything is granted where nothing is said. Who grants something to one has
    /// said something of all.
    fn unless_all(&self, ids: &[EntityId]) -> Option<Vec<String>> {
        (!self.0.is_empty()).then(|| self.to(ids))
    }
}

/// Labels of the nodes that pods go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nodes(Granted);

impl Nodes {
    /// Those for one of these ids, the nearest first. Of one label the value counts that is said nearest.
    fn to(&self, ids: &[EntityId]) -> BTreeMap<String, String> {
        let far = |grant: &Grant| match grant.below {
            Some(below) => ids.iter().position(|id| *id == below),
            None => Some(ids.len()),
        };
        let mut held: Vec<_> = (self.0.0.iter())
            .filter_map(|grant| Some((far(grant)?, grant.what.split_once('=')?)))
            .collect();
        held.sort_by_key(|(far, _)| Reverse(*far));
        held.into_iter().map(|(_, (label, value))| (label.to_owned(), value.to_owned())).collect()
    }
}

impl FromStr for Nodes {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        let all: Granted = value.parse()?;
        let is = |what: &str| {
            what.split_once('=').is_some_and(|(label, value)| {
                !label.is_empty() && !value.is_empty() && is_label_value(value)
            })
        };
        match all.0.iter().find(|grant| !is(&grant.what)) {
            Some(Grant { what, .. }) => Err(format!(
                "a list of labels of nodes with their values, LABEL=VALUE or LABEL=VALUE@ID: {what:?} is none"
            )),
            None => Ok(Self(all)),
        }
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KubernetesSettings {
    /// What a project may; `ids` are its own and those above it.
    pub(crate) fn grants(&self, ids: &[EntityId]) -> Grants {
        Grants {
            registries: self.registries.unless_all(ids),
            tolerations: self.tolerations.unless_all(ids),
            priority_classes: self.priority_classes.to(ids),
            schedulers: self.schedulers.to(ids),
            service_accounts: self.service_accounts.to(ids),
            runtime_classes: self.runtime_classes.to(ids),
            nodes: self.nodes.to(ids),
        }
    }
}

/// By id: a name could be given to another one.
impl FromStr for Granted {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        let wrong = |entry: &str| {
            format!(
                "a list of what is granted, each to all or, with @ID behind it, to what is below a tenant, \
                 department, group or project of this id: {entry:?} is none"
            )
        };
        let grants = list(value)?.into_iter().map(|entry| {
            let (what, below) = match entry.rsplit_once('@') {
                Some((what, id)) => (what, Some(id.parse().map_err(|_| wrong(&entry))?)),
                None => (&*entry, None),
            };
            if what.is_empty() || what.contains('@') {
                return Err(wrong(&entry));
            }
            Ok(Grant { what: what.to_owned(), below })
        });
        grants.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Grant { what, below }) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            f.write_str(what)?;
            if let Some(id) = below {
                write!(f, "@{id}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const TENANT: EntityId = EntityId(Uuid::from_u128(1));
    const PROJECT: EntityId = EntityId(Uuid::from_u128(2));
    const OTHER: EntityId = EntityId(Uuid::from_u128(3));

    fn granted(text: &str) -> Granted {
        let text = text.replace("TENANT", &TENANT.to_string());
        text.replace("PROJECT", &PROJECT.to_string()).parse().unwrap()
    }

    #[test]
    fn what_is_granted_to_one_holds_below_it_and_nowhere_else() {
        let classes = granted("batch, urgent@TENANT, now@PROJECT");
        assert_eq!(classes.to(&[PROJECT, TENANT]), ["batch", "urgent", "now"]);
        assert_eq!(classes.to(&[OTHER, TENANT]), ["batch", "urgent"]);
        assert_eq!(classes.to(&[OTHER]), ["batch"]);
    }

    #[test]
    fn of_a_label_of_nodes_the_nearest_value_counts() {
        let text = format!("pool=one@{PROJECT}, pool=acme@{TENANT}, pool=all, zone=a");
        let nodes: Nodes = text.parse().unwrap();
        let to = |ids: &[EntityId]| nodes.to(ids).into_values().collect::<Vec<_>>();
        assert_eq!(to(&[PROJECT, TENANT]), ["one", "a"]);
        assert_eq!(to(&[OTHER, TENANT]), ["acme", "a"]);
        assert_eq!(to(&[OTHER]), ["all", "a"]);
        assert_eq!(nodes.to_string(), text);
        for text in ["pool", "=a", "pool=", "pool=a b", "pool=a@acme"] {
            assert!(text.parse::<Nodes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_setting_that_grants_to_others_is_not_empty() {
        let settings = |registries: &str| KubernetesSettings {
            registries: granted(registries),
            ..KubernetesSettings::default()
        };
        let all = settings("").grants(&[PROJECT]);
        assert_eq!((all.registries, all.tolerations), (None, None));
        let some = settings("docker.io/acme@TENANT");
        let acme = Some(vec!["docker.io/acme".to_owned()]);
        assert_eq!(some.grants(&[PROJECT, TENANT]).registries, acme);
        assert_eq!(some.grants(&[OTHER]).registries, Some(Vec::new()));
    }

    #[test]
    fn every_kind_is_resolved_from_its_own_setting() {
        let settings = KubernetesSettings {
            registries: granted("r@PROJECT"),
            tolerations: granted("t@PROJECT"),
            priority_classes: granted("p@PROJECT"),
            schedulers: granted("s@PROJECT"),
            service_accounts: granted("a@PROJECT"),
            runtime_classes: granted("c@PROJECT"),
            nodes: Nodes(granted("n=1@PROJECT")),
            ..KubernetesSettings::default()
        };
        let one = |text: &str| vec![text.to_owned()];
        let grants = Grants {
            registries: Some(one("r")),
            tolerations: Some(one("t")),
            priority_classes: one("p"),
            schedulers: one("s"),
            service_accounts: one("a"),
            runtime_classes: one("c"),
            nodes: [("n".to_owned(), "1".to_owned())].into(),
        };
        assert_eq!(settings.grants(&[PROJECT]), grants);
        let none =
            Grants { registries: Some(vec![]), tolerations: Some(vec![]), ..Grants::default() };
        assert_eq!(settings.grants(&[OTHER]), none);
    }

    #[test]
    fn what_is_written_is_what_is_shown() {
        for text in ["", "a", "r.example:5000/x, docker.io/y"] {
            assert_eq!(granted(text).to_string(), text);
        }
        let one = format!("batch, urgent@{TENANT}");
        assert_eq!(granted("batch,urgent@TENANT").to_string(), one);
        for text in [
            "a@",
            "a@acme",
            "@00000000-0000-0000-0000-000000000001",
            "a@b@00000000-0000-0000-0000-000000000001",
        ] {
            assert!(text.parse::<Granted>().is_err(), "{text}");
        }
    }
}
