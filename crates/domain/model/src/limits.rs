//! Every bound of the system, with its unit and its reason. A limit is part of the interface:
//! change one together with `docs/reference/limits.md`.

/// Bytes of one request body or one workflow file. A million tasks come from loops, not lines.
pub const BODY_BYTES: usize = 16 * 1024 * 1024;
/// Nodes (tasks and the groups around them) of one workflow, created while it runs.
pub const NODES_PER_WORKFLOW: u32 = 1_000_000;
/// Nesting of templates. Argo's own limit; recursion beyond it is a mistake.
pub const TEMPLATE_DEPTH: u32 = 100;
/// Workflows that start one another below the one that a user sent. One that starts itself ends here.
pub const CHILD_DEPTH: u32 = 10;
/// Documents of one text: a workflow and all that it refers to.
pub const DOCUMENTS: usize = 1000;
/// Nesting of a document. Kubernetes objects stay below 32; 64 leaves room for inline templates.
pub const DOCUMENT_DEPTH: usize = 64;
/// Values of one document: one for every eight bytes of the largest. Two million edges fit.
pub const DOCUMENT_VALUES: usize = 2 * 1024 * 1024;
/// Values of a document outside its templates: arguments, labels. A flood ends after some 30 ms.
pub const DOCUMENT_VALUES_ASIDE: usize = 16 * 1024;
/// Keys of one map of a document: every template of the largest may have 128 bytes.
pub const DOCUMENT_KEYS: usize = 128 * 1024;
/// Dependencies summed over all tasks of one workflow: linear work, about 16 MiB of memory.
pub const EDGES_PER_WORKFLOW: usize = 4_000_000;
/// Bytes of one parameter value after substitution.
pub const PARAMETER_BYTES: usize = 256 * 1024;
/// Bytes of one output parameter.
pub const OUTPUT_BYTES: usize = 1024 * 1024;
/// Bytes of all outputs of one task together.
pub const OUTPUTS_TOTAL_BYTES: usize = 4 * 1024 * 1024;
/// Output parameters of one task.
pub const OUTPUTS_PER_TASK: usize = 256;
/// Bytes of `outputs.result`: the last of standard output, as Argo keeps them.
pub const RESULT_BYTES: usize = 256 * 1024;
/// Bytes of one argument or environment string: Linux refuses `MAX_ARG_STRLEN`, 128 KiB.
pub const ARGUMENT_BYTES: usize = 128 * 1024 - 1;
/// Environment variables of one task.
pub const ENV_VARS: usize = 256;
/// Bytes of the names and values of a task's environment together.
pub const ENV_BYTES: usize = 128 * 1024;
/// Bytes of a `when` or `{{=...}}` source.
pub const EXPRESSION_BYTES: usize = 4 * 1024;
/// Nesting of an expression.
pub const EXPRESSION_DEPTH: usize = 32;
/// Steps one evaluation may take: about 10 ms here.
pub const EXPRESSION_STEPS: u64 = 100_000;
/// Bytes one evaluation may allocate for its values.
pub const EXPRESSION_MEMORY: usize = 4 * 1024 * 1024;
/// Bytes of the labels and annotations that a document gives a pod. Kubernetes keeps 256 KiB of annotations, of
/// which fixed files take 192.
pub const POD_METADATA_BYTES: usize = 32 * 1024;
/// Members of one gang. Each has a thread, a directory and open files where it is a local process, and a pod
/// that waits for all others where it is one.
pub const GANG_MEMBERS: u32 = 256;
/// Retries a user may ask for. More is a loop.
pub const RETRY_LIMIT: u32 = 10_000;
/// Retries of all tasks of a workflow together, unless it asks for fewer. A storm ends by itself.
pub const WORKFLOW_RETRIES: u32 = 100_000;
/// Attempts lost to the infrastructure (server killed, node gone) before a task fails after all.
pub const INFRASTRUCTURE_RETRIES: u32 = 20;
/// Longest span a document may name: ten years, so that sums of spans never overflow.
pub const SPAN_MS: u64 = 10 * 366 * 24 * 3600 * 1000;
/// Bytes of one cron expression. All sixty minutes one by one take 170.
pub const CRON_BYTES: usize = 1024;
/// Cron expressions of one schedule.
pub const CRON_EXPRESSIONS: usize = 64;
/// Missed runs of one schedule that are caught up at once, the newest.
pub const CRON_CATCH_UP: usize = 100;
/// Runs of one schedule that may be unfinished at a time. More would only pile up.
pub const CRON_ACTIVE: usize = 1000;
/// Bytes of a status message kept with a task or workflow.
pub const MESSAGE_BYTES: usize = 4 * 1024;
/// Bytes of one log line; longer ones are cut into several.
pub const LOG_LINE_BYTES: usize = 16 * 1024;
/// Bytes of a workflow's name, description and one label.
pub const NAME_BYTES: usize = 253;
/// Bytes of a workflow's description.
pub const DESCRIPTION_BYTES: usize = 16 * 1024;
/// Labels of one workflow.
pub const LABELS: usize = 64;
/// Errors reported for one document; the rest is counted.
pub const REPORTED_ERRORS: usize = 100;
/// Rows of one page of a list.
pub const PAGE_ROWS: u32 = 1000;
/// Versions kept of one stored template; older ones are forgotten. A thousand edits to go back to.
pub const TEMPLATE_VERSIONS: u32 = 1000;
/// Levels of one tenant, the tenant and its projects included. Each is looked at for every task.
pub const ORGANIZATION_DEPTH: usize = 8;
/// Tenants, departments, groups and projects together: every server holds all of them.
pub const ENTITIES: usize = 100_000;
/// Quotas, of all tenants together.
pub const QUOTAS: usize = 100_000;
/// Clusters that projects name, all together: a decision looks at what waits for each.
pub const CLUSTERS: usize = 64;
/// Outputs remembered in one cache of a project; the oldest are forgotten.
pub const MEMOS_PER_CACHE: u32 = 10_000;
/// Bytes of an artifact's key: what S3 allows.
pub const ARTIFACT_KEY_BYTES: usize = 1024;
/// Files, folders and links of one artifact. More is a data set that wants a volume.
pub const ARTIFACT_ENTRIES: u64 = 1_000_000;
/// Folders inside one another in one artifact: each holds a file open when the tree is removed.
pub const ARTIFACT_DEPTH: usize = 128;
/// Bytes of one artifact, unpacked: what a disk of this size class can lose to one task.
pub const ARTIFACT_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Bytes that an archive may unpack to whatever its own size is.
pub const ARTIFACT_BYTES_FREE: u64 = 1024 * 1024 * 1024;
/// Times its own size that an archive may unpack to beyond that: logs reach 100, bombs 1,000.
pub const ARTIFACT_RATIO: u64 = 200;
/// Bytes of the extra headers of one tar entry, and of the target of a link.
pub const ARTIFACT_HEADER_BYTES: u64 = 1024 * 1024;
/// Bytes of the names and targets of all links of one artifact: they are held until the end.
pub const ARTIFACT_LINK_BYTES: usize = 64 * 1024 * 1024;
/// Attempts packed into one entry of the queue: ten times the speed of one each, 1.2 KiB.
pub const DISPATCHES_PER_ENTRY: usize = 50;
/// Entries of the queue of one cluster, taken or not: 120 MiB at most, an hour's work for most.
pub const QUEUE_ENTRIES: u64 = 100_000;
/// Entries taken from the queue at once.
pub const RECEIVE_ENTRIES: usize = 256;
/// Times an entry of the queue is taken before it is a dead letter. A crash may be bad luck.
pub const DISPATCH_TAKES: u32 = 5;
/// Dead letters kept of one cluster; beyond that the oldest go.
pub const DEAD_LETTERS: u64 = 10_000;
/// Hints of one process that wait to be sent; beyond that the oldest go.
pub const HINTS_OUTGOING: usize = 4096;
/// Hints that a subscriber has not read yet; beyond that the oldest go.
pub const HINTS_UNREAD: usize = 1024;
/// Bytes that an instance says of itself with a sign of life.
pub const HEARTBEAT_BYTES: usize = 4 * 1024;
