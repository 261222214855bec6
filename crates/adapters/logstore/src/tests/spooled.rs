//! A spool by itself: what is in it, in which order, and what happens when it is full.

use std::path::Path;
use std::time::Duration;

use flowforge_ports::logs::{LogRead, Shipments, Stream};

use super::conforms::{line, workflow};
use crate::spool::Spool;

/// Everything that waits, acknowledged.
fn drain(spool: &Spool) -> Vec<(u64, String)> {
    spool.close(Duration::from_secs(60));
    let mut all = Vec::new();
    while let Some(batch) = spool.next().unwrap() {
        let sent: Shipments = serde_json::from_str(&batch.body).unwrap();
        assert_eq!(batch.lines, sent.shipments.iter().map(|s| s.lines.len()).sum::<usize>());
        assert!(batch.lines <= 1000 && batch.body.len() < 1_100_000);
        for shipment in sent.shipments {
            all.extend((shipment.seq..).zip(shipment.lines.into_iter().map(|l| l.text)));
        }
        spool.acknowledge(&batch).unwrap();
    }
    all
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn what_was_appended_comes_in_order_also_after_a_restart_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..3 {
        let spool = Spool::open(dir.path(), 1 << 30).unwrap();
        for n in 0..2500_u64 {
            let text = format!("{round} {n} {}", "\u{1}".repeat(1000));
            spool.append(workflow(1), &[line(1, 0, &text), line(1, 0, "")]).unwrap();
            expected.extend([(2 * n + 1, text), (2 * n + 2, String::new())]);
        }
        // Dropped with everything in it.
    }
    let spool = Spool::open(dir.path(), 1 << 30).unwrap();
    assert!(!spool.settled(Duration::ZERO));
    let found = drain(&spool);
    assert!(found == expected, "{} lines of {}", found.len(), expected.len());
    assert!(spool.settled(Duration::ZERO));
    drop(spool);
    drop(Spool::open(dir.path(), 1 << 30).unwrap());
    assert!(entries(dir.path()) <= 1, "only the folder of the last start");
}

#[test]
fn many_lines_at_once_and_lines_that_grow_are_cut_into_records() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 1 << 30).unwrap();
    let many: Vec<_> = (0..5000).map(|n| line(n, 0, &n.to_string())).collect();
    spool.append(workflow(1), &many).unwrap();
    let worst = "\u{1}".repeat(16 * 1024);
    spool.append(workflow(1), &vec![line(0, 0, &worst); 100]).unwrap();
    let found = drain(&spool);
    assert_eq!(found.len(), 5100);
    assert!(found.iter().map(|(seq, _)| *seq).eq(1..=5100));
    assert!(found.iter().skip(5000).all(|(_, text)| *text == worst));
}

#[test]
fn a_full_spool_counts_what_it_drops_and_says_so_where_it_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 16 * 1024).unwrap();
    let text = |n: usize| format!("{n} {}", "x".repeat(200));
    for n in 0..1000 {
        spool.append(workflow(1), &[line(1, 0, &text(n))]).unwrap();
    }
    let size: u64 = walk(dir.path());
    assert!(size <= 16 * 1024, "{size}");
    // One file's worth of room.
    let batch = spool.next().unwrap().unwrap();
    spool.acknowledge(&batch).unwrap();
    let sent: Shipments = serde_json::from_str(&batch.body).unwrap();
    let first: Vec<_> = sent.shipments.into_iter().flat_map(|s| s.lines).collect();
    spool.append(workflow(1), &[line(1, 0, "later")]).unwrap();
    let rest = drain(&spool);
    let kept = first.len() + rest.len() - 2;
    let place = rest.len() - 2;
    assert!(rest[place].1.starts_with(&format!("{} lines of this workflow", 1000 - kept)));
    assert_eq!(rest[place + 1].1, "later");
    let texts = first.into_iter().map(|line| line.text);
    let all: Vec<_> = texts.chain(rest.into_iter().take(place).map(|(_, text)| text)).collect();
    assert!(all.into_iter().eq((0..kept).map(text)), "the oldest are kept");
}

