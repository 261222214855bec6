//! Artifacts and the places they are kept in.

use super::{CONFIG_KEY, Field, HEADER, Kind, full, kind, no_effect, refused};

/// Places an artifact may be in, each a field of the artifact.
pub(crate) const PLACES: [&str; 5] = ["raw", "http", "s3", "gcs", "oss"];

/// Why other stores are refused.
const OTHER_STORE: &str = "artifacts are in the repository of the project, s3, http or raw";

/// What all artifacts have.
const SHARED: &[Field] = &[
    full("name"),
    full("optional"),
    full("from"),
    full("subPath"),
    full("archive").map(&ARCHIVE),
    full("description"),
    full("raw").map(&RAW),
    full("http").map(&HTTP_PLACE),
    full("s3").map(&S3),
    full("gcs").map(&KEY_ONLY),
    full("oss").map(&KEY_ONLY),
    refused("git", "repositories are not cloned as artifacts; clone in a container"),
    refused("hdfs", OTHER_STORE),
    refused("azure", OTHER_STORE),
    refused("artifactory", OTHER_STORE),
    refused("plugin", OTHER_STORE),
    no_effect("artifactGC", "artifacts are kept"),
    no_effect("archiveLogs", "logs are always kept"),
];

/// Why a mode changes nothing where an artifact is only passed on.
const NOT_READ: &str = "it is for the template that reads the artifact";

pub(crate) static INPUT_ARTIFACT: Kind = kind(
    "an input artifact",
    &[
        full("path"),
        full("mode"),
        full("recurseMode"),
        refused("fromExpression", "it stands in the arguments of the step or task"),
        refused("globalName", "only outputs are exported"),
    ],
)
.with(SHARED);

pub(crate) static OUTPUT_ARTIFACT: Kind = kind(
    "an output artifact",
    &[
        full("path"),
        full("fromExpression"),
        full("globalName"),
        no_effect("mode", NOT_READ),
        no_effect("recurseMode", NOT_READ),
        no_effect("deleted", "artifacts are kept"),
    ],
)
.with(SHARED);

pub(crate) static ARGUMENT_ARTIFACT: Kind = kind(
    "an artifact",
    &[
        full("fromExpression"),
        no_effect("path", NOT_READ),
        no_effect("mode", NOT_READ),
        no_effect("recurseMode", NOT_READ),
        refused("globalName", "only outputs are exported"),
    ],
)
.with(SHARED);

pub(crate) static RAW: Kind = kind("raw", &[full("data")]);

pub(crate) static HTTP_PLACE: Kind = kind(
    "an http place",
    &[
        full("url"),
        full("headers").list(&HEADER),
        refused("auth", "write a header whose value is a secret"),
    ],
);

pub(crate) static S3: Kind = kind(
    "s3",
    &[
        full("key"),
        full("endpoint"),
        full("bucket"),
        full("region"),
        full("insecure"),
        full("accessKeySecret").map(&CONFIG_KEY),
        full("secretKeySecret").map(&CONFIG_KEY),
        refused("roleARN", "write accessKeySecret and secretKeySecret"),
        refused("useSDKCreds", "write accessKeySecret and secretKeySecret"),
        refused("sessionTokenSecret", "write accessKeySecret and secretKeySecret"),
        refused("caSecret", "certificates are those of the machine"),
        refused("encryptionOptions", "encrypt in the bucket"),
        refused("createBucketIfNotPresent", "make the bucket before"),
        refused("addressingStyle", "buckets are addressed by path"),
        no_effect("maxRetries", "transfers are tried again as the server is set up"),
    ],
);

/// A place in somebody's cloud of which only the key is understood.
pub(crate) static KEY_ONLY: Kind = kind(
    "a place with only a key",
    &[
        full("key"),
        refused("bucket", OTHER_STORE),
        refused("endpoint", OTHER_STORE),
        refused("serviceAccountKeySecret", OTHER_STORE),
        refused("accessKeySecret", OTHER_STORE),
        refused("secretKeySecret", OTHER_STORE),
        refused("createBucketIfNotPresent", OTHER_STORE),
        refused("securityToken", OTHER_STORE),
        refused("lifecycleRule", OTHER_STORE),
        refused("useSDKCreds", OTHER_STORE),
    ],
);

pub(crate) static ARCHIVE: Kind = kind(
    "archive",
    &[full("none").map(&NOTHING), full("tar").map(&TAR), full("zip").map(&NOTHING)],
);

pub(crate) static TAR: Kind =
    kind("tar", &[no_effect("compressionLevel", "the usual level is taken")]);

pub(crate) static NOTHING: Kind = kind("this", &[]);
