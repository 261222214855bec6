//! Checks types before an expression runs, as expr-lang's `checker/checker.go` does.

mod access;
mod each;
mod operators;

use super::ast::{Kind, Node};
use super::builtins::{self, Builtin, Check};
use super::fault::Fault;
use super::nature::Type;

/// What stands under a first name of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A value.
    Text,
    /// More names.
    Map,
    /// Either of both or something else: the values decide.
    Either,
}

/// What names there are.
pub(super) type Roots<'r> = &'r dyn Fn(&str) -> Option<Root>;

/// Checks a tree.
///
/// # Errors
/// The first name that is unknown or type that does not fit.
pub(super) fn check(node: &Node, roots: Roots<'_>) -> Result<(), Fault> {
    let mut checker = Checker { roots, variables: Vec::new(), predicates: Vec::new() };
    checker.visit(node).map(drop)
}

struct Checker<'n, 'r> {
    roots: Roots<'r>,
    variables: Vec<(&'n str, Type)>,
    predicates: Vec<Predicate>,
}

/// What `#`, `#index` and `#acc` are.
struct Predicate {
    collection: Type,
    index: bool,
    acc: bool,
}

fn refuse<T>(at: u32, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Compile(message.into(), at))
}

impl<'n> Checker<'n, '_> {
    fn visit(&mut self, node: &'n Node) -> Result<Type, Fault> {
        match &node.kind {
            Kind::Nil => Ok(Type::NIL),
            Kind::Bool(_) => Ok(Type::BOOL),
            Kind::Int(_) => Ok(Type::INT),
            Kind::Float(_) => Ok(Type::FLOAT),
            Kind::Text(_) => Ok(Type::TEXT),
            Kind::Name(name) => self.name(name, node.at),
            Kind::Pointer(name) => self.pointer(name, node.at),
            Kind::Access(base, steps) => self.access(base, steps),
            Kind::Call(builtin, args) => self.call(builtin, args, node.at),
            Kind::Each(each, args) => self.each(*each, args),
            Kind::Unknown(name, _) => self.unknown(name, node.at),
            Kind::Not(inner) => self.unary(inner, node.at, "!", Type::is_bool),
            Kind::Negate(inner) => self.unary(inner, node.at, "-", Type::is_number),
            Kind::Plus(inner) => self.unary(inner, node.at, "+", Type::is_number),
            Kind::Chain(first, links) => {
                let mut left = (self.visit(first)?, &**first);
                for link in links {
                    left = (self.binary(left, link)?, node);
                }
                Ok(left.0)
            }
            Kind::Between(first, links) => {
                let mut left = (self.visit(first)?, &**first);
                for link in links {
                    let right = self.visit(&link.right)?;
                    self.joined(left, right, link)?;
                    left = (right, &link.right);
                }
                Ok(Type::BOOL)
            }
            Kind::If(parts) => self.condition(parts),
            Kind::Let(name, parts) => self.binding(name, parts, node.at),
            Kind::Sequence(nodes) => nodes.iter().try_fold(Type::NIL, |_, node| self.visit(node)),
            Kind::List(nodes) => self.list(nodes),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    self.visit(key)?;
                    self.visit(value)?;
                }
                Ok(Type::MAP)
            }
        }
    }

    fn name(&self, name: &str, at: u32) -> Result<Type, Fault> {
        if let Some((_, of)) = self.variables.iter().rev().find(|(n, _)| *n == name) {
            return Ok(*of);
        }
        if let Some(of) = self.root(name) {
            return Ok(of);
        }
        match name {
            "$env" => Ok(Type::UNKNOWN),
            "sprig" => Ok(Type::MAP),
            _ if builtins::is_function(name) => {
                refuse(at, format!("{name} is a function: call it with {name}(...)"))
            }
            _ => refuse(at, format!("unknown name {}", crate::error::cut(name))),
        }
    }

    /// The type of a first name of the environment.
    fn root(&self, name: &str) -> Option<Type> {
        (self.roots)(name).map(|root| match root {
            Root::Text => Type::TEXT,
            Root::Map => Type::MAP,
            Root::Either => Type::UNKNOWN,
        })
    }

    fn pointer(&self, name: &str, at: u32) -> Result<Type, Fault> {
        let Some(predicate) = self.predicates.last() else {
            return refuse(at, "# only has a value inside a predicate");
        };
        match name {
            "" if predicate.collection.is_unknown() => Ok(Type::UNKNOWN),
            "" => Ok(predicate.collection.elem()),
            "index" if predicate.index => Ok(Type::INT),
            "acc" if predicate.acc => Ok(Type::UNKNOWN),
            _ => refuse(at, format!("unknown pointer #{}", crate::error::cut(name))),
        }
    }

    fn unary(
        &mut self,
        inner: &'n Node,
        at: u32,
        sign: &str,
        fits: fn(Type) -> bool,
    ) -> Result<Type, Fault> {
        let of = self.visit(inner)?;
        match of {
            _ if fits(of) => Ok(of),
            _ if of.is_unknown() && sign == "!" => Ok(Type::BOOL),
            _ if of.is_unknown() => Ok(Type::UNKNOWN),
            _ => refuse(at, format!("invalid operation: {sign} (mismatched type {of})")),
        }
    }

    fn condition(&mut self, [condition, yes, no]: &'n [Node; 3]) -> Result<Type, Fault> {
        let of = self.visit(condition)?;
        if !of.is_bool() && !of.is_unknown() {
            return refuse(condition.at, format!("a {of} is no condition: it must be a bool"));
        }
        let (yes, no) = (self.visit(yes)?, self.visit(no)?);
        Ok(match (yes.is_nil(), no.is_nil()) {
            (true, _) => no,
            (false, true) => yes,
            (false, false) if yes.assignable_to(no) => {
                let lists = yes.is_list() && no.is_list();
                let (a, b) = (yes.elem(), no.elem());
                if lists && !(a.assignable_to(b) && b.assignable_to(a)) { Type::LIST } else { yes }
            }
            (false, false) => Type::UNKNOWN,
        })
    }

    fn binding(
        &mut self,
        name: &'n str,
        [value, body]: &'n [Node; 2],
        at: u32,
    ) -> Result<Type, Fault> {
        let taken = (self.roots)(name).is_some()
            || builtins::is_function(name)
            || name == "sprig"
            || self.variables.iter().any(|(n, _)| *n == name);
        if taken {
            return refuse(at, format!("cannot redeclare {}", crate::error::cut(name)));
        }
        let of = self.visit(value)?;
        self.variables.push((name, of));
        let result = self.visit(body);
        self.variables.pop();
        result
    }

    fn list(&mut self, nodes: &'n [Node]) -> Result<Type, Fault> {
        let mut last: Option<Type> = None;
        let mut same = true;
        for node in nodes {
            let of = self.visit(node)?;
            same = same && last.is_none_or(|last| last.same_kind(of));
            last = Some(of);
        }
        Ok(if same { last.unwrap_or(Type::UNKNOWN).list() } else { Type::LIST })
    }

    fn call(
        &mut self,
        builtin: &'static Builtin,
        args: &'n [Node],
        at: u32,
    ) -> Result<Type, Fault> {
        // The function is a value of a map: expr-lang looks neither at it nor at its arguments.
        if matches!(builtin.check, Check::AtRun) {
            return Ok(Type::UNKNOWN);
        }
        let types: Vec<Type> =
            args.iter().map(|arg| self.visit(arg)).collect::<Result<_, Fault>>()?;
        let refused = match builtin.check {
            Check::AtRun => return Ok(Type::UNKNOWN),
            Check::Own(check) => match check(&types) {
                Ok(of) => return Ok(of),
                Err(message) => message,
            },
            Check::Overloads(overloads) => {
                let fitting = overloads.iter().find(|overload| overload.takes(&types));
                match fitting {
                    Some(overload) => return Ok(overload.gives),
                    None => "does not take".to_owned(),
                }
            }
        };
        let given: Vec<String> = types.iter().map(Type::to_string).collect();
        let message = if refused == "does not take" {
            format!("{} does not take ({})", builtin.name, given.join(", "))
        } else {
            refused
        };
        refuse(at, message)
    }

    fn unknown(&self, name: &str, at: u32) -> Result<Type, Fault> {
        if name.starts_with("sprig.") {
            return Ok(Type::UNKNOWN);
        }
        let known = self.variables.iter().any(|(n, _)| *n == name);
        let name = crate::error::cut(name);
        if known || (self.roots)(&name).is_some() {
            return refuse(at, format!("{name} is no function"));
        }
        refuse(at, format!("unknown name {name}: there is no function {name}()"))
    }
}

/// The first function that a tree calls and that does not exist, and where. In Argo one of
/// `sprig` fails only when the expression runs.
pub(super) fn unknown_function(node: &Node) -> Option<(String, u32)> {
    let mut found = None;
    super::ast::walk(node, &mut |node| {
        if let Kind::Unknown(name, _) = &node.kind
            && found.is_none()
        {
            found = Some((crate::error::cut(name), node.at));
        }
    });
    found
}
