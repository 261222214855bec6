//! `podSpecPatch`. What it makes of the resources of containers is taken out of it here, because it is reserved
//! before there is a pod; what else it says is read when the task begins.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_expr::RawSegment;
use flowforge_model::plan::{Setting, Template};
use flowforge_model::quantity::Quantity;
use flowforge_model::resources::{Given, Resource, Resources, Side};
use flowforge_model::text::{LastRetryField, Reference, Segment, Text, WorkflowField};

use crate::grammar;
use crate::items::{json_of, json_text};
use crate::located::{self, Entry, Node, Root, Value, quote};
use crate::names::Dialect;
use crate::outline::{BodyKind, Doc};
use crate::pod::has_pod;
use crate::references::Names;

/// Where a pod has containers.
const CONTAINERS: &str = "containers";
/// Where it has those that come before.
const INIT: &str = "initContainers";
/// Bytes of a patch, times the templates that it is laid over.
const PATCH_BYTES: usize = 8 * 1024 * 1024;
/// Containers that Argo adds to pods.
const OF_ARGO: [&str; 2] = ["init", "wait"];

/// A patch as far as it can be read before its tags are put in.
#[derive(Debug)]
pub(crate) struct Patch<'a> {
    /// Where it stands.
    at: &'a Node,
    containers: Vec<Changed>,
    rest: Rest,
}

/// What it says of one container.
#[derive(Debug)]
struct Changed {
    /// The list of the pod that it is in.
    list: &'static str,
    name: Box<str>,
    amounts: Vec<Amount>,
}

/// One amount as it was written; none takes away what was there.
#[derive(Debug)]
struct Amount {
    of: (Side, Resource),
    text: Option<Box<str>>,
}

/// What it says of other things.
#[derive(Debug)]
enum Rest {
    Nothing,
    /// The text as it was written.
    Whole,
    Tree(Node),
}

/// What is asked for a container after all patches so far.
struct Asked<'a> {
    /// The last of them.
    at: &'a Node,
    given: [Given; 2],
    /// What is known when the task begins, in place of what was given.
    late: BTreeMap<(Side, Resource), Text>,
}

/// A container of a template: the list of a pod that it is in, its name, and where it is written.
struct Place<'a> {
    list: &'static str,
    name: Box<str>,
    node: Option<&'a Node>,
}

impl<'a> Doc<'a> {
    /// The patch of a workflow or template, for so many templates.
    pub(crate) fn read_patch(&self, of: &'a Node, templates: usize) -> Option<Patch<'a>> {
        let at = of.field(grammar::POD_PATCH.key)?;
        let source = self.report.string(at)?;
        if source.len().saturating_mul(templates) > PATCH_BYTES {
            let message = format!(
                "podSpecPatch has {} bytes and is for {templates} templates; times each other they \
                 are at most {PATCH_BYTES}",
                source.len()
            );
            let hint = "write it into the templates that need it";
            self.report.error("too_large", at, message, hint);
            return None;
        }
        let entries = match map_of(source) {
            Ok(entries) => entries,
            Err(why) if speaks_of_containers(source) => {
                let message =
                    format!("podSpecPatch cannot be read before its tags are put in: {why}");
                let hint = "one that changes containers has to be: put each tag in quotes, as in \
                            memory: \"{{inputs.parameters.memory}}\"";
                self.report.error("bad_patch", at, message, hint);
                return None;
            }
            Err(_) => Vec::new(),
        };
        let (lists, rest): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| matches!(&*entry.key, CONTAINERS | INIT));
        let rest = match (lists.is_empty(), rest.is_empty()) {
            (true, _) => Rest::Whole,
            (false, true) => Rest::Nothing,
            (false, false) => Rest::Tree(Node { place: at.place, value: Value::Map(rest.into()) }),
        };
        let containers = lists.iter().flat_map(|list| self.changed(at, list)).collect();
        Some(Patch { at, containers, rest })
    }

