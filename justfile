# Recipes for people: `just` lists them. CI runs the same things with .ci/run, without just. A recipe that needs
# root or Debian says so; the others need Rust, a C compiler, and what they name.

[private]
default:
    @just --list --unsorted

# the tutorial, against the stand-in cluster
[group('try')]
demo:
    cargo run --example walkthrough

# the tutorial, against a real kube-apiserver (needs root and Debian, to build it once)
[group('try')]
demo-real:
    KUBEBUILDER_ASSETS=$(.ci/kube-assets) cargo run --example walkthrough

# a development build
[group('build')]
build:
    cargo build

# the static binaries into dist/: amd64, arm64, or the machine's own (needs the toolchain that .ci/dist pins, cargo-auditable)
[group('build')]
static *architectures:
    .ci/dist {{ architectures }}

# the image kubeknock:0.1.0, from dist/, by podman, buildah or docker
[group('build')]
image builder="podman": static
    .ci/image {{ builder }}

# a release into dist/: binaries, their crates, the image, checksums (needs what static needs, cargo-cyclonedx, buildah)
[group('build')]
release:
    .ci/release

# unit tests and the built binary against the stand-in cluster
[group('test')]
test *arguments:
    cargo test {{ arguments }}

# the built binary against a real etcd and kube-apiserver (needs root and Debian, to build them once)
[group('test')]
e2e *arguments:
    KUBEBUILDER_ASSETS=$(.ci/kube-assets) CI=1 cargo test --test real {{ arguments }}

# the cost of a check, compared with curl, kubectl and bare rustls, and of rounds and probes, on the real API server (needs root and Debian, to build it once)
[group('test')]
bench: static
    KUBEBUILDER_ASSETS=$(.ci/kube-assets) KUBEKNOCK_BINARY=$PWD/dist/kubeknock-$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/') cargo bench --bench speed

# the cost of many permissions, at these milliseconds of round trip or at all; KUBEKNOCK_BEFORE=FILE runs in turn (needs what bench needs)
[group('test')]
far *milliseconds: static
    KUBEBUILDER_ASSETS=$(.ci/kube-assets) KUBEKNOCK_BINARY=$PWD/dist/kubeknock-$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/') cargo bench --bench far -- {{ milliseconds }}

# the image as containers, read-only and confined, with a real kube-apiserver (needs root and Debian, podman)
[group('test')]
containers: static
    CI=1 .ci/steps/44-containers

# the image in real pods, on a node made of Debian's packages (needs root and Debian 12)
[group('test')]
pods: static
    CI=1 .ci/steps/45-pods

# a simulation: the requests per second of 5,000 gates that wait
[group('test')]
herd:
    cargo bench --bench herd

# the fuzz targets, all or the named ones (needs rustup's nightly and cargo-fuzz)
[group('test')]
fuzz seconds="30" *targets:
    .ci/fuzz {{ seconds }} {{ targets }}

# everything CI runs, or the named steps of .ci/steps (needs root and Debian 12)
[group('test')]
ci *steps:
    .ci/run {{ steps }}

# the crate as on crates.io: its tests in another folder, and cargo install
[group('test')]
package:
    .ci/steps/45-pods.beside/50-package

# format the source
[group('lint')]
fmt:
    cargo fmt --all

# check format, lints and documentation, as CI does
[group('lint')]
lint:
    .ci/steps/10-format
    .ci/steps/11-clippy
    .ci/steps/12-docs

# check licenses, bans and sources (needs cargo-deny)
[group('lint')]
deny:
    .ci/steps/13-deny

# validate the manifests against the schemas of Kubernetes (needs python3 with venv)
[group('lint')]
manifests:
    .ci/manifests

# check the kubectl plugin (needs shellcheck)
[group('lint')]
shell:
    .ci/run 16-shell

# check the workflows of .github
[group('lint')]
workflows:
    .ci/run 16
