//! Reads discovery documents as streams: aggregated ones and the older lists. Passes on what it finds, and does not
//! know which names are wanted.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::mem;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::resource::Unresolved;
use crate::api::json::{self, Sparing};
use crate::api::status::{self, Shape};
use crate::api::{LARGEST_BODY, Reply, failure_of_io, io_of_failure};
use crate::failure::Failure;
use crate::token::Token;

/// No piece of a document (a resource, a key) may be larger, in bytes; real resources have less than 2 KiB.
/// The whole may be of any length.
const LARGEST_PIECE: usize = 32 * 1024;

/// One resource of a discovery document.
#[derive(Debug, Default)]
pub struct Candidate {
    /// The plural.
    pub plural: String,
    /// Singular, and kind in lower case.
    pub singulars: Vec<String>,
    /// Short names.
    pub short_names: Vec<String>,
    /// False: cluster-scoped.
    pub namespaced: bool,
    /// The verbs it serves.
    pub verbs: Vec<String>,
    /// Subresources and their verbs.
    pub subresources: Vec<(String, Vec<String>)>,
}

/// One finding in a document, in the order of the document.
#[derive(Debug)]
pub enum Found<'a> {
    /// A resource of this group and version.
    Resource(&'a str, &'a str, Candidate),
    /// A subresource, which the older lists hold beside its resource, or without it: group, version, whose it is.
    Subresource(&'a str, &'a str, Candidate),
    /// The server of this group and version does not answer.
    Silent(&'a str, &'a str),
}

/// The result of reading a document.
pub enum Document {
    /// A list of groups or versions of a server without aggregated discovery.
    Older(Value),
    /// Read completely; every finding has been passed on.
    Read,
}

/// The versions of a group of an older list, the preferred one first.
pub fn versions_of(group: &Value) -> Vec<String> {
    let version = |value: &Value| value.get("version").and_then(Value::as_str).map(str::to_owned);
    let preferred = group.get("preferredVersion").and_then(version);
    let all = group.get("versions").and_then(Value::as_array).into_iter().flatten().filter_map(version);
    let others = all.filter(|other| Some(other) != preferred.as_ref());
    preferred.clone().into_iter().chain(others).collect()
}

/// Reads any of the discovery documents and hands out what it finds; `group` and `version` are what an older
/// resource list is of.
pub fn read(
    mut reply: Reply,
    group: &str,
    version: &str,
    found: &mut dyn FnMut(Found<'_>),
) -> Result<Document, Unresolved> {
    if reply.status() != 200 {
        return Err(status::answer(reply, &Shape::Path)
            .map_or_else(Unresolved::Failed, |answer| Unresolved::Answered(Box::new(answer))));
    }
    let aggregated = reply.header("content-type").is_some_and(|value| value.contains("apidiscovery.k8s.io"));
    let server = reply.server.clone();
    let broken = |error: serde_json::Error| {
        Unresolved::Failed(if error.is_io() {
            failure_of_io(error.into(), &server)
        } else {
            // Without the parser's message, because it quotes the document.
            let (line, column) = (error.line(), error.column());
            Failure::Unintelligible(format!(
                "a discovery document that cannot be read (line {line}, column {column})"
            ))
        })
    };
    if !aggregated && version.is_empty() {
        let body = reply.take(LARGEST_BODY).map_err(Unresolved::Failed)?;
        let document: Value = json::parse(&body, reply.token()).map_err(broken)?;
        reply.drain().map_err(Unresolved::Failed)?;
        let kind = document.get("kind").and_then(Value::as_str);
        if !matches!(kind, Some("APIGroupList" | "APIVersions")) {
            let why = format!("{server} answers discovery with something other than API groups");
            return Err(Unresolved::Failed(Failure::Unintelligible(why)));
        }
        return Ok(Document::Older(document));
    }
    let (token, left) = (reply.token().cloned(), Cell::new(LARGEST_PIECE));
    let is_of_group = !group.is_empty();
    let (group, version) = (group.to_owned(), version.to_owned());
    let mut walk = Walk {
        found,
        group,
        version,
        aggregated,
        held: Vec::new(),
        left: &left,
        token: token.as_ref(),
        is_list: false,
    };
    let pieces = Pieces { body: reply.reader(), left: &left };
    let mut parser = serde_json::Deserializer::from_reader(BufReader::new(pieces));
    Object(&mut walk).deserialize(&mut parser).and_then(|()| parser.end()).map_err(broken)?;
    let is_list = walk.is_list;
    drop(parser);
    // What is before one group's server answers in its place; the core group has no such server.
    if !aggregated && is_of_group && !is_list {
        let why = format!("{server} answers discovery with something other than a list of resources");
        return Err(Unresolved::Failed(Failure::Unintelligible(why)));
    }
    Ok(Document::Read)
}

/// A body that fails when one piece of it is too large.
struct Pieces<'l, B> {
    body: B,
    /// Bytes that may still be read before the next piece begins.
    left: &'l Cell<usize>,
}

