//! Permission files: whatever is in one is permissions or a fault, and a request can be made of each permission.
#![no_main]

use kubeknock_fuzz::files::parse;
use kubeknock_fuzz::permission::{Defaults, MOST, Namespace, Target, namespace_fault};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let defaults = Defaults { namespace: Namespace::Own, subresource: None };
    let mut permissions = Vec::new();
    match parse(content, &defaults, &mut permissions) {
        Err(fault) => {
            assert!(fault.starts_with(": ") || fault.starts_with(", line "), "{fault:?}");
            // A phrase has itself and a caret below the fault.
            assert!(matches!(fault.lines().count(), 1 | 3), "{fault:?}");
            assert!(fault.chars().all(|c| c == '\n' || !c.is_control()), "{fault:?}");
        }
        Ok(()) => assert!(!permissions.is_empty() && permissions.len() <= MOST),
    }
    for permission in permissions {
        assert!(!permission.to_string().contains(char::is_control), "{permission}");
        assert!(!permission.verb.is_empty() && !permission.verb.contains(char::is_whitespace));
        if let Target::Objects(objects) = permission.target {
            assert!(!objects.resource.name.is_empty() && objects.name.as_deref() != Some(""));
            if let Namespace::Named(namespace) = objects.namespace {
                assert_eq!(namespace_fault(&namespace), None);
            }
        }
    }
});
