//! What the API serves: the recorded discovery documents of real servers, and the custom resources that
//! were added to them.

use super::answers::{Answer, no_such_resource, page_not_found};
use super::storage::Storage;
use crate::recordings::{self, AGGREGATED};
use serde_json::{Value, json};

/// Resources and versions that 1.20 did not serve. It is told from 1.36 by what it lacks, because only two
/// of its resource lists are recorded.
const SINCE_1_20: [(&str, &str); 17] = [
    ("selfsubjectreviews", ""),
    ("ipaddresses", ""),
    ("servicecidrs", ""),
    ("csistoragecapacities", ""),
    ("volumeattributesclasses", ""),
    ("mutatingadmissionpolicies", ""),
    ("mutatingadmissionpolicybindings", ""),
    ("validatingadmissionpolicies", ""),
    ("validatingadmissionpolicybindings", ""),
    ("cronjobs", "v1"),
    ("jobs", "v1beta1"),
    ("networkpolicies", "v1beta1"),
    ("deviceclasses", ""),
    ("resourceclaims", ""),
    ("resourceclaimtemplates", ""),
    ("resourceslices", ""),
    ("horizontalpodautoscalers", "v2"),
];

/// A resource of one group and version.
#[derive(Clone, Debug)]
pub struct Resource {
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name.
    pub name: String,
    /// Its entry in aggregated discovery.
    pub entry: Value,
    /// Defined by a `CustomResourceDefinition`.
    pub custom: bool,
}

impl Resource {
    /// Whether its objects live in namespaces.
    pub fn namespaced(&self) -> bool {
        self.entry["scope"] == "Namespaced"
    }

