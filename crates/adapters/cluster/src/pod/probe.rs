//! How a cluster finds out that a daemon is ready.

use flowforge_model::daemon::{Check, Probe};
use flowforge_model::time::Millis;
use k8s_openapi::api::core::v1::{
    ExecAction, HTTPGetAction, HTTPHeader, Probe as ReadinessProbe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub(super) fn build(probe: &Probe<String, u16>) -> ReadinessProbe {
    let mut built = ReadinessProbe {
        initial_delay_seconds: Some(seconds(probe.initial_delay)),
        period_seconds: Some(seconds(probe.period)),
        timeout_seconds: Some(seconds(probe.timeout)),
        success_threshold: Some(count(probe.successes)),
        failure_threshold: Some(count(probe.failures)),
        ..ReadinessProbe::default()
    };
    match &probe.check {
        Check::Http { host, port, path, secure, headers } => {
            let header = |(name, value): &(String, String)| HTTPHeader {
                name: name.clone(),
                value: value.clone(),
            };
            built.http_get = Some(HTTPGetAction {
                host: host.clone(),
                http_headers: (!headers.is_empty()).then(|| headers.iter().map(header).collect()),
                path: Some(path.clone()),
                port: IntOrString::Int(i32::from(*port)),
                scheme: Some(if *secure { "HTTPS" } else { "HTTP" }.to_owned()),
            });
        }
        Check::Tcp { host, port } => {
            let port = IntOrString::Int(i32::from(*port));
            built.tcp_socket = Some(TCPSocketAction { host: host.clone(), port });
        }
        Check::Exec(command) => built.exec = Some(ExecAction { command: Some(command.clone()) }),
    }
    built
}

fn seconds(span: Millis) -> i32 {
    i32::try_from(span.0.div_ceil(1000)).unwrap_or(i32::MAX)
}

fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
