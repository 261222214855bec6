//! What every log store must do. Also run by the service that answers for a store elsewhere.

use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{LogCursor, LogLine, LogQuery, LogStore, Stream};

pub(crate) const ALL: usize = usize::MAX;

pub(crate) fn workflow(n: u8) -> WorkflowId {
    format!("01890a5d-ac96-774b-bcce-b302099a80{n:02x}").parse().unwrap()
}

pub(crate) fn line(at: i64, node: u32, text: &str) -> LogLine {
    LogLine {
        at: Timestamp(at),
        node: NodeIx(node),
        attempt: 1,
        stream: Stream::Stdout,
        text: text.to_owned(),
        cut: false,
    }
}

pub(crate) fn numbers(logs: &dyn LogStore, query: &LogQuery) -> Vec<u64> {
    let page = logs.read(workflow(1), query, LogCursor(0), ALL).unwrap();
    assert!(page.end);
    page.lines.iter().map(|(cursor, _)| cursor.0).collect()
}

/// What every store must do.
pub(crate) fn conforms(logs: &dyn LogStore) {
    let (mine, query) = (workflow(1), LogQuery::default());
    let empty = logs.read(mine, &query, LogCursor(7), 10).unwrap();
    assert_eq!((empty.lines.len(), empty.next, empty.end), (0, LogCursor(7), true));
    logs.append(mine, &[]).unwrap();
    let odd = LogLine {
        attempt: 2,
        stream: Stream::Stderr,
        cut: true,
        ..line(-5, 9, "\u{1b}[31mröd\r\0")
    };
    let written = [line(10, 0, "alpha"), odd, line(20, 1, ""), line(15, 0, "beta alpha")];
    logs.append(mine, written.get(..1).unwrap()).unwrap();
    logs.append(mine, written.get(1..).unwrap()).unwrap();
    logs.append(workflow(2), &[line(0, 0, "other")]).unwrap();
    let all = logs.read(mine, &query, LogCursor(0), ALL).unwrap();
    let expected: Vec<_> = (1..).map(LogCursor).zip(written).collect();
    assert_eq!((all.lines, all.next, all.end), (expected.clone(), LogCursor(4), true));

    let page = logs.read(mine, &query, LogCursor(1), 2).unwrap();
    assert_eq!(page.lines, expected.get(1..3).unwrap());
    assert_eq!((page.next, page.end), (LogCursor(3), false));
    let none = logs.read(mine, &query, LogCursor(3), 0).unwrap();
    assert_eq!((none.lines.len(), none.next, none.end), (0, LogCursor(3), false));
    let beyond = logs.read(mine, &query, LogCursor(9), 5).unwrap();
    assert_eq!((beyond.lines.len(), beyond.next, beyond.end), (0, LogCursor(9), true));

    let with = |change: &dyn Fn(&mut LogQuery)| {
        let mut query = LogQuery::default();
        change(&mut query);
        numbers(logs, &query)
    };
    assert_eq!(with(&|q| q.nodes = vec![NodeIx(9), NodeIx(1)]), [2, 3]);
    assert_eq!(with(&|q| q.attempt = Some(2)), [2]);
    assert_eq!(with(&|q| q.stream = Some(Stream::Stdout)), [1, 3, 4]);
    assert_eq!(with(&|q| q.contains = Some("alpha".to_owned())), [1, 4]);
    assert_eq!(with(&|q| q.contains = Some("ALPHA".to_owned())), [0_u64; 0]);
    assert_eq!(with(&|q| q.contains = Some(String::new())), [1, 2, 3, 4]);
    assert_eq!(with(&|q| q.since = Some(Timestamp(15))), [3, 4]);
    assert_eq!(with(&|q| q.until = Some(Timestamp(10))), [1, 2]);
    let miss = LogQuery { nodes: vec![NodeIx(77)], ..LogQuery::default() };
    let page = logs.read(mine, &miss, LogCursor(0), 1).unwrap();
    assert_eq!((page.lines.len(), page.next, page.end), (0, LogCursor(4), true));

    logs.seal(mine).unwrap();
    logs.seal(mine).unwrap();
    logs.append(mine, &[line(30, 0, "after")]).unwrap();
    assert_eq!(numbers(logs, &query), [1, 2, 3, 4, 5]);
    logs.delete(mine).unwrap();
    logs.delete(mine).unwrap();
    assert_eq!(numbers(logs, &query), [0_u64; 0]);
    logs.append(mine, &[line(1, 0, "new")]).unwrap();
    assert_eq!(numbers(logs, &query), [1]);
    let others = logs.read(workflow(2), &query, LogCursor(0), ALL).unwrap();
    assert_eq!(others.lines.len(), 1);
}
