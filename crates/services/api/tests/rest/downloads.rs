//! Artifacts of tasks, downloaded.

use std::path::Path;
use std::sync::Arc;

use flowforge_artifacts::{Repository, Setup, Stores};
use flowforge_model::artifact::{Archive, Artifact, Location, StageOut};
use flowforge_model::event::Outputs;
use flowforge_model::id::WorkflowId;
use flowforge_model::status::WorkflowStatus;
use flowforge_ports::artifacts::Artifacts as _;
use flowforge_svc_api::Downloads;

use crate::server::{Answer, Server, get};

struct World {
    server: Server,
    id: WorkflowId,
    dir: tempfile::TempDir,
}

impl World {
    /// A workflow whose task 1 gave a file, folders packed in every way, and something that is
    /// gone.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let scratch = dir.path().join("scratch");
        let stores = Stores::open(Setup::alone(Repository::Memory, scratch.clone()));
        let stores = Arc::new(stores.unwrap());
        let source = dir.path().join("source");
        std::fs::create_dir_all(source.join("sub")).unwrap();
        std::fs::write(source.join("a.txt"), "hello").unwrap();
        std::fs::write(source.join("sub/b.txt"), "deep").unwrap();
        let mut kept = Vec::new();
        for (name, path, archive) in [
            ("file", "a.txt", Archive::None),
            ("packed file", "a.txt", Archive::TarGz),
            ("plain", "", Archive::None),
            ("tar", "", Archive::TarGz),
            ("zip", "", Archive::Zip),
        ] {
            let out = StageOut {
                name: name.to_owned(),
                path: String::new(),
                location: Location::Repository { key: format!("k/{name}") },
                archive,
                optional: false,
            };
            let from = source.join(path);
            let artifact = stores.keep(&from, &out, &|| false).unwrap().unwrap();
            kept.push((name.to_owned(), artifact));
        }
        let gone = Location::Repository { key: "k/gone".to_owned() };
        let gone = Artifact { location: gone, archive: Archive::None, sub_path: None };
        kept.push(("gone".to_owned(), gone));
        let server = Server::with(|config| {
            let artifacts = Arc::<Stores>::clone(&stores);
            config.downloads = Some(Downloads { artifacts, scratch });
        });
        let id = server.workflow("w").await;
        let outputs = Outputs { artifacts: kept, ..Outputs::default() };
        server.advance_with(id, WorkflowStatus::Succeeded, outputs).await;
        Self { server, id, dir }
    }

    async fn get(&self, rest: &str) -> Answer {
        let path = format!("/api/v1/workflows/{}/tasks/task-1(0:a%2Fb)/artifacts/{rest}", self.id);
        let answer = self.server.send(get(&path)).await;
        let scratch = self.dir.path().join("scratch");
        let left = std::fs::read_dir(&scratch).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something is left in {}", Path::new(&scratch).display());
        answer
    }
}

#[tokio::test]
async fn a_file_comes_unpacked_and_is_only_ever_saved() {
    let world = World::new().await;
    for (name, header) in [("file", "file"), ("packed%20file", "packed file")] {
        let answer = world.get(name).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"));
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("content-length"), "5");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "sandbox");
        let disposition = answer.header("content-disposition");
        assert!(disposition.starts_with(&format!("attachment; filename=\"{header}\"; ")));
    }
}

#[tokio::test]
async fn a_folder_comes_as_its_archive_or_file_by_file() {
    let world = World::new().await;
    for (name, ending, magic) in [("tar", "tgz", &b"\x1f\x8b"[..]), ("zip", "zip", b"PK")] {
        let answer = world.get(name).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body.starts_with(magic), "{name}");
        let disposition = answer.header("content-disposition");
        assert!(disposition.contains(&format!("\"{name}.{ending}\"")), "{disposition}");
        let answer = world.get(&format!("{name}?path=sub/b.txt")).await;
        assert_eq!(answer.text(), "deep", "{name}");
        assert!(answer.header("content-disposition").contains("\"b.txt\""));
    }
    let answer = world.get("plain").await;
    let problem = answer.is_problem(409, "refused");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.ends_with("one of a.txt, sub/b.txt"), "{detail}");
    assert_eq!(world.get("plain?path=sub/b.txt").await.text(), "deep");
    let part = world.get("tar?path=sub").await;
    assert!(part.is_problem(409, "refused")["detail"].as_str().unwrap().ends_with("b.txt"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_no_path_leads_out() {
    let world = World::new().await;
    let problem = world.get("nope").await.is_problem(404, "not_found");
    assert!(problem["detail"].as_str().unwrap().contains("it gave: file, packed file"));
    world.get("gone").await.is_problem(404, "not_found");
    world.get("tar?path=nope").await.is_problem(404, "not_found");
    for bad in ["../a.txt", "/etc/passwd", "sub/../../x", "", "a//b"] {
        world.get(&format!("tar?path={bad}")).await.is_problem(400, "bad_parameter");
    }
    let path = format!("/api/v1/workflows/{}/tasks/absent/artifacts/file", world.id);
    world.server.send(get(&path)).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_server_without_artifacts_says_so() {
    let server = Server::new();
    let id = server.workflow("w").await;
    let location = Location::Repository { key: "k".to_owned() };
    let artifact = Artifact { location, archive: Archive::None, sub_path: None };
    let outputs = Outputs { artifacts: vec![("a".to_owned(), artifact)], ..Outputs::default() };
    server.advance_with(id, WorkflowStatus::Succeeded, outputs).await;
    let path = format!("/api/v1/workflows/{id}/tasks/task-1(0:a%2Fb)/artifacts/a");
    server.send(get(&path)).await.is_problem(409, "refused");
}
