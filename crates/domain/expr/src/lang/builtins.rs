//! The functions that take values: their names, their types, what they do.

mod convert;
mod dates;
mod jsonpath;
mod lists;
mod maps;
mod numbers;
mod sprig;
mod text;

use super::ast::Each;
use super::eval::{Outcome, Run};
use super::fault::{Fault, fail};
use super::nature::Type;
use super::value::Value;

/// A function.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) check: Check,
    pub(super) call: Call,
}

/// What a function does.
type Call = for<'e> fn(&mut Run<'e>, &[Value<'e>]) -> Outcome<'e>;

/// How the types of its arguments are checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// Only when it is called: sprig's functions are values of a map, so their types are not known.
    AtRun,
    /// One of these must fit.
    Overloads(&'static [Overload]),
    /// A rule of its own: the type of the result, or what is wrong.
    Own(fn(&[Type]) -> Result<Type, String>),
}

/// One list of parameters and the type of the result.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) takes: &'static [Param],
    pub(super) gives: Type,
}

/// What may be given for a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Param {
    Any,
    Text,
    Int,
    /// A list of anything or of strings.
    Items,
}

impl Overload {
    pub(super) fn takes(&self, given: &[Type]) -> bool {
        self.takes.len() == given.len()
            && self.takes.iter().zip(given).all(|(param, of)| match param {
                Any => true,
                _ if of.is_unknown() => true,
                Text => of.is_text(),
                Int => of.is_int(),
                Items => of.is_list(),
            })
    }
}

/// The builtin of a name, one of expr-lang's or one that Argo adds.
pub(super) fn named(name: &str) -> Option<&'static Builtin> {
    find(&TABLE, name)
}

/// The function `sprig.NAME`.
pub(super) fn sprig_named(name: &str) -> Option<&'static Builtin> {
    sprig::TABLES.iter().find_map(|table| find(table, name))
}

/// Whether a name is one of a function.
pub(super) fn is_function(name: &str) -> bool {
    Each::named(name).is_some() || named(name).is_some()
}

