//! kubeknock
fn main() {}
