//! Several containers of one attempt: sets of them, and what runs before and beside a container.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::limits::RETRY_LIMIT;
use flowforge_model::plan::{Body, ContainerSet, Mount, NamedContainer};
use flowforge_model::time::Millis;

use crate::grammar::{self, Kind};
use crate::located::{Node, quote};
use crate::names::is_dns_label;
use crate::outline::Doc;
use crate::references::Names;

/// Containers of one attempt: they start as processes of one machine.
const CONTAINERS: usize = 256;

/// The member that gives the outputs.
const MAIN: &str = "main";

impl<'a> Doc<'a> {
    /// `containerSet`: `template` is the map around it.
    pub(crate) fn container_set(
        &self,
        template: &'a Node,
        node: &'a Node,
        names: &Names<'_, 'a>,
    ) -> Option<Body> {
        if !self.report.fields(node, &grammar::CONTAINER_SET) {
            return None;
        }
        let list = self.report.required(node, &grammar::CONTAINER_SET, "containers")?;
        let items = self.report.list(list, "containers")?;
        if items.is_empty() {
            self.report.error("empty", list, "the set has no containers", "add one");
            return None;
        }
        let shared = self.mounts(node, names);
        let mut members = self.named_containers(list, &grammar::MEMBER, names);
        for (_, member) in &mut members {
            add_mounts(&mut member.container.mounts, &shared);
        }
        self.check_main(template, &members);
        let by_name: BTreeMap<&str, u32> =
            (0..).zip(&members).map(|(at, (_, member))| (&*member.name, at)).collect();
        let after: Vec<Box<[u32]>> =
            members.iter().map(|(item, _)| self.members_before(item, &by_name)).collect();
        if let Some(at) = waits_for_itself(&after) {
            let (item, member) = members.get(at)?;
            let message =
                format!("the container {} waits for itself through others", quote(&member.name));
            self.report.error("cycle", *item, message, "remove one of the dependencies");
        }
        let (retries, wait) = self.set_retry(node);
        let complete = members.len() == items.len();
        let members = members.into_iter().map(|(_, member)| member).collect();
        complete
            .then(|| Body::ContainerSet(Box::new(ContainerSet { members, after, retries, wait })))
    }

