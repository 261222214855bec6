//! One suite for all stores, and what only files can go through.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{LogCursor, LogLine, LogQuery, LogStore, Stream};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use crate::{MemoryLogs, SegmentLogs};

mod conforms;
mod intake;
mod spooled;

use conforms::{ALL, conforms, line, numbers, workflow};

#[test]
fn the_memory_store_conforms() {
    conforms(&MemoryLogs::new());
}

#[test]
fn the_segment_store_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&SegmentLogs::open(dir.path()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    conforms(&SegmentLogs::with_roll(dir.path(), 1).unwrap());
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<LogLine>),
    Read(LogQuery, u64, usize),
    Seal,
    Reopen,
    Delete,
}

fn lines() -> impl Strategy<Value = Vec<LogLine>> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr), Just(Stream::System)];
    let text = prop_oneof!["[ab]{0,6}", "[ab ]{400,900}"];
    let one = (0_i64..50, 0_u32..4, 1_u32..3, stream, text, any::<bool>());
    let one = one.prop_map(|(at, node, attempt, stream, text, cut)| LogLine {
        attempt,
        stream,
        cut,
        ..line(at, node, &text)
    });
    prop::collection::vec(one, 0..40)
}

fn query() -> impl Strategy<Value = LogQuery> {
    let nodes = prop::collection::vec((0_u32..5).prop_map(NodeIx), 0..3);
    let time = || prop::option::of((0_i64..50).prop_map(Timestamp));
    let text = prop::option::of("[ab]{0,3}");
    let stream = prop::option::of(Just(Stream::Stderr));
    let all = (nodes, prop::option::of(1_u32..3), text, stream, time(), time());
    all.prop_map(|(nodes, attempt, contains, stream, since, until)| LogQuery {
        nodes,
        attempt,
        contains,
        stream,
        since,
        until,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let read = (query(), 0_u64..120, 0_usize..60).prop_map(|(q, a, l)| Act::Read(q, a, l));
    prop_oneof![
        4 => lines().prop_map(Act::Append),
        6 => read,
        1 => Just(Act::Seal),
        1 => Just(Act::Reopen),
        1 => prop::bool::weighted(0.3).prop_map(|all| if all { Act::Delete } else { Act::Seal }),
    ]
}

proptest! {
    #[test]
    fn files_answer_as_memory_does(acts in prop::collection::vec(act(), 1..25), roll in 1_u64..9000) {
        let dir = tempfile::tempdir().unwrap();
        let model = MemoryLogs::new();
        let mut logs = SegmentLogs::with_roll(dir.path(), roll).unwrap();
        let id = workflow(1);
        for act in acts {
            match act {
                Act::Append(lines) => {
                    model.append(id, &lines).unwrap();
                    logs.append(id, &lines).unwrap();
                }
                Act::Read(query, after, limit) => assert_eq!(
                    logs.read(id, &query, LogCursor(after), limit).unwrap(),
                    model.read(id, &query, LogCursor(after), limit).unwrap()
                ),
                Act::Seal => logs.seal(id).unwrap(),
                Act::Reopen => logs = SegmentLogs::with_roll(dir.path(), roll).unwrap(),
                Act::Delete => {
                    model.delete(id).unwrap();
                    logs.delete(id).unwrap();
                }
            }
        }
        let all = LogQuery::default();
        let ours = logs.read(id, &all, LogCursor(0), ALL).unwrap();
        assert_eq!(ours, model.read(id, &all, LogCursor(0), ALL).unwrap());
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("logs");
    let logs = SegmentLogs::open(&path).unwrap();
    logs.ready().unwrap();
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing is left");
    fs::remove_dir(&path).unwrap();
    logs.ready().unwrap_err();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let of = dir.join(workflow(1).to_string());
    let mut all: Vec<_> = fs::read_dir(of).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn a_torn_end_is_ignored_and_overwritten_wherever_it_was_torn() {
    let dir = tempfile::tempdir().unwrap();
    let long = "noise ".repeat(200);
    let logs = SegmentLogs::open(dir.path()).unwrap();
    logs.append(workflow(1), &[line(1, 0, "kept")]).unwrap();
    let path = files(dir.path()).remove(0);
    let good = fs::read(&path).unwrap().len();
    logs.append(workflow(1), &[line(2, 0, &long), line(3, 0, "torn")]).unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, whole.get(..cut).unwrap()).unwrap();
        let logs = SegmentLogs::open(dir.path()).unwrap();
        let kept: &[u64] = if cut < good { &[] } else { &[1] };
        assert_eq!(numbers(&logs, &LogQuery::default()), kept, "cut at {cut}");
        logs.append(workflow(1), &[line(4, 0, "next")]).unwrap();
        let logs = SegmentLogs::open(dir.path()).unwrap();
        let page = logs.read(workflow(1), &LogQuery::default(), LogCursor(0), ALL).unwrap();
        let (last, next) = page.lines.last().unwrap();
        assert_eq!((last.0, next.text.as_str()), (kept.len() as u64 + 1, "next"));
    }
}

#[test]
fn what_follows_a_torn_frame_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let logs = SegmentLogs::open(dir.path()).unwrap();
    logs.append(workflow(1), &[line(1, 0, "kept")]).unwrap();
    let path = files(dir.path()).remove(0);
    let good = fs::read(&path).unwrap().len();
    logs.append(workflow(1), &[line(2, 0, "next")]).unwrap();
    let next = fs::read(&path).unwrap().len();
    logs.append(workflow(1), &[line(3, 0, "ghost")]).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[good..next].fill(0);
    fs::write(&path, &bytes).unwrap();
    // The same frame again, exactly in front of a good one.
    let logs = SegmentLogs::open(dir.path()).unwrap();
    logs.append(workflow(1), &[line(2, 0, "next")]).unwrap();
    let logs = SegmentLogs::open(dir.path()).unwrap();
    assert_eq!(numbers(&logs, &LogQuery::default()), [1, 2]);
}

#[test]
fn a_damaged_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let logs = SegmentLogs::open(dir.path()).unwrap();
    logs.append(workflow(1), &[line(1, 0, "first")]).unwrap();
    let path = files(dir.path()).remove(0);
    let good = fs::read(&path).unwrap();
    for place in 8..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        let read = logs.read(workflow(1), &LogQuery::default(), LogCursor(0), ALL);
        assert!(read.is_err(), "byte {place}");
        let reopened = SegmentLogs::open(dir.path()).unwrap();
        assert_eq!(numbers(&reopened, &LogQuery::default()), [0_u64; 0], "byte {place}");
    }
}

