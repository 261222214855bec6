//! What users and other roles left in the store: intents and news. They stay there until a commit
//! says that they are done; until then they are taken once.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowforge_model::event::Event;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::plan::Plan;
use flowforge_ports::admission::Admission;
use flowforge_ports::handover::{News, Tidings};
use flowforge_ports::store::{Intent, Store};

use crate::ControllerError;
use crate::controller::Controller;
use crate::turn::Turn;

/// Intents read at a time; more wait for the next turn, which follows at once.
const INTENTS: u32 = 256;
/// News taken in one turn.
const NEWS: u32 = 4096;

impl<S: Store, A: Admission> Controller<S, A> {
    /// Carries intents out. Those that are not done yet, because their workflow is set aside, are
    /// passed over.
    pub(crate) async fn take_intents(
        &mut self,
        turn: &mut Turn,
        mut plans: BTreeMap<WorkflowId, Arc<Plan>>,
    ) -> Result<(), ControllerError> {
        let mut after = 0;
        loop {
            let page = self.store.intents(self.hold.shards(), after, INTENTS).await?;
            let full = u32::try_from(page.len()).is_ok_and(|len| len >= INTENTS);
            after = page.last().map_or(after, |intent| intent.id);
            let mut new = false;
            let mut ahead = self.read_ahead(page.iter().map(|intent| intent.workflow));
            for Intent { id, workflow, command, unread } in page {
                if self.taken_intents.insert(id, workflow).is_some() {
                    continue;
                }
                new = true;
                if !ahead.load(self, workflow, plans.remove(&workflow)).await? {
                    self.intent_without_run(turn, workflow, id);
                    continue;
                }
                turn.pending(workflow).intents.push(id);
                if let Some(why) = unread {
                    self.set_aside(turn, workflow, format!("a command cannot be read: {why}"));
                    continue;
                }
                let event = command.map_or(Event::Submitted, Event::Asked);
                self.apply(turn, workflow, &event);
            }
            // A page without anything new is one of intents that are left: look behind it.
            if new || !full {
                self.look |= full;
                return Ok(());
            }
        }
    }

    /// Takes what executors and the scheduler have to say.
    pub(crate) async fn take_news(&mut self, turn: &mut Turn) -> Result<(), ControllerError> {
        let page = self.store.news(self.hold.shards(), NEWS).await?;
        self.look |= u32::try_from(page.len()).is_ok_and(|len| len >= NEWS);
        let mut ahead = self.read_ahead(page.iter().map(|news| news.what.workflow()));
        for News { id, what } in page {
            let workflow = what.workflow();
            if self.taken_news.insert(id, workflow).is_some() {
                continue;
            }
            if !ahead.load(self, workflow, None).await? {
                self.news_without_run(turn, workflow, id);
                continue;
            }
            turn.pending(workflow).news.push(id);
            match what {
                Tidings::Fact(fact) => self.take_fact(turn, fact),
                Tidings::Granted { workflow, node } => self.take_grant(turn, workflow, node),
                Tidings::Unread { workflow, why } => {
                    self.set_aside(turn, workflow, format!("news cannot be read: {why}"));
                }
            }
        }
        Ok(())
    }

    /// The scheduler gave a task its locks; one that has let go of them in the meantime has none.
    fn take_grant(&mut self, turn: &mut Turn, id: WorkflowId, node: NodeIx) {
        let rows = self.live.get_mut(&id).and_then(|live| live.locks.get_mut(&node));
        let Some(rows) = rows else { return };
        for row in rows {
            row.held = true;
        }
        self.apply(turn, id, &Event::Granted { node });
    }
}
