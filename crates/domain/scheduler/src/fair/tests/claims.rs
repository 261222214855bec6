//! One that needs much starts, although small ones come without end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::Code;

const LARGE: u32 = 1;
const SECOND: i64 = 1000;

/// Small attempts that come as fast as they are admitted, and large ones now and then.
struct Stream {
    fair: FairShare,
    now: i64,
    dice: u64,
    next: u32,
    ends: BTreeSet<(i64, AttemptKey)>,
    /// Projects in which small ones wait, at most so many in each; how much they need, and how long
    /// they run at most.
    projects: Vec<u32>,
    small: u64,
    longest: i64,
    /// So many small ones wait in each.
    waiting: usize,
    /// All say how long they may run: the longest, or a half, a fifth or a tenth of it; and run for half
    /// of that at least.
    limited: bool,
    durations: BTreeMap<AttemptKey, i64>,
    offered: BTreeMap<AttemptKey, i64>,
    waited: Vec<i64>,
    /// Core-seconds that were used, of how many.
    used: u64,
    of: u64,
}

impl Stream {
    fn new(fair: FairShare, projects: &[u32], small: u64, longest: i64) -> Self {
        let projects = projects.to_vec();
        let (ends, offered, waited) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        let (waiting, limited, durations) = (6, false, BTreeMap::new());
        let now = 1_700_000_000 * SECOND;
        let (dice, next, used, of) = (7, 0, 0, 0);
        Self {
            fair,
            now,
            dice,
            next,
            ends,
            projects,
            small,
            longest,
            waiting,
            limited,
            durations,
            offered,
            waited,
            used,
            of,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.dice = flowforge_model::id::mix(self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.dice % end
    }

    fn offer(&mut self, of: u32, project: u32, need: u64, since: i64) -> AttemptKey {
        self.next += 1;
        let need = Amounts::ZERO.with(Dimension::CpuRequest, need);
        let since = Timestamp(since);
        let longest = u64::try_from(self.longest / SECOND).unwrap();
        let mut duration = (1 + self.below(longest)) * 1000;
        let mut lasts = None;
        if self.limited {
            let part = [10, 5, 2, 1][usize::try_from(self.below(4)).unwrap()];
            let limit = (longest * 1000 / part).max(1000);
            lasts = Some(Millis(limit));
            duration = limit / 2 + self.below(limit / 2);
        }
        let offered = Candidate { need, since, lasts, ..candidate(of, self.next, project) };
        self.durations.insert(offered.key, i64::try_from(duration).unwrap());
        self.fair.offer(offered);
        offered.key
    }

    fn offer_large(&mut self, project: u32, need: u64, since: i64) -> AttemptKey {
        let key = self.offer(LARGE, project, need, since);
        self.offered.insert(key, self.now);
        key
    }

    /// A second passes.
    fn step(&mut self) {
        self.now += SECOND;
        while let Some((at, key)) = self.ends.first().copied().filter(|end| end.0 <= self.now) {
            self.ends.remove(&(at, key));
            self.fair.release(key);
        }
        for project in self.projects.clone() {
            // Each has its own workflow, of which some wait.
            while self.fair.waiting_of(workflow(project)).len() < self.waiting {
                let need = 1 + self.below(self.small);
                let need = if self.limited { 1 << need.ilog2() } else { need };
                self.offer(project, project, need, self.now);
            }
        }
        for key in self.fair.admit(Timestamp(self.now), usize::MAX) {
            if let Some(since) = self.offered.remove(&key) {
                self.waited.push(self.now - since);
            }
            let lasts = self.durations.remove(&key).unwrap();
            self.ends.insert((self.now + lasts, key));
        }
        let at = Dimension::CpuRequest;
        self.used += self.fair.tree().used(Place::ROOT, at);
        self.of += self.fair.tree().limit(Place::ROOT).get(at);
    }
}

/// A tenant 1 with a project 11, which share so many cores with nobody.
fn cores(most: [Option<u64>; 3], settings: Settings) -> FairShare {
    let mut fair = FairShare::new(1_000_000, settings);
    let mut capacity = fair.capacity;
    capacity[Dimension::CpuRequest as usize] = most[0];
    fair.capacity(capacity);
    for (entity, most) in [(entity(1, None, 100), most[1]), (entity(11, Some(1), 100), most[2])] {
        let limited = most.map(|most| limit(entity.clone(), Dimension::CpuRequest, most));
        fair.upsert(&limited.unwrap_or(entity)).unwrap();
    }
    fair
}

/// Nineteen that need 60 % beside a stream of small ones: how many start, the longest wait in
/// seconds, and what part of all cores is used.
fn nineteen(settings: Settings, (waiting, limited): (usize, bool)) -> (usize, i64, f64) {
    let fair = cores([Some(1000), None, None], settings);
    let mut stream = Stream::new(fair, &[11], 19, 600 * SECOND);
    (stream.waiting, stream.limited) = (waiting, limited);
    for _ in 0..600 {
        stream.step();
    }
    (stream.used, stream.of) = (0, 0);
    for _ in 0..19 {
        stream.offer_large(11, 600, stream.now);
        for _ in 0..3600 {
            stream.step();
        }
    }
    sound(&stream.fair);
    let worst = stream.waited.iter().max().copied().unwrap_or(0) / SECOND;
    #[expect(clippy::cast_precision_loss, reason = "a few millions")]
    let used = stream.used as f64 / stream.of as f64;
    (stream.waited.len(), worst, used)
}

#[test]
fn nineteen_large_ones_start_beside_small_ones_without_end() {
    let never = Settings { claim_after: Millis(u64::MAX / 4), ..Settings::default() };
    let without = nineteen(never, (6, false));
    let with = nineteen(Settings::default(), (6, false));
    assert_eq!(without.0, 0, "{without:?}");
    assert!(with.0 == 19 && with.1 <= 600 + 10 + 600, "{with:?}");
    assert!(with.2 >= 0.95 && without.2 >= 0.99, "{with:?} {without:?}");
}

#[test]
fn who_says_how_long_it_lasts_uses_what_is_kept_meanwhile() {
    let with = nineteen(Settings::default(), (100, true));
    assert!(with.0 == 19 && with.1 <= 600 + 10 + 600 && with.2 >= 0.99, "{with:?}");
}

#[test]
fn who_is_sure_to_have_ended_may_pass() {
    let mut fair = cores([Some(10), None, None], Settings::default());
    let offer = |of, count, at, lasts: u64| Candidate {
        need: Amounts::ZERO.with(Dimension::CpuRequest, count),
        since: Timestamp(at),
        lasts: Some(Millis(lasts)),
        ..candidate(of, 0, 11)
    };
    fair.offer(offer(2, 6, 0, 3_600_000));
    assert_eq!(fair.admit(Timestamp(0), 9).len(), 1);
    fair.offer(offer(1, 8, 1, 3_600_000));
    let now = Timestamp(610_001);
    assert_eq!(fair.admit(now, 9), []);
    let claim = fair.claims().next().unwrap();
    assert_eq!(claim.by, Some(Timestamp(3_600_000)));
    // Until the next look ten seconds pass, and what is said is rounded down.
    let left = 3_600_000 - 610_001 - 10_000;
    let passes = claim.passes.0;
    assert!(passes <= left && passes * 119 >= left * 100, "{claim:?}");
    for (of, lasts, starts) in [(3, left + 1, false), (4, passes + 1, false), (5, passes, true)] {
        let small = offer(of, 2, 2, lasts);
        fair.offer(small);
        assert_eq!(fair.admit(now, 9).contains(&small.key), starts, "{lasts}");
        if !starts {
            assert_eq!(fair.why(small.key, now).unwrap().code, Code::BehindClaim);
        }
        sound(&fair);
    }
    // What needs more than there is beside what runs does not pass, however short it is.
    fair.offer(offer(6, 3, 3, 1));
    assert_eq!(fair.admit(now, 9), []);
    // Later fewer pass; and by what does not say when it ends nobody is sure to have ended.
    let later = Timestamp(3_500_000);
    fair.admit(later, 9);
    assert!(fair.claims().next().unwrap().passes < Millis(100_000));
    fair.adopt(Candidate { lasts: None, ..offer(7, 4, 4, 0) });
    fair.release(key(2, 0));
    fair.admit(later.plus(Millis(10_000)), 9);
    let claim = fair.claims().next().unwrap();
    assert_eq!((claim.by, claim.passes), (None, Millis(0)));
    sound(&fair);
}

#[test]
fn who_is_held_back_by_a_claim_is_told_so() {
    let mut fair = cores([Some(10), None, None], Settings::default());
    let cores = |count| Amounts::ZERO.with(Dimension::CpuRequest, count);
    fair.upsert(&entity(12, Some(1), 100)).unwrap();
    let offer = |of, node, project, count, at| Candidate {
        need: cores(count),
        since: Timestamp(at),
        ..candidate(of, node, project)
    };
    for node in 0..4 {
        fair.offer(offer(2, node, 12, 2, 0));
    }
    assert_eq!(fair.admit(Timestamp(0), 9).len(), 4);
    fair.offer(offer(1, 0, 11, 6, 1));
    let small = offer(3, 0, 12, 2, 2);
    // Before it has waited for ten minutes others pass.
    assert_eq!(fair.clone().admit(Timestamp(600_000), 9), []);
    let mut early = fair.clone();
    early.offer(small);
    assert_eq!(early.admit(Timestamp(600_000), 9), [small.key]);
    // Now it claims, and nothing is there for others.
    let now = Timestamp(600_001 + 10_000);
    assert_eq!(fair.admit(now, 9), []);
    fair.offer(small);
    assert_eq!(fair.admit(now, 9), []);
    let why = fair.why(key(1, 0), now).unwrap();
    let claim = why.claim.unwrap();
    assert_eq!((why.code, claim.key, claim.at), (Code::CapacityFull, key(1, 0), None));
    assert_eq!((claim.lacks, claim.since), (cores(4), now));
    let other = fair.why(small.key, now).unwrap();
    assert_eq!((other.code, other.claim, other.short), (Code::BehindClaim, Some(claim), None));
    assert_eq!(other.rival.unwrap().key, key(1, 0));
    assert!(other.cures.is_empty());
    // What ends is kept; then it starts, and the small one fits beside it.
    fair.release(key(2, 0));
    assert_eq!(fair.admit(now, 9), []);
    fair.release(key(2, 1));
    sound(&fair);
    let mut fork = fair.fork();
    assert_eq!(fork.admit(now, 9), [key(1, 0)]);
    assert_eq!(fork.claims().count(), 0);
    // Without it, or paused, nothing is kept.
    for end in [0, 1] {
        let mut other = fair.clone();
        match end {
            0 => other.withdraw(key(1, 0)),
            _ => other.gate(workflow(1), false),
        }
        assert_eq!((other.claims().count(), other.admit(now, 9)), (0, vec![small.key]));
        sound(&other);
    }
}

/// The slot of a workflow is not free when the attempt that took it has ended.
#[test]
fn who_passes_takes_no_slot_that_is_kept() {
    for (slots, passes) in [(2, false), (3, true)] {
        let mut fair = cores([Some(10), None, None], Settings::default());
        let project = entity(11, Some(1), 100);
        fair.upsert(&limit(project, Dimension::Workflows, slots)).unwrap();
        let offer = |of, count, lasts| Candidate {
            need: Amounts::ZERO.with(Dimension::CpuRequest, count),
            lasts: Some(Millis(lasts)),
            ..candidate(of, 0, 11)
        };
        let start = Timestamp(1_000_000);
        fair.offer(offer(2, 6, 3_600_000));
        assert_eq!(fair.admit(start, 9).len(), 1);
        fair.offer(offer(1, 8, 3_600_000));
        let now = start.plus(Millis(610_001));
        assert_eq!(fair.admit(now, 9), []);
        let small = offer(3, 2, 1000);
        fair.offer(small);
        assert_eq!(fair.admit(now, 9).contains(&small.key), passes);
        sound(&fair);
        let mut other = fair.clone();
        // Another one of a workflow that has its slot passes in any case.
        let more = Candidate { key: key(2, 1), ..offer(2, 1, 1000) };
        other.offer(more);
        assert_eq!(other.admit(now, 9), [more.key]);
        sound(&other);
    }
}

#[test]
fn a_cut_below_the_front_ends_a_claim() {
    let mut fair = cores([Some(10), None, Some(8)], Settings::default());
    let cores = |count| Amounts::ZERO.with(Dimension::CpuRequest, count);
    for (of, project, count) in [(2, 11, 1), (3, 12, 8)] {
        fair.upsert(&entity(12, Some(1), 100)).unwrap();
        fair.offer(Candidate { need: cores(count), ..candidate(of, 0, project) });
    }
    let start = Timestamp(1_000_000);
    assert_eq!(fair.admit(start, 9).len(), 2);
    fair.offer(Candidate { need: cores(6), ..candidate(1, 0, 11) });
    let mut now = start.plus(Millis(610_000));
    fair.admit(now, 9);
    assert_eq!(fair.claims().count(), 1);
    fair.offer(Candidate { need: cores(1), ..candidate(4, 0, 12) });
    for (most, claims) in [(7, 1), (6, 0)] {
        // With one used of six there is no room in its project: until that ends, all waits in vain.
        fair.upsert(&limit(entity(11, Some(1), 100), Dimension::CpuRequest, most)).unwrap();
        now = now.plus(Millis(10_000));
        let admitted = fair.admit(now, 9);
        assert_eq!((fair.claims().count(), admitted.len()), (claims, 1 - claims));
        sound(&fair);
    }
}

/// A tenant at its limit uses less than its share and always has a young one in line: it comes before, and holds up
/// nobody for ever. It is not held up itself.
#[test]
fn a_large_one_starts_beside_a_tenant_at_its_limit() {
    for limited in [false, true] {
        let settings = Settings { claim_after: Millis(30_000), ..Settings::default() };
        let mut fair = cores([Some(113), None, None], settings);
        let places =
            [(1, None), (2, None), (11, Some(1)), (12, Some(1)), (21, Some(2)), (22, Some(2))];
        for (at, parent) in places {
            fair.upsert(&entity(at, parent, 100)).unwrap();
        }
        fair.upsert(&limit(entity(2, None, 100), Dimension::CpuRequest, 36)).unwrap();
        let mut stream = Stream::new(fair, &[11, 12, 21, 22], 5, 7 * SECOND);
        stream.limited = limited;
        for _ in 0..10 {
            stream.step();
        }
        stream.offer_large(11, 55, stream.now);
        let (mut least, mut claimed) = (u64::MAX, false);
        for _ in 0..60 {
            stream.step();
            sound(&stream.fair);
            let tenant = stream.fair.tree.place(entity_id(2)).unwrap();
            claimed |= stream.fair.claims().count() > 0;
            least = least.min(stream.fair.tree.usage(tenant).get(Dimension::CpuRequest));
        }
        assert!(claimed && stream.offered.is_empty(), "{:?}", stream.waited);
        assert!(least >= 30, "{least} of 36");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// QINV-12: who is the first in line claims when it has waited for long enough and nobody else does, and
    /// starts when all that ran then has ended.
    #[test]
    fn who_claims_starts_when_all_that_ran_has_ended(
        total in 20..200u64, part in 30..=100u64, small in 1..8u64, longest in 1..300i64,
        wait in 0..300u64, level in 0..3usize, limited in any::<bool>(),
    ) {
        let settings = Settings { claim_after: Millis(wait * 1000), ..Settings::default() };
        let mut most = [Some(total * 3), None, None];
        most[level] = Some(total);
        let mut stream = Stream::new(cores(most, settings), &[11], small, longest * SECOND);
        (stream.waiting, stream.limited) = (if limited { 20 } else { 6 }, limited);
        // All small ones came later, so it is the first in line.
        let since = stream.now;
        for _ in 0..longest {
            stream.step();
        }
        // A small one that was the first before it came, and has waited for as long, claims until it starts.
        let other = if stream.fair.claims().count() > 0 { longest + 1 } else { 0 };
        let key = stream.offer_large(11, (total * part / 100).max(small + 1), since);
        let wait = i64::try_from(wait).unwrap();
        let most = (wait - longest).max(0) + wait / 60 + 1 + longest + 1 + other;
        for _ in 0..most {
            stream.step();
        }
        prop_assert_eq!(stream.fair.audit(), Vec::<String>::new());
        prop_assert!(stream.offered.is_empty(), "{:?}", stream.fair.why(key, stream.fair.now));
    }

    /// Whoever claims, among tenants and projects with limits of their own, starts: from then on it takes no
    /// longer than the longest attempt, for each level below the installation that it claims.
    #[test]
    fn claims_end_in_time(
        total in 20..120u64, limits in prop::collection::vec(prop::option::of(10..120u64), 6),
        needs in prop::collection::vec((8..60u64, 0..4usize), 1..6), longest in 1..60i64,
        limited in any::<bool>(),
    ) {
        let settings = Settings { claim_after: Millis(30_000), ..Settings::default() };
        let mut fair = cores([Some(total), None, None], settings);
        let places = [(1, None), (2, None), (11, Some(1)), (12, Some(1)), (21, Some(2)), (22, Some(2))];
        for ((at, parent), most) in places.into_iter().zip(&limits) {
            let entity = entity(at, parent, 100);
            let limited = most.map(|most| limit(entity.clone(), Dimension::CpuRequest, most));
            fair.upsert(&limited.unwrap_or(entity)).unwrap();
        }
        let mut stream = Stream::new(fair, &[11, 12, 21, 22], 5, longest * SECOND);
        stream.limited = limited;
        for (need, project) in &needs {
            stream.offer_large([11, 12, 21, 22][*project], *need, stream.now);
        }
        let mut begun: BTreeMap<(AttemptKey, Option<EntityId>), i64> = BTreeMap::new();
        for _ in 0..1_000 {
            if stream.offered.is_empty() {
                break;
            }
            stream.step();
            let claims: Vec<_> = stream.fair.claims().collect();
            begun.retain(|of, _| claims.iter().any(|claim| (claim.key, claim.at) == *of));
            for claim in claims {
                let since = *begun.entry((claim.key, claim.at)).or_insert(stream.now);
                // There is room at its front by then; above that it may be another's turn, and up to the
                // installation that of tenants that come before.
                let waits = claim.at.is_some() && stream.now - since > longest * SECOND;
                prop_assert!(!waits || claim.lacks == Amounts::ZERO, "{claim:?} since {since}");
            }
        }
        prop_assert_eq!(stream.fair.audit(), Vec::<String>::new());
        // Those that may ever fit have started.
        let left: Vec<AttemptKey> = stream.offered.keys().copied().collect();
        for key in left {
            let why = stream.fair.why(key, stream.fair.now).unwrap();
            prop_assert!(why.code == Code::ExceedsQuotaForever, "{why:?}");
        }
    }
}
