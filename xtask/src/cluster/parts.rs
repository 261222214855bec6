//! The programs of a cluster, in the order in which they start, and when each is ready.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use super::build::{self, COREDNS, CRANE, ETCD, KUBERNETES, KWOK, Module};
use super::config::{
    DOOR, ETCD_CLIENTS, ETCD_PEERS, NAMES_READY, NODE, NODE_ADDRESS, PULLER, REGISTRY,
    SERVICE_RANGE,
};
use super::kubectl::Kubectl;
use super::place::Place;
use crate::workspace::root;

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(2);

/// One process of the cluster.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    ready: Ready,
}

/// What shows that a part is ready.
#[derive(Debug)]
enum Ready {
    /// It listens there.
    Listens(SocketAddr),
    /// It listens on this socket.
    Socket(PathBuf),
    /// It answers 200 there.
    Answers(SocketAddr, &'static str),
    /// The API server says that it is.
    Says,
}

/// Which of them are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nodes {
    Real,
    /// Those that only pretend, too.
    AndSimulated,
}

/// The programs that come from source.
pub(super) const BUILT: [(Module, &str); 9] = [
    (KUBERNETES, "kube-apiserver"),
    (ETCD, "etcd"),
    (KUBERNETES, "kube-controller-manager"),
    (KUBERNETES, "kube-scheduler"),
    (KUBERNETES, "kubelet"),
    (KUBERNETES, "kubectl"),
    (KUBERNETES, "kube-proxy"),
    (COREDNS, "coredns"),
    (CRANE, IMAGES),
];
/// The parts in the order in which they start; the others need those in front.
pub(super) const NAMES: [&str; 11] = [
    "etcd",
    "containerd",
    IMAGES,
    API_SERVER,
    "kube-controller-manager",
    "kube-scheduler",
    KUBELET,
    "kube-proxy",
    "coredns",
    PRIVATE,
    SIMULATOR,
];
/// The registry, which also fills itself.
pub(super) const IMAGES: &str = "crane";
/// Lets those into it who say who they are.
const PRIVATE: &str = "door";
pub(super) const API_SERVER: &str = "kube-apiserver";
pub(super) const KUBELET: &str = "kubelet";
pub(super) const SIMULATOR: &str = "kwok";

/// Builds what is missing and says how each part is started.
pub(super) fn parts(place: &Place, nodes: Nodes) -> anyhow::Result<Vec<Part>> {
    let mut wanted = BUILT.to_vec();
    if nodes == Nodes::AndSimulated {
        wanted.push((KWOK, SIMULATOR));
    }
    let paths = build::programs(&wanted)?;
    let path = |name: &str| {
        let of =
            |(wanted, path): (&(Module, &str), &PathBuf)| (wanted.1 == name).then(|| path.clone());
        wanted.iter().zip(&paths).find_map(of)
    };
    let known = NAMES.into_iter().filter(|name| nodes != Nodes::Real || *name != SIMULATOR);
    Ok(known.map(|name| part(place, name, path(name))).collect())
}

/// Fails if somebody else listens where a part would.
pub(super) fn check_ports(parts: &[Part]) -> anyhow::Result<()> {
    let used = parts.iter().filter_map(|part| Some((part.name, part.ready.address()?)));
    check_free(used)
}

/// The same before any part is there.
pub(super) fn check_addresses(place: &Place) -> anyhow::Result<()> {
    check_free(NAMES.into_iter().filter_map(|name| Some((name, ready(place, name).address()?))))
}

fn check_free(used: impl Iterator<Item = (&'static str, SocketAddr)>) -> anyhow::Result<()> {
    for (name, address) in used {
        let taken = TcpListener::bind(address)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
        ensure!(
            !taken,
            "somebody listens at {address}, where {name} would: end the other cluster (`cargo xtask \
             cluster down` in its clone) or the other program"
        );
    }
    Ok(())
}

impl Ready {
    /// Where it listens, if that is on the network.
    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Listens(address) | Self::Answers(address, _) => Some(*address),
            Self::Says => Some(SocketAddr::from((NODE_ADDRESS, 6443))),
            Self::Socket(_) => None,
        }
    }
}

