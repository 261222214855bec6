//! Types of fields, items, slices and methods.

use super::{Checker, refuse};
use crate::lang::ast::{Kind, Node, Step, StepKind};
use crate::lang::dates;
use crate::lang::fault::Fault;
use crate::lang::nature::Type;

impl<'n> Checker<'n, '_> {
    pub(super) fn access(&mut self, base: &'n Node, steps: &'n [Step]) -> Result<Type, Fault> {
        let mut of = self.visit(base)?;
        let mut steps = steps;
        if let (Kind::Name(name), [first, rest @ ..]) = (&base.kind, steps)
            && **name == *"$env"
        {
            of = self.environment(first)?;
            steps = rest;
        }
        for step in steps {
            of = self.step(of, step)?;
        }
        Ok(of)
    }

    /// The type of `$env.name`. With `?.` the name may be unknown.
    fn environment(&mut self, first: &'n Step) -> Result<Type, Fault> {
        let (name, optional) = match &first.kind {
            StepKind::Field { key, optional } => (&**key, *optional),
            StepKind::Index { key: Node { kind: Kind::Text(key), .. }, optional } => {
                (&**key, *optional)
            }
            StepKind::Index { .. } | StepKind::Slice(..) | StepKind::Method { .. } => {
                return self.step(Type::UNKNOWN, first);
            }
        };
        match (self.root(name), optional) {
            (Some(of), _) => Ok(of),
            (None, true) => Ok(Type::UNKNOWN),
            (None, false) => refuse(first.at, format!("unknown name {}", crate::error::cut(name))),
        }
    }

    fn step(&mut self, base: Type, step: &'n Step) -> Result<Type, Fault> {
        match &step.kind {
            StepKind::Field { key, .. } => member(base, Type::TEXT, Some(key), step.at),
            StepKind::Index { key, .. } => {
                let of = self.visit(key)?;
                let name = match &key.kind {
                    Kind::Text(name) => Some(&**name),
                    _ => None,
                };
                member(base, of, name, key.at)
            }
            StepKind::Slice(from, to) => {
                if base.is_unknown() {
                    return Ok(Type::UNKNOWN);
                }
                if !base.is_text() && !base.is_list() {
                    return refuse(step.at, format!("cannot slice {base}"));
                }
                for bound in [from, to].into_iter().flatten() {
                    let of = self.visit(bound)?;
                    if !of.is_int() && !of.is_unknown() {
                        return refuse(bound.at, format!("{of} is no bound of a slice"));
                    }
                }
                Ok(base)
            }
            StepKind::Method { name, args, .. } => {
                if base.is_time() || base.is_duration() {
                    for arg in args {
                        self.visit(arg)?;
                    }
                    return match dates::method_type(base, name) {
                        Some(of) => Ok(of),
                        None => refuse(step.at, format!("a {base} has no function {name}")),
                    };
                }
                member(base, Type::TEXT, Some(name), step.at).map(|_| Type::UNKNOWN)
            }
        }
    }
}

/// `base[key]`
fn member(base: Type, key: Type, name: Option<&str>, at: u32) -> Result<Type, Fault> {
    if base.is_unknown() {
        return Ok(Type::UNKNOWN);
    }
    let shown = name.map(crate::error::cut);
    if base.is_map() {
        if !key.assignable_to(base.key()) && !key.is_unknown() {
            return refuse(at, format!("cannot use {key} to get an element from a map"));
        }
        return Ok(base.elem());
    }
    if base.is_list() {
        if !key.is_int() && !key.is_unknown() {
            let message = format!("items of a list can only be selected by an int, not by {key}");
            return refuse(at, message);
        }
        return Ok(base.elem());
    }
    match shown {
        Some(name) => refuse(at, format!("type {base} has no field {name}")),
        None => refuse(at, format!("type {base} has no items")),
    }
}
