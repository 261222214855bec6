//! Regular expressions.

use regex_lite::Regex;

use super::{function, int_at, text_at};
use crate::lang::builtins::Builtin;
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::Fault;
use crate::lang::value::Value;
use crate::pattern;

pub(super) static TABLE: [Builtin; 13] = [
    function("mustRegexFind", find),
    function("mustRegexFindAll", find_all),
    function("mustRegexMatch", must_match),
    function("mustRegexReplaceAll", replace_all),
    function("mustRegexReplaceAllLiteral", replace_all_literal),
    function("mustRegexSplit", split),
    function("regexFind", find),
    function("regexFindAll", find_all),
    function("regexMatch", matches),
    function("regexQuoteMeta", quote_meta),
    function("regexReplaceAll", replace_all),
    function("regexReplaceAllLiteral", replace_all_literal),
    function("regexSplit", split),
];

/// A pattern, and what one look for it costs.
struct Priced {
    regex: Regex,
    size: usize,
}

impl Priced {
    fn compile(run: &mut Run<'_>, source: &str) -> Result<Self, Fault> {
        run.spend(1000)?;
        let (regex, size) =
            pattern::compile(source).map_err(|message| Fault::Run(message, None))?;
        Ok(Self { regex, size })
    }

    /// Pays for one look at `text`.
    fn pay(&self, run: &mut Run<'_>, text: &str) -> Result<(), Fault> {
        let visits = pattern::visits(self.size, text);
        run.spend(visits.map_err(|message| Fault::Run(message, None))? / 40)
    }

    /// Where it matches, at most `limit` times.
    fn places(
        &self,
        run: &mut Run<'_>,
        text: &str,
        limit: usize,
    ) -> Result<Vec<(usize, usize)>, Fault> {
        let mut out = Vec::new();
        let mut found = self.regex.find_iter(text);
        while out.len() < limit {
            let from = out.last().map_or(0, |(_, end)| *end);
            self.pay(run, text.get(from..).unwrap_or(""))?;
            let Some(place) = found.next() else { break };
            out.push((place.start(), place.end()));
        }
        Ok(out)
    }
}

fn matches<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match must_match(run, args) {
        // A pattern that is none matches nothing.
        Err(Fault::Run(..)) if args.len() == 2 => Ok(Value::Bool(false)),
        other => other,
    }
}

fn must_match<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (priced, text) = (Priced::compile(run, text_at(args, 0)?)?, text_at(args, 1)?);
    priced.pay(run, text)?;
    Ok(Value::Bool(priced.regex.is_match(text)))
}

fn find<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (priced, text) = (Priced::compile(run, text_at(args, 0)?)?, text_at(args, 1)?);
    priced.pay(run, text)?;
    let found = priced.regex.find(text).map_or("", |found| found.as_str());
    run.string(found)
}

/// Go's count of results: negative is no limit.
fn limit(args: &[Value<'_>]) -> Result<usize, Fault> {
    Ok(usize::try_from(int_at(args, 2)?).unwrap_or(usize::MAX))
}

fn find_all<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (priced, text) = (Priced::compile(run, text_at(args, 0)?)?, text_at(args, 1)?);
    let places = priced.places(run, text, limit(args)?)?;
    if places.is_empty() {
        return Ok(Value::Nil);
    }
    run.texts(places.iter().map(|(from, to)| text.get(*from..*to).unwrap_or("")))
}

fn split<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (source, text, limit) = (text_at(args, 0)?, text_at(args, 1)?, limit(args)?);
    let priced = Priced::compile(run, source)?;
    if limit == 0 {
        return Ok(Value::Nil);
    }
    if text.is_empty() && !source.is_empty() {
        return run.texts([""].into_iter());
    }
    let (mut out, mut begin, mut end) = (Vec::new(), 0, 0);
    for (from, to) in priced.places(run, text, limit)? {
        if out.len() == limit.saturating_sub(1) {
            break;
        }
        end = from;
        if to != 0 {
            out.push(text.get(begin..end).unwrap_or(""));
        }
        begin = to;
    }
    if end != text.len() {
        out.push(text.get(begin..).unwrap_or(""));
    }
    run.texts(out.into_iter())
}

fn replaced<'e>(run: &mut Run<'e>, args: &[Value<'e>], literal: bool) -> Outcome<'e> {
    let (priced, text) = (Priced::compile(run, text_at(args, 0)?)?, text_at(args, 1)?);
    let with = text_at(args, 2)?;
    let mut out = String::new();
    let mut done = 0;
    let mut found = priced.regex.captures_iter(text);
    loop {
        priced.pay(run, text.get(done..).unwrap_or(""))?;
        let Some(captures) = found.next() else { break };
        let Some(whole) = captures.get(0) else { break };
        out.push_str(text.get(done..whole.start()).unwrap_or(""));
        let before = out.len();
        match literal {
            true => out.push_str(with),
            false => captures.expand(with, &mut out),
        }
        run.allocate(out.len().saturating_sub(before))?;
        done = whole.end();
    }
    out.push_str(text.get(done..).unwrap_or(""));
    run.string(&out)
}

fn replace_all<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    replaced(run, args, false)
}

fn replace_all_literal<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    replaced(run, args, true)
}

fn quote_meta<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut out = String::new();
    for c in text_at(args, 0)?.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    run.string(&out)
}
