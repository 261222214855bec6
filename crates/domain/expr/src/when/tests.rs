use super::*;
use crate::WhenError;

fn class(source: &str) -> &'static str {
    match when(source) {
        Ok(true) => "true",
        Ok(false) => "false",
        Err(WhenError::Parse { .. }) => "PARSE-ERR",
        Err(WhenError::Eval { .. }) => "EVAL-ERR",
        Err(WhenError::NotBool { .. }) => "NOT-BOOL",
    }
}

/// Recorded from govaluate through Argo's `shouldExecute`.
#[test]
fn conditions_mean_what_they_mean_in_argo() {
    let rows = [
        ("", "true"),
        ("foo == foo", "true"),
        ("foo-bar == foo-bar", "EVAL-ERR"),
        ("'foo-bar' == 'foo-bar'", "true"),
        ("\"foo\" == 'foo'", "true"),
        ("1.0 == 1", "true"),
        ("1 == '1'", "false"),
        ("'true' == true", "false"),
        ("True == true", "false"),
        ("1.2.3 == 1.2.3", "PARSE-ERR"),
        ("1a == 1a", "PARSE-ERR"),
        (" == foo", "PARSE-ERR"),
        ("foo", "NOT-BOOL"),
        ("foo && true", "EVAL-ERR"),
        ("2024-01-02 == 2021", "true"),
        ("'2020-01-01' > '2019-01-01'", "true"),
        ("foo in (foo, bar)", "true"),
        ("foo IN (foo, bar)", "true"),
        ("foo not in (foo, bar)", "PARSE-ERR"),
        ("!(foo in (bar, baz))", "true"),
        ("'1' in (1, 2)", "false"),
        ("foo in ('foo')", "EVAL-ERR"),
        ("foo =~ fo", "true"),
        ("'foo' =~ '(?i)FOO'", "true"),
        ("foo =~ '('", "PARSE-ERR"),
        ("'10' > '9'", "false"),
        ("10 > '9'", "EVAL-ERR"),
        ("a + b == ab", "true"),
        ("2 ** 3 == 8", "true"),
        ("true ? false : true", "false"),
        ("null ?? true", "NOT-BOOL"),
        ("foo bar == foo bar", "PARSE-ERR"),
        ("foo == 'it\\'s'", "false"),
        ("foo == foo || bar", "true"),
        ("false || foo", "EVAL-ERR"),
        ("foo == foo || bar == baz && a == b", "true"),
        ("((foo == foo)", "PARSE-ERR"),
        ("0x10 == 16", "true"),
        ("_ab == _ab", "PARSE-ERR"),
        ("été == été", "true"),
        ("foo == {{unresolved}}", "PARSE-ERR"),
        ("foo = foo", "PARSE-ERR"),
        ("1,2", "NOT-BOOL"),
        ("foo:bar == foo:bar", "NOT-BOOL"),
        ("\\foo == foo", "PARSE-ERR"),
        ("foo\\-bar == 'foo-bar'", "true"),
        ("v1.2 == v1.2", "EVAL-ERR"),
        ("foo.bar == 1", "PARSE-ERR"),
        ("5 & 1 == 1", "true"),
        ("-1 < -2", "false"),
        (".5 == 0.5", "true"),
        ("1/0 > 5", "true"),
        ("[foo-bar] == 'foo-bar'", "true"),
        ("(foo == foo) ignored", "true"),
        ("   ", "PARSE-ERR"),
        ("()", "NOT-BOOL"),
        ("2 ** 3 ** 2 == 64", "true"),
        ("10 - 2 - 3 == 5", "true"),
    ];
    for (source, expected) in rows {
        assert_eq!(class(source), expected, "{source}");
    }
}

/// The whole recorded table, where it lies beside the checkout.
#[test]
fn the_recorded_table_agrees() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/corpus/argo/when-golden.tsv");
    let Ok(table) = std::fs::read_to_string(path) else {
        return;
    };
    let mut wrong = Vec::new();
    for row in table.lines().skip(1) {
        let (source, result) = row.rsplit_once('\t').unwrap();
        let expected = result.split(' ').next().unwrap();
        if class(source) != expected {
            wrong.push(format!("{source}: {} instead of {result}", class(source)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn hostile_conditions_are_refused() {
    assert_eq!(class(&format!("{}a{}", "(".repeat(2000), ")".repeat(2000))), "PARSE-ERR");
    assert_eq!(class(&"a".repeat(10_000)), "PARSE-ERR");
    assert_eq!(class(&vec!["1"; 2000].join("+")), "NOT-BOOL");
    assert_eq!(class("'aaaaaaaaaaaaaaaaaaaaaaaaaaaa' =~ '(a+)+$'"), "true");
    assert_eq!(class("a =~ '((((a{100}){100}){100}){100})'"), "PARSE-ERR");
    assert_eq!(class("a \\"), "PARSE-ERR");
}

mod properties {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_condition_panics(source in "([a-z0-9.'\"()\\[\\] !=<>~&|?:,+*/%\\\\^-]|\\PC|in ){0,60}") {
            let _ = super::class(&source);
        }
    }
}
