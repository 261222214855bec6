//! Waiting for a workflow: silently, with a line per change, or with a live tree.

use std::time::{Duration, Instant};

use flowforge_wire::{Event, LogLine, Workflow};

use crate::args::{self, Waiting};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::follow::{Feed, Inbox, Signal, Wanted};
use crate::logs;
use crate::output::Context;
use crate::paint::shown;
use crate::resolve;
use crate::screen::Screen;
use crate::tree::{Tree, note};

/// A tree is drawn at most so often.
const REDRAW: Duration = Duration::from_millis(250);
/// A tree is drawn at least so often: durations grow.
const TICK: Duration = Duration::from_secs(1);
/// After the end of a workflow its last lines of output arrive within this.
const LAST_LINES: Duration = Duration::from_secs(5);

/// How waiting looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Silent,
    /// A line per change.
    Lines,
    /// A live tree.
    Tree,
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The workflow is over.
    Finished,
    /// The time is up.
    TimedOut,
    /// A signal.
    Stopped(i32),
}

/// A workflow that is waited for.
pub(crate) struct Following {
    client: Client,
    id: String,
    inbox: Inbox,
    view: View,
    tree: Tree,
    screen: Screen,
    dirty: bool,
    drawn: Option<Instant>,
    /// Streams that are still open.
    open: Vec<Feed>,
    /// Said below the tree.
    remark: Option<String>,
}

pub(crate) fn run(context: &mut Context, args: &args::Watch) -> Result<Exit, Failure> {
    let client = context.client()?;
    let workflow = resolve::find(&client, &args.target.workflow)?;
    let view =
        if context.out.terminal && context.form().human() { View::Tree } else { View::Lines };
    let inbox = Inbox::with_signals()?;
    let mut following = Following::start(&client, &workflow, inbox, (view, false))?;
    let deadline = args.timeout.map(|span| Instant::now() + span);
    match following.until_end(context, deadline)? {
        Ended::Finished => {
            let workflow = following.finish(context)?;
            if view == View::Lines {
                context.out.flush()?;
            }
            Ok(Exit::of_workflow(&workflow.status))
        }
        Ended::TimedOut => Ok(Exit::Timeout),
        Ended::Stopped(signal) => Ok(Exit::Signal(signal)),
    }
}

/// What to show while waiting, and whether with logs.
pub(crate) fn view_of(context: &Context, waiting: Waiting) -> (View, bool) {
    let terminal = if context.form().human() { context.out.terminal } else { context.err.terminal };
    let view = if !waiting.watch {
        View::Silent
    } else if waiting.logs {
        View::Lines
    } else if terminal {
        View::Tree
    } else if context.form().human() {
        View::Lines
    } else {
        View::Silent
    };
    (view, waiting.logs)
}

impl Following {
    /// Begins to read the streams that the view needs.
    pub(crate) fn start(
        client: &Client,
        workflow: &Workflow,
        inbox: Inbox,
        (view, with_logs): (View, bool),
    ) -> Result<Self, Failure> {
        let events = if view == View::Silent {
            // Only the end counts: what is known already need not be sent.
            (Feed::EventsEnd, Some(workflow.seq.to_string()))
        } else {
            (Feed::Events, None)
        };
        let mut feeds = vec![events];
        if with_logs {
            feeds.push((Feed::Logs, None));
        }
        let open = feeds.iter().map(|(feed, _)| *feed).collect();
        for (feed, after) in feeds {
            let wanted = Wanted { feed, workflow: workflow.id.clone(), query: Vec::new(), after };
            inbox.follow(client.clone(), wanted)?;
        }
        Ok(Self {
            client: client.clone(),
            id: workflow.id.clone(),
            inbox,
            view,
            tree: Tree::new(workflow),
            screen: Screen::default(),
            dirty: false,
            drawn: None,
            open,
            remark: None,
        })
    }

    /// Waits; shows what happens meanwhile.
    pub(crate) fn until_end(
        &mut self,
        context: &mut Context,
        deadline: Option<Instant>,
    ) -> Result<Ended, Failure> {
        let mut deadline = deadline;
        while !self.open.is_empty() {
            if self.view != View::Tree {
                context.out.flush()?;
                context.err.flush()?;
            }
            let due = self.due();
            let until = [deadline, due].into_iter().flatten().min();
            match self.inbox.next(until) {
                Some(Signal::Stop(signal)) => return Ok(Ended::Stopped(signal)),
                Some(signal) => self.take(context, signal, &mut deadline)?,
                None if deadline.is_some_and(|at| at <= Instant::now()) => {
                    let ended = !self.open.iter().any(|feed| *feed != Feed::Logs);
                    if ended {
                        break;
                    }
                    return Ok(Ended::TimedOut);
                }
                None => {}
            }
            if self.due().is_some_and(|at| at <= Instant::now()) {
                self.draw(context)?;
            }
        }
        Ok(Ended::Finished)
    }

