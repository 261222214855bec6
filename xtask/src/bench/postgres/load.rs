//! Users, and a past.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use crate::client::Client;
use crate::test::postgres;

/// Users that submit at the same time.
const USERS: u32 = 16;

/// What submissions at a fixed rate found.
pub(super) struct Found {
    /// From the moment a submission was due to its answer: one that waits for its turn has waited.
    pub(super) took_ms: Vec<f64>,
}

/// Submits at a fixed rate, whatever the answers take, and waits until all is done.
pub(super) fn at_rate(
    client: &Client,
    document: &str,
    rate: u32,
    long: Duration,
) -> anyhow::Result<Found> {
    let begun = Instant::now() + Duration::from_millis(100);
    let total = u32::try_from(long.as_secs())? * rate;
    let took = Mutex::new(Vec::new());
    let user = |number: u32| -> anyhow::Result<String> {
        let mut own = Vec::new();
        let mut last = String::new();
        for turn in (number..total).step_by(usize::try_from(USERS)?) {
            let due = begun + Duration::from_secs(1) * turn / rate;
            // The rate is the experiment.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            last = client.submit(document)?;
            own.push(due.elapsed().as_secs_f64() * 1000.0);
        }
        took.lock().map_err(|_| anyhow!("a user panicked"))?.extend(own);
        Ok(last)
    };
    for id in crowd(user)? {
        let status = client.wait(&id)?;
        ensure!(status == "SUCCEEDED", "{id} is {status}");
    }
    Ok(Found { took_ms: took.into_inner().map_err(|_| anyhow!("a user panicked"))? })
}

/// Submits a document so many times.
pub(super) fn submit_all(client: &Client, document: &str, copies: usize) -> anyhow::Result<()> {
    crowd(|number| {
        for _ in (usize::try_from(number)?..copies).step_by(usize::try_from(USERS)?) {
            client.submit(document)?;
        }
        Ok(String::new())
    })
    .map(|_| ())
}

/// Does something once for each user, at the same time.
fn crowd(user: impl Fn(u32) -> anyhow::Result<String> + Sync) -> anyhow::Result<Vec<String>> {
    thread::scope(|scope| {
        let user = &user;
        let all: Vec<_> = (0..USERS).map(|number| scope.spawn(move || user(number))).collect();
        all.into_iter().map(|one| one.join().map_err(|_| anyhow!("a user panicked"))?).collect()
    })
}

/// Copies the workflows of a database under other, older ids until there are so many tasks; how many
/// there are then.
pub(super) fn multiply(database: &postgres::Server, tasks: u32) -> anyhow::Result<u32> {
    let have: u32 = database.psql("SELECT count(*) FROM task")?.parse().context("a count")?;
    let copies = tasks.div_ceil(have);
    // The first six bytes of an id are its time: each copy is a day older than the one before.
    let older = |column: &str| {
        format!(
            "encode(set_byte(set_byte(uuid_send({column}), 1, \
             (get_byte(uuid_send({column}), 1) + 256 - c / 3 % 256) % 256), 2, \
             (get_byte(uuid_send({column}), 2) + c * 85) % 256), 'hex')::uuid"
        )
    };
    for (table, key) in [
        ("workflow", "id"),
        ("gate", "workflow"),
        ("document", "workflow"),
        ("task", "workflow"),
        ("event", "workflow"),
        ("work_order", "workflow"),
        ("attempt", "workflow"),
    ] {
        let names = database.psql(&format!(
            "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute \
             WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped \
             AND attgenerated = '' AND attname <> '{key}'"
        ))?;
        database.psql(&format!(
            "INSERT INTO {table} ({key}, {names}) SELECT {}, {names} \
             FROM {table}, generate_series(1, {copies}) c WHERE c <= {copies} \
             ON CONFLICT DO NOTHING",
            older(key)
        ))?;
    }
    database.psql("VACUUM ANALYZE")?;
    database.psql("SELECT count(*) FROM task")?.parse().context("a count")
}
