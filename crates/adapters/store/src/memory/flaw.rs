//! Mistakes made on purpose.

/// A check that a store leaves out, to see that somebody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Writes of those who were replaced are taken.
    NoFence,
    /// What is taken off the queue may have been admitted.
    NotOvertaken,
    /// An attempt may be claimed by several executors.
    ClaimedTwice,
    /// An attempt may be claimed again after its end was reported.
    ClaimedAfterItsEnd,
    /// A closed gate keeps nobody out.
    OpenGate,
    /// What dead executors ran is not reported as lost.
    NotBuried,
    /// Any pod of an attempt may begin it.
    AnyPod,
    /// Whoever waits for a workflow is not told of its end.
    EndUntold,
    /// An attempt may be claimed in another cluster.
    AnyCluster,
    /// What executors have claimed is taken back from clusters that went, too.
    GivenBackClaimed,
    /// What is taken back from clusters that went is forgotten.
    NotPutBack,
    /// A stop of what was taken back in the meantime is taken, and stops nothing.
    StopsNothing,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::NoFence,
        Self::NotOvertaken,
        Self::ClaimedTwice,
        Self::ClaimedAfterItsEnd,
        Self::OpenGate,
        Self::NotBuried,
        Self::AnyPod,
        Self::EndUntold,
        Self::AnyCluster,
        Self::GivenBackClaimed,
        Self::NotPutBack,
        Self::StopsNothing,
    ];
}
