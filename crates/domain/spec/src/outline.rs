//! What is known of a document before its texts are read: names of templates, their inputs and
//! outputs, workflow parameters.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::plan::TemplateIx;

use crate::artifacts::ArtifactOutline;
use crate::config_maps::ConfigMaps;
use crate::grammar;
use crate::library::{DocumentKind, Library};
use crate::located::{Entry, Node, Place, Value, quote};
use crate::merge::Merged;
use crate::names::{Dialect, is_parameter_name};
use crate::pod_patch::Patch;
use crate::report::Report;
use crate::scope::{OWN, Scope, ScopeIx};

/// The bodies a template may have.
const BODIES: &str = "container, script, dag, steps, suspend, containerSet, http, resource";

/// The body of a template, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    Container,
    Script,
    Dag,
    Steps,
    Suspend,
    ContainerSet,
    Http,
    Object,
}

impl BodyKind {
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Container, "container"),
        (Self::Script, "script"),
        (Self::Dag, "dag"),
        (Self::Steps, "steps"),
        (Self::Suspend, "suspend"),
        (Self::ContainerSet, "containerSet"),
        (Self::Http, "http"),
        (Self::Object, "resource"),
    ];

    /// Is one attempt at a time.
    pub(crate) fn leaf(self) -> bool {
        self.processes() || matches!(self, Self::Http | Self::Object)
    }

    /// Runs commands, which read and write files.
    pub(crate) fn processes(self) -> bool {
        matches!(self, Self::Container | Self::Script | Self::ContainerSet)
    }

    /// Runs tasks.
    pub(crate) fn composite(self) -> bool {
        matches!(self, Self::Dag | Self::Steps)
    }
}

/// A parameter a template takes.
#[derive(Debug)]
pub(crate) struct InputOutline<'a> {
    pub(crate) name: &'a str,
    pub(crate) optional: bool,
    pub(crate) choices: Vec<&'a str>,
}

/// A template before its texts are read.
#[derive(Debug)]
pub(crate) struct Outline<'a> {
    /// Its name where it stands; of one that stands inline, the name of its task.
    pub(crate) name: &'a str,
    /// Its name in the plan, which no other has.
    pub(crate) full: Box<str>,
    /// Whose names it uses.
    pub(crate) scope: ScopeIx,
    /// With the defaults of the workflow, if it has any.
    pub(crate) node: &'a Node,
    /// The body and where it is; `None` if there is not exactly one.
    pub(crate) body: Option<(BodyKind, &'a Node)>,
    pub(crate) inputs: Vec<InputOutline<'a>>,
    pub(crate) outputs: Vec<&'a str>,
    pub(crate) artifacts_in: Vec<ArtifactOutline<'a>>,
    pub(crate) artifacts_out: Vec<&'a str>,
}

/// A use of something that only exists after the workflow's end.
#[derive(Debug)]
pub(crate) struct ExitUse<'a> {
    pub(crate) template: TemplateIx,
    pub(crate) node: &'a Node,
    pub(crate) tag: Box<str>,
}

