use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::*;

fn env() -> Json {
    json!({
        "inputs": {"parameters": {
            "n": "5", "my-p": "x", "empty": "", "js": "{\"a\": [1, 2]}", "s": "hello", "b": "true",
        }},
        "tasks": {"a": {"status": "Succeeded", "outputs": {"result": "r"}}},
        "workflow": {"name": "w"},
    })
}

/// The value as a text would show it, or the class of the error.
fn show(source: &str) -> String {
    match evaluate(source, &env()) {
        Ok(Json::Null) => "nil".to_owned(),
        Ok(Json::String(text)) => text,
        Ok(Json::Number(n)) if n.is_f64() => go_float(n.as_f64().unwrap()),
        Ok(other) => other.to_string(),
        Err(EvalError::Limit(_)) => "LIMIT".to_owned(),
        Err(EvalError::Syntax { .. } | EvalError::Value(_)) => "ERR".to_owned(),
    }
}

/// Recorded from expr-lang 1.17 through Argo.
#[test]
fn expressions_mean_what_they_mean_in_argo() {
    let rows = [
        ("!true && false", "false"),
        ("'1' == 1", "ERR"),
        ("inputs.parameters.n == 5", "false"),
        ("inputs.parameters.n + 1", "ERR"),
        ("asInt(inputs.parameters.n) + 1", "6"),
        ("asInt('')", "ERR"),
        ("asInt('1.5')", "ERR"),
        ("'a' not in ['b']", "true"),
        ("'foo' contains 'o' ? 'y' : 'n'", "y"),
        ("'hello'[1:3]", "el"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("1.0", "1"),
        ("1_000", "1000"),
        ("1e21", "1e+21"),
        ("2 ** 3", "8"),
        ("-2 ** 2", "-4"),
        ("3/2", "1.5"),
        ("5 % -3", "2"),
        ("5 | string", "ERR"),
        ("5 | string()", "5"),
        ("[1,2,3][-1]", "3"),
        ("`raw string`", "raw string"),
        ("filter([1, 3], {# > 1})", "[3]"),
        ("map(filter([{'a': 1}, {'a': 2}], .a > 1), .a)", "[2]"),
        ("reduce([1,2,3], #acc + #, 0)", "6"),
        ("fromJSON(inputs.parameters.js).a[0]", "1"),
        ("jsonpath(inputs.parameters.js, '$.a[1]')", "2"),
        ("inputs.parameters['my-p']", "x"),
        ("inputs.parameters.my-p", "ERR"),
        ("inputs.parameters.nope == nil", "true"),
        ("inputs.parameters.nope ?? 'x'", "x"),
        ("tasks.b.outputs.result", "ERR"),
        ("tasks.b?.outputs?.result ?? 'x'", "x"),
        ("nothere", "ERR"),
        ("let x = 5; x * 2", "10"),
        ("toJSON([1,2])", "[\n  1,\n  2\n]"),
        ("toJson({'a': {'b': 1}})", "{\"a\":{\"b\":1}}"),
        ("{'a': {'b': 1}}.a.b", "1"),
        ("duration('1h').Seconds()", "3600"),
        ("7/0", "ERR"),
        ("7 % 0", "ERR"),
        ("9223372036854775807 + 1", "ERR"),
        ("sprig.int(sprig.sub(5, 2)) == 3", "true"),
        ("sprig.trim(' a ') + sprig.default('b', '')", "ab"),
        ("toBase64('a') | fromBase64()", "a"),
        ("1..3", "[1,2,3]"),
        ("1 < 'a'", "ERR"),
        ("'abc' matches '^a.c$'", "true"),
        ("sort([3, 1, 2])", "[1,2,3]"),
        ("split('a,b', ',')", "[\"a\",\"b\"]"),
        ("min([3, 1]) + max(1, 2)", "3"),
        ("!!true", "true"),
        ("(1 + 2) * 3 - 4 - 5", "0"),
        ("true || 1/0 > 'x'", "true"),
    ];
    for (source, expected) in rows {
        assert_eq!(show(source), expected, "{source}");
    }
}

/// The whole recorded table, where it lies beside the checkout.
#[test]
fn the_recorded_table_agrees() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/corpus/argo/expr-golden.tsv");
    let Ok(table) = std::fs::read_to_string(path) else {
        return;
    };
    let mut wrong = Vec::new();
    for row in table.lines().skip(1) {
        let mut cells = row.split('\t');
        let (source, kind, rendered) =
            (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
        let expected = if kind.ends_with("ERR") {
            "ERR".to_owned()
        } else {
            serde_json::from_str(rendered).unwrap()
        };
        let got = show(source);
        if got != expected {
            wrong.push(format!("{source}: {got} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test is about time")]
fn hostile_expressions_are_refused_quickly() {
    let terms = vec!["1"; 20_000].join("+");
    let wide = vec!["1"; 2_000].join("+");
    let wide_and = vec!["true"; 500].join(" && ");
    let calls = format!("{}1{}", "f(".repeat(1000), ")".repeat(1000));
    let accesses = format!("inputs{}", ".a".repeat(2000));
    let optional = format!("nil{}", "?.a".repeat(1000));
    let rows = [
        ("(".repeat(4000), "LIMIT"),
        ("[".repeat(4000), "LIMIT"),
        ("{'a':".repeat(800), "LIMIT"),
        ("!".repeat(4000), "LIMIT"),
        ("-".repeat(4000), "LIMIT"),
        ("1 ** ".repeat(800), "LIMIT"),
        ("1 ? ".repeat(1000), "LIMIT"),
        ("let x = 1; ".repeat(300), "LIMIT"),
        (calls, "LIMIT"),
        (terms, "LIMIT"),
        (wide, "2000"),
        (wide_and, "true"),
        (accesses, "ERR"),
        (optional, "nil"),
        ("1..100000000".to_owned(), "LIMIT"),
        ("len(1..100000000)".to_owned(), "LIMIT"),
        ("map(1..1000, map(1..1000, map(1..1000, #)))".to_owned(), "LIMIT"),
        ("reduce(1..5000, [#acc], 0)".to_owned(), "LIMIT"),
        ("reduce(1..5000, ({'a': #acc}), 0)".to_owned(), "LIMIT"),
        ("reduce(1..60, #acc + #acc, 'aaaaaaaa')".to_owned(), "LIMIT"),
        ("repeat('aaaaaaaaaa', 1000000000)".to_owned(), "LIMIT"),
        ("reduce(1..60, replace(#acc, 'a', 'aa'), 'a')".to_owned(), "LIMIT"),
        ("fromJSON(repeat('[', 100000))".to_owned(), "ERR"),
        ("count(1..30000, repeat('a', 100) matches '(a+)+b')".to_owned(), "LIMIT"),
        ("repeat('a', 1000000) matches '(a{50}){50}b'".to_owned(), "ERR"),
    ];
    for (source, expected) in rows {
        let started = Instant::now();
        let shown: String = source.chars().take(60).collect();
        assert_eq!(show(&source), expected, "{shown}");
        // Unoptimised builds of a busy machine: the budget itself is 50 ms.
        assert!(started.elapsed() < Duration::from_secs(2), "{shown}");
    }
}

#[test]
fn names_are_the_certain_paths() {
    let names = names(
        "let t = tasks['a-b'].outputs; t.x + inputs.parameters[workflow.name] + map([1], .q + item.k)[0]",
    );
    let names: Vec<String> = names.unwrap().into_iter().map(|path| path.join(" ")).collect();
    assert_eq!(names, ["tasks a-b outputs", "inputs parameters", "workflow name", "item k"]);
}

mod properties {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_expression_panics(
            source in "(inputs|tasks|\\.a|\\?\\.|[\\[\\](){}!<>=&|?:,+*/%#-]|'a'|[0-9.]{1,3}| in | not |map\\(|filter\\(|toJson\\(|nil|\\PC){0,30}"
        ) {
            let _ = super::show(&source);
        }
    }
}
