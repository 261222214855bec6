//! Who runs in containers, and what that may.

use flowforge_model::security::{
    ALL_CAPABILITIES, CAPABILITIES, ContainerSecurity, LARGEST_ID, SECCOMP, is_capability,
};

use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::Doc;

impl<'a> Doc<'a> {
    /// `securityContext` of a container. What a project allows is judged when a pod is made.
    pub(crate) fn security(&self, container: &'a Node) -> Option<Box<ContainerSecurity>> {
        let node = container.field(grammar::CONTAINER_SECURITY.key)?;
        if !self.report.fields(node, &grammar::CONTAINER_CONTEXT) {
            return None;
        }
        let flag = |key| node.field(key).and_then(|node| self.report.boolean(node));
        let id = |key| node.field(key).and_then(|node| self.whole(node, 0, LARGEST_ID));
        if let Some(privileged) =
            node.field("privileged").filter(|_| flag("privileged") == Some(true))
        {
            let message = "privileged containers are not made: they are the node";
            let hint = "remove it, or write false; single capabilities may be added";
            self.report.error("unsupported", privileged, message, hint);
        }
        self.check_seccomp(node);
        let (add, drop) = self.capabilities(node);
        Some(Box::new(ContainerSecurity {
            user: id("runAsUser"),
            group: id("runAsGroup"),
            non_root: flag("runAsNonRoot"),
            escalation: flag("allowPrivilegeEscalation"),
            read_only_root: flag("readOnlyRootFilesystem"),
            add,
            drop,
        }))
    }

    /// The profile of a `securityContext`, of which there is one. A tag is read when the pod is made.
    pub(crate) fn check_seccomp(&self, context: &'a Node) {
        let Some(profile) = context.field("seccompProfile") else { return };
        if !self.report.fields(profile, &grammar::SECCOMP) {
            return;
        }
        let Some(node) = self.report.required(profile, &grammar::SECCOMP, "type") else { return };
        let other =
            self.report.string(node).filter(|text| *text != SECCOMP && !text.contains("{{"));
        if let Some(text) = other {
            let message = format!("a pod has no seccomp profile {}", quote(text));
            self.report.error("unsupported", node, message, format!("write {SECCOMP}"));
        }
    }

    /// What is added and what is taken away.
    fn capabilities(&self, context: &'a Node) -> (Vec<String>, Vec<String>) {
        let Some(node) = context.field("capabilities") else { return (Vec::new(), Vec::new()) };
        if !self.report.fields(node, &grammar::CAPABILITIES) {
            return (Vec::new(), Vec::new());
        }
        let all = |key| {
            let items = self.report.list_field(node, key, "capabilities");
            items
                .iter()
                .filter_map(|item| Some((item, self.report.string(item)?)))
                .collect::<Vec<_>>()
        };
        let (add, drop) = (all("add"), all("drop"));
        for (item, name) in &drop {
            if !is_capability(name) {
                let message = format!("{} is no capability", quote(name));
                let hint = format!("write it as NET_RAW, or {ALL_CAPABILITIES}");
                self.report.error("bad_value", *item, message, hint);
            }
        }
        for (item, name) in &add {
            if !CAPABILITIES.contains(name) {
                let message = format!("the capability {} cannot be added", quote(name));
                let hint = format!("a project may allow {}", CAPABILITIES.join(", "));
                self.report.error("unsupported", *item, message, hint);
            }
        }
        let names =
            |all: Vec<(_, &str)>| all.into_iter().map(|(_, name)| name.to_owned()).collect();
        (names(add), names(drop))
    }
}
