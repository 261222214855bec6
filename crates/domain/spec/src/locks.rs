//! `synchronization` and `memoize`: what is shared with other tasks and workflows.

use std::collections::BTreeSet;

use flowforge_model::plan::{Lock, Memoize};
use flowforge_model::text::{Segment, Text};

use crate::config_maps::Key;
use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;

/// The `ConfigMap` that holds the limits of semaphores Argo keeps in its database.
const LIMITS: &str = "flowforge-semaphores";
/// Locks of one template or workflow.
const LOCKS: usize = 64;

impl<'a> Doc<'a> {
    /// The locks of a template or workflow.
    pub(crate) fn locks(&self, node: &'a Node, names: &Names<'_, 'a>) -> Vec<Lock> {
        let Some(node) = node.field("synchronization") else { return Vec::new() };
        if !self.report.fields(node, &grammar::SYNCHRONIZATION) {
            return Vec::new();
        }
        // Argo before 3.6 knows one of each.
        let one = |key: &str| node.field(key);
        let mutexes =
            one("mutex").into_iter().chain(self.report.list_field(node, "mutexes", "mutexes"));
        let mut out: Vec<(&'a Node, Lock)> = Vec::new();
        for item in mutexes.take(LOCKS + 1) {
            out.extend(self.mutex(item, names).map(|lock| (item, lock)));
        }
        let semaphores = one("semaphore").into_iter().chain(self.report.list_field(
            node,
            "semaphores",
            "semaphores",
        ));
        for item in semaphores.take(LOCKS + 1) {
            out.extend(self.semaphore(item, names).map(|lock| (item, lock)));
        }
        if out.len() > LOCKS {
            let message = format!("more than {LOCKS} locks");
            self.report.error("limit", node, message, "use fewer");
        }
        let mut seen = BTreeSet::new();
        out.retain(|(item, lock)| {
            let fresh = seen.insert((lock.scope.clone(), shape(&lock.name)));
            if !fresh {
                let message = "the same lock is asked for twice";
                self.report.error("duplicate_name", *item, message, "keep one of them");
            }
            fresh
        });
        out.into_iter().map(|(_, lock)| lock).collect()
    }

    fn mutex(&self, item: &'a Node, names: &Names<'_, 'a>) -> Option<Lock> {
        if !self.report.fields(item, &grammar::MUTEX) {
            return None;
        }
        let name = self.report.required(item, &grammar::MUTEX, "name")?;
        let database = item.field("database").and_then(|node| self.report.boolean(node));
        let scope = if database == Some(true) { "database/mutex" } else { "mutex" };
        let name = self.lock_name(name, names)?;
        Some(Lock { scope: scope.into(), name: self.in_namespace(item, name, names), limit: 1 })
    }

    fn semaphore(&self, item: &'a Node, names: &Names<'_, 'a>) -> Option<Lock> {
        if !self.report.fields(item, &grammar::SEMAPHORE) {
            return None;
        }
        let (scope, key, limit) = match (item.field("configMapKeyRef"), item.field("database")) {
            (Some(node), None) => {
                let Key::Value(limit) = self.config_key(node, false) else { return None };
                let map = node.field("name")?.text()?;
                (format!("configmap/{map}"), node.field("key")?, limit)
            }
            (None, Some(node)) => {
                if !self.report.fields(node, &grammar::SEMAPHORE_KEY) {
                    return None;
                }
                let key = self.report.required(node, &grammar::SEMAPHORE_KEY, "key")?;
                ("database".to_owned(), key, self.database_limit(key)?)
            }
            _ => {
                let message = "a semaphore has exactly one of configMapKeyRef and database";
                self.report.error("conflict", item, message, "keep one of them");
                return None;
            }
        };
        let limit = limit.trim();
        let Some(limit) = limit.parse().ok().filter(|limit| *limit > 0) else {
            let message = format!("{} is no limit of a semaphore", quote(limit));
            self.report.error("bad_value", key, message, "write a whole number from 1");
            return None;
        };
        let name = Text::plain(key.text()?);
        Some(Lock { scope: scope.into(), name: self.in_namespace(item, name, names), limit })
    }

    /// The limit of a semaphore of Argo's database: here a `ConfigMap` holds them all.
    fn database_limit(&self, key: &'a Node) -> Option<&'a str> {
        let wanted = self.report.string(key)?;
        let found = self.config_value(LIMITS, wanted);
        if found.is_none() {
            let message = format!("the semaphore {} has no limit", quote(wanted));
            let hint =
                format!("add the ConfigMap {LIMITS} with {wanted}: \"N\", behind a line ---");
            self.report.error("missing_config_map", key, message, hint);
        }
        found
    }

    fn lock_name(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let text = self.text(node, names)?;
        if text.as_plain().is_some_and(|name| name.is_empty() || name.len() > 253) {
            let message = format!("{} is no name for a lock", node.describe());
            self.report.error("bad_name", node, message, "use 1 to 253 characters");
            return None;
        }
        Some(text)
    }

    /// The lock of another namespace is another lock.
    fn in_namespace(&self, item: &'a Node, name: Text, names: &Names<'_, 'a>) -> Text {
        let namespace = item.field("namespace").and_then(|node| self.text(node, names));
        let Some(namespace) = namespace else { return name };
        let mut parts = segments(namespace);
        parts.push(Segment::Literal("/".into()));
        parts.extend(segments(name));
        joined(parts)
    }

    /// Where the outputs of a template are remembered.
    pub(crate) fn memoize(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Memoize> {
        let node = node.field("memoize")?;
        if !self.report.fields(node, &grammar::MEMOIZE) {
            return None;
        }
        let key = self.report.required(node, &grammar::MEMOIZE, "key");
        let cache = self.report.required(node, &grammar::MEMOIZE, "cache")?;
        if !self.report.fields(cache, &grammar::CACHE) {
            return None;
        }
        let map = self.report.required(cache, &grammar::CACHE, "configMap")?;
        if !self.report.fields(map, &grammar::CONFIG_KEY) {
            return None;
        }
        let name = self.report.required(map, &grammar::CONFIG_KEY, "name")?;
        Some(Memoize {
            key: self.text(key?, names)?,
            cache: self.fixed_name(name, "a cache")?.into(),
            max_age: node.field("maxAge").and_then(|node| self.span(node)),
        })
    }
}

fn segments(text: Text) -> Vec<Segment> {
    match text {
        Text::Plain(plain) => vec![Segment::Literal(plain)],
        Text::Parts(parts) => parts.into_vec(),
    }
}

/// Segments as a text; literals alone are a plain one.
fn joined(parts: Vec<Segment>) -> Text {
    let mut plain = String::new();
    for part in &parts {
        match part {
            Segment::Literal(text) => plain.push_str(text),
            Segment::Reference(_) | Segment::Expression(_) => return Text::Parts(parts.into()),
        }
    }
    Text::plain(&plain)
}

/// Equal for texts that are written the same way.
fn shape(text: &Text) -> String {
    format!("{text:?}")
}
