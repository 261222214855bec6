//! Which names of the environment an expression uses.

use super::ast::{Kind, Node, Step, StepKind};

/// Collects the paths into the environment; `bound` holds the variables around `node`.
pub(super) fn collect(node: &Node, bound: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    match &node.kind {
        Kind::Nil
        | Kind::Bool(_)
        | Kind::Int(_)
        | Kind::Float(_)
        | Kind::Text(_)
        | Kind::Pointer(_) => {}
        Kind::Name(name) => {
            if !bound.iter().any(|b| **b == **name) {
                out.push(vec![name.to_string()]);
            }
        }
        Kind::Access(base, steps) => {
            match &base.kind {
                Kind::Name(name) if !bound.iter().any(|b| **b == **name) => {
                    out.push(path(name, steps));
                }
                _ => collect(base, bound, out),
            }
            for step in steps {
                match &step.kind {
                    StepKind::Field { .. } => {}
                    StepKind::Index { key, .. } => collect(key, bound, out),
                    StepKind::Slice(from, to) => {
                        for node in [from, to].into_iter().flatten() {
                            collect(node, bound, out);
                        }
                    }
                    StepKind::Method { args, .. } => all(args, bound, out),
                }
            }
        }
        Kind::Call(_, args)
        | Kind::Each(_, args)
        | Kind::Unknown(_, args)
        | Kind::List(args)
        | Kind::Sequence(args) => all(args, bound, out),
        Kind::Not(inner) | Kind::Negate(inner) | Kind::Plus(inner) => collect(inner, bound, out),
        Kind::Chain(first, rest) | Kind::Between(first, rest) => {
            collect(first, bound, out);
            rest.iter().for_each(|link| collect(&link.right, bound, out));
        }
        Kind::If(parts) => all(&**parts, bound, out),
        Kind::Let(name, parts) => {
            let [value, body] = &**parts;
            collect(value, bound, out);
            bound.push(name.to_string());
            collect(body, bound, out);
            bound.pop();
        }
        Kind::Map(entries) => entries.iter().for_each(|(key, value)| {
            collect(key, bound, out);
            collect(value, bound, out);
        }),
    }
}

fn all(nodes: &[Node], bound: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    nodes.iter().for_each(|node| collect(node, bound, out));
}

/// The keys of a chain as far as they are constant.
fn path(name: &str, steps: &[Step]) -> Vec<String> {
    let keys = steps.iter().map_while(|step| match &step.kind {
        StepKind::Field { key, .. } => Some(key.to_string()),
        StepKind::Index { key: Node { kind: Kind::Text(key), .. }, .. } => Some(key.to_string()),
        StepKind::Index { .. } | StepKind::Slice(..) | StepKind::Method { .. } => None,
    });
    std::iter::once(name.to_owned()).chain(keys).collect()
}
