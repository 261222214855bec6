# One-line aliases; the work is in `cargo xtask`.
.PHONY: build test test-integration lint clean

build: ; cargo build --release
test: ; cargo xtask test
test-integration: ; cargo xtask test --tier e2e
lint: ; cargo clippy --workspace --all-targets -- -D warnings
clean: ; cargo clean
