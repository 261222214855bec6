//! Volumes and where containers see them.

use super::{Kind, full, kind, no_effect, refused};

/// Kinds of volumes that are known, each a field of a volume.
pub(crate) const VOLUME_SOURCES: [&str; 4] =
    ["emptyDir", "persistentVolumeClaim", "configMap", "secret"];

/// Why most kinds of volumes are refused.
const CLUSTER: &str = "there is no Kubernetes to mount it";
/// Why modes of files change nothing.
const OWN_FILES: &str = "files belong to the user that runs the task";

pub(crate) static VOLUME: Kind = kind(
    "a volume",
    &[
        full("name"),
        full("emptyDir").map(&EMPTY_DIR),
        full("persistentVolumeClaim").map(&CLAIM),
        full("configMap").map(&CONFIG_VOLUME),
        full("secret").map(&SECRET_VOLUME),
        refused("hostPath", "a directory of the host is not handed to tasks"),
        refused("projected", "write one volume for each of its sources"),
        refused("downwardAPI", "a local process has no pod"),
        refused("ephemeral", "write emptyDir"),
        refused("image", "local processes have no image"),
        refused("gitRepo", "clone in a container"),
        refused("nfs", CLUSTER),
        refused("csi", CLUSTER),
        refused("iscsi", CLUSTER),
        refused("fc", CLUSTER),
        refused("cephfs", CLUSTER),
        refused("rbd", CLUSTER),
        refused("glusterfs", CLUSTER),
        refused("flexVolume", CLUSTER),
        refused("flocker", CLUSTER),
        refused("cinder", CLUSTER),
        refused("gcePersistentDisk", CLUSTER),
        refused("awsElasticBlockStore", CLUSTER),
        refused("azureDisk", CLUSTER),
        refused("azureFile", CLUSTER),
        refused("vsphereVolume", CLUSTER),
        refused("portworxVolume", CLUSTER),
        refused("quobyte", CLUSTER),
        refused("photonPersistentDisk", CLUSTER),
        refused("scaleIO", CLUSTER),
        refused("storageos", CLUSTER),
    ],
);

pub(crate) static EMPTY_DIR: Kind = kind(
    "emptyDir",
    &[
        no_effect("medium", "it is a directory of the machine"),
        no_effect("sizeLimit", "it is a directory of the machine"),
    ],
);

pub(crate) static CLAIM: Kind = kind(
    "persistentVolumeClaim",
    &[full("claimName"), refused("readOnly", "write readOnly at its volumeMounts")],
);

pub(crate) static CONFIG_VOLUME: Kind = kind(
    "a configMap volume",
    &[
        full("name"),
        full("items").list(&VOLUME_ITEM),
        full("optional"),
        no_effect("defaultMode", OWN_FILES),
    ],
);

pub(crate) static SECRET_VOLUME: Kind = kind(
    "a secret volume",
    &[
        full("secretName"),
        full("items").list(&VOLUME_ITEM),
        full("optional"),
        no_effect("defaultMode", OWN_FILES),
    ],
);

pub(crate) static VOLUME_ITEM: Kind =
    kind("an item of a volume", &[full("key"), full("path"), no_effect("mode", OWN_FILES)]);

pub(crate) static MOUNT: Kind = kind(
    "a volumeMount",
    &[
        full("name"),
        full("mountPath"),
        full("subPath"),
        full("readOnly"),
        refused("subPathExpr", "write subPath, with tags"),
        no_effect("mountPropagation", CLUSTER),
        no_effect("recursiveReadOnly", "nothing is mounted below it"),
    ],
);

/// Why other things of a claim change nothing.
const DIRECTORY: &str = "a claim is a directory of the machine";
/// Why it cannot be chosen what a claim is made of.
const EMPTY: &str = "a claim is made empty, from whatever volume fits";

pub(crate) static CLAIM_TEMPLATE: Kind = kind(
    "a volumeClaimTemplate",
    &[
        full("metadata").map(&CLAIM_METADATA),
        no_effect("apiVersion", DIRECTORY),
        no_effect("kind", DIRECTORY),
        full("spec").map(&CLAIM_SPEC),
        no_effect("status", DIRECTORY),
    ],
);

/// Local processes need nothing of it, pods all.
pub(crate) static CLAIM_SPEC: Kind = kind(
    "spec of a claim",
    &[
        full("accessModes"),
        full("resources").map(&CLAIM_RESOURCES),
        full("storageClassName"),
        no_effect("volumeMode", EMPTY),
        no_effect("volumeName", EMPTY),
        no_effect("selector", EMPTY),
        no_effect("dataSource", EMPTY),
        no_effect("dataSourceRef", EMPTY),
        no_effect("volumeAttributesClassName", EMPTY),
    ],
);

pub(crate) static CLAIM_RESOURCES: Kind = kind(
    "resources of a claim",
    &[full("requests").map(&CLAIM_REQUESTS), no_effect("limits", EMPTY)],
);

pub(crate) static CLAIM_REQUESTS: Kind = kind("requests of a claim", &[full("storage")]);

pub(crate) static CLAIM_METADATA: Kind = kind(
    "metadata of a claim",
    &[
        full("name"),
        no_effect("labels", DIRECTORY),
        no_effect("annotations", DIRECTORY),
        no_effect("creationTimestamp", DIRECTORY),
        no_effect("namespace", DIRECTORY),
    ],
);