    /// The kind of its objects.
    pub fn kind(&self) -> &str {
        self.entry["responseKind"]["kind"].as_str().unwrap_or_default()
    }

    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// What can be done with it, or with one of its subresources; `None` if there is no such subresource.
    pub fn verbs(&self, subresource: &str) -> Option<Vec<&str>> {
        let entry = if subresource.is_empty() {
            &self.entry
        } else {
            let mut entries = self.entry["subresources"].as_array()?.iter();
            entries.find(|entry| entry["subresource"] == subresource)?
        };
        Some(entry["verbs"].as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// Its entries in the unaggregated resource list: itself and its subresources.
    fn list_entries(&self, old: bool) -> Vec<Value> {
        let entry = &self.entry;
        let singular = if old && !self.custom { json!("") } else { entry["singularResource"].clone() };
        let mut own = json!({
            "name": self.name, "singularName": singular, "namespaced": self.namespaced(),
            "kind": self.kind(), "verbs": entry["verbs"],
        });
        for optional in ["shortNames", "categories"] {
            if entry[optional].is_array() {
                own[optional] = entry[optional].clone();
            }
        }
        let subresources = entry["subresources"].as_array().into_iter().flatten().map(|sub| {
            let name = format!("{}/{}", self.name, sub["subresource"].as_str().unwrap_or_default());
            let response = &sub["responseKind"];
            let mut listed = json!({
                "name": name, "singularName": "", "namespaced": self.namespaced(),
                "kind": response["kind"], "verbs": sub["verbs"],
            });
            for elsewhere in ["group", "version"] {
                if response[elsewhere].as_str().is_some_and(|text| !text.is_empty()) {
                    listed[elsewhere] = response[elsewhere].clone();
                }
            }
            listed
        });
        let subresources: Vec<Value> = subresources.collect();
        [vec![own], subresources].concat()
    }
}

/// The discovery documents of one server version.
pub struct Discovery {
    old: bool,
    /// Bodies of `/version` and of `/api`, `/apis` and below, as recorded, by path.
    recorded: Vec<(String, Value)>,
    /// `/version`, byte for byte.
    version: String,
    /// Aggregated `/api` and `/apis` as recorded; nothing on old servers.
    aggregated: Vec<(String, Value)>,
    resources: Vec<Resource>,
}

impl Discovery {
    /// Of 1.20 (`old`) or 1.36.
    pub fn new(old: bool) -> Self {
        let exchanges = recordings::exchanges(if old { recordings::V1_20 } else { recordings::V1_36 });
        let (mut recorded, mut aggregated, mut version) = (Vec::new(), Vec::new(), String::new());
        for exchange in &exchanges {
            let (path, response) = (exchange["request"]["path"].as_str().unwrap(), &exchange["response"]);
            let body = response["body"].as_str().unwrap();
            if response["status"] != 200 || exchange["request"]["method"] != "GET" {
                continue;
            }
            let is_aggregated = is_aggregated(&exchange["request"]["accept"]);
            if path == "/version" {
                body.clone_into(&mut version);
            } else if (path.starts_with("/api") && !path.contains("/namespaces/")) && !(old && is_aggregated)
            {
                let documents = if is_aggregated { &mut aggregated } else { &mut recorded };
                documents.push((path.to_owned(), serde_json::from_str(body).unwrap()));
            }
        }
        let mut discovery = Self { old, recorded, version, aggregated, resources: Vec::new() };
        discovery.resources = if old { discovery.old_resources() } else { current_resources() };
        discovery
    }

    /// The body of `/version`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The resource under this group and version.
    pub fn resource(&self, storage: &Storage, group: &str, version: &str, name: &str) -> Option<Resource> {
        let known = self.resources.iter().find(|known| is(known, group, version, name)).cloned();
        known.or_else(|| custom_resources(storage).into_iter().find(|known| is(known, group, version, name)))
    }

    /// What is said when a resource is not there: a group of the server's own knows JSON, the rest is text. No
    /// aggregated server is up here.
    pub fn absent(&self, storage: &Storage, group: &str, version: &str) -> Answer {
        if api_services(storage).iter().any(|service| *service == (group.to_owned(), version.to_owned())) {
            return Answer::text(503, "service unavailable\n");
        }
        let known = group.is_empty() || self.resources.iter().any(|resource| resource.group == group);
        if known { no_such_resource() } else { page_not_found() }
    }

    /// `/api`, `/apis` and below; `None` if the path is none of these.
    pub fn answer(&self, storage: &Storage, path: &str, aggregated: bool, address: &str) -> Option<Answer> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let custom = custom_resources(storage);
        match parts.as_slice() {
            ["api" | "apis"] if aggregated && !self.old => Some(self.all_at_once(storage, path, &custom)),
            ["api"] => {
                let mut document = self.recorded("/api")?;
                document["serverAddressByClientCIDRs"][0]["serverAddress"] = json!(address);
                Some(Answer::json(200, &document))
            }
            ["apis"] => Some(Answer::json(
                200,
                &json!({
                    "kind": "APIGroupList", "apiVersion": "v1", "groups": self.groups(storage, &custom),
                }),
            )),
            ["api", version] => Some(self.resource_list(storage, path, "", version, &custom)),
            ["apis", group] => {
                let groups = self.groups(storage, &custom);
                let found = groups.into_iter().find(|known| known["name"] == *group);
                Some(found.map_or_else(page_not_found, |mut document| {
                    document["kind"] = json!("APIGroup");
                    document["apiVersion"] = json!("v1");
                    Answer::json(200, &document)
                }))
            }
            ["apis", group, version] => Some(self.resource_list(storage, path, group, version, &custom)),
            _ => None,
        }
    }

    fn recorded(&self, path: &str) -> Option<Value> {
        self.recorded.iter().find(|(known, _)| known == path).map(|(_, document)| document.clone())
    }

    fn groups(&self, storage: &Storage, custom: &[Resource]) -> Vec<Value> {
        let recorded = self.recorded("/apis").unwrap_or_default();
        let mut groups = recorded["groups"].as_array().cloned().unwrap_or_default();
        let custom = custom.iter().map(|resource| (resource.group.clone(), resource.version.clone()));
        for (group, version) in custom.chain(api_services(storage)) {
            let version = json!({ "groupVersion": group_version(&group, &version), "version": version });
            let known = groups.iter_mut().find(|known| known["name"] == group.as_str());
            if let Some(versions) = known.and_then(|group| group["versions"].as_array_mut()) {
                if !versions.contains(&version) {
                    versions.push(version);
                }
            } else {
                groups.push(json!({ "name": group, "versions": [version], "preferredVersion": version }));
            }
        }
        groups
    }

    fn resource_list(
        &self,
        storage: &Storage,
        path: &str,
        group: &str,
        version: &str,
        custom: &[Resource],
    ) -> Answer {
        if let Some(document) = self.recorded(path) {
            return Answer::json(200, &document);
        }
        let all = self.resources.iter().chain(custom);
        let mut here = all.filter(|known| known.group == group && known.version == version).peekable();
        if here.peek().is_none() {
            return self.absent(storage, group, version);
        }
        let entries: Vec<Value> = here.flat_map(|resource| resource.list_entries(self.old)).collect();
        Answer::json(
            200,
            &json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version),
                "resources": entries,
            }),
        )
    }

    fn all_at_once(&self, storage: &Storage, path: &str, custom: &[Resource]) -> Answer {
        let document = self.aggregated.iter().find(|(known, _)| known == path);
        let mut document = document.map(|(_, document)| document.clone()).unwrap_or_default();
        if let Some(items) = document["items"].as_array_mut().filter(|_| path == "/apis") {
            for resource in custom {
                let entry = &resource.entry;
                let group = items.iter_mut().find(|item| item["metadata"]["name"] == resource.group.as_str());
                let versions = group.and_then(|group| group["versions"].as_array_mut());
                let fresh = json!({
                    "version": resource.version, "resources": [entry], "freshness": "Current",
                });
                match versions {
                    None => {
                        items.push(json!({ "metadata": { "name": resource.group }, "versions": [fresh] }));
                    }
                    Some(versions) => {
                        let same =
                            versions.iter_mut().find(|known| known["version"] == resource.version.as_str());
                        match same.and_then(|known| known["resources"].as_array_mut()) {
                            Some(resources) => resources.push(entry.clone()),
                            None => versions.push(fresh),
                        }
                    }
                }
            }
            items.extend(api_services(storage).into_iter().map(|(group, version)| {
                let stale = json!({ "version": version, "freshness": "Stale" });
                json!({ "metadata": { "name": group }, "versions": [stale] })
            }));
        }
        Answer {
            content_type: AGGREGATED.to_owned(),
            headers: vec![
                ("Cache-Control".to_owned(), "public".to_owned()),
                ("Vary".to_owned(), "Accept".to_owned()),
            ],
            ..Answer::json(200, &document)
        }
    }

    /// 1.20's resources: the groups and versions it recorded, filled from its recorded resource lists or,
    /// where there is none, from 1.36 without what came later.
    fn old_resources(&self) -> Vec<Resource> {
        let current = current_resources();
        let groups = self.groups(&Storage::new(), &[]);
        let versions = groups.iter().flat_map(|group| {
            let versions = group["versions"].as_array().into_iter().flatten();
            versions.map(|version| (text(&group["name"]), text(&version["version"])))
        });
        let versions: Vec<(String, String)> = versions.chain([(String::new(), "v1".to_owned())]).collect();
        let resources = versions.into_iter().flat_map(|(group, version)| {
            let path =
                if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/{version}") };
            if let Some(list) = self.recorded(&path) {
                return from_list(&group, &version, &list);
            }
            // Ingresses moved from extensions to networking.k8s.io.
            let (source, only) = match group.as_str() {
                "extensions" => ("networking.k8s.io", Some("ingresses")),
                other => (other, None),
            };
            let mut here: Vec<Resource> = Vec::new();
            for resource in current.iter().filter(|resource| resource.group == source) {
                let later = SINCE_1_20
                    .iter()
                    .any(|(name, since)| resource.name == *name && (since.is_empty() || *since == version));
                let wanted = only.is_none_or(|only| resource.name == only);
                if !later && wanted && here.iter().all(|known| known.name != resource.name) {
                    let (group, version) = (group.clone(), version.clone());
                    here.push(Resource { group, version, ..resource.clone() });
                }
            }
            here
        });
        resources.collect()
    }
}

