//! Volumes and where containers see them.

use std::collections::BTreeSet;

use flowforge_model::claim::ClaimTemplate;
use flowforge_model::plan::{Mount, Volume, VolumeSource};
use flowforge_model::resources::Bytes;

use crate::grammar;
use crate::located::{Node, quote};
use crate::names::is_dns_label;
use crate::outline::Doc;
use crate::references::Names;

/// How a claim may be used.
const ACCESS_MODES: [&str; 4] =
    ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

/// Volumes of one list: each mount is looked up among them.
const VOLUMES: usize = 256;

impl<'a> Doc<'a> {
    /// The volumes of the whole workflow: `volumes`, and `volumeClaimTemplates` as claims of its
    /// own. Registers their names, so that templates can mount them.
    pub(crate) fn read_workflow_volumes(&mut self, spec: &'a Node) -> Vec<Volume> {
        let mut out = self.volumes(spec, &Names::WORKFLOW);
        for item in self.report.list_field(spec, "volumeClaimTemplates", "claims") {
            let claim = self.claim_template(item);
            let twice = claim.as_ref().is_some_and(|c| out.iter().any(|v| v.name == c.name));
            if twice {
                let message = "there is a volume of this name already";
                self.report.error("duplicate_name", item, message, "rename one of them");
            }
            out.extend(claim.filter(|_| !twice));
        }
        self.volume_names.extend(out.iter().map(|volume| volume.name.clone()));
        out
    }

    fn claim_template(&self, item: &'a Node) -> Option<Volume> {
        if !self.report.fields(item, &grammar::CLAIM_TEMPLATE) {
            return None;
        }
        let metadata = self.report.required(item, &grammar::CLAIM_TEMPLATE, "metadata")?;
        if !self.report.fields(metadata, &grammar::CLAIM_METADATA) {
            return None;
        }
        let name = self.report.required(metadata, &grammar::CLAIM_METADATA, "name")?;
        let name = self.volume_name(name)?;
        let spec = item.field("spec").and_then(|spec| self.claim_spec(spec));
        let source = VolumeSource::WorkflowClaim(spec.unwrap_or_default());
        Some(Volume { name: name.into(), source })
    }

    /// What a claim asks for.
    fn claim_spec(&self, spec: &'a Node) -> Option<ClaimTemplate> {
        if !self.report.fields(spec, &grammar::CLAIM_SPEC) {
            return None;
        }
        let mut modes = Vec::new();
        for node in self.report.list_field(spec, "accessModes", "access modes") {
            let Some(mode) = self.report.string(node) else { continue };
            if !ACCESS_MODES.contains(&mode) {
                let message = format!("{} is no access mode", quote(mode));
                self.report.error(
                    "bad_value",
                    node,
                    message,
                    "write ReadWriteOnce or ReadWriteMany",
                );
            }
            modes.push(mode.to_owned());
        }
        let class = spec.field("storageClassName").and_then(|node| self.report.string(node));
        let storage = spec.field("resources").and_then(|node| self.storage(node));
        let (class, storage) = (class.map(str::to_owned), storage.unwrap_or_default());
        Some(ClaimTemplate { modes, storage, class })
    }

    fn storage(&self, resources: &'a Node) -> Option<Bytes> {
        if !self.report.fields(resources, &grammar::CLAIM_RESOURCES) {
            return None;
        }
        let requests = resources.field("requests")?;
        if !self.report.fields(requests, &grammar::CLAIM_REQUESTS) {
            return None;
        }
        Some(self.quantity(requests.field("storage")?)?.bytes())
    }

    /// The list `volumes` of a spec or template.
    pub(crate) fn volumes(&self, node: &'a Node, names: &Names<'_, 'a>) -> Vec<Volume> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        let items = self.report.list_field(node, "volumes", "volumes");
        if items.len() > VOLUMES {
            let message = format!("{} volumes; at most {VOLUMES} can be declared", items.len());
            self.report.error("limit", node, message, "put several things into one volume");
            return out;
        }
        for item in items {
            if !self.report.fields(item, &grammar::VOLUME) {
                continue;
            }
            let Some(at) = self.report.required(item, &grammar::VOLUME, "name") else {
                continue;
            };
            let Some(name) = self.volume_name(at) else { continue };
            if !seen.insert(name) {
                let message = format!("there are two volumes {}", quote(name));
                self.report.error("duplicate_name", at, message, "rename one of them");
                continue;
            }
            let source = self.volume_source(item, names);
            // A volume that was refused is declared all the same: its mounts are fine.
            let source = source.unwrap_or(VolumeSource::Empty);
            out.push(Volume { name: name.into(), source });
        }
        out
    }