fn part(place: &Place, name: &'static str, built: Option<PathBuf>) -> Part {
    Part {
        name,
        program: built
            .unwrap_or_else(|| PathBuf::from(if name == PRIVATE { "python3" } else { name })),
        arguments: arguments(place, name),
        ready: ready(place, name),
    }
}

fn ready(place: &Place, name: &str) -> Ready {
    let at = |port| SocketAddr::from((NODE_ADDRESS, port));
    match name {
        "etcd" => Ready::Answers(ETCD_CLIENTS, "/health"),
        "containerd" => Ready::Socket(place.containerd()),
        IMAGES => Ready::Answers(REGISTRY, "/v2/"),
        PRIVATE => Ready::Answers(DOOR, "/healthz"),
        "kube-apiserver" => Ready::Says,
        "kube-controller-manager" => Ready::Listens(at(10257)),
        "kube-scheduler" => Ready::Listens(at(10259)),
        "kubelet" => Ready::Answers(at(10248), "/healthz"),
        "kube-proxy" => Ready::Answers(at(10256), "/healthz"),
        "coredns" => Ready::Answers(NAMES_READY, "/ready"),
        _ => Ready::Answers(at(10247), "/healthz"),
    }
}

fn arguments(place: &Place, name: &str) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", place.text(name));
    let kubeconfig = file("kubeconfig", "kubeconfig");
    let address = std::net::IpAddr::from(NODE_ADDRESS);
    let (own, more): (Vec<String>, &[&str]) = match name {
        "etcd" => (etcd(place), &["--unsafe-no-fsync", "--log-level=warn"]),
        "containerd" => (vec![file("config", "config/containerd.toml")], &[]),
        IMAGES => (
            vec![format!("--address={REGISTRY}"), file("disk", "registry")],
            &["registry", "serve"],
        ),
        PRIVATE => (door(), &[]),
        "kube-apiserver" => (api_server(place), SERVER),
        "kube-controller-manager" => (
            vec![
                kubeconfig,
                file("service-account-private-key-file", "config/service-accounts.key"),
                file("root-ca-file", "certificates/apiserver.crt"),
                format!("--bind-address={address}"),
            ],
            CONTROLLERS,
        ),
        "kube-scheduler" => (
            vec![file("config", "config/scheduler.json"), format!("--bind-address={address}")],
            &[],
        ),
        "kubelet" => (
            vec![
                kubeconfig,
                file("config", "config/kubelet.json"),
                file("root-dir", "kubelet"),
                file("cert-dir", "kubelet/pki"),
                format!("--node-ip={address}"),
                format!("--hostname-override={NODE}"),
            ],
            &[],
        ),
        "kube-proxy" => (
            vec![
                kubeconfig,
                format!("--hostname-override={NODE}"),
                format!("--healthz-bind-address={address}:10256"),
                format!("--metrics-bind-address={address}:10249"),
            ],
            PROXY,
        ),
        "coredns" => (vec![format!("-conf={}", place.text("config/Corefile"))], &[]),
        _ => (
            vec![
                kubeconfig,
                file("config", "config/kwok.yaml"),
                format!("--server-address={address}:10247"),
            ],
            SIMULATED,
        ),
    };
    own.into_iter().chain(more.iter().map(|&flag| flag.to_owned())).collect()
}

fn etcd(place: &Place) -> Vec<String> {
    let data = format!("--data-dir={}", place.text("etcd"));
    let mut all = vec![data, "--name=etcd".to_owned()];
    for (side, address, own) in [
        ("client", ETCD_CLIENTS, "advertise-client"),
        ("peer", ETCD_PEERS, "initial-advertise-peer"),
    ] {
        all.push(format!("--listen-{side}-urls=http://{address}"));
        all.push(format!("--{own}-urls=http://{address}"));
    }
    all.push(format!("--initial-cluster=etcd=http://{ETCD_PEERS}"));
    all
}