/// A `CustomResourceDefinition` of one version, ready to be created.
pub fn custom_resource_definition(
    group: &str,
    version: &str,
    plural: &str,
    kind: &str,
    scope: &str,
) -> Value {
    let schema =
        json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "scope": scope,
            "names": {
                "plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"),
            },
            "versions": [{ "name": version, "served": true, "storage": true, "schema": schema }],
        },
    })
}

fn is_aggregated(accept: &Value) -> bool {
    accept.as_str().is_some_and(|accept| accept.contains("APIGroupDiscoveryList"))
}

fn is(known: &Resource, group: &str, version: &str, name: &str) -> bool {
    known.group == group && known.version == version && known.name == name
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The resources of 1.36 from its aggregated documents.
fn current_resources() -> Vec<Resource> {
    let mut resources = Vec::new();
    for exchange in recordings::exchanges(recordings::V1_36) {
        if !is_aggregated(&exchange["request"]["accept"]) {
            continue;
        }
        let body: Value = serde_json::from_str(exchange["response"]["body"].as_str().unwrap()).unwrap();
        for group in body["items"].as_array().unwrap() {
            for version in group["versions"].as_array().unwrap() {
                let entries = version["resources"].as_array().unwrap();
                resources.extend(entries.iter().map(|entry| Resource {
                    group: text(&group["metadata"]["name"]),
                    version: text(&version["version"]),
                    name: text(&entry["resource"]),
                    entry: entry.clone(),
                    custom: false,
                }));
            }
        }
    }
    resources
}

/// The resources of an unaggregated resource list.
fn from_list(group: &str, version: &str, list: &Value) -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    for item in list["resources"].as_array().unwrap() {
        let name = text(&item["name"]);
        if let Some((parent, subresource)) = name.split_once('/') {
            let sub = json!({
                "subresource": subresource, "verbs": item["verbs"],
                "responseKind": { "group": "", "version": "", "kind": item["kind"] },
            });
            if let Some(parent) = resources.iter_mut().find(|known| known.name == parent) {
                match parent.entry["subresources"].as_array_mut() {
                    Some(known) => known.push(sub),
                    None => parent.entry["subresources"] = json!([sub]),
                }
            }
            continue;
        }
        let scope = if item["namespaced"] == true { "Namespaced" } else { "Cluster" };
        let entry = json!({
            "resource": name, "scope": scope, "singularResource": item["singularName"], "verbs": item["verbs"],
            "responseKind": { "group": "", "version": "", "kind": item["kind"] },
        });
        let (group, version) = (group.to_owned(), version.to_owned());
        resources.push(Resource { group, version, name, entry, custom: false });
    }
    resources
}

