//! Workflows that tasks start, and what is asked of those that they started.

use flowforge_ports::store::{Commit, StoreError};
use uuid::Uuid;

use super::{Expect, Step};
use crate::postgres::bind::{binds, int, text};
use crate::postgres::codec;

/// Of the project of the workflow whose task starts it.
const INSERT: &str = "INSERT INTO workflow (id, tenant, project, name, description, parameters, \
     labels, priority, submitted_by, created_at, storage) \
     SELECT u.id, w.tenant, w.project, u.name, u.description, u.parameters, u.labels, u.priority, \
     u.submitted_by, u.created_at, u.storage FROM unnest($1::uuid[], $2::uuid[], $3::text[], \
     $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::bigint[], $10::bigint[]) \
     AS u (id, parent, name, description, parameters, labels, priority, submitted_by, created_at, \
     storage) JOIN workflow w ON w.id = u.parent";

const CHILD: &str = "INSERT INTO child (workflow, parent, node, number, root, depth) SELECT * FROM \
     unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::uuid[], $6::integer[])";
const GATE: &str =
    "INSERT INTO gate (workflow, closed) SELECT id, FALSE FROM unnest($1::uuid[]) AS u (id)";
const DOCUMENT: &str = "INSERT INTO document (workflow, bytes, zstd) SELECT * FROM \
     unnest($1::uuid[], $2::integer[], $3::bytea[])";
const INTENT: &str = "INSERT INTO intent (workflow, command, closes, asked_at) \
     SELECT id, NULL, FALSE, $2 FROM unnest($1::uuid[]) AS u (id)";

/// Of those that go on. Their gates are other controllers': they are left alone.
const ASK: &str = "INSERT INTO intent (workflow, command, closes, asked_at) \
     SELECT w.id, u.command, FALSE, $3 FROM unnest($1::uuid[], $2::text[]) AS u (id, command) \
     JOIN workflow w ON w.id = u.id WHERE coalesce(w.finished_at, -1) = -1";

const NO_PARENT: &str = "a workflow is started by one that is not there";

pub(super) fn steps<'a>(steps: &mut Vec<Step<'a>>, commit: &'a Commit) -> Result<(), StoreError> {
    start(steps, commit)?;
    let asks = commit.runs.iter().flat_map(|run| &run.asks);
    let (mut ids, mut commands): (Vec<Uuid>, Vec<String>) = (Vec::new(), Vec::new());
    for (id, command) in asks {
        ids.push(id.0);
        commands.push(codec::to_json(command)?);
    }
    if !ids.is_empty() {
        steps.push(Step::new(ASK, binds![ids, commands, commit.at.0]));
    }
    Ok(())
}

fn start<'a>(steps: &mut Vec<Step<'a>>, commit: &'a Commit) -> Result<(), StoreError> {
    let (mut ids, mut parents, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut descriptions, mut parameters, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    let (mut priorities, mut submitters, mut created) = (Vec::new(), Vec::new(), Vec::new());
    let (mut storage, mut bytes, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    let (mut nodes, mut numbers, mut roots, mut depths) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for new in commit.runs.iter().flat_map(|run| &run.children) {
        let parent = new.parent.ok_or_else(|| StoreError::Conflict(NO_PARENT.to_owned()))?;
        let document = codec::compress(&new.document)?;
        ids.push(new.id.0);
        parents.push(parent.attempt.workflow.0);
        nodes.push(int(parent.attempt.node.0)?);
        numbers.push(int(parent.attempt.number)?);
        roots.push(parent.root.map(|id| id.0));
        depths.push(int(parent.depth)?);
        names.push(text(&new.name));
        descriptions.push(text(&new.description));
        parameters.push(codec::to_json(&new.parameters)?);
        labels.push(codec::to_json(&new.labels)?);
        priorities.push(new.priority);
        submitters.push(text(&new.submitted_by));
        created.push(new.at.0);
        storage.push(i64::try_from(new.storage.0).unwrap_or(i64::MAX));
        bytes.push(int(u32::try_from(document.bytes).unwrap_or(u32::MAX))?);
        documents.push(document.zstd);
    }
    if ids.is_empty() {
        return Ok(());
    }
    let mut values = binds![ids.clone(), parents.clone(), names, descriptions, parameters, labels];
    values.extend(binds![priorities, submitters, created, storage]);
    steps.push(Step::new(INSERT, values).expect(Expect::Rows(ids.len(), NO_PARENT)));
    let values = binds![ids.clone(), parents, nodes, numbers, roots, depths];
    steps.push(Step::new(CHILD, values));
    steps.push(Step::new(GATE, binds![ids.clone()]));
    steps.push(Step::new(DOCUMENT, binds![ids.clone(), bytes, documents]));
    steps.push(Step::new(INTENT, binds![ids, commit.at.0]));
    Ok(())
}
