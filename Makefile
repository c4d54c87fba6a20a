# epollite: `make` lists what there is to make. `make test` installs the Debian packages it needs;
# Rust is yours to install.

PREFIX  ?= /usr/local
DESTDIR ?=
CARGO   ?= cargo
PROGRAM := target/release/epollite

# Clients that the tests use, and tools to observe them: Debian's packages, by command.
TOOLS    := nc socat ncat python3 strace perf cc g++ clang setpriv prlimit unshare ip chromium \
            valgrind sshd ssh parallel rsync mpirun mandoc groff zsh fish nft tc pkg-config
PACKAGES := netcat-openbsd socat ncat python3 strace linux-perf gcc g++ clang libc6-dev util-linux iproute2 \
            chromium valgrind openssh-server openssh-client parallel rsync openmpi-bin mandoc groff \
            zsh fish nftables pkg-config libuv1-dev libglib2.0-dev

# Libraries that examples are linked with.
LIBRARIES := libuv glib-2.0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@printf 'Targets of epollite:\n'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17 | sed 's/^/  /'

# The daemon among them (sshd) must not be started: Debian's policy file that prevents this exists
# only during the installation.
.PHONY: tools
tools: ## install the Debian packages that tests need, where a command is missing
	@for tool in $(TOOLS); do \
		command -v $$tool > /dev/null || missing="$$missing $$tool"; \
	done; \
	pkg-config --exists $(LIBRARIES) || missing="$$missing $(LIBRARIES)"; \
	if [ -n "$$missing" ]; then \
		echo "installing for:$$missing"; \
		sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
		$$sudo apt-get update -qq || exit 1; \
		policy=/usr/sbin/policy-rc.d; \
		if [ ! -e $$policy ]; then \
			trap "$$sudo rm -f $$policy" EXIT; \
			printf '#!/bin/sh\nexit 101\n' | $$sudo tee $$policy > /dev/null; \
			$$sudo chmod +x $$policy; \
		fi; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $(PACKAGES) > /dev/null; \
	fi

.PHONY: build
build: ## build the program, optimised: target/release/epollite
	$(CARGO) build --release --locked

