//! What becomes of standard output and standard error.

use super::*;

#[test]
fn each_streams_lines_keep_their_order_and_their_attempt() {
    let mut rig = Rig::new(1);
    let order =
        rig.order(&["sh", "-c", "for i in 1 2 3; do echo o$i; echo e$i >&2; done; printf end"]);
    rig.run(&order);
    assert_eq!(rig.texts(Stream::Stdout), ["o1", "o2", "o3", "end"]);
    assert_eq!(rig.texts(Stream::Stderr), ["e1", "e2", "e3"]);
    let logs = rig.logs.0.lock().unwrap();
    let ours = |line: &LogLine| (line.node, line.attempt, line.cut) == (order.key.node, 1, false);
    assert!(logs.iter().all(ours));
}

#[test]
fn output_is_handed_on_while_the_task_runs() {
    let mut rig = Rig::new(1);
    let order = rig.order(&["sh", "-c", "echo up; read -r never < fifo || exec sleep 1000"]);
    rig.start(&order);
    rig.hear("up");
    rig.runner.stop(order.attempt);
    rig.finished();
}

#[test]
fn a_long_line_is_cut_and_can_be_put_together_again() {
    let mut rig = Rig::new(1);
    // 16 MiB without a newline, every 7th byte begins a two-byte character.
    let report = rig.sh("yes 'abcdeé' | tr -d '\\n' | head -c 16777216");
    assert_eq!(report.failure, None);
    let result = report.result.unwrap();
    assert!(result.len() <= 256 * 1024 && result.len() > 256 * 1024 - 4);
    let logs = rig.logs.0.lock().unwrap();
    assert!(logs.iter().all(|line| line.text.len() <= 16 * 1024));
    let cut: Vec<bool> = logs.iter().map(|line| line.cut).collect();
    let (last, rest) = cut.split_last().unwrap();
    assert!(!last && rest.iter().all(|cut| *cut));
    let whole: String = logs.iter().map(|line| line.text.as_str()).collect();
    let expected = "abcdeé".repeat(16_777_216 / 7 + 1);
    let mut bytes = expected.into_bytes();
    bytes.truncate(16_777_216);
    assert_eq!(whole, String::from_utf8_lossy(&bytes));
}

#[test]
fn lines_at_the_limit_are_not_cut() {
    let mut rig = Rig::new(1);
    rig.sh(
        "head -c 16384 /dev/zero | tr '\\0' x; echo; head -c 16385 /dev/zero | tr '\\0' y; echo",
    );
    let logs = rig.logs.0.lock().unwrap();
    let shape: Vec<_> = logs.iter().map(|line| (line.text.len(), line.cut)).collect();
    assert_eq!(shape, [(16384, false), (16384, true), (1, false)]);
}

#[test]
fn binary_output_stays_within_the_bounds() {
    let mut rig = Rig::new(1);
    let report = rig.sh("head -c 1000000 /dev/zero | tr '\\0' '\\377'");
    assert!(report.result.unwrap().len() <= 256 * 1024);
    let logs = rig.logs.0.lock().unwrap();
    assert!(logs.iter().all(|line| line.text.len() <= 16 * 1024));
    let bytes: usize = logs.iter().map(|line| line.text.len()).sum();
    assert_eq!(bytes, 3_000_000, "every byte was replaced");
}

#[test]
fn the_result_is_the_end_of_standard_output() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.sh("printf 'a\\n\\n'").result.as_deref(), Some("a\n"));
    assert_eq!(rig.sh("echo").result.as_deref(), Some(""));
    assert_eq!(rig.sh("echo x >&2").result, None);
    let report = rig.sh("seq 1 200000; exit 1");
    let result = report.result.unwrap();
    assert!(result.ends_with("\n199999\n200000"));
    assert!(result.len() <= 256 * 1024 && result.len() > 256 * 1024 - 8);
    assert_eq!(rig.texts(Stream::Stdout).len(), 200_003);
}
