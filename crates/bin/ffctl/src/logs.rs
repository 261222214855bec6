//! `logs`: what tasks wrote, across all tasks of a workflow.

use std::collections::VecDeque;
use std::io;

use flowforge_wire::{Feed as Part, LogLine};

use crate::args::{self, Form};
use crate::client::{Client, PAGE};
use crate::exit::{Exit, Failure};
use crate::follow::{Feed, Inbox, Signal, Wanted};
use crate::output::{Context, Sink};
use crate::paint::{Colour, colour_for, shown, shown_log};
use crate::resolve;

/// How lines look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// As JSON.
    json: bool,
    /// With its time.
    timestamps: bool,
    /// Without its task.
    bare: bool,
}

impl Style {
    /// The text alone.
    pub(crate) fn bare() -> Self {
        Self { bare: true, ..Self::default() }
    }
}

pub(crate) fn run(context: &mut Context, args: &args::Logs) -> Result<Exit, Failure> {
    if context.form() == Form::Yaml {
        return Err(Failure::usage("logs are lines: `-o table` or `-o json`"));
    }
    let style = Style {
        json: context.form() == Form::Json,
        timestamps: args.timestamps,
        bare: args.no_prefix,
    };
    let client = context.client()?;
    let workflow = resolve::find(&client, &args.target.workflow)?;
    let query = query_of(args);
    let last = history(context, &client, &workflow.id, &query, (args.tail, style))?;
    if !args.follow {
        return Ok(Exit::Ok);
    }
    let inbox = Inbox::with_signals()?;
    let wanted =
        Wanted { feed: Feed::Logs, workflow: workflow.id, query, after: Some(last.to_string()) };
    inbox.follow(client, wanted)?;
    loop {
        context.out.flush()?;
        match inbox.next(None) {
            Some(Signal::Line(line)) => print_line(&mut context.out, &line, style)?,
            Some(Signal::Failed(failure)) => return Err(failure),
            Some(Signal::Stop(signal)) => return Ok(Exit::Signal(signal)),
            Some(Signal::Lost(why)) => {
                context.warn(&format!("{}; trying again", shown(&why)))?;
                context.err.flush()?;
            }
            Some(Signal::End(_)) | None => return Ok(Exit::Ok),
            Some(Signal::Event(_) | Signal::Found) => {}
        }
    }
}

fn query_of(args: &args::Logs) -> Vec<(String, String)> {
    [
        ("task", args.task.clone()),
        ("attempt", args.attempt.map(|number| number.to_string())),
        ("contains", args.grep.clone()),
        ("stream", args.stream.clone()),
        ("since", args.since.map(|since| since.time().to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// Prints the lines there are, or the last of them; gives the place behind them.
fn history(
    context: &mut Context,
    client: &Client,
    id: &str,
    query: &[(String, String)],
    (tail, style): (Option<usize>, Style),
) -> Result<u64, Failure> {
    let mut last = VecDeque::new();
    let mut after = 0;
    loop {
        let part = part(client, id, query, after)?;
        after = part.next;
        for line in part.items {
            let Some(most) = tail else {
                print_line(&mut context.out, &line, style)?;
                continue;
            };
            last.push_back(line);
            if last.len() > most {
                last.pop_front();
            }
        }
        if part.end {
            break;
        }
    }
    for line in last {
        print_line(&mut context.out, &line, style)?;
    }
    Ok(after)
}

fn part(
    client: &Client,
    id: &str,
    query: &[(String, String)],
    after: u64,
) -> Result<Part<LogLine>, Failure> {
    let after = after.to_string();
    let mut pairs: Vec<(&str, &str)> = query.iter().map(|(k, v)| (&**k, &**v)).collect();
    pairs.extend([("limit", PAGE), ("after", &after)]);
    client.get(&format!("/api/v1/workflows/{id}/logs"), &pairs)
}

/// The last lines of one task.
pub(crate) fn tail(
    client: &Client,
    id: &str,
    task: &str,
    most: usize,
) -> Result<Vec<LogLine>, Failure> {
    let query = [("task".to_owned(), task.to_owned())];
    let mut last = VecDeque::new();
    let mut after = 0;
    loop {
        let part = part(client, id, &query, after)?;
        after = part.next;
        last.extend(part.items);
        last.drain(..last.len().saturating_sub(most));
        if part.end {
            return Ok(last.into());
        }
    }
}

/// One line, with its task before it: `[task] text`, `[task#2] text` of a later attempt.
pub(crate) fn print_line(sink: &mut Sink, line: &LogLine, style: Style) -> io::Result<()> {
    if style.json {
        let text = serde_json::to_string(line).map_err(io::Error::from)?;
        return if sink.terminal {
            sink.line(&crate::paint::shown_json(&text))
        } else {
            sink.line(&text)
        };
    }
    let paint = sink.paint;
    let mut before = String::new();
    if style.timestamps {
        before.push_str(&paint.text(Colour::Dim, &line.at.to_string()));
        before.push(' ');
    }
    // A workflow of a single task has a task without a name.
    if !style.bare && !line.task.is_empty() {
        let name = shown(&line.task);
        let name = if line.attempt > 1 {
            format!("[{name}#{}]", line.attempt)
        } else {
            format!("[{name}]")
        };
        before.push_str(&paint.text(colour_for(&line.task), &name));
        before.push(' ');
    }
    if sink.terminal {
        let text = shown_log(&line.text);
        let text = match &*line.stream {
            "system" => paint.text(Colour::Dim, &text),
            _ => text.into_owned(),
        };
        sink.line(&format!("{before}{text}"))
    } else {
        sink.line(&format!("{before}{}", line.text))
    }
}

#[cfg(test)]
mod tests {
    use flowforge_model::time::Timestamp;
    use flowforge_wire::Time;

    use super::*;

    fn printed(attempt: u32, style: Style) -> String {
        let line = LogLine {
            cursor: 1,
            at: Time(Timestamp(0)),
            task: "a.b(0:x)".to_owned(),
            attempt,
            stream: "stdout".to_owned(),
            text: "hello\t{}".to_owned(),
            cut: false,
        };
        let (mut sink, memory) = Sink::memory();
        print_line(&mut sink, &line, style).unwrap();
        memory.take()
    }

    #[test]
    fn lines_carry_their_task() {
        let style = Style::default();
        assert_eq!(printed(1, style), "[a.b(0:x)] hello\t{}\n");
        assert_eq!(printed(2, style), "[a.b(0:x)#2] hello\t{}\n");
        let bare = Style { bare: true, timestamps: true, ..style };
        assert_eq!(printed(2, bare), "1970-01-01T00:00:00.000Z hello\t{}\n");
        let json = Style { json: true, ..style };
        let value: serde_json::Value = serde_json::from_str(&printed(1, json)).unwrap();
        assert_eq!(value["text"], "hello\t{}");
    }
}
