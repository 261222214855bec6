//! Gangs: the same process several times as one attempt.

use flowforge_model::attempt::Program;

use super::*;

impl Rig {
    /// A gang whose members run a shell command line.
    fn gang(&mut self, size: u32, line: &str) -> WorkOrder {
        let mut order = self.order(&["sh", "-c", line]);
        let process = main_of(&mut order).clone();
        let main = Main::Gang { process, size };
        order.work = Work::Run(Box::new(Program { init: Vec::new(), main, sidecars: Vec::new() }));
        order
    }

    /// Waits until each member says something that ends like this.
    fn hear_all(&self, size: u32, text: &str) {
        for index in 0..size {
            self.hear(&format!("[{index}] {text}"));
        }
    }
}

/// What each member waits for, and finds: a file of every one in the folder of the rig.
fn meeting(rig: &Rig) -> String {
    let folder = rig.dir.path().display();
    format!(
        "touch {folder}/$FLOWFORGE_GANG_INDEX.here; \
         until [ $(ls {folder}/*.here | wc -l) -eq $FLOWFORGE_GANG_SIZE ]; do sleep 0.01; done"
    )
}

fn pids(rig: &Rig) -> Vec<String> {
    let lines = rig.texts(Stream::Stdout);
    lines.iter().filter_map(|line| Some(line.split_once("pid ")?.1.to_owned())).collect()
}

#[test]
fn all_members_run_at_a_time_and_the_first_gives_the_outputs() {
    let mut rig = Rig::new(4);
    let meet = meeting(&rig);
    let mut order = rig
        .gang(4, &format!("{meet}; echo $FLOWFORGE_GANG_INDEX of $FLOWFORGE_GANG_SIZE | tee out"));
    order.outputs = vec![output("o", "out")];
    let report = rig.run(&order);
    assert_eq!(report.failure, None);
    assert_eq!(report.exit_code, Some(0));
    assert_eq!(report.result.as_deref(), Some("0 of 4"));
    assert_eq!(report.outputs, [("o".to_owned(), "0 of 4".to_owned())]);
    let mut lines = rig.texts(Stream::Stdout);
    lines.sort();
    assert_eq!(lines, ["[0] 0 of 4", "[1] 1 of 4", "[2] 2 of 4", "[3] 3 of 4"]);
}

#[test]
fn a_gang_starts_and_ends_once() {
    let mut rig = Rig::new(3);
    let order = rig.gang(3, "true");
    rig.start(&order);
    assert!(matches!(rig.fact().kind, FactKind::Started(_)));
    assert!(matches!(rig.fact().kind, FactKind::Finished(_)));
    rig.runner.shut_down();
    assert!(rig.facts.try_recv().is_err());
    assert_eq!(std::fs::read_dir(rig.dir.path().join("work")).unwrap().count(), 0);
}

#[test]
fn the_first_that_fails_ends_the_others_and_is_named() {
    let mut rig = Rig::with(3, Millis(60_000));
    let meet = meeting(&rig);
    let order = rig.gang(
        3,
        &format!(
            "{meet}; [ $FLOWFORGE_GANG_INDEX = 2 ] && echo broken >&2 && exit 3; \
             trap 'echo bye; exit 0' TERM; echo pid $$; while :; do sleep 0.01; done"
        ),
    );
    let report = rig.run(&order);
    let told = (FailureClass::User, Reason::ExitCode, "member 2: exit code 3: broken");
    assert_eq!(failed(&report), told);
    assert_eq!((report.exit_code, report.result), (Some(3), None));
    for pid in pids(&rig) {
        ends(&pid);
    }
}

#[test]
fn outputs_of_a_gang_that_failed_are_never_those_of_another_member() {
    let mut rig = Rig::new(2);
    let mut order = rig.gang(2, "echo $FLOWFORGE_GANG_INDEX > out; exit $FLOWFORGE_GANG_INDEX");
    order.outputs = vec![output("o", "out")];
    let report = rig.run(&order);
    assert_eq!(failed(&report).2, "member 1: exit code 1");
    assert_eq!(report.outputs, []);
}

#[test]
fn none_starts_if_one_cannot() {
    let mut rig = Rig::new(3);
    let ran = rig.dir.path().join("ran");
    let mut order = rig.gang(3, &format!("touch {}", ran.display()));
    let Work::Run(program) = &mut order.work else { panic!("a request") };
    let Main::Gang { process, .. } = &mut program.main else { panic!("no gang") };
    process.working_dir = Some("/no/such/place".to_owned());
    let report = rig.run(&order);
    assert!(failed(&report).2.starts_with("member "), "{report:?}");
    assert_eq!(report.started_at, None);
    assert!(!ran.exists());
}

/// All members have a place before any of them starts: the last one finds none.
#[test]
fn none_starts_without_the_last() {
    let mut rig = Rig::new(3);
    let ran = rig.dir.path().join("ran");
    let order = rig.gang(3, &format!("touch {}", ran.display()));
    let work = rig.dir.path().join("work");
    // Where the third would have its directory.
    std::fs::write(work.join("2"), "in the way").unwrap();
    let report = rig.run(&order);
    assert_eq!(failed(&report).1, Reason::SpawnFailed);
    assert_eq!(report.started_at, None);
    assert!(!ran.exists());
}

#[test]
fn a_stop_and_a_deadline_are_for_all_members() {
    let line = "echo pid $$; echo up; exec sleep 1000";
    let mut rig = Rig::new(3);
    let order = rig.gang(3, line);
    rig.start(&order);
    rig.hear_all(3, "up");
    rig.runner.stop(order.attempt);
    let report = rig.finished();
    assert_eq!(failed(&report), (FailureClass::Stopped, Reason::Stopped, "stopped"));

    let mut order = rig.gang(3, line);
    order.deadline = Some(Millis(200));
    let report = rig.run(&order);
    let late = "stopped: it ran longer than its deadline";
    assert_eq!(failed(&report), (FailureClass::User, Reason::Deadline, late));
    let all = pids(&rig);
    assert!(all.len() >= 3, "{all:?}");
    for pid in all {
        ends(&pid);
    }
}

#[test]
fn a_server_that_goes_takes_all_members_along() {
    let mut rig = Rig::new(2);
    let order = rig.gang(2, "trap '' TERM; echo pid $$; echo up; while :; do sleep 0.01; done");
    rig.start(&order);
    rig.hear_all(2, "up");
    // As the next server of this data directory does.
    assert!(crate::end_survivors(&rig.dir.path().display().to_string()) >= 2);
    let report = rig.finished();
    assert_eq!(report.exit_code, Some(137));
    for pid in pids(&rig) {
        ends(&pid);
    }
}

#[test]
fn a_gang_that_is_larger_than_the_executor_is_refused() {
    let mut rig = Rig::new(2);
    let order = rig.gang(3, "true");
    let report = rig.run(&order);
    let (class, reason, message) = failed(&report);
    assert_eq!((class, reason), (FailureClass::Error, Reason::NotPossible));
    assert!(message.contains("runs 2 at a time"), "{message}");
}

#[test]
fn long_lines_of_a_member_stay_within_the_limit() {
    let mut rig = Rig::new(2);
    let order = rig.gang(2, "yes x | tr -d '\\n' | head -c 40000");
    assert_eq!(rig.run(&order).failure, None);
    let lines = rig.texts(Stream::Stdout);
    assert!(lines.iter().all(|line| line.len() <= 16 * 1024 && line.starts_with('[')));
    let chars: usize = lines.iter().map(|line| line.matches('x').count()).sum();
    assert_eq!(chars, 80_000);
}
