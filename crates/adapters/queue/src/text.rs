//! Hints as texts that people can read with `redis-cli`: a version, a kind, then its words.

use flowforge_model::shard::Shard;
use flowforge_ports::queue::{ClusterName, Hint, Topic};

/// The version of this form. Others are somebody else's, and not read.
const VERSION: &str = "1";

/// The text of a hint.
pub(crate) fn encode(hint: &Hint) -> String {
    match hint {
        Hint::Intent { shard, workflow } => format!("{VERSION} intent {shard} {workflow}"),
        Hint::Facts { shard } => format!("{VERSION} facts {shard}"),
        Hint::Calls => format!("{VERSION} calls"),
        Hint::Stop { cluster, attempt } => format!("{VERSION} stop {cluster} {attempt}"),
        Hint::Records { shard, workflow, seq } => {
            format!("{VERSION} records {shard} {workflow} {seq}")
        }
        Hint::Output { shard, workflow } => format!("{VERSION} output {shard} {workflow}"),
    }
}

/// The hint in a text; none if this version does not know it.
pub(crate) fn decode(text: &str) -> Option<Hint> {
    let words: Vec<&str> = text.split(' ').take(6).collect();
    let [VERSION, kind, words @ ..] = words.as_slice() else { return None };
    let shard = |word: &str| word.parse().ok().and_then(Shard::new);
    Some(match (*kind, words) {
        ("intent", [of, workflow]) => {
            Hint::Intent { shard: shard(of)?, workflow: workflow.parse().ok()? }
        }
        ("facts", [of]) => Hint::Facts { shard: shard(of)? },
        ("calls", []) => Hint::Calls,
        ("stop", [cluster, attempt]) => Hint::Stop {
            cluster: ClusterName::parse(cluster).ok()?,
            attempt: attempt.parse().ok()?,
        },
        ("records", [of, workflow, seq]) => Hint::Records {
            shard: shard(of)?,
            workflow: workflow.parse().ok()?,
            seq: seq.parse().ok()?,
        },
        ("output", [of, workflow]) => {
            Hint::Output { shard: shard(of)?, workflow: workflow.parse().ok()? }
        }
        _ => return None,
    })
}

/// The name of a topic, within the prefix.
pub(crate) fn channel(topic: &Topic) -> String {
    match topic {
        Topic::Intents(shard) => format!("hint:intents:{shard}"),
        Topic::Facts(shard) => format!("hint:facts:{shard}"),
        Topic::Calls => "hint:calls".to_owned(),
        Topic::Stops(cluster) => format!("hint:stops:{cluster}"),
        Topic::Records(shard) => format!("hint:records:{shard}"),
        Topic::Output(shard) => format!("hint:output:{shard}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn hints() -> Vec<Hint> {
        let (shard, workflow) = (Shard::new(63).unwrap(), ID.parse().unwrap());
        vec![
            Hint::Intent { shard, workflow },
            Hint::Facts { shard },
            Hint::Calls,
            Hint::Stop {
                cluster: ClusterName::parse("gpu").unwrap(),
                attempt: ID.parse().unwrap(),
            },
            Hint::Records { shard, workflow, seq: u64::MAX },
            Hint::Output { shard, workflow },
        ]
    }

    #[test]
    fn a_hint_is_read_as_it_was_written() {
        for hint in hints() {
            assert_eq!(decode(&encode(&hint)), Some(hint));
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        for text in ["", "1", "2 facts 1", "1 facts", "1 facts 1 2", "1 other 1", "1 facts 70000"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn each_topic_has_a_channel_of_its_own() {
        let channels: std::collections::BTreeSet<_> =
            hints().iter().map(|hint| channel(&hint.topic())).collect();
        assert_eq!(channels.len(), hints().len());
    }
}
