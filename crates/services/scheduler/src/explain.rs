//! Explanations of the domain as they go to those who asked.

mod metrics;
mod simulate;

use std::collections::BTreeSet;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::time::Timestamp;
use flowforge_ports::explain::{
    ATTEMPTS, Answer, Cure, ENTITIES, Holding, Member, Points, Question, Raise, Rank, Rationed,
    Rival, Short, Side, Tripped, Usage, Why,
};
use flowforge_scheduler::{self as why, FairShare};

/// Answers from what is in memory.
pub(crate) fn answer(fair: &FairShare, question: &Question, now: Timestamp) -> Answer {
    let explain = |key: AttemptKey| fair.why(key, now).map(|why| shown(key, why));
    match question {
        Question::Why(key) => Answer::Why(explain(*key).map(Box::new)),
        Question::WhyWorkflow(workflow) => {
            let keys = fair.waiting_of(*workflow);
            Answer::WhyWorkflow(keys.into_iter().take(ATTEMPTS).filter_map(explain).collect())
        }
        Question::Usage(entities) => {
            let wanted: BTreeSet<_> = entities.iter().take(ENTITIES).copied().collect();
            let found = fair.usage().filter(|one| one.entity.is_none_or(|id| wanted.contains(&id)));
            Answer::Usage(found.map(usage).collect())
        }
        Question::Metrics => Answer::Metrics(metrics::metrics(fair, now)),
        Question::Simulate(simulation) => {
            Answer::Simulate(simulate::simulate(fair, simulation, now).map(Box::new))
        }
    }
}

fn shown(key: AttemptKey, why: why::Why) -> Why {
    Why {
        key,
        code: why.code.as_str().to_owned(),
        need: why.need,
        cluster: Some(why.cluster),
        short: why.short.map(|short| Short {
            entity: short.entity,
            dimension: short.dimension,
            need: short.need,
            used: short.used,
            limit: short.limit,
        }),
        holders: why.holders.into_iter().map(holding).collect(),
        ranks: why.ranks.into_iter().map(rank).collect(),
        rival: why.rival.map(rival),
        rationed: why.rationed.map(rationed),
        tripped: why.tripped.map(tripped),
        priority: points(why.priority),
        cures: why.cures.into_iter().map(cure).collect(),
    }
}

fn holding(why::Holding { who, used }: why::Holding) -> Holding {
    let who = match who {
        why::Member::Entity(id) => Member::Entity(id),
        why::Member::Workflow(id) => Member::Workflow(id),
    };
    Holding { who, used }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn rank(why::Rank { below, ahead, of }: why::Rank) -> Rank {
    Rank { below, ahead: count(ahead), of: count(of) }
}

fn rival(why::Rival { key, common, ours, theirs }: why::Rival) -> Rival {
    Rival { key, common, ours: side(ours), theirs: side(theirs) }
}

fn rationed(why::Rationed { tenant, ahead, budget, at }: why::Rationed) -> Rationed {
    let why::RetryBudget { per_second, percent, burst } = budget;
    Rationed { tenant, ahead: count(ahead), per_second, percent, burst, at }
}

fn tripped(why::Tripped { failures, ahead, at }: why::Tripped) -> Tripped {
    Tripped { failures, ahead: count(ahead), at }
}

fn side(why::Side { entity, share, priority }: why::Side) -> Side {
    Side { entity, share, priority: points(priority) }
}

fn points(why::Points { base, weight, waiting, penalty }: why::Points) -> Points {
    Points { base, weight, waiting, penalty }
}

fn cure(cure: why::Cure) -> Cure {
    match cure {
        why::Cure::Raise(limits) => {
            let raise = |why::Raise { entity, dimension, by }| Raise { entity, dimension, by };
            Cure::Raise(limits.into_iter().map(raise).collect())
        }
        why::Cure::End { project, attempts, workflows } => {
            Cure::End { project, attempts: count(attempts), workflows }
        }
        why::Cure::EndOwn(attempts) => Cure::EndOwn(attempts),
        why::Cure::Resume => Cure::Resume,
        why::Cure::Tell(entity) => Cure::Tell(entity),
        why::Cure::Prioritize(base) => Cure::Prioritize(base),
    }
}

fn usage(usage: why::Usage) -> Usage {
    let why::Usage { entity, level: _, used, peak: _, limits, waiting, running } = usage;
    Usage { entity, used, limits, waiting, running }
}