    /// What a list says of its containers. What is wrong with that is said once, however many templates it
    /// is for.
    fn changed(&self, at: &'a Node, list: &Entry) -> Vec<Changed> {
        let Value::List(items) = &list.node.value else {
            let found = list.node.describe();
            let message = format!("podSpecPatch: expected {} (a list), found {found}", list.key);
            self.report.error("wrong_type", at, message, "");
            return Vec::new();
        };
        let list = if *list.key == *INIT { INIT } else { CONTAINERS };
        let mut all: BTreeMap<&str, Changed> = BTreeMap::new();
        for item in items {
            let Some(name) = item.field("name").and_then(Node::text) else {
                let message = format!("podSpecPatch: an item of {list} has no name");
                let hint = "name the container that is meant: of container and script it is main";
                self.report.error("missing_field", at, message, hint);
                continue;
            };
            let mut changed = Changed { list, name: name.into(), amounts: Vec::new() };
            for entry in item.entries().unwrap_or_default() {
                match &*entry.key {
                    "name" => {}
                    "resources" => self.changed_resources((at, &entry.node), &mut changed),
                    other => {
                        let message = format!("{}: {other} cannot be patched", told(name));
                        let hint = "write it into the container; a patch may change its resources";
                        self.report.error("unsupported", at, message, hint);
                    }
                }
            }
            if all.insert(name, changed).is_some() {
                let message = format!("{} is in {list} twice", told(name));
                self.report.error("duplicate_name", at, message, "write it once");
            }
        }
        all.into_values().collect()
    }

