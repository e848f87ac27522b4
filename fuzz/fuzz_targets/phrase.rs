//! Phrases: any text is a permission, or an error that shows a caret. The printed form of a permission means
//! the same permission.
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
            // The phrase that is offered for a URL is valid.
            if let Some(offered) = fault.strip_prefix("this is the URL of a resource; as a phrase: \"") {
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
