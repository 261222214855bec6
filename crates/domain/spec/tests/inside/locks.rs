//! Locks, and what is remembered under a key.

use flowforge_model::plan::Lock;
use flowforge_model::text::Text;
use flowforge_model::time::Millis;

use crate::{codes, ok, template};

#[test]
fn locks_have_a_scope_and_a_name() {
    let template = template(
        "container: {image: i}\nsynchronization:\n  mutex: {name: old}\n  mutexes: [{name: 'c-{{workflow.uid}}', namespace: n}, {name: d, database: true}]",
    );
    let lock =
        |scope: &str, name: &str| Lock { scope: scope.into(), name: Text::plain(name), limit: 1 };
    assert_eq!(template.locks[0], lock("mutex", "old"));
    assert_eq!(template.locks[2], lock("database/mutex", "d"));
    let Text::Parts(parts) = &template.locks[1].name else { panic!() };
    assert_eq!(parts.len(), 4);
}

/// Argo lets a task wait for ever for what holds it.
#[test]
fn a_lock_that_its_caller_holds_is_refused() {
    let with = |spec: &str, main: &str, step: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: main\n  {spec}\n  templates:\n  - name: main\n    {main}\n    steps: [[{{name: a, template: mid{step}}}]]\n  - {{name: mid, steps: [[{{name: a, template: t}}]]}}\n  - {{name: t, container: {{image: i, command: [x]}}, synchronization: {{mutexes: [{{name: m}}]}}}}\n"
        )
    };
    let lock = "synchronization: {mutex: {name: m}}";
    assert_eq!(codes(&with(lock, "failFast: true", "")), ["lock_held"]);
    assert_eq!(codes(&with("suspend: false", lock, "")), ["lock_held"]);
    ok(&with("onExit: t", "failFast: true", ""));
    assert_eq!(
        codes(&with(&format!("onExit: t\n  {lock}"), lock, ", when: 'a == b'")),
        ["lock_held"]
    );
    for fine in [
        with(lock, "failFast: true", ", when: 'a == b'"),
        with("synchronization: {mutex: {name: other}}", "failFast: true", ""),
        with("suspend: false", "synchronization: {mutex: {name: 'm-{{workflow.uid}}'}}", ""),
        with("suspend: false", "synchronization: {mutex: {name: m, database: true}}", ""),
    ] {
        ok(&fine);
    }
}

#[test]
fn a_memo_has_a_key_and_a_cache() {
    let template = template(
        "container: {image: i}\nmemoize: {key: 'k-{{workflow.name}}', maxAge: 10s, cache: {configMap: {name: c, key: x}}}",
    );
    let memo = template.memoize.unwrap();
    assert_eq!((&*memo.cache, memo.max_age), ("c", Some(Millis(10_000))));
}
