//! What a pod and an API server say to each other, as JSON.

use flowforge_model::attempt::WorkOrder;
use flowforge_model::id::{PodUid, WorkflowId};
use flowforge_model::status::Reason;
use serde::{Deserialize, Serialize};

use crate::logs::{LogLine, Shipment};

/// Where pods find their routes: `{ATTEMPTS}/WORKFLOW/NODE/NUMBER/start`, `result`, `logs`,
/// `artifacts/NAME` (PUT), `inputs/NAME` and `lists/NAME` (GET; one JSON string a line). These three take
/// a query `below`: a part of the artifact, with a slash before it.
pub const ATTEMPTS: &str = "/internal/v1/attempts";
/// Whom the service-account token of a pod is for.
pub const AUDIENCE: &str = "flowforge";
/// Bytes of a body of lines. A request holds lines of [`LINES_TEXT_BYTES`] whatever is in them.
pub const LINES_BYTES: usize = 1024 * 1024;
/// Bytes of text that a pod sends at once: a control character takes six bytes in JSON, and a line some
/// ninety for itself.
pub const LINES_TEXT_BYTES: usize = 128 * 1024;
/// Bytes of a report: all outputs and the result at their limits, all of it control characters.
pub const REPORT_BYTES: usize = 32 * 1024 * 1024;

/// May this pod begin?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// Who asks. Its service-account token has to say the same.
    pub pod: PodUid,
    /// As [`crate::pods::Asking::member`]; the name that its token says ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<u32>,
    /// As [`crate::pods::Asking::early`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
}

/// It may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// By this token the pod tells of the attempt.
    pub token: String,
    /// What it does.
    pub order: WorkOrder,
}

/// Lines of one container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Which of the pod's containers numbers them: 0 where only one runs the attempt. Each numbers its own.
    #[serde(default)]
    pub container: u8,
    /// As [`Shipment::workflow`].
    pub workflow: WorkflowId,
    /// As [`Shipment::seq`].
    pub seq: u64,
    /// As [`Shipment::lines`].
    pub lines: Vec<LogLine>,
}

impl From<Lines> for Shipment {
    fn from(Lines { workflow, seq, lines, .. }: Lines) -> Self {
        Self { workflow, seq, lines }
    }
}

/// What becomes of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It counts.
    Taken,
    /// It came when it was of no use any more.
    Late,
}

/// The answer to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What became of it.
    pub outcome: Outcome,
}

/// Why a server could not move an artifact, with status 422: what its stores said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmoved {
    /// As in [`crate::artifacts::ArtifactError`].
    pub reason: Reason,
    /// As there.
    pub transient: bool,
    /// As there, without the artifact's name.
    pub message: String,
}
