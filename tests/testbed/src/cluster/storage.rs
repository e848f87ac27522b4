//! Objects, in memory. Knows their names and versions, but not HTTP or permissions.

use super::answers::{now, timestamp};
use super::token::uid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::broadcast;

/// API group and plural resource name.
pub type Kind = (String, String);
/// Namespace (empty for cluster-scoped objects) and name.
pub type Key = (String, String);

/// All objects of the cluster.
pub struct Storage {
    objects: BTreeMap<Kind, BTreeMap<Key, Value>>,
    version: u64,
    events: broadcast::Sender<Event>,
}

/// A change, for watches.
#[derive(Clone)]
pub struct Event {
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub what: &'static str,
    /// The resource.
    pub kind: Kind,
    /// The namespace and name.
    pub key: Key,
    /// The object after the change (before it, if deleted).
    pub object: Value,
}

impl Storage {
    /// Without any object.
    pub fn new() -> Self {
        Self { objects: BTreeMap::new(), version: 100, events: broadcast::channel(1024).0 }
    }

    /// One object.
    pub fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.of(group, resource)?.get(&key(namespace, name))
    }

    /// All objects of a resource, ordered by namespace and name. An empty namespace means all namespaces.
    pub fn list<'s>(
        &'s self,
        group: &str,
        resource: &str,
        namespace: &'s str,
    ) -> impl Iterator<Item = (&'s Key, &'s Value)> {
        let all = self.of(group, resource).into_iter().flatten();
        all.filter(move |((place, _), _)| namespace.is_empty() || place == namespace)
    }

    /// Stores an object and returns what is stored. A new object gets a UID and a creation time; an existing
    /// one keeps them.
    pub fn put(&mut self, group: &str, resource: &str, namespace: &str, mut object: Value) -> Value {
        self.version += 1;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let old = self.get(group, resource, namespace, &name).cloned();
        let metadata = &mut object["metadata"];
        if !namespace.is_empty() {
            metadata["namespace"] = json!(namespace);
        }
        match &old {
            None => {
                metadata["uid"] = json!(uid());
                metadata["creationTimestamp"] = json!(timestamp(now()));
            }
            Some(old) => {
                metadata["uid"] = old["metadata"]["uid"].clone();
                metadata["creationTimestamp"] = old["metadata"]["creationTimestamp"].clone();
            }
        }
        metadata["resourceVersion"] = json!(self.version.to_string());
        let what = if old.is_some() { "MODIFIED" } else { "ADDED" };
        let objects = self.objects.entry(kind(group, resource)).or_default();
        objects.insert(key(namespace, &name), object.clone());
        self.tell(what, kind(group, resource), key(namespace, &name), object.clone());
        object
    }

    /// Removes one object and returns it. Removing a namespace removes everything in it.
    pub fn remove(&mut self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let removed = self.objects.get_mut(&kind(group, resource))?.remove(&key(namespace, name))?;
        self.version += 1;
        self.tell("DELETED", kind(group, resource), key(namespace, name), removed.clone());
        if group.is_empty() && resource == "namespaces" {
            for objects in self.objects.values_mut() {
                objects.retain(|(place, _), _| place != name);
            }
        }
        Some(removed)
    }

    /// The resource version of the whole storage, as lists show it.
    pub fn version(&self) -> String {
        self.version.to_string()
    }

    /// The changes from now on.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn of(&self, group: &str, resource: &str) -> Option<&BTreeMap<Key, Value>> {
        self.objects.get(&kind(group, resource))
    }

    fn tell(&self, what: &'static str, kind: Kind, key: Key, object: Value) {
        // Sending fails if there is no watch, which is not an error.
        drop(self.events.send(Event { what, kind, key, object }));
    }
}

fn kind(group: &str, resource: &str) -> Kind {
    (group.to_owned(), resource.to_owned())
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.to_owned(), name.to_owned())
}
