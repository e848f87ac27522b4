//! The permission phrase: parsed and printed. Knows the grammar; knows nothing of any server.
//!
//! ```text
//! phrase   = [ "can" | "cannot" ] VERB{,VERB} TARGET [ "in" NAMESPACE | "in" "*" ]
//! TARGET   = RESOURCE [ "/" NAME [ "/" SUBRESOURCE ] ]  |  "/" PATH          NAME "*" is any name; of `signers` it may hold slashes
//! ```

mod caret;
mod model;
mod parts;
mod phrase;
mod url;

pub use model::{Defaults, Expected, Namespace, Objects, Permission, ResourceName, Target};
pub use parts::{is_metric, is_version, namespace_fault, subresource_fault};
pub use phrase::parse;

/// A run with files does not ask more.
pub const MOST: usize = 10_000;
