//! Why fields of Argo are refused, for people who bring a manifest.

/// The reason a field is refused, wherever it stands; most speak for themselves.
pub(crate) fn reason(key: &str) -> Option<&'static str> {
    Some(match key {
        "resource" | "manifest" => "there is no Kubernetes to hold objects",
        "data" => "lists of remote buckets are not read; list them in a script",
        "plugin" | "executorPlugins" => "plugins of Argo's agent are not loaded",
        "sidecars" => "processes beside a task are not started; run it as a daemon template",
        "executor" => "there is one way to run a process",
        "jsonPath" | "jqFilter" => "there is no Kubernetes object to read from",
        "event" => "workflows are not submitted by event bindings",
        "git" => "repositories are not cloned as artifacts; clone in a container",
        "gcs" | "azure" | "oss" | "hdfs" | "artifactory" => {
            "the repository of the project, s3, http and raw are what artifacts are kept in"
        }
        "hostPath" => "a directory of the host is not handed to tasks",
        "nfs" | "csi" | "iscsi" | "cephfs" | "glusterfs" | "rbd" | "flexVolume" | "fc" => {
            "there is no Kubernetes to mount it"
        }
        _ => return None,
    })
}