    /// Files are collected from the member called `main`.
    fn check_main(&self, template: &'a Node, members: &[(&'a Node, NamedContainer)]) {
        if members.iter().any(|(_, member)| &*member.name == MAIN) {
            return;
        }
        let list = |of: &str, key: &str| template.field(of).and_then(|node| node.field(key));
        let uses = [("outputs", "parameters"), ("outputs", "artifacts"), ("inputs", "artifacts")];
        for used in uses.into_iter().filter_map(|(of, key)| list(of, key)) {
            if !used.items().is_empty() {
                let message = "a set without a container called main has no files of its own";
                let hint = "call the container main that reads and writes them";
                self.report.error("missing_main", used, message, hint);
            }
        }
    }

    /// The places of the members that `item` waits for.
    fn members_before(&self, item: &'a Node, by_name: &BTreeMap<&str, u32>) -> Box<[u32]> {
        let mut out = BTreeSet::new();
        for node in self.report.list_field(item, "dependencies", "names of containers") {
            let Some(name) = self.report.string(node) else { continue };
            if let Some(at) = by_name.get(name) {
                out.insert(*at);
            } else {
                let hint = self.report.did_you_mean(name, by_name.keys().copied());
                let message = format!("there is no container {} in the set", quote(name));
                self.report.error("unknown_task", node, message, hint);
            }
        }
        out.into_iter().collect()
    }

    /// How often a member is started again, and the wait before.
    fn set_retry(&self, node: &'a Node) -> (u32, Millis) {
        let Some(retry) = node.field("retryStrategy") else { return (0, Millis(0)) };
        if !self.report.fields(retry, &grammar::SET_RETRY) {
            return (0, Millis(0));
        }
        let retries = self.report.required(retry, &grammar::SET_RETRY, "retries");
        let retries = retries.and_then(|_| self.optional_whole(retry, "retries", 0, RETRY_LIMIT));
        let wait = retry.field("duration").and_then(|node| self.span(node));
        (retries.unwrap_or(0), wait.unwrap_or(Millis(0)))
    }

    /// `initContainers` and `sidecars`.
    pub(crate) fn around(
        &self,
        template: &'a Node,
        body: Option<&Body>,
        names: &Names<'_, 'a>,
    ) -> (Vec<NamedContainer>, Vec<NamedContainer>) {
        let of = |key, kind| self.more_containers((template, key, kind), body, names);
        let init = of("initContainers", &grammar::INIT_CONTAINER);
        let sidecars = of("sidecars", &grammar::SIDECAR);
        let members = match body {
            Some(Body::ContainerSet(set)) => set.members.as_slice(),
            _ => &[],
        };
        let mut taken: BTreeSet<&str> = BTreeSet::from([MAIN]);
        taken.extend(init.iter().map(|(_, one)| &*one.name));
        taken.extend(members.iter().map(|one| &*one.name));
        for (item, sidecar) in &sidecars {
            if taken.contains(&*sidecar.name) {
                let message = format!("there is another container {}", quote(&sidecar.name));
                self.report.error("duplicate_name", *item, message, "rename the sidecar");
            }
        }
        let named = |all: Vec<(_, NamedContainer)>| all.into_iter().map(|(_, one)| one).collect();
        (named(init), named(sidecars))
    }

    /// Those of a field. One that mirrors the volumes of the main container sees them too.
    fn more_containers(
        &self,
        (template, key, kind): (&'a Node, &str, &Kind),
        body: Option<&Body>,
        names: &Names<'_, 'a>,
    ) -> Vec<(&'a Node, NamedContainer)> {
        let Some(list) = template.field(key) else { return Vec::new() };
        let main = match body {
            Some(Body::Container(container) | Body::Script(container, _)) => &container.mounts[..],
            Some(Body::ContainerSet(set)) => {
                let main = set.members.iter().find(|member| &*member.name == MAIN);
                main.map_or(&[][..], |member| &member.container.mounts)
            }
            Some(
                Body::Dag(_)
                | Body::Steps(_)
                | Body::Suspend(_)
                | Body::Http(_)
                | Body::Object(_)
                | Body::Child(_),
            ) => {
                let message = format!("{key} are for templates that run containers");
                self.report.error("conflict", list, message, "remove them");
                return Vec::new();
            }
            None => &[],
        };
        let containers = self.named_containers(list, kind, names);
        let mirror = |(item, mut named): (&'a Node, NamedContainer)| {
            let field = item.field("mirrorVolumeMounts");
            if field.and_then(|node| self.report.boolean(node)) == Some(true) {
                add_mounts(&mut named.container.mounts, main);
            }
            (item, named)
        };
        containers.into_iter().map(mirror).collect()
    }

    /// A list of containers with names of their own.
    fn named_containers(
        &self,
        list: &'a Node,
        kind: &Kind,
        names: &Names<'_, 'a>,
    ) -> Vec<(&'a Node, NamedContainer)> {
        let items = self.report.list(list, "containers").unwrap_or(&[]);
        if items.len() > CONTAINERS {
            let message = format!("{} containers; at most {CONTAINERS} run together", items.len());
            self.report.error("limit", list, message, "make tasks of them");
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for item in items {
            let Some(container) = self.container_of(item, kind, names) else { continue };
            let Some(at) = self.report.required(item, kind, "name") else { continue };
            let Some(name) = self.report.string(at) else { continue };
            if !is_dns_label(name) || matches!(name, "init" | "wait") {
                let message = format!("{} is no name for a container", quote(name));
                let hint = "use a-z, 0-9 and - inside, and not init or wait";
                self.report.error("bad_name", at, message, hint);
            } else if !seen.insert(name) {
                let message = format!("there are two containers {}", quote(name));
                self.report.error("duplicate_name", at, message, "rename one of them");
            } else {
                out.push((item, NamedContainer { name: name.into(), container }));
            }
        }
        out
    }
}

/// Adds mounts at paths that are still free.
fn add_mounts(mounts: &mut Vec<Mount>, more: &[Mount]) {
    for mount in more {
        if !mounts.iter().any(|own| own.path == mount.path) {
            mounts.push(mount.clone());
        }
    }
}

/// A member that can never start, if there is one.
fn waits_for_itself(after: &[Box<[u32]>]) -> Option<usize> {
    let mut started: BTreeSet<u32> = BTreeSet::new();
    let members = || (0_u32..).zip(after.iter().map(|needs| &**needs));
    loop {
        let ready = |(at, needs): (u32, &[u32])| {
            let free = needs.iter().all(|need| started.contains(need));
            (free && !started.contains(&at)).then_some(at)
        };
        let more: Vec<u32> = members().filter_map(ready).collect();
        if more.is_empty() {
            break;
        }
        started.extend(more);
    }
    let left = members().find(|(at, _)| !started.contains(at));
    left.map(|(at, _)| at as usize)
}
