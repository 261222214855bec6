//! What goes wrong, and when.

/// Each counts from one; none is never.
#[derive(Clone, Copy, Default)]
pub(in crate::runner::tests) struct Faults {
    /// At this request the client is cut off, before it is done or after, and nothing it asks is answered until
    /// it recovers: for a client that dies there, that is all that others can tell.
    pub(in crate::runner::tests) crash_at: Option<(u64, When)>,
    /// Of each so many requests one is answered with an error.
    pub(in crate::runner::tests) refuse_each: Option<(u64, When)>,
    /// This event is told to nobody.
    pub(in crate::runner::tests) skip: Option<u64>,
    /// Every event is told twice.
    pub(in crate::runner::tests) twice: bool,
    /// Each second list is as it was so many changes ago.
    pub(in crate::runner::tests) stale: Option<usize>,
    /// A watch tells so many events and ends; the history of what it has told is forgotten.
    pub(in crate::runner::tests) restless: Option<usize>,
}

/// How far it went.
#[derive(Default)]
pub(super) struct Course {
    pub(super) faults: Faults,
    requests: u64,
    events: u64,
    lists: u64,
    /// The client is cut off.
    pub(super) dead: bool,
    /// What was to go wrong has done so.
    pub(super) erred: bool,
}

/// On which side of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runner::tests) enum When {
    Before,
    After,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    /// Not answered.
    Cut(When),
    /// Answered with an error.
    Refused(When),
}

impl Course {
    pub(super) fn of(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    pub(super) fn next(&mut self) -> Fate {
        if self.dead {
            return Fate::Cut(When::Before);
        }
        self.requests += 1;
        if let Some((_, when)) = self.faults.crash_at.filter(|(at, _)| *at == self.requests) {
            (self.dead, self.erred) = (true, true);
            return Fate::Cut(when);
        }
        match self.faults.refuse_each {
            Some((each, when)) if self.requests.is_multiple_of(each) => {
                self.erred = true;
                Fate::Refused(when)
            }
            _ => Fate::Done,
        }
    }

    /// How often the next event is told.
    pub(super) fn copies(&mut self) -> usize {
        self.events += 1;
        if self.faults.skip == Some(self.events) {
            self.erred = true;
            return 0;
        }
        1 + usize::from(self.faults.twice)
    }

    /// How many changes ago the next list was.
    pub(super) fn behind(&mut self) -> usize {
        self.lists += 1;
        if self.lists.is_multiple_of(2) { self.faults.stale.unwrap_or(0) } else { 0 }
    }
}
