//! Evaluates the tree of an expression, counting steps and bytes.

mod access;
mod each;
mod operators;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use flowforge_model::limits::{EXPRESSION_MEMORY, EXPRESSION_STEPS};

use super::ast::{Kind, Node};
use super::environment::{Ambient, Entry, Environment};
use super::fault::{Fault, fail};
use super::value::{Key, Str, Value};
use crate::error::EvalError;
pub(super) use each::descending;
pub(super) use operators::overflow;

/// A value, or why there is none.
pub(super) type Outcome<'e> = Result<Value<'e>, Fault>;

/// The value of an expression; nothing in it has to be read from the environment any more.
///
/// # Errors
/// A wrong type or a limit.
pub(super) fn evaluate<'e>(node: &'e Node, env: &'e dyn Environment) -> Outcome<'e> {
    let mut run = Run {
        env,
        steps: EXPRESSION_STEPS,
        memory: EXPRESSION_MEMORY,
        variables: Vec::new(),
        frames: Vec::new(),
        drawn: 0,
    };
    let value = run.value(node)?;
    run.settle(value)
}

/// One evaluation.
pub(super) struct Run<'e> {
    env: &'e dyn Environment,
    steps: u64,
    memory: usize,
    variables: Vec<(&'e str, Value<'e>)>,
    frames: Vec<Frame<'e>>,
    /// Random numbers given so far.
    drawn: u64,
}

/// What `#`, `#index` and `#acc` are inside a predicate.
struct Frame<'e> {
    item: Value<'e>,
    index: usize,
    acc: Option<Value<'e>>,
}

