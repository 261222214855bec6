//! What a template asks of its pods beside their containers.

use flowforge_model::plan::Tree;
use flowforge_model::security::LARGEST_ID;

use crate::grammar::{self, Field, Holds, Kind, Support};
use crate::located::Node;
use crate::outline::{BodyKind, Doc};
use crate::references::Names;

/// Fields of a template, those of the workflow that stand in for them, and what pods call them.
const FIELDS: [(Option<Field>, Field, &str); 12] = [
    (Some(grammar::NODE_SELECTOR), grammar::NODE_SELECTOR, "nodeSelector"),
    (Some(grammar::AFFINITY), grammar::AFFINITY, "affinity"),
    (Some(grammar::TOLERATIONS), grammar::TOLERATIONS, "tolerations"),
    (Some(grammar::SCHEDULER), grammar::SCHEDULER, "schedulerName"),
    (Some(grammar::PRIORITY_CLASS), grammar::POD_PRIORITY_CLASS, "priorityClassName"),
    (Some(grammar::HOST_ALIASES), grammar::HOST_ALIASES, "hostAliases"),
    (None, grammar::PULL_SECRETS, "imagePullSecrets"),
    (None, grammar::DNS_POLICY, "dnsPolicy"),
    (None, grammar::DNS_CONFIG, "dnsConfig"),
    (Some(grammar::POD_SECURITY), grammar::POD_SECURITY, "securityContext"),
    (Some(grammar::SERVICE_ACCOUNT), grammar::SERVICE_ACCOUNT, "serviceAccountName"),
    (Some(grammar::AUTOMOUNT), grammar::AUTOMOUNT, "automountServiceAccountToken"),
];
/// The fields of a pod that hold whole numbers.
const NUMBERS: [&str; 2] = ["tolerationSeconds", "weight"];
/// Those that hold ids of users or groups, and the one that holds a list of them.
const IDS: [&str; 3] = ["runAsUser", "runAsGroup", "fsGroup"];
const LISTS_OF_IDS: [&str; 1] = ["supplementalGroups"];
/// Those that are true or false.
const FLAGS: [&str; 2] = ["runAsNonRoot", "automountServiceAccountToken"];
/// Those that hold lists of strings.
const LISTS: [&str; 6] =
    ["values", "matchLabelKeys", "mismatchLabelKeys", "hostnames", "nameservers", "searches"];
/// Those that hold strings by names that documents choose. All others are strings.
const MAPS: [&str; 2] = ["nodeSelector", "matchLabels"];

pub(crate) fn has_pod(kind: BodyKind) -> bool {
    matches!(kind, BodyKind::Container | BodyKind::Script | BodyKind::ContainerSet)
}

impl<'a> Doc<'a> {
    /// What its pods are to have, by their fields: the template's own, and for what it does not name those
    /// of the workflow. Nothing of what has no pod.
    pub(crate) fn pod(
        &self,
        template: &'a Node,
        kind: BodyKind,
        names: &Names<'_, 'a>,
    ) -> Option<Box<Tree>> {
        if !has_pod(kind) {
            return None;
        }
        let mut fields = Vec::new();
        for (own, shared, name) in FIELDS {
            let of = |field: Field, node: &'a Node| Some((node.field(field.key)?, field));
            let found = own.and_then(|own| of(own, template)).or_else(|| of(shared, self.spec));
            let tree = found.and_then(|(node, field)| {
                if field.key == grammar::POD_SECURITY.key {
                    self.check_seccomp(node);
                }
                self.held(node, &field, names)
            });
            fields.extend(tree.map(|tree| (name.into(), tree)));
        }
        (!fields.is_empty()).then(|| Box::new(Tree::Map(fields)))
    }

    fn held(&self, node: &'a Node, field: &Field, names: &Names<'_, 'a>) -> Option<Tree> {
        match field.holds {
            Holds::Map(kind) | Holds::Named(kind) => self.fields_of(node, kind, names),
            Holds::List(kind) | Holds::Groups(kind) => {
                let items = self.report.list(node, field.key)?.iter();
                Some(Tree::List(items.filter_map(|of| self.fields_of(of, kind, names)).collect()))
            }
            Holds::Value | Holds::AnyString => self.plain(node, field.key, names),
        }
    }

    fn plain(&self, node: &'a Node, key: &str, names: &Names<'_, 'a>) -> Option<Tree> {
        if NUMBERS.contains(&key) {
            return self.whole(node, 0, i64::from(u32::MAX)).map(Tree::Number);
        }
        let id = |node| self.whole(node, 0, LARGEST_ID).map(Tree::Number);
        if IDS.contains(&key) {
            return id(node);
        }
        if LISTS_OF_IDS.contains(&key) {
            return Some(Tree::List(self.report.list(node, key)?.iter().filter_map(id).collect()));
        }
        if FLAGS.contains(&key) {
            return self.report.boolean(node).map(Tree::Flag);
        }
        let text = |node: &'a Node| self.text(node, names).map(Tree::Text);
        if LISTS.contains(&key) {
            return Some(Tree::List(
                self.report.list(node, key)?.iter().filter_map(text).collect(),
            ));
        }
        if !MAPS.contains(&key) {
            return text(node);
        }
        let Some(entries) = node.entries() else {
            let message = format!("expected a map of strings, found {}", node.describe());
            self.report.error("wrong_type", node, message, "");
            return None;
        };
        let entries = entries.iter();
        let named = entries.filter_map(|entry| Some((entry.key.clone(), text(&entry.node)?)));
        Some(Tree::Map(named.collect()))
    }

    fn fields_of(
        &self,
        node: &'a Node,
        kind: &'static Kind,
        names: &Names<'_, 'a>,
    ) -> Option<Tree> {
        if !self.report.fields(node, kind) {
            return None;
        }
        let mut fields = Vec::new();
        for entry in node.entries().unwrap_or_default() {
            let read = |field: &&Field| {
                !entry.node.is_null() && !matches!(field.support, Support::Unsupported(_))
            };
            let field = kind.field(&entry.key).filter(read);
            let tree = field.and_then(|field| self.held(&entry.node, field, names));
            fields.extend(tree.map(|tree| (entry.key.clone(), tree)));
        }
        Some(Tree::Map(fields))
    }
}