#[test]
fn what_was_dropped_is_told_although_nothing_more_comes() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 8 * 1024).unwrap();
    for n in 0..100 {
        spool.append(workflow(n % 2), &[line(7, 3, &"y".repeat(500))]).unwrap();
    }
    let mut last = Vec::new();
    spool.close(Duration::from_secs(60));
    while let Some(batch) = spool.next().unwrap() {
        let sent: Shipments = serde_json::from_str(&batch.body).unwrap();
        last.extend(sent.shipments);
        spool.acknowledge(&batch).unwrap();
    }
    for n in 0..2 {
        let of = last.iter().rfind(|shipment| shipment.workflow == workflow(n)).unwrap();
        let line = of.lines.last().unwrap();
        assert_eq!((line.stream, line.node.0, line.attempt), (Stream::System, 3, 1));
        assert!(line.text.contains("missing from here on"), "{}", line.text);
    }
}

#[test]
fn a_torn_record_ends_its_file_only() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..2 {
        let spool = Spool::open(dir.path(), 1 << 20).unwrap();
        spool.append(workflow(1), &[line(1, 0, &format!("good {n}"))]).unwrap();
        spool.append(workflow(1), &[line(1, 0, "torn")]).unwrap();
        drop(spool);
        let newest = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).max();
        let file = std::fs::read_dir(newest.unwrap()).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    }
    let spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(workflow(1), &[line(1, 0, "new")]).unwrap();
    let found: Vec<_> = drain(&spool).into_iter().map(|(_, text)| text).collect();
    assert_eq!(found, ["good 0", "good 1", "new"]);
}

/// The file that a new spool writes first, on a disk that is full.
fn first_file_on_a_full_disk(dir: &Path) {
    let own = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    std::os::unix::fs::symlink("/dev/full", own.join(format!("{:020}.spool", 1))).unwrap();
}

#[test]
fn lines_after_a_full_disk_stay_and_those_before_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 1 << 20).unwrap();
    for _ in 0..2 {
        first_file_on_a_full_disk(dir.path());
        let lost = [line(1, 0, "lost"), line(1, 0, "lost too")];
        let error = spool.append(workflow(1), &lost).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
    spool.append(workflow(1), &[line(1, 0, "kept")]).unwrap();
    let found = drain(&spool);
    assert!(found[0].1.starts_with("4 lines of this workflow"), "{found:?}");
    assert_eq!((found.len(), found[1].1.as_str()), (2, "kept"));
}

#[test]
fn what_a_full_disk_took_is_told_although_nothing_more_comes() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 1 << 20).unwrap();
    first_file_on_a_full_disk(dir.path());
    spool.append(workflow(1), &[line(1, 0, "lost")]).unwrap_err();
    let found = drain(&spool);
    assert_eq!(found.len(), 1);
    assert!(found[0].1.starts_with("1 lines of this workflow"), "{found:?}");
}

#[test]
fn what_is_refused_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(workflow(1), &[line(1, 0, "bad"), line(1, 0, "worse")]).unwrap();
    spool.close(Duration::from_secs(60));
    let mut sent = Vec::new();
    while let Some(batch) = spool.next().unwrap() {
        spool.give_up(&batch).unwrap();
        spool.acknowledge(&batch).unwrap();
        sent.push(batch.body);
        assert!(sent.len() < 3, "{sent:?}");
    }
    assert!(sent[1].contains("2 lines of this workflow"), "{sent:?}");
}

#[test]
fn what_a_later_version_sends_can_be_read() {
    let id = workflow(1);
    let text = format!(
        r#"{{"source": "{id}", "new": 1, "shipments": [{{"workflow": "{id}", "seq": 1, "lines": [], "new": 1}}]}}"#
    );
    let sent: Shipments = serde_json::from_str(&text).unwrap();
    assert_eq!(sent.shipments.len(), 1);
    let text = r#"{"query": {"new": 1}, "after": 1, "limit": 2, "new": 1}"#;
    let read: LogRead = serde_json::from_str(text).unwrap();
    assert_eq!((read.after.0, read.limit), (1, 2));
}

fn walk(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|e| if e.path().is_dir() { walk(&e.path()) } else { e.metadata().unwrap().len() })
        .sum()
}
