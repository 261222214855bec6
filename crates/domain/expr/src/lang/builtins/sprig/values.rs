//! Defaults, types, JSON and digests.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{empty, function, shown, text_at};
use crate::lang::builtins::{Builtin, convert};
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::fail;
use crate::lang::text;
use crate::lang::value::{Layout, Value};

pub(super) static TABLE: [Builtin; 30] = [
    function("all", all),
    function("any", any),
    function("b64dec", b64dec),
    function("b64enc", b64enc),
    function("coalesce", coalesce),
    function("deepCopy", same),
    function("deepEqual", deep_equal),
    function("default", default),
    function("empty", is_empty),
    function("fail", failed),
    function("fromJson", from_json),
    function("hello", hello),
    function("kindIs", kind_is),
    function("kindOf", kind_of),
    function("mustDeepCopy", same),
    function("mustFromJson", convert::from_json),
    function("mustToJson", convert::to_json),
    function("mustToPrettyJson", convert::to_json_indented),
    function("mustToRawJson", to_raw_json),
    function("sha1sum", sha1sum),
    function("sha256sum", sha256sum),
    function("sha512sum", sha512sum),
    function("ternary", ternary),
    function("toJson", to_json),
    function("toPrettyJson", to_pretty_json),
    function("toRawJson", to_raw_json),
    function("toString", to_string),
    function("typeIs", type_is),
    function("typeIsLike", type_is),
    function("typeOf", type_of),
];

fn default<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [default] => Ok(default.clone()),
        [default, given, ..] => Ok(if empty(given) { default } else { given }.clone()),
        [] => fail("a default is missing"),
    }
}

fn is_empty<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [value] => Ok(Value::Bool(empty(value))),
        _ => fail("needs one value"),
    }
}

fn coalesce<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(args.iter().find(|value| !empty(value)).cloned().unwrap_or(Value::Nil))
}

fn all<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(!args.iter().any(empty)))
}

fn any<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(args.iter().any(|value| !empty(value))))
}

fn ternary<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [yes, no, Value::Bool(which)] => Ok(if *which { yes } else { no }.clone()),
        _ => fail("needs two values and a bool"),
    }
}

fn same<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(args.first().cloned().unwrap_or(Value::Nil))
}

fn deep_equal<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [a, b] => Ok(Value::Bool(a.kind() == b.kind() && a.equals(b))),
        _ => fail("needs two values"),
    }
}

fn hello<'e>(run: &mut Run<'e>, _: &[Value<'e>]) -> Outcome<'e> {
    run.string("Hello!")
}

fn failed<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    fail(text_at(args, 0)?)
}

fn to_string<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [value] => run.string(&shown(value)),
        _ => fail("needs one value"),
    }
}

/// JSON, or nothing if the value has none.
fn lenient<'e>(run: &mut Run<'e>, args: &[Value<'e>], layout: Layout) -> Outcome<'e> {
    let json = convert::json_text(run, args.first().unwrap_or(&Value::Nil), layout);
    match json {
        Err(crate::lang::fault::Fault::Run(..)) => run.string(""),
        other => other,
    }
}

fn to_json<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    lenient(run, args, Layout { indented: false, html: true })
}

fn to_pretty_json<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    lenient(run, args, Layout { indented: true, html: true })
}

fn to_raw_json<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let layout = Layout { indented: false, html: false };
    convert::json_text(run, args.first().unwrap_or(&Value::Nil), layout)
}

fn from_json<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match convert::from_json(run, args) {
        Err(crate::lang::fault::Fault::Run(..)) if matches!(args, [Value::Text(_)]) => {
            Ok(Value::Nil)
        }
        other => other,
    }
}

fn b64enc<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&text::base64(text_at(args, 0)?.as_bytes()))
}

fn b64dec<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let source = text_at(args, 0)?;
    match text::unbase64(source) {
        Some(text) => run.string(&text),
        // sprig gives the message of the error as the value.
        None => {
            let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
            let at = source.bytes().take_while(letter).count();
            run.string(&format!("illegal base64 data at input byte {at}"))
        }
    }
}

/// Bytes one step of the budget pays for.
const HASHED_PER_STEP: usize = 16;

fn digest<'e, D: Digest>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let source = text_at(args, 0)?;
    run.spend(source.len() / HASHED_PER_STEP)?;
    let digest = D::digest(source.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    run.string(&hex)
}

fn sha1sum<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    digest::<Sha1>(run, args)
}

fn sha256sum<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    digest::<Sha256>(run, args)
}

fn sha512sum<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    digest::<Sha512>(run, args)
}

/// Go's name of a type.
fn go_type(value: Option<&Value<'_>>) -> &'static str {
    match value {
        None | Some(Value::Nil) => "<nil>",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Int(_)) => "int",
        Some(Value::Float(_)) => "float64",
        Some(Value::Text(_)) => "string",
        Some(Value::List(_)) => "[]interface {}",
        Some(Value::Map(map)) if map.any_keys => "map[interface {}]interface {}",
        Some(Value::Map(_) | Value::Place(_)) => "map[string]interface {}",
        Some(Value::Duration(_)) => "time.Duration",
        Some(Value::Time(_)) => "time.Time",
        Some(Value::Zone(_)) => "*time.Location",
        Some(Value::Named(..)) => "time.Month",
    }
}

/// Go's name of a kind of types.
fn go_kind(value: Option<&Value<'_>>) -> &'static str {
    match value {
        None | Some(Value::Nil) => "invalid",
        Some(Value::List(_)) => "slice",
        Some(Value::Map(_) | Value::Place(_)) => "map",
        Some(Value::Duration(_)) => "int64",
        Some(Value::Named(..)) => "int",
        Some(Value::Time(_)) => "struct",
        Some(Value::Zone(_)) => "ptr",
        other => go_type(other),
    }
}

fn type_of<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(go_type(args.first()))
}

fn kind_of<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(go_kind(args.first()))
}

fn type_is<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(text_at(args, 0)? == go_type(args.get(1))))
}

fn kind_is<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(text_at(args, 0)? == go_kind(args.get(1))))
}