    fn changed_resources(&self, (at, resources): (&'a Node, &Node), changed: &mut Changed) {
        let whose = told(&changed.name);
        for list in self.entries_of((at, resources), "resources", &whose) {
            let Some(side) = Side::ALL.into_iter().find(|side| side.name() == &*list.key) else {
                let message = format!("{whose}: {} of resources cannot be patched", list.key);
                self.report.error("unsupported", at, message, "write requests or limits");
                continue;
            };
            for entry in self.entries_of((at, &list.node), side.name(), &whose) {
                let Some(resource) = self.resource(at, &entry.key) else { continue };
                let (of, text) = ((side, resource), entry.node.text());
                if text.is_none() && !entry.node.is_null() {
                    let (field, found) = (field(&changed.name, of), entry.node.describe());
                    let message = format!("{field}expected a quantity, found {found}");
                    self.report.error("wrong_type", at, message, "");
                    continue;
                }
                changed.amounts.push(Amount { of, text: text.map(Into::into) });
            }
        }
    }

    fn entries_of<'n>(
        &self,
        (at, node): (&'a Node, &'n Node),
        what: &str,
        whose: &str,
    ) -> &'n [Entry] {
        node.entries().unwrap_or_else(|| {
            let found = node.describe();
            let message = format!("{whose}: expected {what} (a map), found {found}");
            self.report.error("wrong_type", at, message, "");
            &[]
        })
    }

    /// Lays the patches of the workflow and of a template over what the template asks of its pods.
    pub(crate) fn patch_pods(
        &self,
        (of, kind, body): (&'a Node, BodyKind, &'a Node),
        names: &Names<'_, 'a>,
        template: &mut Template,
    ) {
        if !has_pod(kind) {
            return;
        }
        let own = self.read_patch(of, 1);
        let patches = || self.patch.iter().chain(&own);
        template.pod_patches = patches().filter_map(|patch| self.rest(patch, names)).collect();
        if patches().all(|patch| patch.containers.is_empty()) {
            return;
        }
        let places = places((of, kind, body), template);
        let mut asked = BTreeMap::new();
        for patch in patches() {
            // One that is not there is enough said, where there are many templates.
            let _ = patch.containers.iter().try_for_each(|changed| {
                self.patch_container((patch.at, changed), &places, names, &mut asked)
            });
        }
        self.ask(asked, template);
    }

    fn rest(&self, patch: &Patch<'a>, names: &Names<'_, 'a>) -> Option<Text> {
        match &patch.rest {
            Rest::Nothing => None,
            Rest::Whole => self.text(patch.at, names),
            Rest::Tree(tree) => Some(json_of(tree, &|_, text, out| {
                json_text(self, (patch.at, text), names, out);
            })),
        }
    }

    /// None if there is no such container.
    fn patch_container(
        &self,
        (at, changed): (&'a Node, &Changed),
        places: &[Place<'a>],
        names: &Names<'_, 'a>,
        asked: &mut BTreeMap<usize, Asked<'a>>,
    ) -> Option<()> {
        let known = |place: &Place<'_>| place.list == changed.list && place.name == changed.name;
        let Some((ix, place)) = places.iter().enumerate().find(|(_, place)| known(place)) else {
            return self.unknown_container((at, changed.list), &changed.name, places);
        };
        let asked = asked.entry(ix).or_insert_with(|| {
            let node = place.node.and_then(|node| node.field("resources"));
            let given = node.map_or([Given::default(); 2], |node| self.sides(node));
            Asked { at, given, late: BTreeMap::new() }
        });
        asked.at = at;
        for amount in &changed.amounts {
            self.patch_amount((&changed.name, amount), names, asked);
        }
        Some(())
    }

    /// Nothing, unless the container is one that nobody misses.
    fn unknown_container(
        &self,
        (at, list): (&'a Node, &str),
        name: &str,
        places: &[Place<'a>],
    ) -> Option<()> {
        if self.dialect == Dialect::Argo && OF_ARGO.contains(&name) {
            let message = format!("podSpecPatch: no container {name} of Argo's is added to pods");
            self.report.warning("no_effect", at, message, "");
            return Some(());
        }
        let known: Vec<&str> =
            places.iter().filter(|place| *place.list == *list).map(|place| &*place.name).collect();
        let message = format!("podSpecPatch: {list} has no container {}", quote(name));
        let hint = match &known[..] {
            [] => "the template has none there".to_owned(),
            known => format!("the template has {}", known.join(", ")),
        };
        self.report.error("unknown_container", at, message, hint);
        None
    }

    /// One amount. As in any patch, `null` takes away.
    fn patch_amount(
        &self,
        (name, amount): (&str, &Amount),
        names: &Names<'_, 'a>,
        asked: &mut Asked<'a>,
    ) {
        let of @ (side, resource) = amount.of;
        let (at, [requests, limits]) = (asked.at, &mut asked.given);
        let given = if side == Side::Requests { requests } else { limits };
        let Some(text) = amount.text.as_deref() else {
            given.clear(resource);
            asked.late.remove(&of);
            return;
        };
        let whose = &*field(name, of);
        if known_later(text) {
            let Some(text) = self.text_of(at, text, names) else { return };
            if let Some(changes) = changing(&text) {
                let message = format!(
                    "{whose}{changes} may change after the task became ready, when this is reserved"
                );
                let hint = "use parameters, inputs, retries or lastRetry.exitCode";
                self.report.error("unsupported", at, message, hint);
            }
            given.clear(resource);
            asked.late.insert(of, text);
        } else if let Some(amount) = self.amount(at, (text, whose), resource) {
            // That it is one was found out.
            let _ = given.set(resource, amount);
            asked.late.remove(&of);
        }
    }

    /// Puts what is asked for into the containers, and what is known later among what is late.
    fn ask(&self, asked: BTreeMap<usize, Asked<'a>>, template: &mut Template) {
        let mut containers = template.containers_mut();
        let mut all_late = Vec::new();
        for (ix, Asked { at, given, late }) in asked {
            let Some((name, container)) = containers.get_mut(ix) else { continue };
            let settled = self.settle(
                at,
                given,
                &format!("with podSpecPatch, of container {} ", quote(name)),
            );
            container.resources = if late.is_empty() { settled } else { known(given, &late) };
            if !late.is_empty() {
                all_late.extend(settings(ix, given, late));
            }
        }
        template.late.extend(all_late);
    }
}

/// Of whom something is said.
fn told(container: &str) -> String {
    format!("podSpecPatch: container {}", quote(container))
}

/// Of what something is said.
fn field(container: &str, (side, resource): (Side, Resource)) -> String {
    format!("{}: resources.{}.{}: ", told(container), side.name(), resource.name())
}

/// The entries of a patch that is a map.
fn map_of(source: &str) -> Result<Vec<Entry>, String> {
    let why = |problem: &crate::Problem| format!("line {}: {}", problem.line, problem.message);
    let read = located::read_as_written(source, Root::MapOrList).map_err(|p| why(&p))?;
    if let Some(fault) = read.faults.first() {
        return Err(why(fault));
    }
    let mut documents = read.documents.into_iter();
    match (documents.next().map(|one| one.root.value), documents.next()) {
        (Some(Value::Map(entries)), None) => Ok(entries.into()),
        _ => Err("it is not one map".to_owned()),
    }
}

/// Whether a text that cannot be read has a field for containers.
fn speaks_of_containers(source: &str) -> bool {
    [CONTAINERS, INIT]
        .into_iter()
        .any(|key| source.contains(&format!("\"{key}\"")) || source.contains(&format!("{key}:")))
}

/// The containers of a template, in the order of [`Template::containers_mut`].
fn places<'a>(
    (of, kind, body): (&'a Node, BodyKind, &'a Node),
    template: &mut Template,
) -> Vec<Place<'a>> {
    let (before, beside) = (template.init.len(), template.sidecars.len());
    let all = template.containers_mut();
    let own = all.len().saturating_sub(before).saturating_sub(beside);
    let one_of = |node: &'a Node, key: &str, name: &str| {
        let items = node.field(key).map_or(&[][..], Node::items);
        items.iter().find(|item| item.field("name").and_then(Node::text) == Some(name))
    };
    let place = |(ix, (name, _)): (usize, &(&str, _))| {
        let (list, node) = if ix < own && kind != BodyKind::ContainerSet {
            (CONTAINERS, Some(body))
        } else if ix < own {
            (CONTAINERS, one_of(body, "containers", name))
        } else if ix < own.saturating_add(before) {
            (INIT, one_of(of, "initContainers", name))
        } else {
            // Argo's are containers of the pod.
            (CONTAINERS, one_of(of, "sidecars", name))
        };
        Place { list, name: (*name).into(), node }
    };
    all.iter().enumerate().map(place).collect()
}

