//! Tasks that could never get a lock, because what calls them holds it until they have ended.

use std::collections::BTreeSet;

use flowforge_model::plan::{Lock, Plan, TemplateIx};
use flowforge_model::text::Text;

use crate::located::quote;
use crate::outline::Doc;
use crate::recursion::{callees, certain};

/// Calls looked at, over all locks of a document. What is not seen here is seen when it runs.
const LOOKS: usize = 200_000;

/// Reports a template with a mutex that its workflow or what calls it holds already. Argo lets such
/// a task wait without an end. Only calls that are certain to be made count, and only names without
/// tags: any other is looked at when it runs.
pub(crate) fn check(doc: &Doc<'_>, plan: &Plan) {
    let calls: Vec<Vec<u32>> =
        plan.templates.iter().map(|template| callees(template.body.tasks(), certain)).collect();
    let mut chains = Chains { doc, plan, calls: &calls, reported: BTreeSet::new(), looks: LOOKS };
    for (ix, template) in (0_u32..).zip(&plan.templates) {
        for lock in &template.locks {
            chains.below(lock, &format!("the template {}", template.name), chains.called(ix));
        }
    }
    for lock in &plan.locks {
        // The entrypoint takes its locks together with its workflow.
        let exit = plan.on_exit.iter().map(|call| call.template.0);
        let first = chains.called(plan.entrypoint.0).into_iter().chain(exit).collect();
        chains.below(lock, "the workflow", first);
    }
}

struct Chains<'c, 'a> {
    doc: &'c Doc<'a>,
    plan: &'c Plan,
    calls: &'c [Vec<u32>],
    reported: BTreeSet<u32>,
    looks: usize,
}

impl Chains<'_, '_> {
    fn called(&self, ix: u32) -> Vec<u32> {
        self.calls.get(ix as usize).cloned().unwrap_or_default()
    }

    /// Looks at all that is called while `holder` has `lock`, beginning with `open`.
    fn below(&mut self, lock: &Lock, holder: &str, mut open: Vec<u32>) {
        let Text::Plain(name) = &lock.name else { return };
        if lock.limit > 1 {
            return;
        }
        let mut seen = BTreeSet::new();
        while let Some(ix) = open.pop().filter(|_| self.looks > 0) {
            self.looks = self.looks.saturating_sub(1);
            if !seen.insert(ix) {
                continue;
            }
            let template = self.plan.template(TemplateIx(ix));
            let locks = template.map_or(&[][..], |template| &template.locks);
            if !locks.iter().any(|own| own.scope == lock.scope && own.name == lock.name) {
                open.extend(self.called(ix));
                continue;
            }
            // What that one calls is looked at from there.
            let Some(outline) = self.doc.outline(TemplateIx(ix)) else { continue };
            if self.reported.insert(ix) {
                let message = format!(
                    "a task of this template would wait for {} without an end: {holder} holds it \
                     until the task has ended",
                    quote(name)
                );
                let hint = "give the two locks different names, or keep one of them";
                let at = outline.node.field("synchronization").unwrap_or(outline.node);
                self.doc.report.error("lock_held", at, message, hint);
            }
        }
    }
}
