//! Values are data (H49, H50, H51): whatever they hold, no other field of a manifest changes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flowforge_expr::{Entry, Environment, Scope, render};
use flowforge_model::text::{Reference, Text};
use flowforge_spec::{Options, compile};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// A manifest with a tag in every kind of field that may hold one. `GIVEN` stands for the value of
/// a parameter, `KEPT` for one of a `ConfigMap`.
const MANIFEST: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  arguments:
    parameters:
    - {name: p, value: GIVEN}
    - {name: q, valueFrom: {configMapKeyRef: {name: c, key: k}}}
    artifacts: [{name: a, raw: {data: "<{{workflow.parameters.p}}>"}}]
  synchronization: {mutexes: [{name: "<{{workflow.parameters.p}}>", namespace: n}]}
  volumes: [{name: claim, persistentVolumeClaim: {claimName: "x{{workflow.parameters.p}}"}}]
  templates:
  - name: main
    inputs: {artifacts: [{name: a}]}
    steps:
    - - name: one
        template: leaf
        when: "'{{workflow.parameters.p}}' == x"
        withItems: ["<{{workflow.parameters.p}}>", {t: "<{{workflow.parameters.p}}>", n: 1}, ["{{workflow.parameters.p}}"]]
        arguments:
          parameters: [{name: i, value: "<{{item}}>"}, {name: j, value: "{{=item + '>'}}"}]
          artifacts: [{name: a, from: "{{inputs.artifacts.a}}", subPath: "s/{{item}}"}]
    - - name: two
        template: wait
        withSequence: {count: 2, format: "{{workflow.parameters.p}}-%d"}
  - name: leaf
    inputs:
      parameters: [{name: i}, {name: j, default: "<{{workflow.parameters.p}}>"}]
      artifacts: [{name: a, path: "/in/{{inputs.parameters.i}}"}]
    outputs:
      parameters: [{name: o, valueFrom: {path: "/out/{{inputs.parameters.i}}", default: "<{{inputs.parameters.i}}>"}}]
      artifacts: [{name: b, path: "/b/{{inputs.parameters.i}}", s3: {key: "k/{{inputs.parameters.i}}"}}]
    activeDeadlineSeconds: "{{inputs.parameters.i}}"
    retryStrategy: {limit: "{{inputs.parameters.j}}"}
    memoize: {key: "m-{{inputs.parameters.i}}", cache: {configMap: {name: memos}}}
    initContainers: [{name: first, image: i, args: ["<{{inputs.parameters.i}}>"]}]
    script:
      image: "r/{{inputs.parameters.i}}"
      command: [sh, "<{{inputs.parameters.i}}>"]
      source: "echo '{{inputs.parameters.i}}' \"{{workflow.name}}\""
      workingDir: "/d/{{inputs.parameters.i}}"
      env:
      - {name: A, value: "<{{inputs.parameters.i}}>"}
      - {name: B, valueFrom: {configMapKeyRef: {name: c, key: k}}}
      volumeMounts: [{name: claim, mountPath: "/m/{{inputs.parameters.i}}", subPath: "p/{{inputs.parameters.i}}"}]
  - name: ask
    http:
      url: "http://h/{{workflow.parameters.p}}"
      method: POST
      body: "{\"a\": \"{{workflow.parameters.p}}\"}"
      headers: [{name: H, value: "<{{workflow.parameters.p}}>"}]
  - name: wait
    suspend: {duration: "{{workflow.parameters.p}}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, labels: {workflows.argoproj.io/configmap-type: Parameter}}
data: {k: KEPT}
"#;

fn manifest(given: &str, kept: &str) -> String {
    let quoted = |text: &str| Json::from(text).to_string();
    let (head, tail) = MANIFEST.split_once("GIVEN").expect("a place");
    let (middle, end) = tail.split_once("KEPT").expect("a place");
    format!("{head}{}{middle}{}{end}", quoted(given), quoted(kept))
}

/// Every name stands for this value.
struct One<'v> {
    value: &'v str,
    names: Json,
}

impl<'v> One<'v> {
    fn of(value: &'v str) -> Self {
        let parameters = json!({"p": value, "i": value});
        let inputs = json!({"parameters": parameters});
        Self { value, names: json!({"workflow": inputs, "inputs": inputs, "item": value}) }
    }
}

