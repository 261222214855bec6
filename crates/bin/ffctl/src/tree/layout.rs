//! Fits a tree into a number of lines: the less room, the more is folded.

use flowforge_model::status::Reason;

use super::{Counts, Node, Status, Tree, is_final};

/// One line to show; text of strangers is not escaped yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line {
    /// What draws the tree.
    pub(crate) guides: String,
    /// Decides symbol and colour.
    pub(crate) status: Status,
    pub(crate) label: String,
    /// The status, or how many of which.
    pub(crate) words: String,
    /// Milliseconds.
    pub(crate) span: Option<u64>,
    pub(crate) note: String,
}

/// How much is folded; each level folds what the one before does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fold {
    Nothing,
    /// The items of loops.
    Loops,
    /// Groups of which all is over.
    Done,
    /// Siblings of equal status.
    Siblings,
    /// All groups.
    Groups,
}

const FOLDS: [Fold; 5] = [Fold::Nothing, Fold::Loops, Fold::Done, Fold::Siblings, Fold::Groups];

/// Fewer siblings or items than this are no crowd.
const CROWD: usize = 4;

/// Statuses in the order in which they are counted up.
const ORDER: [&str; 8] =
    ["SUCCEEDED", "FAILED", "RUNNING", "RETRYING", "QUEUED", "PENDING", "SKIPPED", "CANCELLED"];

/// The tree in at most `height` lines (at least one). `now` is in milliseconds since the epoch.
pub(crate) fn lines(tree: &Tree, height: usize, now: i64) -> Vec<Line> {
    let height = height.max(1);
    let mut best = Vec::new();
    for fold in FOLDS {
        let mut view = View { tree, fold, now, room: height, lines: Vec::new() };
        view.header();
        let all = view.tops();
        best = view.lines;
        if all {
            return best;
        }
    }
    // Even folded it is too much: say so in the last line.
    best.truncate(height);
    if let Some(last) = best.last_mut().filter(|_| height > 1) {
        *last = Line { words: "… more than fits here".to_owned(), ..Line::default() };
    }
    best
}

struct View<'a> {
    tree: &'a Tree,
    fold: Fold,
    now: i64,
    room: usize,
    lines: Vec<Line>,
}

/// One line below a group: a node, or several alike.
enum Entry {
    One(u32),
    Many(Vec<u32>),
}

impl View<'_> {
    fn header(&mut self) {
        let tree = self.tree;
        let counts = tree.totals();
        let total: usize = counts.values().sum();
        let over: usize =
            counts.iter().filter(|(status, _)| is_final(status)).map(|(_, count)| count).sum();
        let mut line = self.line(&tree.workflow, tree.name.clone());
        line.words = format!("{}  {over}/{total} tasks", tree.workflow.status);
        self.lines.push(line);
    }

    /// Lines of everything; `false` as soon as there is no room.
    fn tops(&mut self) -> bool {
        let mut entries = Vec::new();
        for &top in &self.tree.tops {
            // The root is the workflow itself: what is in it stands at the top.
            match self.tree.node(top) {
                Some(root) if top == 0 && !root.children.is_empty() => {
                    entries.extend(self.entries(&root.children));
                }
                Some(root) if top == 0 && root.label.is_empty() => {}
                _ => entries.push(Entry::One(top)),
            }
        }
        self.level(&entries, "")
    }

    fn level(&mut self, entries: &[Entry], guides: &str) -> bool {
        let last = entries.len().saturating_sub(1);
        entries.iter().enumerate().all(|(at, entry)| {
            if self.lines.len() >= self.room {
                return false;
            }
            let (branch, deeper) =
                if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let branch = format!("{guides}{branch}");
            match entry {
                Entry::One(ix) => self.one(*ix, branch, &format!("{guides}{deeper}")),
                Entry::Many(members) => {
                    self.many(members, branch);
                    true
                }
            }
        })
    }

    fn one(&mut self, ix: u32, guides: String, deeper: &str) -> bool {
        let Some(node) = self.tree.node(ix) else {
            return true;
        };
        let mut line = self.line(node, node.label.clone());
        line.guides = guides;
        let folded = self.folds(node);
        if folded {
            self.counted(&mut line, &node.children);
            if let Some(items) = items(self.tree, node) {
                line.label = format!("{}(0..{})", node.label, items.saturating_sub(1));
            }
        }
        self.lines.push(line);
        folded || self.level(&self.entries(&node.children), deeper)
    }

    fn many(&mut self, members: &[u32], guides: String) {
        let nodes = || members.iter().filter_map(|&ix| self.tree.node(ix));
        let (Some(first), Some(last)) = (nodes().next(), nodes().next_back()) else {
            return;
        };
        let mut line = Line {
            guides,
            status: first.status.clone(),
            label: format!("{} … {}", first.label, last.label),
            ..Line::default()
        };
        self.counted(&mut line, members);
        self.lines.push(line);
    }

    /// Puts the counts of what is below into the line, and why the first that failed did.
    fn counted(&self, line: &mut Line, below: &[u32]) {
        let mut counts = Counts::new();
        for &ix in below {
            self.tree.count(ix, &mut counts);
        }
        line.words = counted(&counts);
        let failed = below.iter().filter_map(|&ix| self.tree.node(ix));
        let failed = failed.filter(|node| &*node.status == "FAILED").find_map(|node| {
            let why = node.note.as_ref()?;
            Some(format!("{}: {why}", node.label))
        });
        line.note = failed.unwrap_or_default();
    }

    fn folds(&self, node: &Node) -> bool {
        if node.children.is_empty() {
            return false;
        }
        let crowd = items(self.tree, node).is_some_and(|items| items >= CROWD);
        match self.fold {
            Fold::Nothing => false,
            Fold::Loops => crowd,
            Fold::Done | Fold::Siblings => crowd || is_final(&node.status),
            Fold::Groups => true,
        }
    }

    /// Siblings, those alike in one entry if there is little room.
    fn entries(&self, children: &[u32]) -> Vec<Entry> {
        if self.fold < Fold::Siblings {
            return children.iter().copied().map(Entry::One).collect();
        }
        let mut alike: Vec<(&str, Vec<u32>)> = Vec::new();
        let mut entries: Vec<(u32, Entry)> = Vec::new();
        for &ix in children {
            let Some(node) = self.tree.node(ix) else {
                continue;
            };
            if !node.children.is_empty() && !self.folds(node) {
                entries.push((ix, Entry::One(ix)));
                continue;
            }
            match alike.iter_mut().find(|(status, _)| *status == node.status) {
                Some((_, members)) => members.push(ix),
                None => alike.push((&node.status, vec![ix])),
            }
        }
        for (_, members) in alike {
            if members.len() < CROWD {
                entries.extend(members.into_iter().map(|ix| (ix, Entry::One(ix))));
            } else if let Some(&first) = members.first() {
                entries.push((first, Entry::Many(members)));
            }
        }
        entries.sort_by_key(|(first, _)| *first);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    fn line(&self, node: &Node, label: String) -> Line {
        let end = node.finished.unwrap_or(self.now);
        let mut note = String::new();
        if node.attempt > 1 {
            note = format!("try {}", node.attempt);
        }
        // What went well needs no words, unless it did not run at all.
        let silent = |why: &str| &*node.status == "SUCCEEDED" && why != Reason::Memoized.as_str();
        if let Some(why) = node.note.as_ref().filter(|why| !silent(why)) {
            if !note.is_empty() {
                note.push_str(", ");
            }
            note.push_str(why);
        }
        Line {
            guides: String::new(),
            status: node.status.clone(),
            label,
            words: node.status.to_string(),
            span: node.started.map(|start| u64::try_from(end.saturating_sub(start)).unwrap_or(0)),
            note,
        }
    }
}

