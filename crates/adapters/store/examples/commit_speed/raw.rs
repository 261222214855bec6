//! What the machine does without a store.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::millis;
use crate::workload::{AT, shape};

/// The median of appending 4 KiB and `fdatasync`, in milliseconds.
pub(crate) fn disk(dir: &Path) -> Result<f64> {
    let mut file = std::fs::File::create(dir.join("disk"))?;
    let mut spans = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        spans.push(start.elapsed());
    }
    spans.sort_unstable();
    Ok(millis(&spans, 50))
}

/// How long [`inserts`] goes on.
const LONG: Duration = Duration::from_secs(2);

/// Task rows a second, `batch` of them in each transaction of one statement, into a table with the
/// same columns, checks and key.
pub(crate) async fn inserts(url: &str, batch: u32) -> Result<f64> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute("CREATE TABLE raw (LIKE task INCLUDING ALL)").await?;
    let insert = client
        .prepare(
            "INSERT INTO raw (workflow, node, parent, slot, kind, name, template, item, status, \
             attempt, failures, losses, queued_at) \
             SELECT $1::uuid, u.node, 0, u.node, 'leaf', u.name, 'transform', u.item, 'QUEUED', 1, \
             0, 0, $5::bigint \
             FROM unnest($2::integer[], $3::text[], $4::text[]) AS u (node, name, item)",
        )
        .await?;
    let workflow = Uuid::now_v7();
    let (mut next, mut rows) = (1, 0);
    let start = Instant::now();
    while start.elapsed() < LONG {
        let shapes: Vec<_> = (next..next + batch).map(shape).collect();
        let nodes: Vec<i32> = shapes.iter().map(|shape| shape.slot.cast_signed()).collect();
        let names: Vec<&str> = shapes.iter().map(|shape| &*shape.name).collect();
        let items: Vec<String> =
            shapes.iter().filter_map(|shape| Some(shape.item.as_ref()?.to_string())).collect();
        client.execute(&insert, &[&workflow, &nodes, &names, &items, &AT.0]).await?;
        next += batch;
        rows += batch;
    }
    let rate = f64::from(rows) / start.elapsed().as_secs_f64();
    client.batch_execute("DROP TABLE raw").await?;
    drop(client);
    connection.await??;
    Ok(rate)
}