    /// The workflow as it is now, after its end; a live tree is drawn for the last time.
    pub(crate) fn finish(&mut self, context: &mut Context) -> Result<Workflow, Failure> {
        let workflow = self.client.again()?.workflow(&self.id)?;
        self.tree.header(&workflow);
        self.remark = None;
        if self.view == View::Tree {
            self.draw(context)?;
        }
        Ok(workflow)
    }

    /// Says something without disturbing a tree.
    pub(crate) fn say(&mut self, context: &mut Context, text: &str) -> Result<(), Failure> {
        if self.view == View::Tree {
            self.remark = Some(text.to_owned());
            return self.draw(context);
        }
        context.err.line(text)?;
        Ok(context.err.flush()?)
    }

    /// The client, which may have moved with its server.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.client.again()
    }

    fn take(
        &mut self,
        context: &mut Context,
        signal: Signal,
        deadline: &mut Option<Instant>,
    ) -> Result<(), Failure> {
        match signal {
            Signal::Event(event) => {
                self.dirty = true;
                if self.view == View::Lines {
                    change(context, &event)?;
                }
                self.tree.apply(&event);
            }
            Signal::Line(line) => log_line(context, &line)?,
            Signal::End(ended) => {
                self.open.retain(|feed| *feed != ended);
                if ended != Feed::Logs {
                    let soon = Instant::now() + LAST_LINES;
                    *deadline = Some(deadline.map_or(soon, |at| at.min(soon)));
                }
            }
            Signal::Lost(why) => {
                self.dirty = true;
                if self.view != View::Tree {
                    context.warn(&format!("{}; trying again", shown(&why)))?;
                }
                self.remark = Some(format!("connection lost ({why}), trying again"));
            }
            Signal::Found => {
                self.dirty = true;
                self.remark = None;
            }
            Signal::Failed(failure) => return Err(failure),
            Signal::Stop(_) => {}
        }
        Ok(())
    }

    /// When the tree is to be drawn next.
    fn due(&self) -> Option<Instant> {
        if self.view != View::Tree {
            return None;
        }
        let wait = if self.dirty { REDRAW } else { TICK };
        Some(self.drawn.map_or_else(Instant::now, |at| at + wait))
    }

    fn draw(&mut self, context: &mut Context) -> Result<(), Failure> {
        self.dirty = false;
        self.drawn = Some(Instant::now());
        let human = context.form().human();
        let sink = if human { &mut context.out } else { &mut context.err };
        Ok(self.screen.draw(sink, &self.tree, self.remark.as_deref())?)
    }
}

/// One change of status as a line: time, status, task, why.
fn change(context: &mut Context, event: &Event) -> Result<(), Failure> {
    // Tasks are created as PENDING: that is no change.
    if event.task.is_some() && event.status == "PENDING" {
        return Ok(());
    }
    let human = context.form().human();
    let sink = if human { &mut context.out } else { &mut context.err };
    // The root is the workflow itself, which has lines of its own.
    let name = match event.task.as_deref() {
        Some("") => return Ok(()),
        Some(name) => shown(name),
        None => "workflow".into(),
    };
    let mut text = format!("{}  {:<9}  {name}", event.at, shown(&event.status));
    if let Some(attempt) = event.attempt.filter(|attempt| *attempt > 1) {
        text.push_str(&format!(" (try {attempt})"));
    }
    let why = note(event.reason.as_deref(), event.message.as_deref());
    if let Some(why) = why.filter(|_| event.status != "SUCCEEDED") {
        text.push_str(&format!("  {}", shown(&why)));
    }
    let colour = crate::paint::colour_of(&event.status);
    Ok(sink.line(&sink.paint.text(colour, &text))?)
}

fn log_line(context: &mut Context, line: &LogLine) -> Result<(), Failure> {
    let human = context.form().human();
    let sink = if human { &mut context.out } else { &mut context.err };
    Ok(logs::print_line(sink, line, logs::Style::default())?)
}