/// How many items a loop has; none if the node is no loop with items.
fn items(tree: &Tree, node: &Node) -> Option<usize> {
    let first = tree.node(*node.children.first()?)?;
    let is_item = first.label.starts_with('(') && first.label.contains(':');
    is_item.then_some(node.children.len())
}

/// `37 succeeded, 8 running, 5 pending`
pub(crate) fn counted(counts: &Counts) -> String {
    let known = ORDER.iter().filter_map(|&status| Some((status, counts.get(status)?)));
    let other = counts
        .iter()
        .filter(|(status, _)| !ORDER.contains(&&***status))
        .map(|(status, count)| (&**status, count));
    let parts =
        known.chain(other).map(|(status, count)| format!("{count} {}", status.to_lowercase()));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowforge_model::time::Timestamp;
    use flowforge_wire::{Event, Time};

    /// `node name STATUS`, a second apart.
    fn tree(events: &[(u32, &str, &str)]) -> Tree {
        let mut tree = Tree { name: "demo".to_owned(), ..Tree::default() };
        let event = |seq: usize, node: Option<u32>, task: Option<&str>, status: &str| Event {
            seq: u64::try_from(seq).unwrap(),
            at: Time(Timestamp(i64::try_from(seq).unwrap() * 1000)),
            r#type: if node.is_some() { "task" } else { "workflow" }.to_owned(),
            status: status.to_owned(),
            reason: None,
            message: (status == "FAILED").then(|| "exit code 3".to_owned()),
            generation: None,
            task: task.map(str::to_owned),
            node,
            attempt: node.map(|_| 1),
            exit_code: None,
        };
        tree.apply(&event(0, None, None, "RUNNING"));
        tree.apply(&event(0, Some(0), Some(""), "RUNNING"));
        for (seq, (node, name, status)) in events.iter().enumerate() {
            tree.apply(&event(seq + 1, Some(*node), Some(name), status));
        }
        tree
    }

    fn text(tree: &Tree, height: usize) -> String {
        let shown = lines(tree, height, 90_000);
        assert!(shown.len() <= height, "{} lines of {height}", shown.len());
        let line = |line: &Line| {
            let span = line.span.map(crate::paint::span).unwrap_or_default();
            let text =
                format!("{}{}  {}  {span}  {}", line.guides, line.label, line.words, line.note);
            text.trim_end().to_owned()
        };
        shown.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn loop_tree() -> Tree {
        let mut events =
            vec![(1, "extract".to_owned(), "SUCCEEDED"), (2, "transform".to_owned(), "RUNNING")];
        for item in 0..50_u32 {
            let status = match item {
                0..37 => "SUCCEEDED",
                37..45 => "RUNNING",
                _ => "PENDING",
            };
            events.push((3 + item, format!("transform({item}:file.{item})"), status));
        }
        events.push((60, "group".to_owned(), "RUNNING"));
        events.push((61, "group.inner".to_owned(), "FAILED"));
        events.push((62, "report".to_owned(), "PENDING"));
        let events: Vec<_> = events.iter().map(|(n, name, s)| (*n, &**name, *s)).collect();
        tree(&events)
    }

    #[test]
    fn a_small_tree_is_shown_whole() {
        let tree = tree(&[
            (1, "a", "RUNNING"),
            (2, "b", "PENDING"),
            (3, "c", "RUNNING"),
            (4, "c.x", "FAILED"),
            (5, "c.y(0:k.v)", "QUEUED"),
            (6, "onExit-1", "PENDING"),
            (1, "a", "SUCCEEDED"),
        ]);
        insta::assert_snapshot!(text(&tree, 24), @r"
        demo  RUNNING  2/5 tasks  1m30s
        ├─ a  SUCCEEDED  6.0s
        ├─ b  PENDING
        ├─ c  RUNNING  1m27s
        │  ├─ x  FAILED    exit code 3
        │  └─ y(0:k.v)  QUEUED
        └─ onExit-1  PENDING
        ");
    }

    #[test]
    fn a_task_may_be_heard_of_before_its_group() {
        let early = tree(&[
            (3, "a.b.c", "RUNNING"),
            (5, "ab", "PENDING"),
            (2, "a.b", "RUNNING"),
            (4, "a.b.d", "PENDING"),
            (1, "a", "RUNNING"),
            (7, "onExit-1.x", "PENDING"),
            (6, "onExit-1", "RUNNING"),
        ]);
        insta::assert_snapshot!(text(&early, 24), @r"
        demo  RUNNING  0/4 tasks  1m30s
        ├─ a  RUNNING  1m25s
        │  └─ b  RUNNING  1m27s
        │     ├─ c  RUNNING  1m29s
        │     └─ d  PENDING
        ├─ ab  PENDING
        └─ onExit-1  RUNNING  1m23s
           └─ x  PENDING
        ");
    }

    #[test]
    fn a_loop_is_folded_when_it_does_not_fit() {
        assert_eq!(text(&loop_tree(), 100).lines().count(), 56);
        insta::assert_snapshot!(text(&loop_tree(), 24), @r"
        demo  RUNNING  39/53 tasks  1m30s
        ├─ extract  SUCCEEDED
        ├─ transform(0..49)  37 succeeded, 8 running, 5 pending  1m28s
        ├─ group  RUNNING  37s
        │  └─ inner  FAILED    exit code 3
        └─ report  PENDING
        ");
        insta::assert_snapshot!(text(&loop_tree(), 5), @r"
        demo  RUNNING  39/53 tasks  1m30s
        ├─ extract  SUCCEEDED
        ├─ transform(0..49)  37 succeeded, 8 running, 5 pending  1m28s
        ├─ group  1 failed  37s  inner: exit code 3
        └─ report  PENDING
        ");
    }

    #[test]
    fn siblings_of_equal_status_become_one_line() {
        let names: Vec<String> = (0..2000).map(|n| format!("task-{n}")).collect();
        let mut events: Vec<(u32, &str, &str)> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let status = match at {
                0..1000 => "SUCCEEDED",
                1000 => "FAILED",
                1001..1003 => "RUNNING",
                _ => "PENDING",
            };
            events.push((u32::try_from(at).unwrap() + 1, name, status));
        }
        insta::assert_snapshot!(text(&tree(&events), 24), @r"
        demo  RUNNING  1001/2000 tasks  1m30s
        ├─ task-0 … task-999  1000 succeeded
        ├─ task-1000  FAILED    exit code 3
        ├─ task-1001  RUNNING  0.0s
        ├─ task-1002  RUNNING  0.0s
        └─ task-1003 … task-1999  997 pending
        ");
        insta::assert_snapshot!(text(&tree(&events), 3), @r"
        demo  RUNNING  1001/2000 tasks  1m30s
        ├─ task-0 … task-999  1000 succeeded
          … more than fits here
        ");
        assert_eq!(text(&tree(&events), 1).lines().count(), 1);
    }

    #[test]
    fn a_retry_of_the_whole_workflow_starts_the_clock_anew() {
        let tree = tree(&[
            (1, "a", "RUNNING"),
            (1, "a", "FAILED"),
            (1, "a", "PENDING"),
            (1, "a", "RUNNING"),
        ]);
        insta::assert_snapshot!(text(&tree, 24), @r"
        demo  RUNNING  0/1 tasks  1m30s
        └─ a  RUNNING  1m26s
        ");
    }
}