fn door() -> Vec<String> {
    let script = root().join("test/cluster/door.py").display().to_string();
    let (name, password) = PULLER;
    let more = [name, password].map(str::to_owned);
    [script, DOOR.to_string(), REGISTRY.to_string()].into_iter().chain(more).collect()
}

fn api_server(place: &Place) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", place.text(name));
    let address = std::net::IpAddr::from(NODE_ADDRESS);
    vec![
        format!("--etcd-servers=http://{ETCD_CLIENTS}"),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        file("cert-dir", "certificates"),
        file("token-auth-file", "config/tokens.csv"),
        file("service-account-key-file", "config/service-accounts.pub"),
        file("service-account-signing-key-file", "config/service-accounts.key"),
    ]
}

/// Tests ask more at once than people, so nothing may hide behind a client's own limit.
const SERVER: &[&str] = &[
    "--secure-port=6443",
    "--authorization-mode=Node,RBAC",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--allow-privileged=true",
    "--kubelet-preferred-address-types=InternalIP",
    "--max-requests-inflight=2000",
    "--max-mutating-requests-inflight=1000",
    // How long pods stay on a node that is not heard of: five minutes elsewhere.
    "--default-unreachable-toleration-seconds=10",
];
const CONTROLLERS: &[&str] = &[
    "--use-service-account-credentials=true",
    "--leader-elect=false",
    "--node-monitor-grace-period=40s",
    "--kube-api-qps=500",
    "--kube-api-burst=1000",
];
/// The kernel's limits on connections stay as they are.
const PROXY: &[&str] = &[
    "--proxy-mode=iptables",
    "--conntrack-max-per-core=0",
    "--conntrack-tcp-timeout-established=0s",
    "--conntrack-tcp-timeout-close-wait=0s",
    "--iptables-localhost-nodeports=false",
];
const SIMULATED: &[&str] = &[
    "--manage-all-nodes=false",
    "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
    "--node-lease-duration-seconds=40",
];

/// Where they find what they call (runc, iptables, mount): it is for administrators.
pub(super) fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

impl Part {
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("PATH", path());
        command
    }

    /// Whether it is ready; otherwise why not.
    pub(super) fn ready(&self, kubectl: &Kubectl) -> Result<(), String> {
        let refused = |error: std::io::Error| error.to_string();
        match &self.ready {
            Ready::Listens(address) => connect(*address).map(drop).map_err(refused),
            Ready::Socket(path) => UnixStream::connect(path).map(drop).map_err(refused),
            Ready::Answers(address, path) => answers(*address, path),
            Ready::Says => kubectl.ready(),
        }
    }
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    Ok(stream)
}

fn answers(address: SocketAddr, path: &str) -> Result<(), String> {
    let ask = || {
        let mut stream = connect(address)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().map_err(|error: std::io::Error| error.to_string())?;
    let line = answer.lines().next().unwrap_or("no answer");
    if line.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(line.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_told_something() {
        let place = Place::new(Some(std::path::Path::new("/state"))).unwrap();
        for name in NAMES {
            assert!(!arguments(&place, name).is_empty(), "{name}");
        }
    }

    #[test]
    fn only_200_is_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for answer in ["HTTP/1.0 200 OK\r\n\r\nok", "HTTP/1.0 503 Wait\r\n\r\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                // It may come in pieces.
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut piece = [0; 256];
                    let read = stream.read(&mut piece).unwrap();
                    assert!(read > 0, "half a question");
                    head.extend_from_slice(&piece[..read]);
                }
                assert!(head.starts_with(b"GET /healthz "));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert_eq!(answers(address, "/healthz"), Ok(()));
        assert_eq!(answers(address, "/healthz"), Err("HTTP/1.0 503 Wait".to_owned()));
        server.join().unwrap();
        assert!(answers(address, "/healthz").is_err(), "nobody listens any more");
    }
}
