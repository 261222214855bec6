//! Everything that is kept of a workflow, as lines of JSON.

use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::PostgresStore;
use super::codec::{self, get};
use super::connection::Connection;
use super::error::from_postgres;
use super::retention::EndedWorkflow;

/// The version of the format. It rises when a reader of the one before would misunderstand a file;
/// new tables and columns do not raise it.
pub const ARCHIVE_VERSION: u32 = 1;

/// Rows read at a time: the largest workflow has a million tasks.
const ROWS: i64 = 2000;
/// Bytes of lines that are handed over at a time; the line that reaches it may be longer.
const CHUNK: usize = 1 << 20;

/// One snapshot for all rows, as long as it takes.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

const HEAD: &str = "SELECT row_to_json(w)::text, w.seq, w.created_at, p.name, t.name, d.bytes, d.zstd \
     FROM workflow w JOIN project p ON p.id = w.project JOIN tenant t ON t.id = w.tenant \
     JOIN document d ON d.workflow = w.id WHERE w.id = $1";

/// Large tables, each by its key: the row, and where to go on.
const TABLES: [(&str, &str); 3] = [
    (
        "task",
        "SELECT row_to_json(r)::text, r.node::bigint, 0::bigint FROM task r \
         WHERE r.workflow = $1 AND r.node > $2 AND $3 = $3 ORDER BY r.node LIMIT $4",
    ),
    (
        "attempt",
        "SELECT row_to_json(r)::text, r.node::bigint, r.number::bigint FROM attempt r \
         WHERE r.workflow = $1 AND (r.node, r.number) > ($2, $3) \
         ORDER BY r.node, r.number LIMIT $4",
    ),
    (
        "event",
        "SELECT row_to_json(r)::text, r.seq, 0::bigint FROM event r \
         WHERE r.workflow = $1 AND r.seq > $2 AND $3 = $3 ORDER BY r.seq LIMIT $4",
    ),
];

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) created_at: Timestamp,
    pub(crate) rows: u64,
}

/// Lines on their way to whoever writes them.
struct Lines {
    chunk: Vec<u8>,
    to: mpsc::Sender<Vec<u8>>,
}

impl Lines {
    async fn put(&mut self, line: &Value) -> Result<(), StoreError> {
        self.chunk.extend_from_slice(codec::to_json(line)?.as_bytes());
        self.chunk.push(b'\n');
        if self.chunk.len() < CHUNK { Ok(()) } else { self.send().await }
    }

    async fn send(&mut self) -> Result<(), StoreError> {
        let gone = |_| StoreError::Unavailable("nobody writes the archive".to_owned());
        self.to.send(std::mem::take(&mut self.chunk)).await.map_err(gone)
    }
}

impl PostgresStore {
    /// Sends a workflow as lines of JSON, from one snapshot. `NotFound` if it is not as it was;
    /// `Unavailable` also if nobody receives.
    pub(crate) async fn export(
        &self,
        workflow: EndedWorkflow,
        at: Timestamp,
        to: mpsc::Sender<Vec<u8>>,
    ) -> Result<Exported, StoreError> {
        self.look(move |connection| {
            Box::pin(async move {
                connection.client.batch_execute(BEGIN).await.map_err(from_postgres)?;
                let mut sink = Lines { chunk: Vec::new(), to };
                let exported = lines(connection, workflow, at, &mut sink).await?;
                connection.client.batch_execute("ROLLBACK").await.map_err(from_postgres)?;
                Ok(exported)
            })
        })
        .await
    }
}

async fn lines(
    connection: &Connection,
    workflow: EndedWorkflow,
    at: Timestamp,
    sink: &mut Lines,
) -> Result<Exported, StoreError> {
    let id = workflow.id;
    let head = ask(connection, HEAD, &[(&id.0, Type::UUID)]).await?;
    let head = head.first().ok_or(StoreError::NotFound)?;
    if codec::count(head, 1)? != workflow.seq {
        return Err(StoreError::NotFound);
    }
    let created_at = codec::time(head, 2)?;
    let begin = json!({
        "flowforge_archive": ARCHIVE_VERSION,
        "workflow": id.to_string(),
        "project": get::<String>(head, 3)?,
        "tenant": get::<String>(head, 4)?,
        "seq": workflow.seq,
        "exported_at": at.0,
    });
    sink.put(&begin).await?;
    sink.put(&row("workflow", get(head, 0)?)?).await?;
    let text = codec::document(head, 5)?;
    sink.put(&json!({"table": "document", "row": {"workflow": id.to_string(), "text": text}}))
        .await?;
    let mut rows = 2;
    for (table, sql) in TABLES {
        let mut place = (-1_i64, -1_i64);
        loop {
            let values: [(&(dyn ToSql + Sync), Type); 4] = [
                (&id.0, Type::UUID),
                (&place.0, Type::INT8),
                (&place.1, Type::INT8),
                (&ROWS, Type::INT8),
            ];
            let page = ask(connection, sql, &values).await?;
            let Some(last) = page.last() else { break };
            place = (get(last, 1)?, get(last, 2)?);
            for one in &page {
                sink.put(&row(table, get(one, 0)?)?).await?;
                rows += 1;
            }
        }
    }
    sink.put(&json!({"end": {"rows": rows}})).await?;
    sink.send().await?;
    Ok(Exported { created_at, rows })
}

async fn ask(
    connection: &Connection,
    sql: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, StoreError> {
    connection.client.query_typed(sql, values).await.map_err(from_postgres)
}

/// A row as the database writes it, whatever columns it has. Columns of JSON become JSON; one that
/// cannot be read stays the text that it is.
fn row(table: &str, text: &str) -> Result<Value, StoreError> {
    const JSON: [&str; 4] = ["parameters", "labels", "outputs", "item"];
    let mut columns: Map<String, Value> = codec::from_json(text)?;
    for name in JSON {
        let value = columns.get(name).and_then(Value::as_str).map(codec::from_json::<Value>);
        if let Some(Ok(value)) = value {
            columns.insert(name.to_owned(), value);
        }
    }
    Ok(json!({"table": table, "row": columns}))
}
