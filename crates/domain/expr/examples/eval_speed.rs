//! Evaluations per second on one thread: `cargo run --release -p flowforge-expr --example
//! eval_speed`. Every case pays what the engine pays for it: the tags are rendered, the condition
//! or expression is parsed, checked and evaluated over names that are looked up.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures")]

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use flowforge_expr::{Entry, Environment, Program, Root, Scope, render, when};
use flowforge_model::text::{Reference, Segment, Text};

/// Names as a running task sees them.
struct Task {
    inputs: Vec<(String, String)>,
}

impl Environment for Task {
    fn entry(&self, path: &[&str]) -> Entry<'_> {
        match path {
            ["inputs" | "tasks" | "workflow"] | ["inputs", "parameters"] | ["tasks", "a"] => {
                Entry::Map
            }
            ["inputs", "parameters", name] => {
                let found = self.inputs.iter().find(|(known, _)| known == name);
                found.map_or(Entry::Absent, |(_, value)| Entry::Text(Cow::Borrowed(value)))
            }
            ["tasks", "a", "status"] => Entry::Text(Cow::Borrowed("Succeeded")),
            _ => Entry::Absent,
        }
    }

    fn keys(&self, _: &[&str]) -> Vec<String> {
        Vec::new()
    }
}

impl Scope for Task {
    fn reference(&self, reference: &Reference) -> Option<Cow<'_, str>> {
        let Reference::Input(name) = reference else { return None };
        let found = self.inputs.iter().find(|(known, _)| **known == **name);
        found.map(|(_, value)| Cow::Borrowed(value.as_str()))
    }
}

fn main() {
    let inputs = [("n", "5"), ("side", "heads"), ("name", "foo")];
    let inputs = inputs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let task = Task { inputs };

    let condition = |parts: Vec<Segment>| {
        let text = Text::Parts(parts.into());
        let task = &task;
        move || {
            let text = render(&text, task).unwrap_or_default();
            black_box(when(&text).is_ok_and(|yes| yes));
        }
    };
    let input = |name: &str| Segment::Reference(Reference::Input(name.into()));
    let literal = |text: &str| Segment::Literal(text.into());
    measure(
        "when: {{inputs.parameters.side}} == tails",
        &condition(vec![input("side"), literal(" == tails")]),
    );
    measure(
        "when: {{inputs.parameters.n}} > 3 && {{inputs.parameters.name}} != bar",
        &condition(vec![input("n"), literal(" > 3 && "), input("name"), literal(" != bar")]),
    );

    for source in [
        "asInt(inputs.parameters.n) + 1",
        "tasks.a.status == 'Succeeded' ? 'y' : 'n'",
        "inputs.parameters.side + '-' + inputs.parameters.name",
        "toJson(map(split('a,b,c', ','), upper(#)))",
        "sprig.int(sprig.sub(asInt(inputs.parameters.n), 2)) == 3",
    ] {
        let text = Text::Parts([Segment::Expression(source.into())].into());
        measure(&format!("{{{{={source}}}}}"), &|| {
            black_box(render(&text, &task).is_ok());
        });
        let roots =
            |name: &str| matches!(name, "inputs" | "tasks" | "workflow").then_some(Root::Map);
        if let Ok(program) = Program::compile(source, &roots) {
            measure("    compiled once", &|| {
                black_box(program.run(&task).is_ok());
            });
        }
    }
}

/// Evaluations of one window: about half a millisecond, shorter than a time slice, so that on a
/// busy machine most windows are not interrupted.
const WINDOW: u32 = 200;

/// Prints the median of a thousand windows.
fn measure(name: &str, once: &dyn Fn()) {
    let mut rates: Vec<f64> = (0..1001)
        .map(|_| {
            let began = Instant::now();
            (0..WINDOW).for_each(|_| once());
            f64::from(WINDOW) / began.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let median = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    println!("{median:>12.0} /s  {name}");
}