# The libraries for C. cargo's archive holds all of core and alloc: what no function of the header
# needs is left out, and the names of the rest become local. The shared library is the same code.
C_LIBRARY := target/c
C_VERSION := $(shell sed -n '0,/^version = "/s/^version = "\(.*\)"/\1/p' Cargo.toml)
C_ABI     := libepollite.so.$(firstword $(subst ., ,$(C_VERSION)))
C_SYMBOLS  = $(shell grep -ohE 'fn epl_[a-z_]+' src/capi/*.rs | sed 's/fn //' | sort -u)
# Nothing unwinds through C: no tables for it, and none of the compiler's own code in the archive.
# With the threshold of `opt-level` "z", 5, many a call is longer than what it calls.
C_FLAGS    = --cfg epl_staticlib -C force-unwind-tables=no -C llvm-args=-inline-threshold=20
C_DROP     = .llvmbc .llvmcmd .eh_frame .rela.eh_frame .comment
# No file that runs code before main, and segments that share pages of the file.
C_SHARED   = -nostartfiles -Wl,-soname,$(C_ABI) -Wl,-z,defs,-z,now,-z,noseparate-code \
             -Wl,--hash-style=gnu,--build-id=none,--gc-sections

.PHONY: lib
lib: ## build the libraries for C: target/c/libepollite.a and libepollite.so
	@mkdir -p $(C_LIBRARY)
	$(CARGO) rustc --locked --quiet --lib --profile capi --no-default-features --features capi \
		--target-dir target/c-archive --crate-type staticlib -- $(C_FLAGS)
	ld -r --gc-sections $(C_SYMBOLS:%=-u %) -o $(C_LIBRARY)/epollite.o \
		target/c-archive/capi/libepollite.a
	objcopy --wildcard --keep-global-symbol='epl_*' --strip-unneeded \
		$(C_DROP:%=--remove-section=%) $(C_LIBRARY)/epollite.o
	rm -f $(C_LIBRARY)/libepollite.a
	ar rcsD $(C_LIBRARY)/libepollite.a $(C_LIBRARY)/epollite.o
	$(CC) -shared $(C_SHARED) -o $(C_LIBRARY)/libepollite.so.$(C_VERSION) $(C_LIBRARY)/epollite.o
	strip --strip-unneeded --remove-section=.comment $(C_LIBRARY)/libepollite.so.$(C_VERSION)
	ln -sf libepollite.so.$(C_VERSION) $(C_LIBRARY)/$(C_ABI)
	ln -sf $(C_ABI) $(C_LIBRARY)/libepollite.so

.PHONY: size
size: ## measure the libraries for C, and write the table of sizes in README.md
	BLESS=1 $(CARGO) test --locked --test c_api -- sizes:: --nocapture

.PHONY: serve
serve: build ## build it and serve echo on 127.0.0.1:7777, logging clients; Ctrl-C stops it
	$(PROGRAM) echo -v

# Results are kept and rendered even if a run fails. Intervals need at least six rounds.
BENCH   := benches/target/release/epollite-bench
COMPARE  = $(BENCH) compare --program $(PROGRAM) --json benches/target/$@.json
REPORT   = $(BENCH) report benches/target/$@.json -o benches/target/$@.html

.PHONY: run
run: build bench ## build it, compare it with C and other servers in a minute: a table, a page
	@$(COMPARE) --cases ping,c64,c1000 --rounds 10 --slice 30ms --idle 1000; code=$$?; echo; \
		$(REPORT) && exit $$code

.PHONY: compare
compare: build bench ## the same with every case, in a quarter of an hour
	@$(COMPARE); code=$$?; echo; $(REPORT) && exit $$code

.PHONY: bench
bench: ## build the benchmark program: benches/target/release/epollite-bench
	$(CARGO) build --release --locked --manifest-path benches/Cargo.toml

.PHONY: instructions
instructions: build bench tools ## compare instructions per echo with a baseline; BLESS=1 updates it
	$(BENCH) instructions --program $(PROGRAM) $(if $(BLESS),--bless)

.PHONY: alignment
alignment: bench ## what receive and send cost by the offset of the buffer within a page
	$(BENCH) alignment

.PHONY: scale
scale: bench ## what an event and an idle connection cost with up to ten million connections
	$(BENCH) scale

.PHONY: scale-page
scale-page: bench ## draw the plot of docs/performance.md again from its data
	$(BENCH) scale --from docs/performance/growth.json --svg docs/performance/growth.svg

.PHONY: micro
micro: ## micro-benchmarks by criterion: ratios to alternatives
	$(CARGO) bench --locked --manifest-path benches/Cargo.toml --bench micro

.PHONY: models
models: build bench ## compare every server model by number of connections
	@$(BENCH) models --program $(PROGRAM) --json benches/target/$@.json; code=$$?; echo; \
		$(REPORT) && exit $$code

.PHONY: bench-page
bench-page: bench ## generate docs/bench.md and its plots from the data in docs/bench
	rm -f docs/bench/*.svg
	$(BENCH) report docs/bench/compare.json docs/bench/models.json -o benches/target/bench.html \
		--svg docs/bench --markdown docs/bench.md

.PHONY: test
test: tools ## every test: facts, properties, real clients, bad input
	$(CARGO) test --locked --no-default-features --features capi --lib
	$(CARGO) test --locked --manifest-path benches/Cargo.toml --lib --test program --test compare \
		--test record --test report --test instructions --test scale --test hosts \
		--test manual --test examine --test soak --test attacks \
		--bench micro
	$(CARGO) test --locked

# Every case of `examine` on epollite's own server: each model, trigger and transport, and two
# threads. `nonblocking` polls: it never sleeps.
EXAMINE = $(BENCH) examine --quiet
ECHO    = $(PROGRAM) echo --quiet
SLEEPING := blocking,process,thread,select,poll,coroutine,epoll-level,epoll-edge,epoll-oneshot,prefork,reuseport

.PHONY: torture
torture: build bench ## examine epollite's own server: every model, trigger and transport
	TORTURE=1 $(CARGO) test --locked --test networks
	TORTURE=1 $(CARGO) test --locked --test program -- \
		operation::takeover backlog injected:: many_clients::
	$(EXAMINE) --program $(PROGRAM) --servers $(SLEEPING)
	$(EXAMINE) --program $(PROGRAM) --servers nonblocking --except process/idle
	@for options in '--trigger level' '--trigger edge' '--trigger oneshot' '--trigger level --threads 2' \
		'--trigger edge --threads 2' '--trigger oneshot --threads 2' '--bulk splice' '--spin auto'; do \
		for at in '--tcp :{port}' '--unix {path}'; do \
			$(EXAMINE) --start "$(ECHO) $$options $$at" || exit 1; \
		done; \
		$(EXAMINE) --udp --start "$(ECHO) $$options --udp :{port}" || exit 1; \
	done

# Hours of mixed load: what the server uses stays flat, or this fails. The curves are a report.
MINUTES ?= 60
SOAK     = benches/target/soak

.PHONY: soak
soak: build bench ## load the server for an hour: make soak MINUTES=5; curves in benches/target/soak
	mkdir -p $(SOAK)
	$(BENCH) soak --duration $(MINUTES)m --udp --reload 30s --json $(SOAK)/soak.json --svg $(SOAK) \
		--start "$(ECHO) --threads 2 --idle-timeout 5m --recorder=$(SOAK)/recorder \
			--metrics 127.0.0.1:{metrics} --tcp 127.0.0.1:{port} --udp 127.0.0.1:{port} \
			--unix {path}"

.PHONY: attacks
attacks: build bench ## latency of a polite client under attack: at most ten times its quiet one
	$(BENCH) attacks --program $(PROGRAM) --fail-if 10 --json benches/target/attacks.json

.PHONY: peers
peers: bench ## examine the other servers, and generate docs/peers.md
	mkdir -p docs/peers
	-$(BENCH) examine --quiet --again 2 --servers peers \
		--json docs/peers/examine.json
	$(MAKE) peers-page

.PHONY: peers-page
peers-page: bench ## generate docs/peers.md from the data in docs/peers
	-$(BENCH) examine --from docs/peers/examine.json --markdown docs/peers.md

# The number of random programs that conformance_random compares with the model.
PROGRAMS ?= 20000

.PHONY: test-kernels
test-kernels: tools ## the model on Linux 6.1 and 6.12 (Debian's, under QEMU) and on this one
	python3 tests/kernels/run.py --programs $(PROGRAMS) $(KERNELFLAGS) kernels

.PHONY: test-settings
test-settings: tools ## the same suites with other sysctls: congestion control, queues, no IPv6
	python3 tests/kernels/run.py --programs $(PROGRAMS) $(KERNELFLAGS) settings

.PHONY: kernels
kernels: tools ## the facts of `epollite study` on 6.1, 6.12 and this kernel, into docs/kernels.md
	python3 tests/kernels/run.py --facts docs/kernels.md kernels

.PHONY: study-docs
study-docs: build ## generate docs/study from the experiments and the texts in docs/study/zh
	rm -f docs/study/*.md docs/study/*.svg
	$(PROGRAM) study --pages docs/study

# The long runs. They install tools from crates.io and use the installed nightly toolchain.
NIGHTLY  := $(CARGO) +nightly
TARGET   ?= server
SECONDS  ?= 60
FUZZ     := slab timer write_buffer batch addr args echo server fairness idle datagram task channel peer_limits reactor sim_vs_linux
TRIPLE   := x86_64-unknown-linux-gnu

.PHONY: fuzz
fuzz: cargo-fuzz ## fuzz one property: make fuzz TARGET=server SECONDS=60
	cd fuzz && mkdir -p artifacts scratch/$(TARGET) && \
		$(NIGHTLY) fuzz run $(TARGET) scratch/$(TARGET) corpus/$(TARGET) -- \
		-max_total_time=$(SECONDS) -max_len=4096 -print_final_stats=1 -rss_limit_mb=4096 $(FUZZFLAGS)

.PHONY: afl
afl: ## the same with AFL++ instead of libFuzzer: make afl TARGET=server SECONDS=60
	@command -v afl-fuzz > /dev/null || { \
		sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && $$sudo apt-get install -qq -y afl++ > /dev/null; }
	fuzz/afl.sh $(TARGET) $(SECONDS)

# Seeds of sim_vs_linux are chosen by hand: see fuzz-smoke.
.PHONY: corpus
corpus: cargo-fuzz ## add what the fuzzers found to the seeds in fuzz/corpus, minimised
	fuzz/corpus.sh $(filter-out sim_vs_linux,$(FUZZ))

# A difference between two kernels needs a person to judge it, and must not fail a gate: so
# sim_vs_linux runs the same few programs each time.
.PHONY: fuzz-smoke
fuzz-smoke: cargo-fuzz ## a few seconds of every fuzz target
	@mkdir -p target/fuzz-smoke
	cd fuzz && $(NIGHTLY) fuzz build
	@printf '%s\n' $(FUZZ) | xargs -P 2 -I TARGET $(MAKE) --no-print-directory fuzz-smoke-TARGET

fuzz-smoke-%:
	@flags=; [ $* = sim_vs_linux ] && flags='-seed=1 -runs=300'; log=target/fuzz-smoke/$*; \
	$(MAKE) --no-print-directory fuzz TARGET=$* SECONDS=5 FUZZFLAGS="$$flags" > $$log 2>&1 \
		|| { tail -n 400 $$log; exit 1; }; \
	units=$$(grep -E 'stat::number_of_executed_units' $$log) && echo "fuzz $*: $$units"

.PHONY: cargo-fuzz
cargo-fuzz:
	@command -v cargo-fuzz > /dev/null || $(CARGO) install --locked --quiet cargo-fuzz

# Of everything that is linked. Advisories need the network, and are not checked.
.PHONY: deny
deny: ## check the licences and the sources of all dependencies
	@command -v cargo-deny > /dev/null || $(CARGO) install --locked --quiet cargo-deny
	for folder in . benches benches/peers fuzz; do \
		cargo-deny --locked --config $(CURDIR)/deny.toml --manifest-path $$folder/Cargo.toml \
			check --hide-inclusion-graph licenses bans sources || exit 1; \
	done

.PHONY: mutants
mutants: ## mutate slab, timer, write buffer, echo, reactor, servers; every mutant must be caught
	@command -v cargo-mutants > /dev/null || $(CARGO) install --locked --quiet cargo-mutants
	$(CARGO) mutants --no-shuffle --jobs 2 --output target/mutants

# With Debian's package of the LLVM version that the compiler uses. A few tests that observe the
# process fail when it is instrumented; their coverage counts, and `make test` decides whether they
# pass.
LLVM     := 22
COVERED  := target/coverage
EXCLUDED := '/(tests|bin|examples|registry|rustc)/'

.PHONY: coverage
coverage: tools ## which lines of the library tests reach: a table, and target/coverage/lines.txt
	@command -v llvm-cov-$(LLVM) > /dev/null || { \
		sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && $$sudo apt-get install -qq -y llvm-$(LLVM) > /dev/null; }
	rm -rf $(COVERED)/profiles
	-RUSTFLAGS='-C instrument-coverage' LLVM_PROFILE_FILE='$(CURDIR)/$(COVERED)/profiles/%m-%p.profraw' \
		$(CARGO) test --locked --no-fail-fast --target-dir $(COVERED) --lib --bins --tests --examples \
		> $(COVERED).log 2>&1
	llvm-profdata-$(LLVM) merge -sparse -failure-mode=all $(COVERED)/profiles -o $(COVERED)/all.profdata
	@find $(COVERED)/debug/deps $(COVERED)/debug/epollite -maxdepth 1 -type f -executable \
		! -name '*.so' -printf '-object\n%p\n' > $(COVERED)/objects
	xargs -a $(COVERED)/objects llvm-cov-$(LLVM) show -instr-profile=$(COVERED)/all.profdata \
		-ignore-filename-regex=$(EXCLUDED) > $(COVERED)/lines.txt
	xargs -a $(COVERED)/objects llvm-cov-$(LLVM) report -instr-profile=$(COVERED)/all.profdata \
		-ignore-filename-regex=$(EXCLUDED) -show-region-summary=false -show-branch-summary=false

ASAN     := RUSTFLAGS='-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer' $(NIGHTLY)

.PHONY: asan
asan: ## the suite under the address sanitizer
	$(ASAN) test --locked --target $(TRIPLE) --target-dir target/asan --lib --test properties \
		--test linux --test reactor --test stale --test faults --test conformance --test task \
		--test servers
	$(ASAN) test --locked --target $(TRIPLE) --target-dir target/asan --test program -- clients:: \
		models:: nc:: --skip adversarial::

.PHONY: tsan
# A second signal ends the process at once, with all threads: that leak is intended. The last seven
# that are skipped count calls, threads, memory or bytes of files: the sanitizer adds its own.
tsan: ## tests that use threads, under the thread sanitizer
	RUSTFLAGS='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer' \
	TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.suppressions:report_thread_leaks=0 $(NIGHTLY) test --locked \
		--target $(TRIPLE) --target-dir target/tsan --lib --test reactor --test program --test task \
		-- --skip adversarial:: --skip clients:: --skip examples:: --skip models:: --skip nc:: \
		--skip readme:: --skip syscalls:: --skip tutorial:: --skip an_unknown_limit_is_no_limit \
		--skip a_limit_of_file_size --skip the_highest_descriptor_limit \
		--skip a_swarm_that_never_reads --skip calls_may_be_denied_by_another_sandbox \
		--skip every_thread_is_in_the_sandbox --skip the_list_is_what_the_server_calls

.PHONY: sanitized
sanitized: bench ## the server itself with the address and the thread sanitizer, examined and loaded
	@for sanitizer in address thread; do \
		RUSTFLAGS="-Zsanitizer=$$sanitizer -Cunsafe-allow-abi-mismatch=sanitizer" $(NIGHTLY) build \
			--locked --release --target $(TRIPLE) --target-dir target/$$sanitizer --bin epollite && \
		tests/sanitized.sh target/$$sanitizer/$(TRIPLE)/release/epollite $(BENCH) || exit 1; \
	done

.PHONY: nightly
nightly: tools ## the long runs, under an hour: programs, scenarios, plans, sanitizers, fuzz
	SIM_PROGRAMS=100000 $(CARGO) test --locked --release --test conformance_random -- --nocapture
	$(CARGO) run --locked --release -- sim --seed $$(date +%s) --steps 20_000_000
	$(CARGO) run --locked --release -- sim --seed $$(date +%s) --steps 20_000_000 --faults
	PROPTEST_CASES=20000 $(CARGO) test --locked --release --test properties
	$(MAKE) deny asan tsan sanitized
	$(CARGO) test --locked --manifest-path benches/Cargo.toml --test peers
	$(MAKE) fuzz-long

# Two targets at a time: a fuzzer has one thread.
.PHONY: fuzz-long
fuzz-long: cargo-fuzz ## two minutes of every fuzz target, under libFuzzer and under AFL++
	@mkdir -p target/fuzz-long
	cd fuzz && $(NIGHTLY) fuzz build
	@printf '%s\n' $(FUZZ) | xargs -P 2 -I TARGET $(MAKE) --no-print-directory fuzz-long-TARGET

fuzz-long-%:
	@log=target/fuzz-long/$*; \
	{ $(MAKE) fuzz TARGET=$* SECONDS=100 && $(MAKE) afl TARGET=$* SECONDS=20; } > $$log 2>&1 \
		|| { tail -n 400 $$log; exit 1; }; \
	echo "fuzz $*: $$(sed -n 's/.*number_of_executed_units: *//p' $$log) units;" \
		"AFL++ $$(sed -n 's/^$*: //p' $$log)"

N ?= 20

.PHONY: flakes
flakes: tools ## every test N times while all processors are busy: make flakes N=20
	tests/flakes.sh $(N)

.PHONY: check
check: tools ## format, lints, documentation, dependencies; no test
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib -- -D warnings
	$(CARGO) clippy --locked --no-default-features --features capi --lib -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path benches/Cargo.toml
	$(CARGO) clippy --locked --manifest-path benches/Cargo.toml --all-targets -- -D warnings
	$(CARGO) fmt --check --all --manifest-path benches/peers/Cargo.toml
	@test "$$($(CARGO) tree --locked -e normal --prefix none | sed 's/ .*//' | sort -u | xargs)" = \
		"epollite libc" || { echo 'the crate depends on more than libc'; exit 1; }

.PHONY: update-expected
update-expected: ## write the real output into the pages: review the diff
	$(CARGO) build --locked --examples --bins
	BLESS=1 $(CARGO) test --locked --test program -- readme:: tutorial:: models::table::
	BLESS=1 $(CARGO) test --locked --test reliability
	BLESS=1 $(CARGO) test --locked --manifest-path benches/Cargo.toml --test manual -- those_of

.PHONY: doc
doc: ## the library's documentation: target/doc/epollite/index.html
	$(CARGO) doc --locked --no-deps --lib

.PHONY: bench-c
bench-c: build bench ## compare edge and level with the C baseline: every case, 36 rounds
	$(BENCH) compare --program $(PROGRAM) --servers epoll-edge,epoll-level --rounds 36 \
		--json benches/target/bench-c.json

# Every function of the header has a link to the page that describes it.
BIN      = "$(DESTDIR)$(PREFIX)/bin"
INCLUDE  = "$(DESTDIR)$(PREFIX)/include"
LIB      = "$(DESTDIR)$(PREFIX)/lib"
SHARE    = "$(DESTDIR)$(PREFIX)/share"
COMMANDS = epollite epollite-bench
MAN_1    = $(notdir $(wildcard docs/man/*.1))
MAN_3    = $(notdir $(wildcard docs/man/*.3))
FUNCTIONS = for page in $(MAN_3); do \
		for name in $$(sed -n '/^\.SH NAME/{n;s/ \\- .*//;s/[\,]//g;p}' docs/man/$$page); do \
			if [ $$name.3 != $$page ]; then

.PHONY: install
install: build bench lib ## install programs, C libraries, man pages, completions: PREFIX, DESTDIR
	install -Dm755 $(PROGRAM) $(BENCH) -t $(BIN)
	install -Dm644 include/epollite.h -t $(INCLUDE)
	install -Dm644 $(C_LIBRARY)/libepollite.a -t $(LIB)
	install -Dm755 $(C_LIBRARY)/libepollite.so.$(C_VERSION) -t $(LIB)
	ln -sf libepollite.so.$(C_VERSION) $(LIB)/$(C_ABI)
	ln -sf $(C_ABI) $(LIB)/libepollite.so
	mkdir -p $(LIB)/pkgconfig
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(C_VERSION)|' include/epollite.pc.in \
		> $(LIB)/pkgconfig/epollite.pc
	install -Dm644 $(MAN_1:%=docs/man/%) -t $(SHARE)/man/man1
	install -Dm644 $(MAN_3:%=docs/man/%) -t $(SHARE)/man/man3
	@$(FUNCTIONS) ln -sf $$page $(SHARE)/man/man3/$$name.3; fi; done; done
	install -Dm644 $(COMMANDS:%=docs/completions/%) -t $(SHARE)/bash-completion/completions
	install -Dm644 $(COMMANDS:%=docs/completions/_%) -t $(SHARE)/zsh/site-functions
	install -Dm644 $(COMMANDS:%=docs/completions/%.fish) -t $(SHARE)/fish/vendor_completions.d
	install -Dm644 README.md LICENSE-MIT LICENSE-APACHE -t $(SHARE)/doc/epollite

# What was never installed is no error.
.PHONY: uninstall
uninstall: ## remove what install installed
	[ ! -d $(BIN) ] || (cd $(BIN) && rm -f $(COMMANDS))
	rm -f $(INCLUDE)/epollite.h
	[ ! -d $(LIB) ] || (cd $(LIB) && rm -f libepollite.a libepollite.so $(C_ABI) \
		libepollite.so.$(C_VERSION) pkgconfig/epollite.pc)
	@$(FUNCTIONS) rm -f $(SHARE)/man/man3/$$name.3; fi; done; done
	[ ! -d $(SHARE) ] || (cd $(SHARE) && rm -rf doc/epollite $(MAN_1:%=man/man1/%) \
		$(MAN_3:%=man/man3/%) $(COMMANDS:%=bash-completion/completions/%) \
		$(COMMANDS:%=zsh/site-functions/_%) $(COMMANDS:%=fish/vendor_completions.d/%.fish))

.PHONY: clean
clean: ## remove build output
	$(CARGO) clean
	$(CARGO) clean --manifest-path benches/Cargo.toml
