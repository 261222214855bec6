//! `gang`: a template that runs as several members beside each other, all or none.

use flowforge_model::limits::GANG_MEMBERS;

use crate::grammar;
use crate::located::Node;
use crate::outline::{BodyKind, Doc};

/// What a gang is not combined with, and what to do instead.
const APART: [(&str, &str); 3] = [
    ("initContainers", "do it at the beginning of the command, or in a task before this one"),
    ("sidecars", "start it in the command of the members that need it"),
    ("daemon", "remove one of the two"),
];

impl<'a> Doc<'a> {
    /// How many members the template has; `None` if it is no gang, or what is wrong was reported.
    pub(crate) fn gang(&self, template: &'a Node, kind: BodyKind) -> Option<u32> {
        let gang = template.field("gang")?;
        if !matches!(kind, BodyKind::Container | BodyKind::Script) {
            let message = "a gang is made of one container or script";
            let hint = "set gang on the template of the task that is to run several times";
            self.report.error("conflict", gang, message, hint);
            return None;
        }
        for (key, hint) in APART {
            if let Some(field) = template.field(key).filter(|field| !says_nothing(field)) {
                let message = format!("a gang has no {key}: each member is one container");
                self.report.error("conflict", field, message, hint);
            }
        }
        if !self.report.fields(gang, &grammar::GANG) {
            return None;
        }
        self.report.required(gang, &grammar::GANG, "replicas")?;
        self.optional_whole(gang, "replicas", 2, GANG_MEMBERS)
    }
}

/// An empty list, or `false`.
fn says_nothing(field: &Node) -> bool {
    field.text() == Some("false") || field.text().is_none() && field.items().is_empty()
}
