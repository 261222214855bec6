//! What a task asks of a machine.

use flowforge_model::resources::{Bytes, MilliCpu, ResourceList, Resources};

use crate::located::{Node, quote};
use crate::names::Dialect;
use crate::outline::Doc;
use crate::quantity::Quantity;

const GPU: &str = "nvidia.com/gpu";

/// One side as it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Thousandths of a core.
    pub cpu: Option<MilliCpu>,
    /// Bytes.
    pub memory: Option<Bytes>,
    /// Whole devices.
    pub gpu: Option<u32>,
}

/// Requests and limits from what was given of either: a limit alone is the request too, a request
/// above the default limit raises that limit. What was given on both sides stays, also if a request
/// is above its limit.
#[must_use]
pub fn settled(requests: Given, limits: Given) -> Resources {
    let defaults = Resources::default();
    let cpu = settle((requests.cpu, limits.cpu), (defaults.requests.cpu, defaults.limits.cpu));
    let memory = settle(
        (requests.memory, limits.memory),
        (defaults.requests.memory, defaults.limits.memory),
    );
    let gpu = requests.gpu.or(limits.gpu).unwrap_or(0);
    Resources {
        requests: ResourceList { cpu: cpu.0, memory: memory.0, gpu },
        limits: ResourceList { cpu: cpu.1, memory: memory.1, gpu },
    }
}

impl<'a> Doc<'a> {
    /// Requests and limits. As in Kubernetes a limit alone is the request too; a request above
    /// the default limit raises that limit. The short form sets both.
    pub(crate) fn resources(&self, node: Option<&'a Node>) -> Resources {
        let defaults = Resources::default();
        let Some(node) = node else { return defaults };
        let Some(entries) = node.entries() else {
            let message = format!("expected resources (a map), found {}", node.describe());
            self.report.error("wrong_type", node, message, "");
            return defaults;
        };
        let long = |key: &str| key == "requests" || key == "limits";
        let sides = entries.iter().filter(|e| long(&e.key)).count();
        if sides > 0 && sides < entries.len() {
            for entry in entries.iter().filter(|e| !long(&e.key)) {
                if entry.key.as_ref() == "claims" {
                    let message = "claims of resources is not supported";
                    self.report.error("unsupported", entry, message, "remove it");
                } else {
                    let message = format!("{} stands beside requests or limits", quote(&entry.key));
                    let hint = "put it into requests and limits, or use only the short form";
                    self.report.error("conflict", entry, message, hint);
                }
            }
        }
        let (requests, limits) = if sides == 0 {
            let both = self.given(node);
            (both, both)
        } else {
            let side = |key| node.field(key).map_or(Given::default(), |n| self.given(n));
            (side("requests"), side("limits"))
        };
        self.settle(node, requests, limits)
    }

    /// Fills in what was not given and compares the sides.
    fn settle(&self, node: &'a Node, requests: Given, limits: Given) -> Resources {
        let Resources { requests: asked, limits: most } = settled(requests, limits);
        let gpu = asked.gpu;
        let over = [("cpu", asked.cpu > most.cpu), ("memory", asked.memory > most.memory)];
        for (what, over) in over {
            if over {
                let message = format!("{what} requests more than its limit");
                let hint = "raise the limit or lower the request";
                self.report.error("request_over_limit", node, message, hint);
            }
        }
        if limits.gpu.is_some_and(|limit| limit != gpu) {
            let message = format!("{GPU} is requested and limited differently");
            let hint = "devices are not shared: give both the same number";
            self.report.error("request_over_limit", node, message, hint);
        }
        Resources { requests: asked, limits: most }
    }

    fn given(&self, node: &'a Node) -> Given {
        let mut out = Given::default();
        let Some(entries) = node.entries() else {
            let message = format!("expected cpu and memory (a map), found {}", node.describe());
            self.report.error("wrong_type", node, message, "");
            return out;
        };
        for entry in entries {
            let key = &*entry.key;
            match key {
                "cpu" => out.cpu = self.quantity(&entry.node).map(Quantity::milli_cpu),
                "memory" => out.memory = self.memory(&entry.node),
                GPU => out.gpu = self.devices(&entry.node),
                "ephemeral-storage" if self.dialect == Dialect::Argo => {
                    let message = "ephemeral-storage is not limited for local processes";
                    self.report.warning("no_effect", entry, message, "");
                }
                "ephemeral-storage" | "claims" => self.refuse_resource(entry, key),
                _ if key.contains('/') || key.starts_with("hugepages-") => {
                    self.refuse_resource(entry, key);
                }
                _ => {
                    let message = format!("there is no resource {}", quote(key));
                    let known = ["cpu", "memory", GPU].into_iter();
                    let mut hint = self.report.did_you_mean(key, known);
                    if hint.is_empty() {
                        hint = format!("resources are cpu, memory and {GPU}");
                    }
                    self.report.error("unknown_field", entry, message, hint);
                }
            }
        }
        out
    }

    fn refuse_resource(&self, entry: &'a crate::located::Entry, key: &str) {
        let message = format!("the resource {} is not supported", quote(key));
        self.report.error("unsupported", entry, message, "remove it");
    }

    pub(crate) fn quantity(&self, node: &'a Node) -> Option<Quantity> {
        self.report.string(node)?;
        let text = &*self.settled(node)?;
        match Quantity::parse(text) {
            Ok(quantity) => Some(quantity),
            Err(cause) => {
                let message = format!("{} is no quantity: {cause}", quote(text));
                let hint = "write it like 500m, 0.5, 2 (cpu) or 256Mi, 1Gi (memory)";
                self.report.error("bad_quantity", node, message, hint);
                None
            }
        }
    }

    fn memory(&self, node: &'a Node) -> Option<Bytes> {
        let bytes = self.quantity(node)?.bytes();
        if bytes.0 > 0 && node.text().is_some_and(|text| text.ends_with('m')) {
            let message = format!("m means thousandths of a byte: this is {} bytes", bytes.0);
            let hint = "write Mi for mebibytes";
            self.report.warning("small_memory", node, message, hint);
        }
        Some(bytes)
    }

    fn devices(&self, node: &'a Node) -> Option<u32> {
        let quantity = self.quantity(node)?;
        let devices = quantity.whole().and_then(|n| u32::try_from(n).ok());
        if devices.is_none() {
            let message = format!("{} is no number of devices", node.describe());
            self.report.error("bad_quantity", node, message, "write a whole number");
        }
        devices
    }
}

/// Request and limit from what was given of either.
fn settle<T: Copy + Ord>(given: (Option<T>, Option<T>), defaults: (T, T)) -> (T, T) {
    match given {
        (None, None) => defaults,
        (Some(request), None) => (request, defaults.1.max(request)),
        (None, Some(limit)) => (limit, limit),
        (Some(request), Some(limit)) => (request, limit),
    }
}