impl<'e> Run<'e> {
    /// Takes `steps` from the budget.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.steps = self.steps.checked_sub(steps).ok_or(EvalError::TOO_SLOW)?;
        Ok(())
    }

    /// Takes `bytes` from the budget.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(), Fault> {
        self.memory = self.memory.checked_sub(bytes).ok_or(EvalError::TOO_BIG)?;
        Ok(())
    }

    /// A new text.
    pub(super) fn string(&mut self, text: &str) -> Outcome<'e> {
        self.allocate(text.len())?;
        Ok(Value::text(text))
    }

    /// A new list.
    pub(super) fn list(&mut self, items: Vec<Value<'e>>) -> Outcome<'e> {
        self.allocate(items.len().saturating_mul(size_of::<Value<'_>>()))?;
        Value::list(items)
    }

    /// A new list of texts.
    pub(super) fn texts<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> Outcome<'e> {
        let mut items = Vec::new();
        for text in texts {
            self.allocate(size_of::<Value<'_>>())?;
            items.push(self.string(text)?);
        }
        Value::list(items)
    }

    pub(super) fn ambient(&self) -> Ambient {
        self.env.ambient()
    }

    /// A random number derived from the seed: splitmix64.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.ambient().seed.wrapping_add(self.drawn);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The value of a node. A failure without a place gets the node's.
    fn value(&mut self, node: &'e Node) -> Outcome<'e> {
        self.spend(1)?;
        match &node.kind {
            Kind::Nil => Ok(Value::Nil),
            Kind::Bool(value) => Ok(Value::Bool(*value)),
            Kind::Int(value) => Ok(Value::Int(*value)),
            Kind::Float(value) => Ok(Value::Float(*value)),
            Kind::Text(text) => Ok(Value::Text(Str::Borrowed(text))),
            Kind::Name(name) => self.name(name),
            Kind::Pointer(name) => self.pointer(name),
            Kind::Access(base, steps) => self.access(base, steps),
            Kind::Call(builtin, args) => {
                let args = self.settled(args)?;
                let weight: usize = args.iter().map(Value::weight).sum();
                self.spend(weight)?;
                (builtin.call)(self, &args).map_err(|fault| fault.at(node.at))
            }
            Kind::Each(each, args) => self.each(*each, args).map_err(|fault| fault.at(node.at)),
            Kind::Unknown(name, _) => {
                fail(format!("there is no function {}", crate::error::cut(name)))
                    .map_err(|fault: Fault| fault.at(node.at))
            }
            Kind::Not(inner) => match self.value(inner)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                other => self.refuse(node, "!", &other),
            },
            Kind::Negate(inner) => match self.value(inner)? {
                Value::Int(value) => match value.checked_neg() {
                    Some(value) => Ok(Value::Int(value)),
                    None => overflow().map_err(|fault: Fault| fault.at(node.at)),
                },
                Value::Float(value) => Ok(Value::Float(-value)),
                other => self.refuse(node, "-", &other),
            },
            Kind::Plus(inner) => self.value(inner),
            Kind::Chain(first, links) => {
                let (mut left, links) = match operators::settled(links) {
                    Some(settled) => settled,
                    None => (self.value(first)?, links.as_slice()),
                };
                for link in links {
                    left = self.link(left, link).map_err(|fault| fault.at(link.at))?;
                }
                Ok(left)
            }
            Kind::Between(first, links) => self.between(first, links),
            Kind::If(parts) => {
                let [condition, yes, no] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(yes),
                    Value::Bool(false) => self.value(no),
                    other => self.refuse(condition, "?", &other),
                }
            }
            Kind::Let(name, parts) => {
                let [value, body] = &**parts;
                let value = self.value(value)?;
                self.variables.push((name, value));
                let result = self.value(body);
                self.variables.pop();
                result
            }
            Kind::Sequence(nodes) => nodes.iter().try_fold(Value::Nil, |_, node| self.value(node)),
            Kind::List(nodes) => {
                let items = self.settled(nodes)?;
                self.list(items)
            }
            Kind::Map(entries) => self.map(entries),
        }
    }

    fn refuse(&self, node: &Node, sign: &str, value: &Value<'_>) -> Outcome<'e> {
        let kind = value.kind();
        fail(format!("invalid operation: {sign} {kind}")).map_err(|fault: Fault| fault.at(node.at))
    }

    /// The values of nodes, read from the environment.
    fn settled(&mut self, nodes: &'e [Node]) -> Result<Vec<Value<'e>>, Fault> {
        let mut out = Vec::with_capacity(nodes.len());
        for node in nodes {
            let value = self.value(node)?;
            out.push(self.settle(value)?);
        }
        Ok(out)
    }

    /// Reads a map of the environment; anything else stays as it is.
    pub(super) fn settle(&mut self, value: Value<'e>) -> Outcome<'e> {
        let Value::Place(path) = value else {
            return Ok(value);
        };
        let env = self.env;
        let names: Vec<&str> = path.iter().map(|name| &**name).collect();
        let mut entries = BTreeMap::new();
        for key in env.keys(&names) {
            self.spend(1)?;
            self.allocate(key.len().saturating_add(size_of::<Value<'_>>()))?;
            let below = self.place(&[&names[..], &[key.as_str()]].concat())?;
            let below = self.settle(below)?;
            entries.insert(Key::text(&key), below);
        }
        Value::map(entries)
    }

    /// What stands at a path of the environment.
    fn place(&mut self, path: &[&str]) -> Outcome<'e> {
        let env = self.env;
        Ok(match env.entry(path) {
            Entry::Absent => Value::Nil,
            Entry::Text(Cow::Borrowed(text)) => Value::Text(Str::Borrowed(text)),
            Entry::Text(Cow::Owned(text)) => Value::Text(Str::Shared(text.into())),
            Entry::Time(at) => super::dates::instant(at.0),
            Entry::Map => Value::Place(path.iter().map(|name| Box::from(*name)).collect()),
            Entry::Json(json) => {
                self.allocate(size_of::<Value<'_>>().saturating_mul(weight(json)))?;
                Value::of_env(json)?
            }
        })
    }

    fn variable(&self, name: &str) -> Option<&Value<'e>> {
        self.variables.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    fn name(&mut self, name: &'e str) -> Outcome<'e> {
        match self.variable(name) {
            Some(value) => Ok(value.clone()),
            None if name == "$env" => Ok(Value::Place(Rc::new([]))),
            None if name == "sprig" => Value::map(BTreeMap::new()),
            None => self.place(&[name]),
        }
    }

    fn pointer(&self, name: &str) -> Outcome<'e> {
        let Some(frame) = self.frames.last() else {
            return fail("# only has a value inside a predicate");
        };
        match (name, &frame.acc) {
            ("", _) => Ok(frame.item.clone()),
            ("index", _) => Ok(super::value::count(frame.index)),
            ("acc", Some(acc)) => Ok(acc.clone()),
            _ => fail(format!("#{} has no value here", crate::error::cut(name))),
        }
    }

    fn map(&mut self, nodes: &'e [(Node, Node)]) -> Outcome<'e> {
        let mut entries: BTreeMap<Key, Value<'e>> = BTreeMap::new();
        for (key, value) in nodes {
            let name = match self.value(key)? {
                Value::Text(Str::Borrowed(text)) => Key::text(text),
                Value::Text(Str::Shared(text)) => Key::Text(Rc::clone(&text)),
                other => {
                    let message =
                        format!("a key of a map must be a string, not a {}", other.kind());
                    return fail(message).map_err(|fault: Fault| fault.at(key.at));
                }
            };
            self.allocate(2 * size_of::<Value<'_>>())?;
            let value = self.value(value)?;
            let value = self.settle(value)?;
            entries.insert(name, value);
        }
        Value::map(entries)
    }
}

/// Values of a JSON value, itself included.
fn weight(json: &serde_json::Value) -> usize {
    use serde_json::Value as Json;
    match json {
        Json::Array(items) => items.iter().map(weight).sum::<usize>().saturating_add(1),
        Json::Object(fields) => fields.values().map(weight).sum::<usize>().saturating_add(1),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 1,
    }
}
