//! The tree of an expression. Chains of operators and accesses are flat, so its depth is bounded
//! by the nesting the parser allows.

#[derive(Debug)]
pub(super) enum Node {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A root of the environment or a variable of `let`.
    Name(String),
    /// `#`, `#acc`, `#index`
    Pointer(String),
    Access(Box<Node>, Vec<Step>),
    Call(String, Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// Operators of one level, grouped to the left.
    Chain(Box<Node>, Vec<(Operator, Node)>),
    If(Box<[Node; 3]>),
    Let(String, Box<[Node; 2]>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// One access of a chain like `a.b?.c[0][1:2].d()`.
#[derive(Debug)]
pub(super) enum Step {
    /// `.key` or `[key]`; with `?.` nil ends the chain.
    Member { key: Node, optional: bool },
    /// `[from:to]`
    Slice(Option<Node>, Option<Node>),
    /// `.name(args)`
    Method(String, Vec<Node>),
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
}

/// Collects the paths into the environment; `bound` holds the variables around `node`.
pub(super) fn names(node: &Node, bound: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    match node {
        Node::Nil
        | Node::Bool(_)
        | Node::Int(_)
        | Node::Float(_)
        | Node::Text(_)
        | Node::Pointer(_) => {}
        Node::Name(name) => {
            if !bound.contains(name) {
                out.push(vec![name.clone()]);
            }
        }
        Node::Access(base, steps) => {
            match &**base {
                Node::Name(name) if !bound.contains(name) => out.push(path(name, steps)),
                other => names(other, bound, out),
            }
            for step in steps {
                match step {
                    Step::Member { key, .. } => names(key, bound, out),
                    Step::Slice(from, to) => {
                        for node in [from, to].into_iter().flatten() {
                            names(node, bound, out);
                        }
                    }
                    Step::Method(_, args) => args.iter().for_each(|arg| names(arg, bound, out)),
                }
            }
        }
        Node::Call(_, args) | Node::List(args) => {
            args.iter().for_each(|arg| names(arg, bound, out));
        }
        Node::Not(inner) | Node::Negate(inner) => names(inner, bound, out),
        Node::Chain(first, rest) => {
            names(first, bound, out);
            rest.iter().for_each(|(_, node)| names(node, bound, out));
        }
        Node::If(parts) => parts.iter().for_each(|part| names(part, bound, out)),
        Node::Let(name, parts) => {
            let [value, body] = &**parts;
            names(value, bound, out);
            bound.push(name.clone());
            names(body, bound, out);
            bound.pop();
        }
        Node::Map(entries) => entries.iter().for_each(|(key, value)| {
            names(key, bound, out);
            names(value, bound, out);
        }),
    }
}

/// The keys of a chain as far as they are constant.
fn path(name: &str, steps: &[Step]) -> Vec<String> {
    let keys = steps.iter().map_while(|step| match step {
        Step::Member { key: Node::Text(key), .. } => Some(key.clone()),
        Step::Member { .. } | Step::Slice(..) | Step::Method(..) => None,
    });
    std::iter::once(name.to_owned()).chain(keys).collect()
}