/// Whether a quantity holds more than parameters of the workflow, which are known when it is submitted.
fn known_later(text: &str) -> bool {
    let parts = flowforge_expr::parse_text(text);
    // What is wrong with a tag is said by who reads it.
    parts.map_or(true, |parts| {
        parts.iter().any(|part| match part {
            RawSegment::Literal(_) => false,
            RawSegment::Reference(tag) => !tag.starts_with("workflow.parameters."),
            RawSegment::Expression(_) => true,
        })
    })
}

/// What a text names that may change while a task waits or runs.
fn changing(text: &Text) -> Option<String> {
    let Text::Parts(parts) = text else { return None };
    parts.iter().find_map(|part| match part {
        Segment::Literal(_) => None,
        Segment::Reference(reference) => {
            let changes = matches!(
                reference,
                Reference::Workflow(
                    WorkflowField::Status | WorkflowField::Failures | WorkflowField::Duration
                ) | Reference::WorkflowOutput(_)
                    | Reference::LastRetry(
                        LastRetryField::Status | LastRetryField::Duration | LastRetryField::Message
                    )
            );
            changes.then(|| flowforge_expr::human(reference, &|_| None))
        }
        Segment::Expression(source) => {
            let paths = flowforge_expr::names(source).unwrap_or_default();
            let changes = |path: &Vec<String>| {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                match path[..] {
                    ["workflow"] | ["lastRetry"] => true,
                    ["workflow", field, ..] => {
                        matches!(field, "status" | "failures" | "duration" | "outputs")
                    }
                    ["lastRetry", field, ..] => field != "exitCode",
                    _ => false,
                }
            };
            paths.iter().find(|path| changes(path)).map(|path| path.join("."))
        }
    })
}

/// What is known of what a container asks for; 0 of what is not.
fn known(mut given: [Given; 2], late: &BTreeMap<(Side, Resource), Text>) -> Resources {
    let resources: BTreeSet<Resource> = late.keys().map(|(_, resource)| *resource).collect();
    for resource in resources {
        for side in &mut given {
            if side.written(resource).is_none() {
                // Nothing is a number of anything.
                let _ = side.set(resource, Quantity::default());
            }
        }
    }
    let [requests, limits] = given;
    Resources::settled(requests, limits)
}

/// All that is given for a container, as settings: they are settled together.
fn settings(
    container: usize,
    [requests, limits]: [Given; 2],
    late: BTreeMap<(Side, Resource), Text>,
) -> impl Iterator<Item = (Setting, Text)> {
    let sides = [(Side::Requests, requests), (Side::Limits, limits)];
    let known = sides.into_iter().flat_map(|(side, given)| {
        Resource::ALL.into_iter().filter_map(move |resource| {
            Some(((side, resource), Text::plain(&given.written(resource)?)))
        })
    });
    let container = u32::try_from(container).unwrap_or(u32::MAX);
    known.chain(late).map(move |((side, resource), text)| {
        (Setting::Resource { container, side, resource }, text)
    })
}