/// Everything the readers of texts look names up in.
#[derive(Debug)]
pub(crate) struct Doc<'a> {
    pub(crate) report: &'a Report<'a>,
    /// What the workflow says beside its templates, or the stored template that is read alone.
    pub(crate) spec: &'a Node,
    pub(crate) dialect: Dialect,
    pub(crate) library: &'a Library<'a>,
    merged: &'a Merged,
    /// Those of the workflow, then those that were found from there.
    pub(crate) templates: Vec<Outline<'a>>,
    full_names: BTreeSet<Box<str>>,
    /// The workflow's own is the first.
    pub(crate) scopes: Vec<Scope<'a>>,
    /// Scopes of stored templates, by whether they are of the cluster, and name.
    pub(crate) stored: BTreeMap<(bool, &'a str), ScopeIx>,
    /// Templates that stand inline, by their place.
    pub(crate) inline: BTreeMap<Place, TemplateIx>,
    /// Stored templates that were looked for in vain.
    pub(crate) missing: RefCell<BTreeSet<(bool, &'a str)>>,
    /// Names of `workflow.parameters`.
    pub(crate) parameters: BTreeSet<&'a str>,
    /// The same with their values.
    pub(crate) values: BTreeMap<Box<str>, Box<str>>,
    /// Names outputs are exported under.
    pub(crate) globals: BTreeSet<&'a str>,
    /// Names artifacts are exported under.
    pub(crate) artifact_globals: BTreeSet<&'a str>,
    /// Names of the artifacts the workflow itself is given.
    pub(crate) given_artifacts: BTreeSet<Box<str>>,
    /// Names of the volumes of the workflow.
    pub(crate) volume_names: BTreeSet<Box<str>>,
    /// A stored template is read without a workflow that uses it: what only that one gives
    /// (parameters, volumes) cannot be looked up.
    pub(crate) alone: bool,
    pub(crate) exit_uses: RefCell<Vec<ExitUse<'a>>>,
    /// `podSpecPatch` of the workflow.
    pub(crate) patch: Option<Patch<'a>>,
    /// What came with the document.
    pub(crate) config_maps: ConfigMaps<'a>,
}

impl<'a> Doc<'a> {
    /// Reads the outlines of all templates of `spec`; [`Self::discover`] finds those these call.
    pub(crate) fn read(
        report: &'a Report<'a>,
        dialect: Dialect,
        spec: &'a Node,
        (library, merged): (&'a Library<'a>, &'a Merged),
    ) -> Self {
        let mut doc = Self {
            report,
            spec,
            dialect,
            library,
            merged,
            templates: Vec::new(),
            full_names: BTreeSet::new(),
            scopes: vec![Scope::default()],
            stored: BTreeMap::new(),
            inline: BTreeMap::new(),
            missing: RefCell::default(),
            parameters: BTreeSet::new(),
            values: BTreeMap::new(),
            globals: BTreeSet::new(),
            artifact_globals: BTreeSet::new(),
            given_artifacts: BTreeSet::new(),
            volume_names: BTreeSet::new(),
            alone: false,
            exit_uses: RefCell::default(),
            patch: None,
            config_maps: ConfigMaps::default(),
        };
        for sheet in &library.sheets {
            if sheet.kind == DocumentKind::ConfigMap
                && let Some(name) = sheet.name().and_then(|(node, _)| node.text())
            {
                doc.config_maps.add(name, sheet.root);
            }
        }
        if let Some(templates) = spec.field("templates") {
            doc.read_templates(templates);
        }
        doc
    }

    pub(crate) fn outline(&self, ix: TemplateIx) -> Option<&Outline<'a>> {
        self.templates.get(ix.0 as usize)
    }

    /// Whose names a template uses.
    pub(crate) fn scope(&self, ix: TemplateIx) -> ScopeIx {
        self.outline(ix).map_or(OWN, |outline| outline.scope)
    }

    fn read_templates(&mut self, templates: &'a Node) {
        match &templates.value {
            Value::List(items) => {
                for item in items {
                    if item.entries().is_none() {
                        self.report.fields(item, &grammar::TEMPLATE);
                        continue;
                    }
                    let field = self.report.required(item, &grammar::TEMPLATE, "name");
                    if let Some((name, node)) =
                        field.and_then(|node| Some((self.report.string(node)?, node)))
                    {
                        self.add(name, node, item);
                    }
                }
            }
            Value::Map(entries) if self.dialect == Dialect::Native => {
                for entry in entries {
                    self.read_entry(entry);
                }
            }
            Value::Map(_) | Value::Plain(_) | Value::Quoted(_) => {
                let message = format!("expected templates, found {}", templates.describe());
                let hint = "write a list of templates, each with its name";
                self.report.error("wrong_type", templates, message, hint);
            }
        }
    }

    fn read_entry(&mut self, entry: &'a Entry) {
        if entry.node.entries().is_none() {
            self.report.fields(&entry.node, &grammar::TEMPLATE);
            return;
        }
        if let Some(name) = entry.node.field("name")
            && name.text() != Some(&entry.key)
        {
            let message =
                format!("the template {} calls itself {}", quote(&entry.key), name.describe());
            let hint = "remove the field name: the key names the template";
            self.report.error("conflict", name, message, hint);
        }
        self.add(&entry.key, &entry.node, &entry.node);
    }

    /// A template of the workflow's own.
    fn add(&mut self, name: &'a str, at: &'a Node, node: &'a Node) {
        self.dialect.check_name(self.report, at, name, "a template");
        let ix = self.add_outline(OWN, name, name.to_owned(), node);
        if self.scopes.first_mut().is_some_and(|own| !own.define(name, node, ix)) {
            let message = format!("there are two templates {}", quote(name));
            self.report.error("duplicate_name", at, message, "rename one of them");
        }
    }

    /// Reads a template of any scope. `full` is its name in the plan, if no other has that.
    pub(crate) fn add_outline(
        &mut self,
        scope: ScopeIx,
        name: &'a str,
        mut full: String,
        node: &'a Node,
    ) -> TemplateIx {
        let node = self.merged.templates.get(&node.place).unwrap_or(node);
        self.report.fields(node, &grammar::TEMPLATE);
        while self.full_names.contains(&*full) {
            full.push('+');
        }
        self.full_names.insert(full.as_str().into());
        let ix = TemplateIx(u32::try_from(self.templates.len()).unwrap_or(u32::MAX));
        let outputs = self.output_names(node);
        let artifacts_in = node.field("inputs").filter(|node| node.entries().is_some());
        let artifacts_out = node.field("outputs").filter(|node| node.entries().is_some());
        let outline = Outline {
            name,
            full: full.into(),
            scope,
            node,
            body: self.body(name, node),
            inputs: self.input_outlines(node),
            outputs,
            artifacts_in: artifacts_in.map_or(Vec::new(), |node| self.artifact_outlines(node)),
            artifacts_out: artifacts_out.map_or(Vec::new(), |node| self.artifact_names(node)),
        };
        self.templates.push(outline);
        ix
    }

    /// The one body of a template.
    fn body(&self, name: &str, node: &'a Node) -> Option<(BodyKind, &'a Node)> {
        let has = |key: &str| {
            let entries = node.entries().unwrap_or(&[]);
            entries.iter().find(|entry| &*entry.key == key)
        };
        let mut found: Option<(BodyKind, &'a Node)> = None;
        for (kind, key) in BodyKind::ALL {
            // `suspend:` alone is a body too.
            let Some(entry) = has(key).filter(|e| kind == BodyKind::Suspend || !e.node.is_null())
            else {
                continue;
            };
            if found.is_some() {
                let message = format!("the template {} has a second body, {key}", quote(name));
                let hint = format!("a template is one of {BODIES}");
                self.report.error("conflict", entry, message, hint);
            } else {
                found = Some((kind, &entry.node));
            }
        }
        let known_elsewhere =
            ["data", "plugin", "template", "templateRef"].iter().any(|key| has(key).is_some());
        if found.is_none() && !known_elsewhere {
            let message = format!("the template {} does nothing", quote(name));
            let hint = format!("give it one of {BODIES}");
            self.report.error("missing_field", node, message, hint);
        }
        found
    }

    fn input_outlines(&self, node: &'a Node) -> Vec<InputOutline<'a>> {
        let Some(inputs) = node.field("inputs") else {
            return Vec::new();
        };
        if !self.report.fields(inputs, &grammar::INPUTS) {
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for item in self.report.list_field(inputs, "parameters", "inputs") {
            if !self.report.fields(item, &grammar::INPUT) {
                continue;
            }
            let Some(name) = parameter_name(self.report, item, &grammar::INPUT, &mut seen) else {
                continue;
            };
            out.push(InputOutline {
                name,
                optional: ["value", "valueFrom", "default"].iter().any(|k| item.field(k).is_some()),
                choices: self.choices(item),
            });
        }
        out
    }

    /// The allowed values of a parameter.
    pub(crate) fn choices(&self, parameter: &'a Node) -> Vec<&'a str> {
        let Some(list) = parameter.field("enum") else {
            return Vec::new();
        };
        let items = self.report.list(list, "values").unwrap_or(&[]);
        if items.is_empty() {
            let message = "an enum without values allows nothing";
            self.report.error("empty", list, message, "remove it or add values");
        }
        items.iter().filter_map(|item| self.report.string(item)).collect()
    }

    fn output_names(&mut self, node: &'a Node) -> Vec<&'a str> {
        let Some(outputs) = node.field("outputs") else {
            return Vec::new();
        };
        if !self.report.fields(outputs, &grammar::OUTPUTS) {
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for item in self.report.list_field(outputs, "parameters", "outputs") {
            if !self.report.fields(item, &grammar::OUTPUT) {
                continue;
            }
            out.extend(parameter_name(self.report, item, &grammar::OUTPUT, &mut seen));
            if let Some(global) = item.field("globalName").and_then(|node| self.report.string(node))
            {
                self.globals.insert(global);
            }
        }
        out
    }
}

/// The name of a parameter, checked and new.
pub(crate) fn parameter_name<'a>(
    report: &Report<'a>,
    item: &'a Node,
    kind: &grammar::Kind,
    seen: &mut BTreeSet<&'a str>,
) -> Option<&'a str> {
    item_name(report, item, kind, seen, "parameter")
}

/// The name of a parameter or artifact, checked and new.
pub(crate) fn item_name<'a>(
    report: &Report<'a>,
    item: &'a Node,
    kind: &grammar::Kind,
    seen: &mut BTreeSet<&'a str>,
    what: &str,
) -> Option<&'a str> {
    let node = report.required(item, kind, "name")?;
    let name = report.string(node)?;
    if !is_parameter_name(name) {
        let article = if what.starts_with('a') { "an" } else { "a" };
        let message = format!("{} is no name of {article} {what}", quote(name));
        let hint = "use letters, digits, - and _, at most 128 of them";
        report.error("bad_name", node, message, hint);
        return None;
    }
    if !seen.insert(name) {
        let message = format!("the {what} {name} is given twice");
        report.error("duplicate_name", node, message, "keep one of them");
        return None;
    }
    Some(name)
}
