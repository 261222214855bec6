//! Files and folders that travel between tasks: where they are kept and how they are packed.

use serde::{Deserialize, Serialize};

/// An artifact as it is kept after the task that made it, or as a document names it: enough to
/// fetch it, nothing to look up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Where its bytes are.
    pub location: Location,
    /// How its bytes are packed.
    #[serde(default)]
    pub archive: Archive,
    /// Only this file or folder of it, below its root.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sub_path: Option<String>,
}

/// Where the bytes of an artifact are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "store", rename_all = "snake_case")]
pub enum Location {
    /// In the repository of the project, which is a directory or a bucket: the key below its root.
    Repository {
        /// Clean: relative, no `..`, no empty part.
        key: String,
    },
    /// In a bucket that the document names.
    S3(S3Location),
    /// Behind a URL.
    Http(HttpLocation),
    /// In the document itself.
    Raw {
        /// The text.
        data: String,
    },
}

/// An object of an S3-compatible server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Location {
    /// Host, and port if it is not the usual one; no scheme.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The region, if the server has any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// Plain HTTP instead of TLS.
    #[serde(default)]
    pub insecure: bool,
    /// The secret that holds the access key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub access_key: Option<SecretKey>,
    /// The secret that holds the secret key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret_key: Option<SecretKey>,
}

/// Something behind a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpLocation {
    /// `http://...` or `https://...`.
    pub url: String,
    /// Request headers, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub headers: Vec<(String, Given)>,
}

/// One key of a named secret. The value is read where the task runs and is stored nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretKey {
    /// Name of the secret.
    pub name: String,
    /// Key in it.
    pub key: String,
    /// Missing is empty instead of an error.
    #[serde(default)]
    pub optional: bool,
}

/// All keys of a secret as variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVariables {
    /// Stands before each key.
    pub prefix: String,
    /// Name of the secret.
    pub name: String,
    /// Missing is empty instead of an error.
    #[serde(default)]
    pub optional: bool,
    /// How many of the other variables come before these; the last one of a name counts.
    pub at: usize,
}

/// A string that a document gives, or a secret that is read where the task runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// The string.
    Text(String),
    /// Where to read it.
    Secret(SecretKey),
}

/// How the bytes of an artifact are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archive {
    /// As they are: a file, or a folder with one object per file.
    None,
    /// A gzip-compressed tar of the file or folder. Argo's default.
    #[default]
    TarGz,
    /// A zip of the file or folder.
    Zip,
}

/// An artifact to fetch before a task starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageIn {
    /// Its name among the inputs.
    pub name: String,
    /// Where the task reads it.
    pub path: String,
    /// What to fetch; none for an optional one that nobody gave: nothing is put there.
    pub artifact: Option<Artifact>,
    /// Missing is fine.
    pub optional: bool,
    /// Permission bits of the file (of all files, with `recurse`).
    pub mode: Option<u32>,
    /// The mode is for everything below as well.
    pub recurse: bool,
}

/// An artifact to keep after a task has succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageOut {
    /// Its name among the outputs.
    pub name: String,
    /// Where the task writes it.
    pub path: String,
    /// Where it is to be kept.
    pub location: Location,
    /// How it is packed.
    pub archive: Archive,
    /// Missing is fine.
    pub optional: bool,
}
