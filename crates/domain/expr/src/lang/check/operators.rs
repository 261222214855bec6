//! Types of operators.

use super::{Checker, refuse};
use crate::lang::ast::{Kind, Link, Node, Operator};
use crate::lang::fault::Fault;
use crate::lang::nature::Type;

impl<'n> Checker<'n, '_> {
    /// The type of `left operator right`; an error if the two do not fit.
    pub(super) fn binary(&mut self, left: (Type, &'n Node), link: &'n Link) -> Result<Type, Fault> {
        let right = self.visit(&link.right)?;
        self.joined(left, right, link)
    }

    /// The same, if the type of the right side is known already.
    pub(super) fn joined(
        &self,
        (left, left_node): (Type, &'n Node),
        right: Type,
        link: &'n Link,
    ) -> Result<Type, Fault> {
        use Operator as O;
        if matches!(link.operator, O::Matches | O::NotMatches)
            && let Kind::Text(pattern) = &link.right.kind
            && let Err(message) = crate::pattern::compile(pattern)
        {
            return refuse(link.right.at, message);
        }
        if link.operator == O::Modulo
            && let (Kind::Int(_), Kind::Int(0)) = (&left_node.kind, &link.right.kind)
        {
            return refuse(link.at, "integer divide by zero");
        }
        let found = match link.operator {
            O::In | O::NotIn => contained(left, right),
            O::Coalesce => Ok(Some(coalesced(left, right))),
            other => Ok(typed(other, left, right)),
        };
        match found {
            Ok(Some(of)) => Ok(of),
            Ok(None) => {
                let sign = link.operator.symbol();
                let message =
                    format!("invalid operation: {sign} (mismatched types {left} and {right})");
                refuse(link.at, message)
            }
            Err(message) => refuse(link.at, message),
        }
    }
}

fn typed(operator: Operator, l: Type, r: Type) -> Option<Type> {
    use Operator as O;
    let numbers = l.is_number() && r.is_number();
    let promoted = if l.is_float() || r.is_float() { Type::FLOAT } else { Type::INT };
    match operator {
        O::Equal | O::NotEqual => l.comparable_to(r).then_some(Type::BOOL),
        O::And | O::Or => {
            let fits = (l.is_bool() && r.is_bool()) || l.maybe(r, Type::is_bool);
            fits.then_some(Type::BOOL)
        }
        O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
            let fits = numbers
                || (l.is_text() && r.is_text())
                || (l.is_time() && r.is_time())
                || (l.is_duration() && r.is_duration())
                || l.maybe(r, ordered);
            fits.then_some(Type::BOOL)
        }
        O::Subtract => match () {
            () if numbers => Some(promoted),
            () if l.is_time() && r.is_time() => Some(Type::DURATION),
            () if l.is_time() && r.is_duration() => Some(Type::TIME),
            () if l.is_duration() && r.is_duration() => Some(Type::DURATION),
            () => l
                .maybe(r, |t| t.is_number() || t.is_time() || t.is_duration())
                .then_some(Type::UNKNOWN),
        },
        O::Multiply => match () {
            () if numbers => Some(promoted),
            () if (l.is_number() || l.is_duration()) && (r.is_number() || r.is_duration()) => {
                Some(Type::DURATION)
            }
            () => l.maybe(r, |t| t.is_number() || t.is_duration()).then_some(Type::UNKNOWN),
        },
        O::Divide | O::Power => (numbers || l.maybe(r, Type::is_number)).then_some(Type::FLOAT),
        O::Modulo => ((l.is_int() && r.is_int()) || l.maybe(r, Type::is_int)).then_some(Type::INT),
        O::Add => match () {
            () if numbers => Some(promoted),
            () if l.is_text() && r.is_text() => Some(Type::TEXT),
            () if (l.is_time() && r.is_duration()) || (l.is_duration() && r.is_time()) => {
                Some(Type::TIME)
            }
            () if l.is_duration() && r.is_duration() => Some(Type::DURATION),
            () => l.maybe(r, ordered).then_some(Type::UNKNOWN),
        },
        O::Range => {
            let fits = (l.is_int() && r.is_int()) || l.maybe(r, Type::is_int);
            fits.then_some(Type::INT.list())
        }
        _ => {
            let fits = (l.is_text() && r.is_text()) || l.maybe(r, Type::is_text);
            fits.then_some(Type::BOOL)
        }
    }
}

fn ordered(of: Type) -> bool {
    of.is_number() || of.is_text() || of.is_time() || of.is_duration()
}

fn contained(l: Type, r: Type) -> Result<Option<Type>, String> {
    if r.is_map() {
        return match l.is_unknown() || l.assignable_to(r.key()) {
            true => Ok(Some(Type::BOOL)),
            false => Err(format!("cannot use {l} as key of a map")),
        };
    }
    if r.is_list() {
        return match l.comparable_to(r.elem()) {
            true => Ok(Some(Type::BOOL)),
            false => Err(format!("cannot use {l} as item of a list of {}", r.elem())),
        };
    }
    let open = r.is_unknown() || (l.is_unknown() && r.is_text());
    Ok(open.then_some(Type::BOOL))
}

fn coalesced(l: Type, r: Type) -> Type {
    match (l.is_nil(), r.is_nil()) {
        (true, _) => r,
        (false, true) => l,
        (false, false) if r.assignable_to(l) => l,
        (false, false) => Type::UNKNOWN,
    }
}
