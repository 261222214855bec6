//! Identities. Every public id is a `UUIDv7`; ids below a workflow are derived from it, so that
//! deciding needs no randomness and repeating a decision repeats the id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// One submitted workflow. Its first 48 bits are the time of submission.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkflowId(pub Uuid);

/// One attempt of one task: one pod, or one local process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub Uuid);

/// One task as clients see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub Uuid);

/// One schedule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScheduleId(pub Uuid);

/// A tenant, department, group or project.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntityId(pub Uuid);

impl EntityId {
    /// The tenant that is always there.
    pub const DEFAULT_TENANT: Self =
        Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
    /// The project of submissions that name none.
    pub const DEFAULT_PROJECT: Self =
        Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0002));
}

/// A quota: limits that entities of one tenant may share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuotaId(pub Uuid);

/// One running server process, new at every start. Attempts carry it, so that a restarted
/// server recognises what its predecessor left behind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub Uuid);

/// One pod of a cluster: no two ever have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodUid(pub Uuid);

/// The place of a node in the tree of its run: dense, from 0 (the root), never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIx(pub u32);

impl NodeIx {
    /// The root of the tree: the entrypoint.
    pub const ROOT: Self = Self(0);

    /// As an index into the arena of a run.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

macro_rules! uuid_newtype {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            /// Accepts the hyphenated form only: one id, one spelling.
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                if text.len() == 36 {
                    Uuid::parse_str(text).map(Self)
                } else {
                    Uuid::parse_str("").map(Self)
                }
            }
        }
    };
}
uuid_newtype!(WorkflowId);
uuid_newtype!(AttemptId);
uuid_newtype!(TaskId);
uuid_newtype!(InstanceId);
uuid_newtype!(PodUid);
uuid_newtype!(ScheduleId);
uuid_newtype!(EntityId);
uuid_newtype!(QuotaId);

impl WorkflowId {
    /// The id of the task at `node`.
    #[must_use]
    pub fn task(self, node: NodeIx) -> TaskId {
        TaskId(derive(self.0, [1, u64::from(node.0), 0]))
    }

    /// The id of attempt `number` (from 1, over all generations) of the task at `node`.
    #[must_use]
    pub fn attempt(self, node: NodeIx, number: u32) -> AttemptId {
        AttemptId(derive(self.0, [2, u64::from(node.0), u64::from(number)]))
    }

    /// The id of the workflow that attempt `number` of the task at `node` starts.
    #[must_use]
    pub fn child(self, node: NodeIx, number: u32) -> Self {
        Self(derive(self.0, [4, u64::from(node.0), u64::from(number)]))
    }

    /// `base` as a name of this workflow: one that ends with `-` (Argo's `generateName`) gets the last
    /// five digits of the id.
    #[must_use]
    pub fn name_from(self, base: String) -> String {
        if !base.ends_with('-') {
            return base;
        }
        let id = self.to_string();
        let tail = id.get(id.len().saturating_sub(5)..).unwrap_or("");
        format!("{base}{tail}")
    }

    /// A workflow that is only thought of. It stands behind all that were ever submitted, as one would
    /// that is submitted now: the version in its id would be 15.
    #[must_use]
    pub fn simulated(number: u16) -> Self {
        Self(Uuid::from_u128(FIRST_SIMULATED | u128::from(number)))
    }

    /// Its number, if this is one that is only thought of.
    #[must_use]
    pub fn simulation(self) -> Option<u16> {
        self.0.as_u128().checked_sub(FIRST_SIMULATED).and_then(|number| u16::try_from(number).ok())
    }
}

const FIRST_SIMULATED: u128 = u128::MAX << 16;

impl AttemptId {
    /// The name of the attempt's pod: `ff-<task>-<13 characters of a hash of this id>`, of at most 57
    /// characters that a DNS label may have; that of a member of a gang ends with `-<its number>`. What of the
    /// task's name is none becomes a hyphen.
    #[must_use]
    pub fn pod_name(self, task: &str, member: Option<u32>) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let task: String = task.chars().take(POD_TASK).map(safe).collect();
        let hash = self.pod_hash();
        let name = match task.trim_matches('-') {
            "" => format!("ff-{hash}"),
            task => format!("ff-{task}-{hash}"),
        };
        format!("{name}{}", of_member(member))
    }

    /// Whether a pod of this name is the attempt's, or that member's of it, whatever its task is called: the
    /// end of the name says it.
    #[must_use]
    pub fn is_pod(self, name: &str, member: Option<u32>) -> bool {
        let Some(name) = name.strip_suffix(&of_member(member)) else { return false };
        let rest = name.strip_suffix(&self.pod_hash());
        name.len() <= 57 && rest.is_some_and(|rest| rest.starts_with("ff-") && rest.ends_with('-'))
    }

    fn pod_hash(self) -> String {
        let bits = self.0.as_u128();
        let hash = mix(mix(lane(bits >> 64)) ^ lane(bits));
        // The lowest digit has four bits only.
        let digit = |at: u32| (hash.checked_shr(at * 5).unwrap_or(0) & 31) as usize;
        (0..13).filter_map(|at| BASE32.get(digit(at)).copied().map(char::from)).collect()
    }
}

fn of_member(member: Option<u32>) -> String {
    member.map_or_else(String::new, |index| format!("-{index}"))
}

impl EntityId {
    /// The namespace of a project's pods, in every cluster.
    #[must_use]
    pub fn namespace(self) -> String {
        format!("flowforge-{}", self.0)
    }

