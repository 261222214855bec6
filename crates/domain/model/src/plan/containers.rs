//! What leaves run: containers with their volumes, sets of them, HTTP requests.

use serde::{Deserialize, Serialize};

use crate::artifact::{SecretKey, SecretVariables};
use crate::claim::ClaimTemplate;
use crate::resources::Resources;
use crate::security::ContainerSecurity;
use crate::text::Text;
use crate::time::Millis;

/// A string, or a secret that is read where the task runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A text that may hold tags.
    Text(Text),
    /// Where to read it.
    Secret(SecretKey),
}

/// A volume of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: Box<str>,
    /// What is in it.
    pub source: VolumeSource,
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// Nothing at first; gone with the attempt.
    Empty,
    /// A claim that is there already.
    Claim(Text),
    /// A claim made for each workflow.
    WorkflowClaim(ClaimTemplate),
    /// Fixed files, from a `ConfigMap` of the document: path, content.
    Files(Vec<(Box<str>, Box<str>)>),
    /// The keys of a secret as files.
    Secret {
        /// Its name.
        name: Box<str>,
        /// Keys and their paths; empty means all keys.
        items: Vec<(Box<str>, Box<str>)>,
        /// Missing is an empty volume.
        optional: bool,
    },
}

/// A volume seen by a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// Name of the volume.
    pub volume: Box<str>,
    /// Absolute path at which it is seen.
    pub path: Text,
    /// Only this part of it.
    pub sub_path: Option<Text>,
    /// Writing is refused.
    pub read_only: bool,
}

/// A container with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedContainer {
    /// Unique in its template.
    pub name: Box<str>,
    /// What it runs.
    pub container: Container,
}

impl NamedContainer {
    pub(super) fn named_mut(&mut self) -> (&str, &mut Container) {
        (&self.name, &mut self.container)
    }
}

/// A small graph of containers that run as one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerSet {
    /// Its members; the one called `main` gives the outputs.
    pub members: Vec<NamedContainer>,
    /// For each member, the places of those that must have succeeded before.
    pub after: Vec<Box<[u32]>>,
    /// Times a member that failed is started again.
    pub retries: u32,
    /// The wait before.
    pub wait: Millis,
}

/// An HTTP request as a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// `GET`, `POST`...
    pub method: Text,
    /// Where to.
    pub url: Text,
    /// Headers, in order.
    pub headers: Vec<(Box<str>, Value)>,
    /// The body.
    pub body: Option<Text>,
    /// It fails when there is no answer for this long.
    pub timeout: Millis,
    /// An expression over `response` that is true for a success.
    pub success: Option<Text>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// What runs, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// The image; a local process ignores it.
    pub image: Text,
    /// The program and its first arguments; empty means the image's entrypoint.
    pub command: Vec<Text>,
    /// More arguments.
    pub args: Vec<Text>,
    /// Environment, in order; the last one of a name counts.
    pub env: Vec<(Box<str>, Value)>,
    /// Secrets whose keys are variables.
    pub secrets: Vec<SecretVariables>,
    /// Volumes it sees.
    pub mounts: Vec<Mount>,
    /// Where it starts.
    pub working_dir: Option<Text>,
    /// What it needs and may use.
    pub resources: Resources,
    /// `$(NAME)` in its command, arguments and environment stands for a variable of it, as in
    /// Kubernetes.
    pub variables: bool,
    /// When the image is pulled, if the document says so.
    pub pull: Option<PullPolicy>,
    /// Who runs in it, and what it may.
    #[serde(default)]
    pub security: Option<Box<ContainerSecurity>>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// When it is not on the node.
    IfNotPresent,
    /// Never: it must be there.
    Never,
}

impl PullPolicy {
    /// As documents and Kubernetes write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}