/// Tables are sorted by name.
fn find(table: &'static [Builtin], name: &str) -> Option<&'static Builtin> {
    let at = table.binary_search_by(|builtin| builtin.name.cmp(name)).ok()?;
    table.get(at)
}

const fn builtin(name: &'static str, check: Check, call: Call) -> Builtin {
    Builtin { name, check, call }
}

const fn overload(takes: &'static [Param], gives: Type) -> Overload {
    Overload { takes, gives }
}

use Check::{Overloads, Own};
use Param::{Any, Int, Items, Text};

const ONE_TEXT: Check = Overloads(&[overload(&[Text], Type::TEXT)]);
const ONE_OR_TWO_TEXTS: Check =
    Overloads(&[overload(&[Text], Type::TEXT), overload(&[Text, Text], Type::TEXT)]);
const FIND: Check = Overloads(&[overload(&[Text, Text], Type::INT)]);
const TEST: Check = Overloads(&[overload(&[Text, Text], Type::BOOL)]);
const SPLIT: Check =
    Overloads(&[overload(&[Text, Text], Type::TEXTS), overload(&[Text, Text, Int], Type::TEXTS)]);
const BITS: Check = Overloads(&[overload(&[Int, Int], Type::INT)]);
const CONVERT: Check = Overloads(&[overload(&[Any], Type::UNKNOWN)]);
const TO_TEXT: Check = Overloads(&[overload(&[Any], Type::TEXT)]);

static TABLE: [Builtin; 60] = [
    builtin("abs", Own(numbers::check_abs), numbers::abs),
    builtin("asFloat", CONVERT, convert::float),
    builtin("asInt", CONVERT, convert::int),
    builtin("bitand", BITS, numbers::bitand),
    builtin("bitnand", BITS, numbers::bitnand),
    builtin("bitnot", Overloads(&[overload(&[Int], Type::INT)]), numbers::bitnot),
    builtin("bitor", BITS, numbers::bitor),
    builtin("bitshl", BITS, numbers::bitshl),
    builtin("bitshr", BITS, numbers::bitshr),
    builtin("bitushr", BITS, numbers::bitushr),
    builtin("bitxor", BITS, numbers::bitxor),
    builtin("ceil", Own(numbers::check_round), numbers::ceil),
    builtin("concat", Own(lists::check_concat), lists::concat),
    builtin("date", Own(dates::check_date), dates::date),
    builtin("duration", Overloads(&[overload(&[Text], Type::DURATION)]), dates::duration),
    builtin("first", Own(lists::check_end), lists::first),
    builtin("flatten", Own(lists::check_list), lists::flatten),
    builtin("float", Own(convert::check_float), convert::float),
    builtin("floor", Own(numbers::check_round), numbers::floor),
    builtin("fromBase64", ONE_TEXT, text::from_base64),
    builtin("fromJSON", Overloads(&[overload(&[Text], Type::ANY)]), convert::from_json),
    builtin("fromPairs", Own(maps::check_from_pairs), maps::from_pairs),
    builtin("get", Own(maps::check_get), maps::get),
    builtin("hasPrefix", TEST, text::has_prefix),
    builtin("hasSuffix", TEST, text::has_suffix),
    builtin("indexOf", FIND, text::index_of),
    builtin("int", Own(convert::check_int), convert::int),
    builtin(
        "join",
        Overloads(&[overload(&[Items], Type::TEXT), overload(&[Items, Text], Type::TEXT)]),
        text::join,
    ),
    builtin("jsonpath", Overloads(&[overload(&[Text, Text], Type::ANY)]), jsonpath::jsonpath),
    builtin("keys", Own(maps::check_map), maps::keys),
    builtin("last", Own(lists::check_end), lists::last),
    builtin("lastIndexOf", FIND, text::last_index_of),
    builtin("len", Own(convert::check_len), convert::len),
    builtin("lower", ONE_TEXT, text::lower),
    builtin("max", Own(numbers::check_aggregate), numbers::max),
    builtin("mean", Own(numbers::check_aggregate), numbers::mean),
    builtin("median", Own(numbers::check_aggregate), numbers::median),
    builtin("min", Own(numbers::check_aggregate), numbers::min),
    builtin("now", Own(dates::check_now), dates::now),
    builtin("repeat", Overloads(&[overload(&[Text, Int], Type::TEXT)]), text::repeat),
    builtin(
        "replace",
        Overloads(&[
            overload(&[Text, Text, Text], Type::TEXT),
            overload(&[Text, Text, Text, Int], Type::TEXT),
        ]),
        text::replace,
    ),
    builtin("reverse", Own(lists::check_list), lists::reverse),
    builtin("round", Own(numbers::check_round), numbers::round),
    builtin(
        "sort",
        Overloads(&[overload(&[Items], Type::LIST), overload(&[Items, Text], Type::LIST)]),
        lists::sort,
    ),
    builtin("split", SPLIT, text::split),
    builtin("splitAfter", SPLIT, text::split_after),
    builtin("string", TO_TEXT, convert::string),
    builtin("take", Own(lists::check_take), lists::take),
    builtin("timezone", Overloads(&[overload(&[Text], Type::ZONE)]), dates::timezone),
    builtin("toBase64", ONE_TEXT, text::to_base64),
    builtin("toJSON", TO_TEXT, convert::to_json_indented),
    builtin("toJson", TO_TEXT, convert::to_json),
    builtin("toPairs", Own(maps::check_map), maps::to_pairs),
    builtin("trim", ONE_OR_TWO_TEXTS, text::trim),
    builtin("trimPrefix", ONE_OR_TWO_TEXTS, text::trim_prefix),
    builtin("trimSuffix", ONE_OR_TWO_TEXTS, text::trim_suffix),
    builtin("type", TO_TEXT, convert::kind),
    builtin("uniq", Own(lists::check_list), lists::uniq),
    builtin("upper", ONE_TEXT, text::upper),
    builtin("values", Own(maps::check_map), maps::values),
];

/// The rule of a function that takes one value.
fn one(given: &[Type]) -> Result<Type, String> {
    match given {
        [of] => Ok(*of),
        _ => Err(format!("expected 1 argument, got {}", given.len())),
    }
}

/// The text given at `at`.
fn text_at<'v>(args: &'v [Value<'_>], at: usize) -> Result<&'v str, Fault> {
    match args.get(at) {
        Some(Value::Text(text)) => Ok(text),
        other => wrong("a string", other),
    }
}

/// The number given at `at`; a float is cut.
fn int_at(args: &[Value<'_>], at: usize) -> Result<i64, Fault> {
    match args.get(at) {
        Some(Value::Int(value)) => Ok(*value),
        Some(Value::Float(value)) => Ok(super::value::truncate(*value)),
        other => wrong("a number", other),
    }
}

/// The list given at `at`.
fn items_at<'v, 'e>(args: &'v [Value<'e>], at: usize) -> Result<&'v [Value<'e>], Fault> {
    match args.get(at) {
        Some(Value::List(list)) => Ok(&list.items),
        other => wrong("a list", other),
    }
}

fn wrong<T>(wanted: &str, given: Option<&Value<'_>>) -> Result<T, Fault> {
    match given {
        Some(value) => fail(format!("needs {wanted}, not a {}", value.kind())),
        None => fail(format!("{wanted} is missing")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tables_are_sorted() {
        let tables = super::sprig::TABLES.iter().copied().chain([super::TABLE.as_slice()]);
        for table in tables {
            for pair in table.windows(2) {
                assert!(pair[0].name < pair[1].name, "{} {}", pair[0].name, pair[1].name);
            }
        }
    }
}