    /// The project whose namespace this is.
    #[must_use]
    pub fn of_namespace(name: &str) -> Option<Self> {
        name.strip_prefix("flowforge-")?.parse().ok()
    }
}

impl ScheduleId {
    /// The id of the workflow that is due at `at`: its first 48 bits are that time. Times before
    /// 1970 count as 1970.
    #[must_use]
    pub fn run(self, at: Timestamp) -> WorkflowId {
        let bits = self.0.as_u128();
        let millis = u64::try_from(at.0).unwrap_or(0);
        let base = (u128::from(millis) << 80) | (bits & (u128::MAX >> 48));
        WorkflowId(derive(Uuid::from_u128(base), [3, millis, lane(bits >> 64)]))
    }
}

/// Characters of a task's name in the name of its pod.
const POD_TASK: usize = 40;
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A `UUIDv7` with the timestamp of `base` and 74 bits of a hash over `base` and `parts`.
///
/// The hash is two rounds of the `splitmix64` finaliser per lane: well mixed, fixed for ever and
/// not a secret. 74 bits keep collisions among 10^9 attempts of one millisecond below 10^-4.
fn derive(base: Uuid, parts: [u64; 3]) -> Uuid {
    let bits = base.as_u128();
    let seed = mix(lane(bits >> 64)) ^ lane(bits);
    let (mut high, mut low) = (mix(seed), mix(seed ^ 0x5bf0_3635_dcf9_8a1d));
    for part in parts {
        high = mix(high ^ part);
        low = mix(low ^ part.rotate_left(32) ^ high);
    }
    let timestamp = (bits >> 80) << 80;
    let version = 0x7_u128 << 76;
    let rand_a = u128::from(high & 0xfff) << 64;
    let variant = 0b10_u128 << 62;
    let rand_b = u128::from(low & 0x3fff_ffff_ffff_ffff);
    Uuid::from_u128(timestamp | version | rand_a | variant | rand_b)
}

/// The low 64 bits.
fn lane(bits: u128) -> u64 {
    u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0)
}

/// The finaliser of `splitmix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014). Also the source of retry jitter.
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_uuid_v7_distinct_and_stable() {
        let base: WorkflowId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let first = base.attempt(NodeIx(3), 1);
        assert_eq!(first.0.get_version_num(), 7);
        assert_eq!(first.0.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(first, base.attempt(NodeIx(3), 1));
        let mut all: Vec<Uuid> = (0..1000).map(|n| base.attempt(NodeIx(n), 1).0).collect();
        all.extend((0..1000).map(|n| base.attempt(NodeIx(3), n + 2).0));
        all.extend((0..1000).map(|n| base.task(NodeIx(n)).0));
        all.extend((0..1000).map(|n| base.child(NodeIx(n), 1).0));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4000);
        assert_eq!(first.0.as_u128() >> 80, base.0.as_u128() >> 80, "keeps the workflow's time");
    }

    #[test]
    fn a_run_of_a_schedule_has_the_time_it_is_due() {
        let schedule: ScheduleId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let other: ScheduleId = "01890a5d-ac97-774b-bcce-b302099a8057".parse().unwrap();
        let at = Timestamp(1_795_782_896_000);
        let run = schedule.run(at);
        assert_eq!(run.0.get_version_num(), 7);
        assert_eq!(run.0.as_u128() >> 80, 1_795_782_896_000);
        assert_eq!(run, schedule.run(at));
        assert_ne!(run, other.run(at));
        assert_ne!(run, schedule.run(Timestamp(at.0 + 1000)));
    }

    #[test]
    fn a_pod_has_a_name_that_dns_takes() {
        let workflow: WorkflowId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let attempt = workflow.attempt(NodeIx(3), 1);
        let name = attempt.pod_name("main.Prepare_data(0:é)", None);
        assert_eq!(name, attempt.pod_name("main.Prepare_data(0:é)", None));
        let (task, hash) = name.rsplit_once('-').unwrap();
        assert_eq!(task, "ff-main-prepare-data-0");
        assert_eq!(hash.len(), 13);
        let legal = |name: &str| {
            name.len() <= 57
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        assert!(legal(&name), "{name}");
        assert_eq!(attempt.pod_name("...", None), format!("ff-{hash}"));
        assert_eq!(attempt.pod_name(&"x".repeat(500), None).len(), 57);
        let mut all: Vec<_> = (1..2000).map(|n| workflow.attempt(NodeIx(3), n)).collect();
        all.sort_by_key(|id| id.pod_name("", None));
        all.dedup_by_key(|id| id.pod_name("", None));
        assert_eq!(all.len(), 1999);
        let other = workflow.attempt(NodeIx(3), 2);
        for task in ["", "a", "main.Prepare_data(0:é)", &"x".repeat(500)] {
            for member in [None, Some(0), Some(255)] {
                let name = attempt.pod_name(task, member);
                assert!(name.len() <= 61, "{name}");
                for as_whom in [None, Some(0), Some(1), Some(255)] {
                    assert_eq!(attempt.is_pod(&name, as_whom), member == as_whom, "{name}");
                }
                assert!(!attempt.is_pod(&other.pod_name(task, member), member), "{task}");
            }
        }
        for bad in [hash, &format!("ff-{hash}-0"), &format!("ff-a{hash}"), &format!("-{hash}"), ""]
        {
            assert!(!attempt.is_pod(bad, None), "{bad}");
        }
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        for bad in
            ["", "x", "01890a5dac96774bbcceb302099a8057", "{01890a5d-ac96-774b-bcce-b302099a8057}"]
        {
            assert!(bad.parse::<WorkflowId>().is_err(), "{bad}");
        }
    }
}
