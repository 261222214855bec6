//! Aggregators and executors that die in the middle: no line is lost, none comes twice, and each task's
//! lines stay in order.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowforge_logstore::{Aggregator, RemoteLogs, SegmentLogs};
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_ports::logs::{
    Intake, LogCursor, LogLine, LogPage, LogQuery, LogStore, Shipment, Stream,
};

use crate::conforms::{ALL, line, workflow};
use crate::{PATIENCE, ROOMY, Served, TOKEN, nobody};

const TASKS: u32 = 4;
const LINES: i64 = 3000;

/// Every line of every task once, in order.
fn complete(logs: &dyn LogStore) {
    for node in 0..TASKS {
        let of = workflow(u8::try_from(node % 2).unwrap());
        let query = LogQuery { nodes: vec![NodeIx(node)], ..LogQuery::default() };
        let page = logs.read(of, &query, LogCursor(0), ALL).unwrap();
        let found: Vec<i64> = page.lines.iter().map(|(_, line)| line.at.0).collect();
        assert!(found.iter().copied().eq(0..LINES), "task {node}: {} lines", found.len());
    }
}

/// Tasks that print, each on a thread of its own as in an executor.
fn print(logs: &RemoteLogs) {
    std::thread::scope(|scope| {
        for node in 0..TASKS {
            scope.spawn(move || {
                for n in 0..LINES / 3 {
                    let lines = [
                        line(3 * n, node, "a"),
                        line(3 * n + 1, node, ""),
                        line(3 * n + 2, node, "c"),
                    ];
                    logs.append(workflow(u8::try_from(node % 2).unwrap()), &lines).unwrap();
                }
            });
        }
    });
}

/// A store that fails, by turns before and after it did what it was asked, as an answer that is lost.
struct Faulty {
    logs: SegmentLogs,
    calls: AtomicU64,
}

impl LogStore for Faulty {
    fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        self.logs.append(workflow, lines)
    }
    fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<LogPage> {
        self.logs.read(workflow, query, after, limit)
    }
    fn seal(&self, workflow: WorkflowId) -> io::Result<()> {
        self.logs.seal(workflow)
    }
    fn delete(&self, workflow: WorkflowId) -> io::Result<()> {
        self.logs.delete(workflow)
    }
}

impl Intake for Faulty {
    fn take_in(&self, source: InstanceId, shipment: &Shipment) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call % 5 == 1 {
            return Err(io::Error::other("before"));
        }
        self.logs.take_in(source, shipment)?;
        if call % 5 == 3 { Err(io::Error::other("after")) } else { Ok(()) }
    }
}

#[test]
fn an_answer_that_is_lost_doubles_no_line() {
    let (kept, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let logs = SegmentLogs::open(kept.path()).unwrap();
    let faulty = Arc::new(Faulty { logs, calls: AtomicU64::new(0) });
    let served = Served::start(Arc::<Faulty>::clone(&faulty));
    let remote = RemoteLogs::open(served.aggregator(), spool.path(), ROOMY).unwrap();
    // Few at a time, so that there are many answers.
    for n in 0..20 {
        remote.append(workflow(1), &[line(2 * n, 0, "a"), line(2 * n + 1, 0, "b")]).unwrap();
        remote.append(workflow(2), &[line(n, 0, "c")]).unwrap();
        assert!(remote.settled(PATIENCE));
    }
    assert!(faulty.calls.load(Ordering::SeqCst) > 50, "faults were met");
    let at = |of| {
        let page = faulty.read(of, &LogQuery::default(), LogCursor(0), ALL).unwrap();
        page.lines.into_iter().map(|(_, line)| line.at.0).collect::<Vec<_>>()
    };
    assert!(at(workflow(1)).into_iter().eq(0..40));
    assert!(at(workflow(2)).into_iter().eq(0..20));
}

#[test]
fn an_aggregator_may_be_killed_while_tasks_print() {
    let (kept, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut served = Some(Served::of_files(kept.path()));
    let remote =
        RemoteLogs::open(served.as_ref().unwrap().aggregator(), spool.path(), ROOMY).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| print(&remote));
        let mut kills = 0;
        while !writer.is_finished() || kills < 3 {
            // Something must have come through between two kills, or none would meet a request.
            let page = remote.read(workflow(0), &LogQuery::default(), LogCursor(0), 1).unwrap();
            if page.lines.is_empty() {
                continue;
            }
            let address = served.take().unwrap().kill();
            served = Some(restart(address, kept.path()));
            kills += 1;
        }
    });
    assert!(remote.settled(PATIENCE));
    complete(&remote);
}

/// The port of a server that was killed is free as soon as its listener is closed.
fn restart(address: std::net::SocketAddr, dir: &Path) -> Served {
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    Served::start_at(address, Arc::new(SegmentLogs::open(dir).unwrap()))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn an_executor_that_died_with_a_full_spool_ships_it_when_it_comes_back() {
    let (kept, spools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (spools.path().join("first"), spools.path().join("second"));
    let away = Aggregator::new(&format!("http://{}", nobody()), TOKEN);
    let dead = RemoteLogs::open(away, &first, ROOMY).unwrap();
    print(&dead);
    // What a kill leaves is what is on the disk now.
    copy(&first, &second);
    let served = Served::of_files(kept.path());
    let remote = RemoteLogs::open(served.aggregator(), &second, ROOMY).unwrap();
    remote.append(workflow(0), &[line(0, TASKS, "of the next start")]).unwrap();
    assert!(remote.settled(PATIENCE));
    complete(&remote);
    // It died again before it heard that all had been taken in.
    drop(remote);
    let third = spools.path().join("third");
    copy(&first, &third);
    let remote = RemoteLogs::open(served.aggregator(), &third, ROOMY).unwrap();
    assert!(remote.settled(PATIENCE));
    complete(&remote);
    let all = remote.read(workflow(0), &LogQuery::default(), LogCursor(0), ALL).unwrap();
    assert_eq!(all.lines.last().unwrap().1.text, "of the next start");
}

#[test]
fn a_spool_that_was_full_leaves_a_line_where_lines_are_missing() {
    let (kept, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = nobody();
    let aggregator = Aggregator::new(&format!("http://{address}"), TOKEN);
    let remote = RemoteLogs::open(aggregator, spool.path(), 64 * 1024).unwrap();
    print(&remote);
    let _served = Served::start_at(address, Arc::new(SegmentLogs::open(kept.path()).unwrap()));
    assert!(remote.settled(PATIENCE));
    let mut missing = BTreeMap::<u8, u64>::new();
    for n in 0..2 {
        let page = remote.read(workflow(n), &LogQuery::default(), LogCursor(0), ALL).unwrap();
        let (_, last) = page.lines.last().unwrap();
        assert_eq!(last.stream, Stream::System, "{last:?}");
        let count: u64 = last.text.split(' ').next().unwrap().parse().unwrap();
        missing.insert(n, count + page.lines.len() as u64 - 1);
    }
    let written = 2 * u64::try_from(LINES).unwrap();
    assert_eq!(missing, BTreeMap::from([(0, written), (1, written)]));
}
