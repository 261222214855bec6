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
        Ok(outcome) => outcome.into_text().unwrap_or("nil".to_owned()),
        Err(EvalError::SourceLimit(_) | EvalError::RunLimit(_)) => "LIMIT".to_owned(),
        Err(error @ (EvalError::Compile { .. } | EvalError::Run { .. })) => {
            error.class().to_owned()
        }
    }
}

fn error(source: &str) -> String {
    evaluate(source, &env()).unwrap_err().to_string()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test is about time")]
fn hostile_expressions_are_refused_quickly() {
    let terms = vec!["1"; 20_000].join("+");
    let wide = vec!["1"; 2_000].join("+");
    let wide_and = vec!["true"; 500].join(" && ");
    let compared = vec!["1"; 2_000].join("<");
    let calls = format!("{}1{}", "f(".repeat(1000), ")".repeat(1000));
    let accesses = format!("inputs{}", ".a".repeat(2000));
    let optional = format!("nil{}", "?.a".repeat(1000));
    let maps = "map([1,2,3,4,5,6,7,8,9,10], ".repeat(6) + "#" + &")".repeat(6);
    let between = "1 < (".repeat(30) + "1 < 2" + &" ? 1 : 2) < 3".repeat(30);
    let rows = [
        ("(".repeat(4000), "LIMIT"),
        ("[".repeat(1000), "LIMIT"),
        ("[".repeat(4000), "LIMIT"),
        ("{'a':".repeat(800), "LIMIT"),
        ("!".repeat(4000), "LIMIT"),
        ("-".repeat(4000), "LIMIT"),
        ("1 ** ".repeat(800), "LIMIT"),
        ("1 ? ".repeat(1000), "LIMIT"),
        ("let x = 1; ".repeat(300), "LIMIT"),
        ("if true { ".repeat(300), "LIMIT"),
        ("1 | ".repeat(300), "COMPILE-ERR"),
        (calls, "LIMIT"),
        (terms, "LIMIT"),
        (wide, "2000"),
        (wide_and, "true"),
        (compared, "false"),
        (accesses, "RUN-ERR"),
        (optional, "COMPILE-ERR"),
        (between, "true"),
        (maps, "LIMIT"),
        ("1..1e8".to_owned(), "COMPILE-ERR"),
        ("1..100000000".to_owned(), "LIMIT"),
        ("len(1..100000000)".to_owned(), "LIMIT"),
        ("map(1..1000, map(1..1000, map(1..1000, #)))".to_owned(), "LIMIT"),
        ("reduce(1..5000, [#acc], 0)".to_owned(), "LIMIT"),
        ("reduce(1..5000, ({'a': #acc}), 0)".to_owned(), "LIMIT"),
        ("reduce(1..60, #acc + #acc, 'aaaaaaaa')".to_owned(), "LIMIT"),
        ("repeat('aaaaaaaaaa', 1000000000)".to_owned(), "LIMIT"),
        ("sprig.repeat(10000000, 'a')".to_owned(), "LIMIT"),
        ("sprig.indent(10000000, 'a')".to_owned(), "LIMIT"),
        ("sprig.until(100000000)".to_owned(), "LIMIT"),
        ("sprig.randAlpha(100000000)".to_owned(), "LIMIT"),
        ("reduce(1..60, replace(#acc, 'a', 'aa'), 'a')".to_owned(), "LIMIT"),
        ("reduce(1..60, sprig.regexReplaceAll('a', #acc, 'aa'), 'a')".to_owned(), "LIMIT"),
        ("reduce(1..60, concat(#acc, #acc), [1])".to_owned(), "LIMIT"),
        ("fromJSON(repeat('[', 100000))".to_owned(), "RUN-ERR"),
        ("count(1..30000, repeat('a', 100) matches '(a+)+b')".to_owned(), "LIMIT"),
        ("repeat('a', 1000000) matches '(a{50}){50}b'".to_owned(), "COMPILE-ERR"),
        ("sprig.regexFindAll('a*b', repeat('a', 50000), -1)".to_owned(), "nil"),
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
fn errors_say_what_and_where() {
    let rows = [
        ("'é' + 1", "invalid operation: + (mismatched types string and int) at character 5"),
        ("nope(1)", "unknown name nope: there is no function nope() at character 1"),
        ("1 + tasks.b.c", "cannot fetch c from nil at character 13"),
        ("asInt('x')", "'x' is no integer at character 1"),
        ("sprig.bcrypt('x')", "there is no function sprig.bcrypt at character 7"),
        ("1 +", "unexpected end at character 4"),
        ("trim(1)", "trim does not take (int) at character 1"),
        ("9223372036854775807 + 1", "the number is too large for an integer at character 21"),
    ];
    for (source, expected) in rows {
        assert_eq!(error(source), expected, "{source}");
    }
    let unknown = parse_check("true ? 1 : sprig.bcrypt('x')").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no function sprig.bcrypt at character 18");
}

#[test]
fn a_program_is_compiled_once_and_run_often() {
    let roots = |name: &str| (name == "inputs").then_some(Root::Map);
    let program = Program::compile("asInt(inputs.parameters.n) + 1", &roots).unwrap();
    for n in 0..3 {
        let env = json!({"inputs": {"parameters": {"n": n.to_string()}}});
        assert_eq!(program.run(&env).unwrap(), Outcome::Json((n + 1).to_string()));
    }
    assert!(Program::compile("tasks.a", &roots).is_err());
}

#[test]
fn random_texts_follow_from_the_seed() {
    struct Seeded(u64);
    impl Environment for Seeded {
        fn entry(&self, _: &[&str]) -> Entry<'_> {
            Entry::Absent
        }
        fn keys(&self, _: &[&str]) -> Vec<String> {
            Vec::new()
        }
        fn ambient(&self) -> Ambient {
            Ambient { now: flowforge_model::time::Timestamp(1_700_000_000_123), seed: self.0 }
        }
    }
    let value = |source: &str, seed| evaluate(source, &Seeded(seed)).unwrap().into_text().unwrap();
    for source in ["sprig.randAlphaNum(20)", "sprig.uuidv4()"] {
        assert_eq!(value(source, 1), value(source, 1));
        assert_ne!(value(source, 1), value(source, 2));
    }
    assert_eq!(value("sprig.uuidv4()", 1).chars().nth(14), Some('4'));
    assert_eq!(value("now().Unix()", 0), "1700000000");
    assert_eq!(value("sprig.date('2006-01-02 15:04:05', sprig.now())", 0), "2023-11-14 22:13:20");
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
            source in "(inputs|tasks|\\.a|\\?\\.|[\\[\\](){}!<>=&|?:,+*/%#-]|'a'|[0-9.]{1,3}| in | not |map\\(|filter\\(|toJson\\(|sprig\\.|date\\(|nil|if |else|let x = |;|\\PC){0,30}"
        ) {
            let _ = super::show(&source);
        }

        #[test]
        fn no_layout_panics(layout in "(2006|Jan|[0-9.,:_-]|PM|MST|Z07|\\PC){0,12}", text in "[0-9A-Za-z:. -]{0,12}") {
            let quoted = |text: &str| format!("`{}`", text.replace('`', ""));
            let (layout, text) = (quoted(&layout), quoted(&text));
            let _ = super::show(&format!("date({text}, {layout}).Format({layout})"));
            let _ = super::show(&format!("sprig.date({layout}, sprig.toDate({layout}, {text}))"));
        }
    }
}