/// Group and version of the stored `APIService` objects that name a Service.
fn api_services(storage: &Storage) -> Vec<(String, String)> {
    let services = storage.list("apiregistration.k8s.io", "apiservices", "");
    let away = services.filter(|(_, service)| service["spec"]["service"].is_object());
    away.map(|(_, service)| (text(&service["spec"]["group"]), text(&service["spec"]["version"]))).collect()
}

/// What the stored `CustomResourceDefinition` objects define.
fn custom_resources(storage: &Storage) -> Vec<Resource> {
    let definitions = storage.list("apiextensions.k8s.io", "customresourcedefinitions", "");
    let resources = definitions.flat_map(|(_, definition)| {
        let spec = &definition["spec"];
        let versions = spec["versions"].as_array().into_iter().flatten();
        let served = versions.filter(|version| version["served"] != false);
        served.map(|version| {
            let (names, subresources) = (&spec["names"], &version["subresources"]);
            let (group, version, name) =
                (text(&spec["group"]), text(&version["name"]), text(&names["plural"]));
            let scope = if spec["scope"] == "Cluster" { "Cluster" } else { "Namespaced" };
            let mut entry = json!({
                "resource": name, "scope": scope, "singularResource": names["singular"],
                "responseKind": { "group": group, "version": version, "kind": names["kind"] },
                "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
            });
            for optional in ["shortNames", "categories"] {
                if names[optional].is_array() {
                    entry[optional] = names[optional].clone();
                }
            }
            if let Some(subresources) = subresources.as_object() {
                let listed = subresources.keys().map(|name| {
                    json!({
                        "subresource": name, "verbs": ["get", "patch", "update"],
                        "responseKind": entry["responseKind"],
                    })
                });
                entry["subresources"] = listed.collect();
            }
            Resource { group, version, name, entry, custom: true }
        })
    });
    resources.collect()
}