impl<B: Read> Read for Pieces<'_, B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = buffer.len().min(self.left.get());
        if limit == 0 {
            let why = format!("a discovery document with something of more than {LARGEST_PIECE} bytes in it");
            return Err(io_of_failure(Failure::Unintelligible(why)));
        }
        let count = self.body.read(buffer.get_mut(..limit).unwrap_or_default())?;
        self.left.set(self.left.get() - count);
        Ok(count)
    }
}

/// True for what can be a group, a version or a resource: it comes into paths, and into lines to copy.
pub fn is_plain(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    name.len() <= 253 && name.bytes().all(inner) && !name.starts_with('.')
}

/// The position in a document. Groups come before the objects that they name. So do versions, unless a server or a
/// proxy on the way has sorted the keys.
struct Walk<'s> {
    found: &'s mut dyn FnMut(Found<'_>),
    group: String,
    version: String,
    /// Whether each version names itself.
    aggregated: bool,
    /// The resources of a version that is not named yet.
    held: Vec<Value>,
    /// See [`Pieces`].
    left: &'s Cell<usize>,
    /// The token, which is removed from texts.
    token: Option<&'s Token>,
    /// Whether the document has a list of resources.
    is_list: bool,
}

impl Walk<'_> {
    /// Starts the next piece.
    fn next_piece(&self) {
        self.left.set(LARGEST_PIECE);
    }

    fn resource(&mut self, object: &Value) {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let texts = |value: &Value, key: &str| -> Vec<String> {
            let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        // The aggregated documents say `resource`, the older ones `name`.
        let plural = if text("resource").is_empty() { text("name") } else { text("resource") };
        let name = plural.split('/').next().unwrap_or_default();
        if name.is_empty()
            || self.version.is_empty()
            || ![name, &self.group, &self.version].into_iter().all(is_plain)
        {
            return;
        }
        let verbs = texts(object, "verbs");
        let namespaced =
            text("scope") == "Namespaced" || object.get("namespaced").and_then(Value::as_bool) == Some(true);
        if let Some((plural, subresource)) = plural.split_once('/') {
            let subresources = vec![(subresource.to_owned(), verbs)];
            let parent =
                Candidate { plural: plural.to_owned(), namespaced, subresources, ..Candidate::default() };
            (self.found)(Found::Subresource(&self.group, &self.version, parent));
            return;
        }
        let kind =
            object.pointer("/responseKind/kind").and_then(Value::as_str).unwrap_or_else(|| text("kind"));
        let singulars = [text("singularResource"), text("singularName"), &kind.to_ascii_lowercase()];
        let candidate = Candidate {
            plural: plural.to_owned(),
            singulars: singulars.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            short_names: texts(object, "shortNames"),
            namespaced,
            verbs,
            subresources: object
                .get("subresources")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|entry| {
                    Some((entry.get("subresource")?.as_str()?.to_owned(), texts(entry, "verbs")))
                })
                .collect(),
        };
        (self.found)(Found::Resource(&self.group, &self.version, candidate));
    }
}

/// An object at any level of a document. Its keys say what comes next.
struct Object<'a, 's>(&'a mut Walk<'s>);

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object of a discovery document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (room, mut is_silent) = (Cell::new(json::ROOM), false);
        if self.0.aggregated {
            self.0.version.clear();
        }
        loop {
            self.0.next_piece();
            room.set(json::ROOM);
            let sparing = Sparing { room: &room, token: self.0.token };
            let Some(key) = map.next_key::<String>()? else { break };
            match key.as_str() {
                "metadata" => {
                    let metadata = map.next_value_seed(sparing)?;
                    if let Some(name) = metadata.get("name").and_then(Value::as_str) {
                        name.clone_into(&mut self.0.group);
                    }
                }
                "version" => {
                    let Value::String(version) = map.next_value_seed(sparing)? else {
                        return Err(A::Error::custom("a version is a text"));
                    };
                    self.0.version = version;
                }
                "freshness" => is_silent = map.next_value_seed(sparing)? == "Stale",
                "items" | "versions" => map.next_value_seed(List { walk: &mut *self.0, resources: false })?,
                "resources" => {
                    self.0.is_list = true;
                    map.next_value_seed(List { walk: &mut *self.0, resources: true })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        for resource in mem::take(&mut self.0.held) {
            self.0.resource(&resource);
        }
        if is_silent {
            (self.0.found)(Found::Silent(&self.0.group, &self.0.version));
        }
        Ok(())
    }
}

/// A list of groups, versions or resources. `null` is an empty one.
struct List<'a, 's> {
    walk: &'a mut Walk<'s>,
    resources: bool,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list of a discovery document")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.resources {
            let room = Cell::new(json::ROOM);
            loop {
                self.walk.next_piece();
                if self.walk.held.is_empty() {
                    room.set(json::ROOM);
                }
                let Some(resource) =
                    list.next_element_seed(Sparing { room: &room, token: self.walk.token })?
                else {
                    break;
                };
                if self.walk.version.is_empty() {
                    self.walk.held.push(resource);
                } else {
                    self.walk.resource(&resource);
                }
            }
        } else {
            while list.next_element_seed(Object(&mut *self.walk))?.is_some() {}
        }
        Ok(())
    }
}
