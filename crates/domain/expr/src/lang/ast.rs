//! The tree of an expression. Chains of operators and accesses are flat, so its depth is bounded
//! by the nesting the parser allows.

use super::builtins::Builtin;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The byte it begins at, or the one of its operator.
    pub(super) at: u32,
}

#[derive(Debug)]
pub(super) enum Kind {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    /// A root of the environment or a variable of `let`.
    Name(Box<str>),
    /// `#`, `#acc`, `#index`
    Pointer(Box<str>),
    Access(Box<Node>, Vec<Step>),
    /// A function that takes values.
    Call(&'static Builtin, Vec<Node>),
    /// A builtin that evaluates its second argument once per item.
    Each(Each, Vec<Node>),
    /// A call of something that is no function.
    Unknown(Box<str>, Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Plus(Box<Node>),
    /// Operators of one level, grouped to the left.
    Chain(Box<Node>, Vec<Link>),
    /// `a < b <= c`: every pair must hold.
    Between(Box<Node>, Vec<Link>),
    If(Box<[Node; 3]>),
    Let(Box<str>, Box<[Node; 2]>),
    Sequence(Vec<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// An operator and what stands right of it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) operator: Operator,
    pub(super) at: u32,
    pub(super) right: Node,
}

/// One access of a chain like `a.b?.c[0][1:2].d()`.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) at: u32,
    pub(super) kind: StepKind,
}

#[derive(Debug)]
pub(super) enum StepKind {
    /// `.key`; with `?.` nil ends the chain.
    Field { key: Box<str>, optional: bool },
    /// `[key]`
    Index { key: Node, optional: bool },
    /// `[from:to]`
    Slice(Option<Node>, Option<Node>),
    /// `.name(args)`
    Method { name: Box<str>, args: Vec<Node>, optional: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Matches,
    NotMatches,
    Contains,
    NotContains,
    StartsWith,
    NotStartsWith,
    EndsWith,
    NotEndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

/// The builtins with a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Each {
    All,
    None,
    Any,
    One,
    Filter,
    Map,
    Count,
    Sum,
    Find,
    FindIndex,
    FindLast,
    FindLastIndex,
    GroupBy,
    SortBy,
    Reduce,
}

impl Each {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "none" => Self::None,
            "any" => Self::Any,
            "one" => Self::One,
            "filter" => Self::Filter,
            "map" => Self::Map,
            "count" => Self::Count,
            "sum" => Self::Sum,
            "find" => Self::Find,
            "findIndex" => Self::FindIndex,
            "findLast" => Self::FindLast,
            "findLastIndex" => Self::FindLastIndex,
            "groupBy" => Self::GroupBy,
            "sortBy" => Self::SortBy,
            "reduce" => Self::Reduce,
            _ => return None,
        })
    }

    /// How many arguments it takes, at least and at most.
    pub(super) fn arguments(self) -> (usize, usize) {
        match self {
            Self::Count | Self::Sum => (1, 2),
            Self::SortBy | Self::Reduce => (2, 3),
            Self::All
            | Self::None
            | Self::Any
            | Self::One
            | Self::Filter
            | Self::Map
            | Self::Find
            | Self::FindIndex
            | Self::FindLast
            | Self::FindLastIndex
            | Self::GroupBy => (2, 2),
        }
    }
}

impl Operator {
    /// How tightly it binds, as in expr-lang.
    pub(super) fn level(self) -> u32 {
        match self {
            Self::Or => 10,
            Self::And => 15,
            Self::Range => 25,
            Self::Add | Self::Subtract => 30,
            Self::Multiply | Self::Divide | Self::Modulo => 60,
            Self::Power => 100,
            Self::Coalesce => 500,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::In
            | Self::NotIn
            | Self::Matches
            | Self::NotMatches
            | Self::Contains
            | Self::NotContains
            | Self::StartsWith
            | Self::NotStartsWith
            | Self::EndsWith
            | Self::NotEndsWith => 20,
        }
    }

    pub(super) fn is_comparison(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }

    /// The operator after `not`.
    pub(super) fn negated(self) -> Option<Self> {
        match self {
            Self::In => Some(Self::NotIn),
            Self::Matches => Some(Self::NotMatches),
            Self::Contains => Some(Self::NotContains),
            Self::StartsWith => Some(Self::NotStartsWith),
            Self::EndsWith => Some(Self::NotEndsWith),
            _ => None,
        }
    }

    /// The operator as it is written, without `not`.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In | Self::NotIn => "in",
            Self::Matches | Self::NotMatches => "matches",
            Self::Contains | Self::NotContains => "contains",
            Self::StartsWith | Self::NotStartsWith => "startsWith",
            Self::EndsWith | Self::NotEndsWith => "endsWith",
            Self::Range => "..",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "**",
            Self::Coalesce => "??",
        }
    }
}

/// Calls `visit` for a node and all below it.
pub(super) fn walk<'n>(node: &'n Node, visit: &mut dyn FnMut(&'n Node)) {
    visit(node);
    let mut all = |nodes: &'n [Node]| nodes.iter().for_each(|node| walk(node, visit));
    match &node.kind {
        Kind::Nil
        | Kind::Bool(_)
        | Kind::Int(_)
        | Kind::Float(_)
        | Kind::Text(_)
        | Kind::Name(_)
        | Kind::Pointer(_) => {}
        Kind::Access(base, steps) => {
            walk(base, visit);
            for step in steps {
                match &step.kind {
                    StepKind::Field { .. } => {}
                    StepKind::Index { key, .. } => walk(key, visit),
                    StepKind::Slice(from, to) => {
                        [from, to].into_iter().flatten().for_each(|node| walk(node, visit));
                    }
                    StepKind::Method { args, .. } => args.iter().for_each(|a| walk(a, visit)),
                }
            }
        }
        Kind::Call(_, args)
        | Kind::Each(_, args)
        | Kind::Unknown(_, args)
        | Kind::List(args)
        | Kind::Sequence(args) => all(args),
        Kind::Not(inner) | Kind::Negate(inner) | Kind::Plus(inner) => walk(inner, visit),
        Kind::Chain(first, links) | Kind::Between(first, links) => {
            walk(first, visit);
            links.iter().for_each(|link| walk(&link.right, visit));
        }
        Kind::If(parts) => all(&**parts),
        Kind::Let(_, parts) => all(&**parts),
        Kind::Map(entries) => entries.iter().for_each(|(key, value)| {
            walk(key, visit);
            walk(value, visit);
        }),
    }
}