impl Environment for One<'_> {
    fn entry(&self, path: &[&str]) -> Entry<'_> {
        self.names.entry(path)
    }

    fn keys(&self, path: &[&str]) -> Vec<String> {
        Environment::keys(&self.names, path)
    }
}

impl Scope for One<'_> {
    fn reference(&self, _: &Reference) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.value))
    }
}

/// The fields of a compiled manifest by their pointers, with `value` in every tag.
fn rendered(source: &str, value: &str) -> BTreeMap<String, String> {
    let compiled = compile(source, &Options::default()).expect(source);
    let mut out = BTreeMap::new();
    collect(&serde_json::to_value(&compiled.plan).expect("a plan"), "", value, &mut out);
    out
}

fn collect(json: &Json, pointer: &str, value: &str, out: &mut BTreeMap<String, String>) {
    let text = json.get("Plain").or(json.get("Parts")).is_some();
    match json {
        Json::Object(_) if text => {
            let text: Text = serde_json::from_value(json.clone()).expect("a text");
            out.insert(
                pointer.to_owned(),
                render(&text, &One::of(value)).expect(pointer).into_owned(),
            );
        }
        Json::Object(map) => {
            map.iter()
                .for_each(|(key, json)| collect(json, &format!("{pointer}/{key}"), value, out));
        }
        Json::Array(list) => {
            let items = list.iter().enumerate();
            items.for_each(|(at, json)| collect(json, &format!("{pointer}/{at}"), value, out));
        }
        scalar => {
            out.insert(pointer.to_owned(), scalar.to_string());
        }
    }
}

/// The value that fields are compared by: nothing in the manifest looks like it.
const MARK: &str = "\u{2603}mark\u{2603}";

#[test]
fn every_kind_of_field_holds_the_value() {
    let fields = rendered(&manifest(MARK, MARK), MARK);
    let marked = fields.values().filter(|field| field.contains(MARK)).count();
    assert_eq!(marked, 35, "{fields:#?}");
}

#[test]
fn values_of_config_maps_are_not_scanned_for_tags() {
    let fields = rendered(&manifest("{{workflow.name}}", "{{workflow.uid}}"), "v");
    let env = fields.iter().find(|(pointer, _)| pointer.ends_with("/env/1/1/Text")).unwrap();
    assert_eq!(env.1, "{{workflow.uid}}");
    assert_eq!(fields["/parameters/1/1"], "\"{{workflow.uid}}\"");
    assert_eq!(fields["/parameters/0/1"], "\"{{workflow.name}}\"");
}

proptest! {
    #[test]
    fn no_value_changes_another_field(
        value in "(\\{\\{|\\}\\}|\\{\\{=1\\}\\}|\\$\\(id\\)|; |[-`\"'\\\\\n\r\t:#&*!|>%@{}\\[\\],$/]|\\.\\.|[a-z]|\\PC){0,24}"
    ) {
        let marked = rendered(&manifest(MARK, MARK), MARK);
        let fields = rendered(&manifest(&value, &value), &value);
        prop_assert_eq!(marked.keys().collect::<Vec<_>>(), fields.keys().collect::<Vec<_>>());
        for (pointer, field) in &fields {
            // JSON of items has forms of its own; what is in it is compared below.
            let json = pointer.contains("/repeat/Items/");
            let parameter = pointer.starts_with("/parameters/");
            let filled = if parameter {
                marked[pointer].replace(&Json::from(MARK).to_string(), &Json::from(value.as_str()).to_string())
            } else {
                marked[pointer].replace(MARK, &value)
            };
            prop_assert!(json || *field == filled, "{}: {:?}", pointer, field);
        }
        // Items that are maps or lists stay what they are.
        for (at, expected) in [(0, Json::from(format!("<{value}>"))), (1, json!({"t": format!("<{value}>"), "n": 1})), (2, json!([value.clone()]))] {
            let pointer = format!("/repeat/Items/{at}");
            let item = fields.iter().find(|(key, _)| key.ends_with(&pointer)).unwrap().1;
            let found = if at == 0 { Json::from(item.as_str()) } else { serde_json::from_str(item).unwrap() };
            prop_assert_eq!(&found, &expected);
        }
    }
}
