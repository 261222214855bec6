//! What is shipped twice is kept once, whatever died in between.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use flowforge_model::id::InstanceId;
use flowforge_ports::logs::{Intake, LogCursor, LogQuery, LogStore, Shipment};
use uuid::Uuid;

use super::conforms::{ALL, line, workflow};
use super::files;
use crate::{MemoryLogs, SegmentLogs};

fn source(n: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(n))
}

fn shipment(seq: u64, texts: &[&str]) -> Shipment {
    let lines = texts.iter().map(|text| line(1, 0, text)).collect();
    Shipment { workflow: workflow(1), seq, lines }
}

fn texts(logs: &dyn LogStore) -> Vec<String> {
    let page = logs.read(workflow(1), &LogQuery::default(), LogCursor(0), ALL).unwrap();
    page.lines.into_iter().map(|(_, line)| line.text).collect()
}

fn takes_in_once(logs: &impl Intake) {
    logs.take_in(source(1), &shipment(3, &["a", "b"])).unwrap();
    logs.take_in(source(1), &shipment(3, &["a", "b"])).unwrap();
    logs.take_in(source(1), &shipment(4, &["b", "c"])).unwrap();
    logs.take_in(source(2), &shipment(1, &["d"])).unwrap();
    logs.append(workflow(1), &[line(1, 0, "plain")]).unwrap();
    logs.take_in(source(1), &shipment(2, &["old", "a", "b", "c"])).unwrap();
    logs.take_in(source(1), &shipment(9, &["e"])).unwrap();
    assert_eq!(texts(logs), ["a", "b", "c", "d", "plain", "e"]);
}

#[test]
fn a_line_is_taken_in_once() {
    takes_in_once(&MemoryLogs::new());
    let dir = tempfile::tempdir().unwrap();
    takes_in_once(&SegmentLogs::open(dir.path()).unwrap());
    let logs = SegmentLogs::open(dir.path()).unwrap();
    logs.take_in(source(1), &shipment(9, &["e"])).unwrap();
    logs.seal(workflow(1)).unwrap();
    logs.take_in(source(1), &shipment(9, &["e", "f"])).unwrap();
    assert_eq!(texts(&logs).len(), 7);
    logs.delete(workflow(1)).unwrap();
    logs.take_in(source(1), &shipment(9, &["e"])).unwrap();
    assert_eq!(texts(&logs), ["e"], "nothing is known of a log that was deleted");
}

/// Two frames in one shipment, written up to any byte; then it comes again, also after others.
#[test]
fn a_death_at_any_byte_neither_loses_nor_doubles_a_line() {
    let long = "noise ".repeat(100_000);
    let shipped = shipment(2, &["b", &long, "c"]);
    let dir = tempfile::tempdir().unwrap();
    let logs = SegmentLogs::open(dir.path()).unwrap();
    logs.take_in(source(1), &shipment(1, &["a"])).unwrap();
    let path = files(dir.path()).remove(0);
    let receipts = path.with_file_name("receipts");
    let good = fs::read(&path).unwrap().len();
    let noted = fs::read(&receipts).unwrap().len();
    logs.take_in(source(1), &shipped).unwrap();
    let (whole, notes) = (fs::read(&path).unwrap(), fs::read(&receipts).unwrap());
    let mut partly = 0;
    let receipt_first = (noted..=notes.len()).map(|note| (note, good));
    for (note, cut) in receipt_first.chain((good..=whole.len()).map(|cut| (notes.len(), cut))) {
        for plain in [false, true] {
            fs::write(&path, whole.get(..cut).unwrap()).unwrap();
            fs::write(&receipts, notes.get(..note).unwrap()).unwrap();
            let logs = SegmentLogs::open(dir.path()).unwrap();
            let before = texts(&logs).len();
            partly += usize::from((2..4).contains(&before));
            if plain {
                logs.append(workflow(1), &[line(1, 0, "plain")]).unwrap();
            }
            logs.take_in(source(1), &shipped).unwrap();
            let found = texts(&logs);
            let ours: Vec<_> = found.iter().filter(|text| **text != "plain").collect();
            assert_eq!(ours, ["a", "b", &long, "c"], "{note} {cut} {before}");
        }
    }
    assert!(partly > 0, "no cut was between the frames");
}

/// A receipt that is torn, as the first or after what earlier ones amount to, spoils none that follow.
#[test]
fn what_follows_a_torn_receipt_is_known_after_two_restarts() {
    for earlier in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        let open = || SegmentLogs::open(dir.path()).unwrap();
        if earlier > 0 {
            open().take_in(source(1), &shipment(1, &["a"])).unwrap();
            // Read, and settled by that.
            assert_eq!(texts(&open()), ["a"]);
        }
        let folder = dir.path().join(workflow(1).to_string());
        fs::create_dir_all(&folder).unwrap();
        let receipts = folder.join("receipts");
        let mut bytes = fs::read(&receipts).unwrap_or_default();
        bytes.extend_from_slice(&[7; 11]);
        fs::write(&receipts, bytes).unwrap();
        for _ in 0..3 {
            open().take_in(source(1), &shipment(2, &["b"])).unwrap();
        }
        let expected = ["a", "b"];
        assert_eq!(texts(&open()), expected[1 - earlier..]);
    }
}

#[test]
fn receipts_stay_few() {
    let dir = tempfile::tempdir().unwrap();
    let logs = SegmentLogs::open(dir.path()).unwrap();
    for seq in 1..=3000 {
        logs.take_in(source(1), &shipment(seq, &["x"])).unwrap();
    }
    let receipts = files(dir.path()).into_iter().find(|path| path.ends_with("receipts")).unwrap();
    assert!(fs::metadata(&receipts).unwrap().len() <= 41 * 1024);
    let logs = SegmentLogs::open(dir.path()).unwrap();
    logs.take_in(source(1), &shipment(2999, &["x", "x", "new"])).unwrap();
    assert_eq!(texts(&logs).len(), 3001);
    assert!(fs::metadata(&receipts).unwrap().len() <= 80);
}

/// Each pod is a source of its own: what they amount to is not written anew for each line.
#[test]
fn many_sources_are_known_and_settled_rarely() {
    let dir = tempfile::tempdir().unwrap();
    let logs = SegmentLogs::open(dir.path()).unwrap();
    let mut inodes = std::collections::BTreeSet::new();
    for n in 1..=1500 {
        logs.take_in(source(n), &shipment(1, &["a"])).unwrap();
        let receipts = files(dir.path()).remove(0).with_file_name("receipts");
        inodes.insert(fs::metadata(receipts).unwrap().ino());
    }
    assert!(inodes.len() < 4, "written anew {} times", inodes.len());
    let logs = SegmentLogs::open(dir.path()).unwrap();
    for n in 1..=1500 {
        logs.take_in(source(n), &shipment(1, &["a"])).unwrap();
    }
    assert_eq!(texts(&logs).len(), 1500);
}
