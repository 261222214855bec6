//! Which template a name means: names count within one document, and a `templateRef` leads from
//! one document to another.

use std::collections::BTreeMap;

use flowforge_model::plan::TemplateIx;

use crate::grammar::{self, Kind};
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::task::sites;

/// Index into [`Doc::scopes`]. The workflow's own is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScopeIx(pub(crate) usize);

/// The scope of the workflow itself.
pub(crate) const OWN: ScopeIx = ScopeIx(0);

/// Templates that call each other by name: those of the workflow, or of one stored template.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    /// What the plan calls its templates: this, then their names.
    pub(crate) prefix: String,
    by_name: BTreeMap<&'a str, Defined<'a>>,
}

/// A template of a scope.
#[derive(Debug)]
struct Defined<'a> {
    node: &'a Node,
    /// Its place in the plan, once something calls it.
    ix: Option<TemplateIx>,
}

impl<'a> Scope<'a> {
    /// What a stored document has; problems of templates that nothing calls are its own.
    fn stored(spec: Option<&'a Node>, cluster: bool, name: &str) -> Self {
        let items = spec.and_then(|spec| spec.field("templates")).map_or(&[][..], Node::items);
        let mut by_name = BTreeMap::new();
        for node in items {
            if let Some(name) = node.field("name").and_then(Node::text) {
                by_name.entry(name).or_insert(Defined { node, ix: None });
            }
        }
        let cluster = if cluster { "cluster:" } else { "" };
        Self { prefix: format!("{cluster}{name}/"), by_name }
    }

    /// Adds a template that is in the plan. `false` if the name is taken.
    pub(crate) fn define(&mut self, name: &'a str, node: &'a Node, ix: TemplateIx) -> bool {
        self.by_name.insert(name, Defined { node, ix: Some(ix) }).is_none()
    }

    fn get(&self, name: &str) -> Option<TemplateIx> {
        self.by_name.get(name)?.ix
    }

    fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.by_name.keys().copied()
    }
}

/// A `templateRef` that is complete.
struct StoredRef<'a> {
    cluster: bool,
    name: &'a str,
    template: &'a str,
}

impl<'a> StoredRef<'a> {
    fn read(node: &'a Node) -> Option<Self> {
        let cluster = node.field("clusterScope").and_then(Node::text);
        Some(Self {
            cluster: matches!(cluster, Some("true" | "True" | "TRUE")),
            name: node.field("name")?.text()?,
            template: node.field("template")?.text()?,
        })
    }
}

impl<'a> Doc<'a> {
    /// Reads the outlines of all templates that the known ones call, wherever they are.
    pub(crate) fn discover(&mut self, spec: &'a Node) {
        for site in hooks(spec) {
            self.demand_site(OWN, site, None);
        }
        let mut at = 0;
        while let Some(outline) = self.templates.get(at) {
            let (node, scope, full) = (outline.node, outline.scope, outline.full.clone());
            for site in sites(node) {
                self.demand_site(scope, site, Some(&full));
                for hook in hooks(site) {
                    self.demand_site(scope, hook, None);
                }
                if let Some(name) = site.field("onExit").and_then(Node::text) {
                    self.demand(scope, name);
                }
            }
            at = at.saturating_add(1);
        }
    }

    /// Sees to it that what a task or hook calls is in the plan.
    fn demand_site(&mut self, scope: ScopeIx, site: &'a Node, parent: Option<&str>) {
        if let (Some(inline), Some(parent)) = (site.field("inline"), parent) {
            let name = site.field("name").and_then(Node::text).unwrap_or("inline");
            if inline.entries().is_some() && !self.inline.contains_key(&inline.place) {
                let full = format!("{parent}.{name}");
                let ix = self.add_outline(scope, name, full, inline);
                self.inline.insert(inline.place, ix);
            }
        }
        if let Some(reference) = site.field("templateRef").and_then(StoredRef::read)
            && let Some(scope) = self.open_scope(reference.cluster, reference.name)
        {
            self.demand(scope, reference.template);
        }
        if let Some(name) = site.field("template").and_then(Node::text) {
            self.demand(scope, name);
        }
    }

    fn demand(&mut self, scope: ScopeIx, name: &'a str) {
        let Some(of) = self.scopes.get(scope.0) else { return };
        let Some(Defined { node, ix: None }) = of.by_name.get(name) else {
            return;
        };
        let (node, full) = (*node, format!("{}{name}", of.prefix));
        // Whoever calls it finds it from here on, also while it is being read.
        let ix = self.add_outline(scope, name, full, node);
        if let Some(defined) =
            self.scopes.get_mut(scope.0).and_then(|scope| scope.by_name.get_mut(name))
        {
            defined.ix = Some(ix);
        }
    }

