//! How fast logs are written, sealed and searched: a million lines of about 94 bytes.

#![expect(clippy::print_stdout, reason = "prints its result")]

use std::time::Instant;

use flowforge_logstore::SegmentLogs;
use flowforge_model::id::{NodeIx, WorkflowId, mix};
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{LogCursor, LogLine, LogQuery, LogStore, Stream};

const LINES: u32 = 1_000_000;
const BATCH: u32 = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("scan-speed-{}", std::process::id()));
    let workflow: WorkflowId = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
    let logs = SegmentLogs::open(&dir)?;
    let mut bytes = 0;
    let begin = Instant::now();
    for batch in 0..LINES / BATCH {
        let lines: Vec<LogLine> = (0..BATCH).map(|n| line(batch * BATCH + n)).collect();
        bytes += lines.iter().map(|line| line.text.len() + 1).sum::<usize>();
        logs.append(workflow, &lines)?;
    }
    let size = || -> std::io::Result<u64> {
        let files = std::fs::read_dir(dir.join(workflow.to_string()))?;
        files.map(|file| Ok(file?.metadata()?.len())).sum()
    };
    let spent = begin.elapsed();
    println!("append  {LINES} lines, {bytes} bytes: {spent:.2?}, {} bytes on disk", size()?);
    search(&logs, workflow)?;
    let begin = Instant::now();
    logs.seal(workflow)?;
    println!("seal    {:.2?}, {} bytes on disk", begin.elapsed(), size()?);
    search(&logs, workflow)?;
    let begin = Instant::now();
    drop(SegmentLogs::open(&dir)?.read(workflow, &LogQuery::default(), LogCursor(0), 1)?);
    println!("reopen  {:.2?}", begin.elapsed());
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn search(logs: &SegmentLogs, workflow: WorkflowId) -> std::io::Result<()> {
    let text = |text: &str| LogQuery { contains: Some(text.to_owned()), ..LogQuery::default() };
    let node = LogQuery { nodes: vec![NodeIx(4321)], ..LogQuery::default() };
    let cases = [
        ("all, paged by 1000", LogQuery::default()),
        ("a text that is not there", text("no such words")),
        ("a text on 1 of 1000 lines", text("request 777 ")),
        ("one task of 10000", node),
    ];
    for (name, query) in cases {
        let begin = Instant::now();
        let (mut found, mut next) = (0, LogCursor(0));
        loop {
            let page = logs.read(workflow, &query, next, 1000)?;
            found += page.lines.len();
            next = page.next;
            if page.end {
                break;
            }
        }
        println!("scan    {name}: {found} lines in {:.2?}", begin.elapsed());
    }
    Ok(())
}

fn line(n: u32) -> LogLine {
    let noise = mix(u64::from(n));
    LogLine {
        at: Timestamp(1_700_000_000_000 + i64::from(n)),
        node: NodeIx(n / BATCH),
        attempt: 1,
        stream: Stream::Stdout,
        text: format!(
            "2024-01-01T00:00:00Z INFO worker{}: request {} took {} ms, id={noise:016x} status=200 ok",
            n % 7,
            n % 1000,
            noise % 997,
        ),
        cut: false,
    }
}