    fn volume_name(&self, node: &'a Node) -> Option<&'a str> {
        let name = self.report.string(node)?;
        if !is_dns_label(name) {
            let message = format!("{} is no name for a volume", quote(name));
            let hint = "use a-z, 0-9 and - inside, at most 63 characters";
            self.report.error("bad_name", node, message, hint);
            return None;
        }
        Some(name)
    }

    fn volume_source(&self, item: &'a Node, names: &Names<'_, 'a>) -> Option<VolumeSource> {
        let given: Vec<&str> =
            grammar::VOLUME_SOURCES.into_iter().filter(|key| item.field(key).is_some()).collect();
        let [key] = given.as_slice() else {
            let refused = |key| item.field(key).is_some();
            if given.is_empty() && grammar::VOLUME.refused_keys().any(refused) {
                return None;
            }
            let message = format!("a volume has exactly one source, found {}", given.len());
            let hint = "write emptyDir: {}, persistentVolumeClaim, configMap or secret";
            self.report.error("conflict", item, message, hint);
            return None;
        };
        let node = item.field(key)?;
        match *key {
            "emptyDir" => {
                self.report.fields(node, &grammar::EMPTY_DIR).then_some(VolumeSource::Empty)
            }
            "persistentVolumeClaim" => self.claim(node, names),
            "configMap" => self.config_volume(node),
            _ => self.secret_volume(node),
        }
    }

    fn claim(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<VolumeSource> {
        if !self.report.fields(node, &grammar::CLAIM) {
            return None;
        }
        let name = self.report.required(node, &grammar::CLAIM, "claimName")?;
        let text = self.text(name, names)?;
        if text.as_plain().is_some() {
            self.fixed_name(name, "a claim")?;
        }
        Some(VolumeSource::Claim(text))
    }

    fn config_volume(&self, node: &'a Node) -> Option<VolumeSource> {
        if !self.report.fields(node, &grammar::CONFIG_VOLUME) {
            return None;
        }
        let optional = node.field("optional").and_then(|node| self.report.boolean(node));
        let optional = optional.unwrap_or(false);
        let name = self.report.required(node, &grammar::CONFIG_VOLUME, "name")?;
        let entries = self.config_map(name, optional).unwrap_or(&[]);
        let value = |key: &str| entries.iter().find(|e| &*e.key == key)?.node.text();
        if node.field("items").is_none() {
            let files = entries.iter().filter_map(|entry| {
                let key = self.fixed_name_of_key(node, &entry.key)?;
                Some((key, entry.node.text()?.into()))
            });
            return Some(VolumeSource::Files(files.collect()));
        }
        let mut files: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (key, path) in self.volume_items(node) {
            match value(&key) {
                Some(text) => files.push((path, text.into())),
                None if optional || entries.is_empty() => {}
                None => {
                    let known = entries.iter().map(|entry| &*entry.key);
                    let hint = self.report.did_you_mean(&key, known);
                    let message = format!("the ConfigMap has no key {}", quote(&key));
                    self.report.error("missing_config_map", node, message, hint);
                }
            }
        }
        Some(VolumeSource::Files(files))
    }

    /// A key of a `ConfigMap` as the name of a file.
    fn fixed_name_of_key(&self, at: &'a Node, key: &str) -> Option<Box<str>> {
        if is_file_path(key) && !key.contains('/') {
            return Some(key.into());
        }
        let message = format!("the key {} cannot be the name of a file", quote(key));
        self.report.error("bad_path", at, message, "rename the key");
        None
    }

    fn secret_volume(&self, node: &'a Node) -> Option<VolumeSource> {
        if !self.report.fields(node, &grammar::SECRET_VOLUME) {
            return None;
        }
        let optional = node.field("optional").and_then(|node| self.report.boolean(node));
        let name = self.report.required(node, &grammar::SECRET_VOLUME, "secretName")?;
        let name = self.fixed_name(name, "a secret")?;
        Some(VolumeSource::Secret {
            name: name.into(),
            items: self.volume_items(node),
            optional: optional.unwrap_or(false),
        })
    }

    /// `items` of a volume: key, path.
    fn volume_items(&self, node: &'a Node) -> Vec<(Box<str>, Box<str>)> {
        let mut out = Vec::new();
        for item in self.report.list_field(node, "items", "items") {
            if !self.report.fields(item, &grammar::VOLUME_ITEM) {
                continue;
            }
            let key = self.report.required(item, &grammar::VOLUME_ITEM, "key");
            let path = self.report.required(item, &grammar::VOLUME_ITEM, "path");
            let (Some(key), Some(at)) = (key, path) else { continue };
            let (Some(key), Some(path)) = (self.fixed_name(key, "a key"), self.report.string(at))
            else {
                continue;
            };
            if !is_file_path(path) {
                let message = format!("{} is no path below the volume", quote(path));
                self.report.error("bad_path", at, message, "write it like dir/file, without ..");
                continue;
            }
            out.push((key.into(), path.into()));
        }
        out
    }

    /// The list `volumeMounts` of a container.
    pub(crate) fn mounts(&self, node: &'a Node, names: &Names<'_, 'a>) -> Vec<Mount> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for item in self.report.list_field(node, "volumeMounts", "mounts") {
            let Some(mount) = self.mount(item, names) else { continue };
            if let Some(path) = mount.path.as_plain().map(str::to_owned)
                && !seen.insert(path)
            {
                let message = "another volume is mounted at this path";
                self.report.error("duplicate_name", item, message, "choose another mountPath");
                continue;
            }
            out.push(mount);
        }
        out
    }

    fn mount(&self, item: &'a Node, names: &Names<'_, 'a>) -> Option<Mount> {
        if !self.report.fields(item, &grammar::MOUNT) {
            return None;
        }
        let name = self.report.required(item, &grammar::MOUNT, "name");
        let path = self.report.required(item, &grammar::MOUNT, "mountPath");
        let volume = self.declared_volume(name?, names);
        let at = path?;
        let path = self.text(at, names)?;
        if let Some(plain) = path.as_plain() {
            let inside = plain.strip_prefix('/').map(|rest| rest.trim_end_matches('/'));
            let fine = inside.is_some_and(|rest| is_file_path(rest) && !rest.contains(':'));
            if !fine {
                let message = format!("{} is no path to mount at", quote(plain));
                let hint = "write an absolute path below /, without .. and :";
                self.report.error("bad_path", at, message, hint);
                return None;
            }
        }
        let sub_path = item.field("subPath").and_then(|node| {
            let text = self.text(node, names)?;
            let plain = text.as_plain().map(|plain| plain.trim_end_matches('/'));
            if plain.is_some_and(|plain| !plain.is_empty() && !is_file_path(plain)) {
                let message = format!("{} is no path below the volume", node.describe());
                self.report.error("bad_path", node, message, "write it like dir/file, without ..");
                return None;
            }
            (plain != Some("")).then_some(text)
        });
        let read_only = item.field("readOnly").and_then(|node| self.report.boolean(node));
        Some(Mount {
            volume: volume?.into(),
            path,
            sub_path,
            read_only: read_only.unwrap_or(false),
        })
    }

    /// The name of a volume of the template or of the workflow.
    fn declared_volume(&self, at: &'a Node, names: &Names<'_, 'a>) -> Option<&'a str> {
        let name = self.report.string(at)?;
        let template = names.template.and_then(|ix| self.outline(ix));
        let list = template.and_then(|outline| outline.node.field("volumes"));
        let items = list.map_or(&[][..], Node::items);
        let own = || items.iter().filter_map(|volume| volume.field("name")?.text());
        if self.volume_names.contains(name) || self.alone || own().any(|own| own == name) {
            return Some(name);
        }
        let known = own().chain(self.volume_names.iter().map(|name| &**name));
        let mut hint = self.report.did_you_mean(name, known);
        if hint.is_empty() {
            hint = "declare it in volumes of the template or of the workflow".to_owned();
        }
        let message = format!("there is no volume {}", quote(name));
        self.report.error("unknown_volume", at, message, hint);
        None
    }
}

/// A path of plain names: relative, no empty part, no `.` or `..`, nothing that is not printed.
pub(crate) fn is_file_path(path: &str) -> bool {
    path.len() <= 4096
        && !path.contains(|c: char| c.is_control() || c == '\\')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
