//! The files that the parts read.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};

use super::place::{Place, write_secret};
use super::simulated;
use crate::workspace::{output, succeed};

/// The real node.
pub(crate) const NODE: &str = "node1";
/// What pods name who are to be put onto nodes under a name of their own.
pub(crate) const SECOND: &str = "second";
/// Its address, on the loopback device: the kubelet refuses 127.0.0.0/8.
pub(super) const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);
/// Only processes of this machine reach the database, no pod.
pub(super) const ETCD_CLIENTS: SocketAddr = loopback(23790);
pub(super) const ETCD_PEERS: SocketAddr = loopback(23800);
pub(super) const SERVICE_RANGE: &str = "10.96.0.0/24";
/// Where images are pulled from.
pub(super) const REGISTRY: SocketAddr = on_node(5000);
/// Where the same are pulled from by those who say who they are: this name, with this password.
pub(crate) const DOOR: SocketAddr = on_node(5001);
pub(crate) const PULLER: (&str, &str) = ("puller", "for-tests-only");
/// Where it is said whether names can be asked for.
pub(super) const NAMES_READY: SocketAddr = on_node(8181);
/// What names of the cluster end with.
const DOMAIN: &str = "cluster.local";
/// The device that joins pods, and what they reach the machine by.
pub(super) const BRIDGE: &str = "flowforge0";
/// The name of the network of pods.
const NETWORK: &str = "flowforge-test";
const POD_RANGE: &str = "10.244.0.0/20";
/// The API server's, which it makes itself.
pub(super) const CERTIFICATE: &str = "certificates/apiserver.crt";
/// What holds a pod's namespaces together.
pub(super) const PAUSE: &str = "docker.io/flowforge-test/pause:latest";

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

const fn on_node(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(NODE_ADDRESS, port))
}

/// Writes all of them; keys and the token are made once for a cluster.
pub(super) fn write(place: &Place) -> anyhow::Result<()> {
    put(&place.join("config/containerd.toml"), &containerd(place))?;
    put(&place.join("config/kubelet.json"), &kubelet(place).to_string())?;
    put(&place.join("config/scheduler.json"), &scheduler(place).to_string())?;
    let network = place.join("config/network");
    fs::create_dir_all(&network).context("make the network's folder")?;
    put(&network.join("10-bridge.conflist"), &pods_network(place).to_string())?;
    put(&place.join("config/kwok.yaml"), simulated::STAGES)?;
    put(&place.join("config/Corefile"), &names(place))?;
    for address in [REGISTRY, DOOR] {
        // It reads a port only so.
        let (ip, port) = (address.ip(), address.port());
        let registry = place.join("config/registries").join(format!("{ip}_{port}_"));
        fs::create_dir_all(&registry).context("make the registry's folder")?;
        let plain =
            format!("[host.\"http://{address}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
        put(&registry.join("hosts.toml"), &plain)?;
    }
    let tokens = place.join("config/tokens.csv");
    if !tokens.is_file() {
        let row = format!("{},flowforge-test,flowforge-test,system:masters\n", token()?);
        write_secret(&tokens, &row)?;
    }
    let key = place.join("config/service-accounts.key");
    if !key.is_file() {
        let public = place.join("config/service-accounts.pub");
        let mut openssl = Command::new("openssl");
        let made = openssl.args(["genpkey", "-quiet", "-algorithm", "EC"]);
        succeed(made.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-out"]).arg(&key))?;
        let mut openssl = Command::new("openssl");
        succeed(openssl.args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public))?;
    }
    Ok(())
}

/// Writes the kubeconfig, with the certificate that the API server makes when it starts: it holds
/// all that a client needs, wherever it is copied to on this machine.
pub(super) fn write_kubeconfig(place: &Place) -> anyhow::Result<()> {
    let rows = fs::read_to_string(place.join("config/tokens.csv")).context("read the token")?;
    let token = rows.split(',').next().context("a token")?;
    let certificate = place.join(CERTIFICATE);
    let certificate = output(Command::new("base64").arg("--wrap=0").arg(&certificate))?;
    let text = kubeconfig(token, &certificate).to_string();
    write_secret(&place.kubeconfig(), &text)
}

/// JSON, which is YAML.
fn kubeconfig(token: &str, certificate: &str) -> Value {
    let name = "flowforge-test";
    let server = format!("https://{NODE_ADDRESS}:6443");
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": name,
            "cluster": {"server": server, "certificate-authority-data": certificate},
        }],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    })
}

fn token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 24];
    let mut source = File::open("/dev/urandom").context("open /dev/urandom")?;
    source.read_exact(&mut bytes).context("read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Under two names. Its default of 50 requests a second would hide everything else.
fn scheduler(place: &Place) -> Value {
    json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": place.text("kubeconfig"), "qps": 2000, "burst": 4000},
        "leaderElection": {"leaderElect": false},
        "profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": SECOND}],
    })
}

/// `restrict_oom_score_adj`: without the capability `CAP_SYS_RESOURCE` no process may have a score
/// below its parent's, and runc dies with "can't get final child's PID from pipe".
fn containerd(place: &Place) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{opt}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
disable_tcp_service = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{network}"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{registries}"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#,
        root = place.text("containerd"),
        state = place.text("run/containerd"),
        socket = place.containerd().display(),
        opt = place.text("containerd/opt"),
        network = place.text("config/network"),
        registries = place.text("config/registries"),
    )
}

/// There is no way out: names that are not the cluster's are said at once not to be.
fn names(place: &Place) -> String {
    format!(
        r".:53 {{
    bind {NODE_ADDRESS}
    ready {NAMES_READY}
    errors
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
",
        kubeconfig = place.kubeconfig().display(),
    )
}

/// Pods use the address of the machine at the bridge to reach processes beside the cluster.
fn pods_network(place: &Place) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": NETWORK,
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": place.text("run/addresses"),
                "ranges": [[{"subnet": POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

/// Anybody who reaches the node's address may ask the kubelet: that is this machine and its pods.
/// Logs and `exec` need no certificate of the API server so.
fn kubelet(place: &Place) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "healthzBindAddress": NODE_ADDRESS,
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{}", place.containerd().display()),
        "podLogsDir": place.text("pod-logs"),
        "volumePluginDir": place.text("kubelet/volume-plugins"),
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": DOMAIN,
        // The machine's own names are none of theirs.
        "resolvConf": "",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
        "maxPods": 1000,
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        "eventRecordQPS": 0,
        "serializeImagePulls": true,
    })
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_names_server_certificate_and_token() {
        let value = kubeconfig("secret", "Y2VydA==");
        let cluster = &value["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], "https://10.250.0.1:6443");
        assert_eq!(cluster["certificate-authority-data"], "Y2VydA==");
        assert_eq!(value["users"][0]["user"]["token"], "secret");
        assert_eq!(value["current-context"], value["contexts"][0]["name"]);
    }

    #[test]
    fn tokens_differ() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert_eq!(one.len(), 48);
        assert_ne!(one, other);
    }
}
