//! Types of the builtins with a predicate.

use super::{Checker, Predicate, refuse};
use crate::lang::ast::{Each, Node};
use crate::lang::fault::Fault;
use crate::lang::nature::Type;

impl<'n> Checker<'n, '_> {
    pub(super) fn each(&mut self, each: Each, args: &'n [Node]) -> Result<Type, Fault> {
        let [list, rest @ ..] = args else {
            return refuse(0, "a list is missing");
        };
        let collection = self.visit(list)?;
        if !collection.is_list() && !collection.is_unknown() {
            return refuse(list.at, format!("needs a list, not a {collection}"));
        }
        let body = match rest.first() {
            Some(body) => Some(self.predicate(each, collection, body)?),
            None => None,
        };
        if let Some(extra) = rest.get(1) {
            let of = self.visit(extra)?;
            if each == Each::SortBy && !of.is_text() && !of.is_unknown() {
                return refuse(extra.at, format!("the order must be a string, not a {of}"));
            }
        }
        let elem = if collection.is_unknown() { Type::UNKNOWN } else { collection.elem() };
        Ok(match each {
            Each::All | Each::None | Each::Any | Each::One => Type::BOOL,
            Each::Count | Each::FindIndex | Each::FindLastIndex => Type::INT,
            Each::Filter if collection.is_unknown() => Type::LIST,
            Each::Filter => elem.list(),
            Each::Map => body.unwrap_or(Type::UNKNOWN).list(),
            Each::Sum => body.unwrap_or(elem),
            Each::Find | Each::FindLast => elem,
            Each::GroupBy => Type::GROUPS,
            Each::SortBy => collection,
            Each::Reduce => body.unwrap_or(Type::UNKNOWN),
        })
    }

    fn predicate(&mut self, each: Each, collection: Type, body: &'n Node) -> Result<Type, Fault> {
        self.predicates.push(Predicate {
            collection,
            index: matches!(each, Each::Map | Each::Reduce),
            acc: each == Each::Reduce,
        });
        let of = self.visit(body)?;
        self.predicates.pop();
        if of.is_nil() {
            return refuse(body.at, "the predicate gives nil");
        }
        let decides = match each {
            Each::Map | Each::Sum | Each::GroupBy | Each::SortBy | Each::Reduce => false,
            Each::All
            | Each::None
            | Each::Any
            | Each::One
            | Each::Filter
            | Each::Count
            | Each::Find
            | Each::FindIndex
            | Each::FindLast
            | Each::FindLastIndex => true,
        };
        if decides && !of.is_bool() && !of.is_unknown() {
            return refuse(body.at, format!("the predicate gives a {of}, not a bool"));
        }
        Ok(of)
    }
}
