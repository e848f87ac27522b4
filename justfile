# Recipes for people: `just` lists them. CI runs the same things by .ci/run, without just.

[private]
default:
    @just --list --unsorted

# the tutorial, against the stand-in cluster
[group('try')]
demo:
    cargo run --example walkthrough

# the tutorial, against a real kube-apiserver (built once, as root, on Debian)
[group('try')]
demo-real:
    KUBEBUILDER_ASSETS=$(.ci/kube-assets) cargo run --example walkthrough

# a development build
[group('build')]
build:
    cargo build

# the static binaries into dist/: amd64, arm64, or the machine's own
[group('build')]
static *architectures:
    .ci/dist {{ architectures }}

# the image kubeknock:0.1.0, from dist/, by podman, buildah or docker
[group('build')]
image builder="podman": static
    .ci/image {{ builder }}

# a release into dist/: both binaries, their crates, images and checksums (needs cargo-cyclonedx, buildah)
[group('build')]
release:
    .ci/release

# unit tests and the built binary against the stand-in cluster
[group('test')]
test *arguments:
    cargo test {{ arguments }}

# the built binary against a real etcd and kube-apiserver
[group('test')]
e2e *arguments:
    KUBEBUILDER_ASSETS=$(.ci/kube-assets) CI=1 cargo test --test real {{ arguments }}

# what a check costs, beside curl, kubectl and bare rustls, on the real API server
[group('test')]
bench: static
    KUBEBUILDER_ASSETS=$(.ci/kube-assets) KUBEKNOCK_BINARY=$PWD/dist/kubeknock-$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/') cargo bench --bench speed

# the image as containers, read-only and confined, in front of a real kube-apiserver (as root, with podman)
[group('test')]
containers: static
    CI=1 .ci/steps/44-containers

# the image in real pods, on a node made of Debian's parts (as root, on Debian 12)
[group('test')]
pods: static
    CI=1 .ci/steps/45-pods

# a simulation: what 5,000 gates that wait ask of the API server a second
[group('test')]
herd:
    cargo bench --bench herd

# the fuzz targets, all or those named (needs rustup's nightly and cargo-fuzz)
[group('test')]
fuzz seconds="30" *targets:
    .ci/fuzz {{ seconds }} {{ targets }}

# everything CI runs, or the named steps of .ci/steps (as root on Debian 12)
[group('test')]
ci *steps:
    .ci/run {{ steps }}

# format, in place
[group('lint')]
fmt:
    cargo fmt

# format, lints and documentation, as CI sees them
[group('lint')]
lint:
    .ci/steps/10-format
    .ci/steps/11-clippy
    .ci/steps/12-docs

# licences, bans and sources (needs cargo-deny)
[group('lint')]
deny:
    .ci/steps/13-deny

# the manifests against the schemas of Kubernetes
[group('lint')]
manifests:
    .ci/manifests

# the workflows of .github
[group('lint')]
workflows:
    .ci/run 15