#[test]
fn a_seal_leaves_one_smaller_file_and_survives_a_crash_at_each_step() {
    let dir = tempfile::tempdir().unwrap();
    let logs = SegmentLogs::with_roll(dir.path(), 20_000).unwrap();
    for n in 0..2000 {
        let text = format!("line {n} of a log that says much the same again and again");
        logs.append(workflow(1), &[line(n, 0, &text)]).unwrap();
    }
    let before: Vec<_> =
        files(dir.path()).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(before.len() > 5);
    logs.seal(workflow(1)).unwrap();
    let sealed = files(dir.path());
    assert_eq!(sealed.len(), 1);
    let old: usize = before.iter().map(|(_, bytes)| bytes.len()).sum();
    let new = fs::read(&sealed[0]).unwrap().len();
    assert!(new * 5 < old, "{old} to {new} bytes");
    // Died after the rename, before the removals; and with a half-written next attempt.
    for (path, bytes) in before.iter().skip(1) {
        fs::write(path, bytes).unwrap();
    }
    fs::write(sealed[0].with_file_name("seal.tmp"), "half").unwrap();
    let logs = SegmentLogs::open(dir.path()).unwrap();
    let expected: Vec<u64> = (1..=2000).collect();
    assert_eq!(numbers(&logs, &LogQuery::default()), expected);
    assert_eq!(files(dir.path()), sealed);
}

#[test]
fn readers_and_writers_and_seals_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Arc::new(SegmentLogs::with_roll(dir.path(), 5000).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u32)
            .map(|node| {
                let logs = Arc::clone(&logs);
                scope.spawn(move || {
                    for n in 0..300 {
                        let text = format!("{n}");
                        logs.append(workflow(1), &[line(n, node, &text), line(n, node, "x")])
                            .unwrap();
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                logs.seal(workflow(1)).unwrap();
            }
        });
        scope.spawn(|| {
            let mut next = LogCursor(0);
            while !done.load(Ordering::SeqCst) || next.0 < 2400 {
                let page = logs.read(workflow(1), &LogQuery::default(), next, 50).unwrap();
                for (cursor, _) in &page.lines {
                    assert_eq!(cursor.0, next.0 + 1);
                    next = *cursor;
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    for node in 0..4 {
        let query = LogQuery { nodes: vec![NodeIx(node)], ..LogQuery::default() };
        let page = logs.read(workflow(1), &query, LogCursor(0), ALL).unwrap();
        let numbers: Vec<_> = page.lines.iter().map(|(_, l)| l.at.0).collect();
        let expected: Vec<i64> = (0..300).flat_map(|n| [n, n]).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn more_logs_than_indexes_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let logs = SegmentLogs::open(dir.path()).unwrap();
    let id = |n: u32| -> WorkflowId {
        format!("01890a5d-ac96-774b-bcce-b3020000{n:04x}").parse().unwrap()
    };
    for round in 0..2 {
        for n in 0..1100 {
            logs.append(id(n), &[line(round, n, "x")]).unwrap();
        }
    }
    for n in [0, 500, 1099] {
        let page = logs.read(id(n), &LogQuery::default(), LogCursor(0), ALL).unwrap();
        let found: Vec<_> = page.lines.iter().map(|(c, l)| (c.0, l.node.0)).collect();
        assert_eq!(found, [(1, n), (2, n)]);
    }
}
