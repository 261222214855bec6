//! What the scheduler says as JSON, with names for ids.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::TaskRow;
use flowforge_model::id::EntityId;
use flowforge_model::quota::Dimension;
use flowforge_organization::Organization;
use flowforge_ports::catalog::WorkflowView;
use flowforge_ports::explain as ports;
use flowforge_wire::{
    Amount, Circuit, Holder, Place, Priority, QueueWhy, Rank, RetryBudget, Rival, Short, Side,
    TaskWhy,
};

use super::rows::base;
use super::words::{cure, sentence};

/// A task in the scheduler's queue.
pub(super) fn queued(
    all: &Organization,
    view: &WorkflowView,
    row: &TaskRow,
    why: &ports::Why,
) -> TaskWhy {
    let circuit = why.tripped.map(|ports::Tripped { failures, ahead, at }| Circuit {
        template: row.shape.template.clone(),
        failures,
        ahead,
        at: at.map(Into::into),
    });
    let queue = QueueWhy { circuit, ..queue(all, why) };
    let text = sentence(&why.code, &queue);
    let tries = queue.circuit.as_ref().and_then(|circuit| circuit.at);
    let until = queue.retry_budget.as_ref().map(|budget| budget.at).or(tries);
    TaskWhy { queue: Some(queue), until, ..base(view, row, &why.code, text) }
}

fn retry_budget(all: &Organization, rationed: &ports::Rationed) -> RetryBudget {
    let ports::Rationed { tenant, ahead, per_second, percent, burst, at } = *rationed;
    let (tenant, at) = (place(all, Some(tenant)), at.into());
    RetryBudget { tenant, ahead, per_second, percent, burst, at }
}

/// What the scheduler says of it.
pub(super) fn queue(all: &Organization, why: &ports::Why) -> QueueWhy {
    QueueWhy {
        cluster: why.cluster.as_ref().map(ToString::to_string),
        short: why.short.as_ref().map(|one| short(all, one)),
        holders: why.holders.iter().map(|one| holder(all, one)).collect(),
        need: amounts(why),
        ranks: why.ranks.iter().map(|one| rank(all, one)).collect(),
        rival: why.rival.as_ref().map(|one| rival(all, one)),
        circuit: None,
        retry_budget: why.rationed.as_ref().map(|one| retry_budget(all, one)),
        priority: priority(why.priority),
        cures: why.cures.iter().map(|one| cure(all, one)).collect(),
    }
}

/// An entity in few words; one that is gone by its id.
pub(super) fn place(all: &Organization, id: Option<EntityId>) -> Place {
    let Some(id) = id else {
        return Place { id: None, level: "installation".to_owned(), path: String::new() };
    };
    match all.node(id) {
        Some(node) => {
            Place { id: Some(id.to_string()), level: node.level.to_string(), path: all.path(node) }
        }
        None => {
            Place { id: Some(id.to_string()), level: "entity".to_owned(), path: id.to_string() }
        }
    }
}

/// What the numbers of a dimension count.
pub(super) fn unit(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::CpuRequest | Dimension::CpuLimit => "millicores",
        Dimension::MemoryRequest | Dimension::MemoryLimit | Dimension::Storage => "bytes",
        Dimension::Gpu | Dimension::Pods | Dimension::Workflows => "count",
    }
}

fn amounts(why: &ports::Why) -> Vec<Amount> {
    let all = Dimension::ALL.into_iter().map(|of| (of, why.need.get(of)));
    let amount = |(of, amount): (Dimension, u64)| Amount {
        dimension: of.to_string(),
        unit: unit(of).to_owned(),
        amount,
    };
    all.filter(|(_, amount)| *amount > 0).map(amount).collect()
}

fn short(all: &Organization, short: &ports::Short) -> Short {
    Short {
        at: place(all, short.entity),
        dimension: short.dimension.to_string(),
        unit: unit(short.dimension).to_owned(),
        need: short.need,
        used: short.used,
        limit: short.limit,
    }
}

fn holder(all: &Organization, holding: &ports::Holding) -> Holder {
    let (entity, workflow_id) = match holding.who {
        ports::Member::Entity(id) => (Some(place(all, Some(id))), None),
        ports::Member::Workflow(id) => (None, Some(id.to_string())),
    };
    Holder { entity, workflow_id, used: holding.used }
}

fn rank(all: &Organization, rank: &ports::Rank) -> Rank {
    Rank { below: place(all, rank.below), ahead: rank.ahead, of: rank.of }
}

fn rival(all: &Organization, rival: &ports::Rival) -> Rival {
    let AttemptKey { workflow, node, .. } = rival.key;
    Rival {
        workflow_id: workflow.to_string(),
        task_id: workflow.task(node).to_string(),
        common: place(all, rival.common),
        ours: side(all, &rival.ours),
        theirs: side(all, &rival.theirs),
    }
}

fn side(all: &Organization, side: &ports::Side) -> Side {
    Side {
        entity: side.entity.map(|id| place(all, Some(id))),
        share: side.share,
        priority: priority(side.priority),
    }
}

fn priority(points: ports::Points) -> Priority {
    let ports::Points { base, weight, waiting, penalty } = points;
    Priority { total: base + weight + waiting - penalty, base, weight, waiting, penalty }
}