    /// The scope of a stored template, read at its first use.
    fn open_scope(&mut self, cluster: bool, name: &'a str) -> Option<ScopeIx> {
        if let Some(ix) = self.stored.get(&(cluster, name)) {
            return Some(*ix);
        }
        let sheet = self.library.template(cluster, name)?;
        let ix = ScopeIx(self.scopes.len());
        self.scopes.push(Scope::stored(sheet.spec(), cluster, name));
        self.stored.insert((cluster, name), ix);
        Some(ix)
    }

    /// The template that a task or hook calls; reports it if there is none.
    pub(crate) fn callee(&self, scope: ScopeIx, site: &'a Node, kind: &Kind) -> Option<TemplateIx> {
        let mut given = ["template", "templateRef", "inline"]
            .into_iter()
            .filter_map(|key| site.field(key).map(|node| (key, node)));
        let first = given.next();
        if let Some((key, second)) = given.next() {
            let message = format!("{} calls one template; {key} is a second one", kind.name);
            let hint = "keep one of template, templateRef and inline";
            self.report.error("conflict", second, message, hint);
            return None;
        }
        match first {
            None => {
                self.report.required(site, kind, "template");
                None
            }
            Some(("template", node)) => self.template(scope, node),
            Some(("templateRef", node)) => self.stored_template(node),
            Some((_, node)) => {
                let found = self.inline.get(&node.place).copied();
                if found.is_none() {
                    self.report.fields(node, &grammar::TEMPLATE);
                }
                found
            }
        }
    }

    /// The template a field names; reports it if there is none.
    pub(crate) fn template(&self, scope: ScopeIx, node: &'a Node) -> Option<TemplateIx> {
        let name = self.report.string(node)?;
        let of = self.scopes.get(scope.0)?;
        let found = of.get(name);
        if found.is_none() {
            if name.contains("{{") {
                let message = "a template's name cannot hold tags";
                self.report.error("unsupported", node, message, "name one template");
                return None;
            }
            let hint = self.report.did_you_mean(name, of.names());
            let message = format!("there is no template {}", quote(name));
            self.report.error("unknown_template", node, message, hint);
        }
        found
    }

    /// The template a `templateRef` names; reports it if there is none.
    fn stored_template(&self, node: &'a Node) -> Option<TemplateIx> {
        if !self.report.fields(node, &grammar::TEMPLATE_REF) {
            return None;
        }
        let stored = self.report.required(node, &grammar::TEMPLATE_REF, "name")?;
        let template = self.report.required(node, &grammar::TEMPLATE_REF, "template")?;
        let reference = StoredRef::read(node)?;
        if let Some(flag) = node.field("clusterScope") {
            self.report.boolean(flag);
        }
        if let Some((at, _)) = [(stored, reference.name), (template, reference.template)]
            .into_iter()
            .find(|(_, name)| name.contains("{{"))
        {
            let message = "the name of a template cannot hold tags";
            self.report.error("unsupported", at, message, "name one template");
            return None;
        }
        let Some(scope) = self.stored.get(&(reference.cluster, reference.name)) else {
            self.missing_template(stored, reference.cluster, reference.name);
            return None;
        };
        self.template(*scope, template)
    }

    /// Reports a stored template that did not come with the document.
    pub(crate) fn missing_template(&self, at: &'a Node, cluster: bool, name: &'a str) {
        self.missing.borrow_mut().insert((cluster, name));
        let kind = if cluster { "ClusterWorkflowTemplate" } else { "WorkflowTemplate" };
        let mut hint = self.report.did_you_mean(name, self.library.template_names(cluster));
        if hint.is_empty() {
            hint = match self.library.template(!cluster, name) {
                Some(_) if cluster => {
                    "there is a WorkflowTemplate of this name: remove clusterScope".to_owned()
                }
                Some(_) => {
                    "there is a ClusterWorkflowTemplate of this name: add clusterScope: true"
                        .to_owned()
                }
                None => "add its document to the text, behind a line ---, or store it".to_owned(),
            };
        }
        let message = format!("there is no {kind} {}", quote(name));
        if self.alone {
            self.report.warning("missing_template", at, message, hint);
        } else {
            self.report.error("missing_template", at, message, hint);
        }
    }
}

/// The hooks of a task or of a workflow.
pub(crate) fn hooks(node: &Node) -> impl Iterator<Item = &Node> {
    let entries = node.field("hooks").and_then(Node::entries).unwrap_or(&[]);
    entries.iter().map(|entry| &entry.node)
}
