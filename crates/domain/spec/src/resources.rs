//! What a task asks of a machine.

use flowforge_model::quantity::Quantity;
use flowforge_model::resources::{Given, Resource, Resources};

use crate::located::{Node, quote};
use crate::names::Dialect;
use crate::outline::Doc;
use crate::report::Spot;

impl<'a> Doc<'a> {
    /// Requests and limits. As in Kubernetes a limit alone is the request too; a request above
    /// the default limit raises that limit. The short form sets both.
    pub(crate) fn resources(&self, node: Option<&'a Node>) -> Resources {
        let Some(node) = node else { return Resources::default() };
        let [requests, limits] = self.sides(node);
        self.settle(node, [requests, limits], "")
    }

    /// Requests and limits as they were written.
    pub(crate) fn sides(&self, node: &'a Node) -> [Given; 2] {
        let Some(entries) = node.entries() else {
            let message = format!("expected resources (a map), found {}", node.describe());
            self.report.error("wrong_type", node, message, "");
            return [Given::default(); 2];
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
        if sides == 0 {
            return [self.given(node); 2];
        }
        ["requests", "limits"]
            .map(|key| node.field(key).map_or(Given::default(), |node| self.given(node)))
    }

    /// Fills in what was not given and compares the sides. `whose` stands before what is said of them.
    pub(crate) fn settle(
        &self,
        node: &'a Node,
        [requests, limits]: [Given; 2],
        whose: &str,
    ) -> Resources {
        for resource in Resources::contradictions(requests, limits) {
            let what = resource.name();
            let (message, hint) = if resource == Resource::Gpu {
                let message = format!("{whose}{what} is requested and limited differently");
                (message, "devices are not shared: give both the same number")
            } else {
                let message = format!("{whose}{what} requests more than its limit");
                (message, "raise the limit or lower the request")
            };
            self.report.error("request_over_limit", node, message, hint);
        }
        Resources::settled(requests, limits)
    }

    fn given(&self, node: &'a Node) -> Given {
        let mut out = Given::default();
        let Some(entries) = node.entries() else {
            let message = format!("expected cpu and memory (a map), found {}", node.describe());
            self.report.error("wrong_type", node, message, "");
            return out;
        };
        for entry in entries {
            if let Some(resource) = self.resource(entry, &entry.key)
                && let Some(text) = self.report.string(&entry.node)
                && let Some(amount) = self.amount(&entry.node, (text, ""), resource)
            {
                // That it is one was found out.
                let _ = out.set(resource, amount);
            }
        }
        out
    }

    /// The resource that a key names; reports what is none that a task can ask for.
    pub(crate) fn resource(&self, spot: impl Into<Spot<'a>>, key: &str) -> Option<Resource> {
        let found = Resource::ALL.into_iter().find(|resource| resource.name() == key);
        if found.is_some() {
            return found;
        }
        let storage = key == "ephemeral-storage";
        if storage && self.dialect == Dialect::Argo {
            let message = "ephemeral-storage is not limited for local processes";
            self.report.warning("no_effect", spot, message, "");
        } else if storage || key == "claims" || key.contains('/') || key.starts_with("hugepages-") {
            let message = format!("the resource {} is not supported", quote(key));
            self.report.error("unsupported", spot, message, "remove it");
        } else {
            let message = format!("there is no resource {}", quote(key));
            let known = Resource::ALL.map(Resource::name);
            let mut hint = self.report.did_you_mean(key, known.into_iter());
            if hint.is_empty() {
                hint = format!("resources are cpu, memory and {}", Resource::Gpu.name());
            }
            self.report.error("unknown_field", spot, message, hint);
        }
        None
    }

    /// The amount in a text at a node; `whose` stands before what is said of it.
    pub(crate) fn amount(
        &self,
        node: &'a Node,
        (text, whose): (&str, &str),
        resource: Resource,
    ) -> Option<Quantity> {
        let quantity = self.quantity_of(node, (text, whose))?;
        match resource {
            Resource::Cpu => {}
            Resource::Memory => {
                let bytes = quantity.bytes().0;
                if bytes > 0 && text.ends_with('m') {
                    let message =
                        format!("{whose}m means thousandths of a byte: this is {bytes} bytes");
                    let hint = "write Mi for mebibytes";
                    self.report.warning("small_memory", node, message, hint);
                }
            }
            Resource::Gpu => {
                if Given::default().set(resource, quantity).is_none() {
                    let message = format!("{whose}{} is no number of devices", quote(text));
                    self.report.error("bad_quantity", node, message, "write a whole number");
                    return None;
                }
            }
        }
        Some(quantity)
    }

    pub(crate) fn quantity(&self, node: &'a Node) -> Option<Quantity> {
        let text = self.report.string(node)?;
        self.quantity_of(node, (text, ""))
    }

    fn quantity_of(&self, node: &'a Node, (text, whose): (&str, &str)) -> Option<Quantity> {
        let text = &*self.settled_of(node, text)?;
        match Quantity::parse(text) {
            Ok(quantity) => Some(quantity),
            Err(cause) => {
                let message = format!("{whose}{} is no quantity: {cause}", quote(text));
                let hint = "write it like 500m, 0.5, 2 (cpu) or 256Mi, 1Gi (memory)";
                self.report.error("bad_quantity", node, message, hint);
                None
            }
        }
    }
}
