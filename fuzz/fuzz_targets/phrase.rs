//! Phrases: whatever is typed is a permission or a fault that shows a caret; what is printed of a permission
//! means the same permission again.
#![no_main]

use kubeknock_fuzz::permission::{Defaults, Namespace, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let defaults = Defaults { namespace: Namespace::Own, subresource: None };
    let arguments: Vec<String> = text.split('\n').map(str::to_owned).collect();
    match parse(&arguments, &defaults) {
        Err(fault) => {
            assert!(fault.ends_with('^') && fault.lines().count() == 3, "{fault:?}");
            assert!(fault.chars().all(|c| c == '\n' || !c.is_control()), "{fault:?}");
            // What is offered for a URL is a phrase.
            if let Some((_, offered)) = fault.split_once("; as a phrase: \"") {
                let offered = offered.split('"').next().unwrap_or_default().to_owned();
                assert!(parse(&[offered], &defaults).is_ok(), "{fault:?}");
            }
        }
        Ok(permissions) => {
            for permission in permissions {
                let again = parse(&[permission.to_string()], &defaults);
                assert_eq!(again, Ok(vec![permission]));
            }
        }
    }
});
