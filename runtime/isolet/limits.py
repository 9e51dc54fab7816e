"""Every number that bounds something: unit, reason, precedent. Contradictions fail at import.

Units come last in a name: `_BYTES`, `_S` (seconds), `_MS`, `_FUEL`; `_MAX` / `_MIN` / `_DEFAULT` after the unit.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

WASM_PAGE_BYTES = 64 * KIB

# ── a function ──────────────────────────────────────────────────────────────────────────────────────────────────

# Precedent: AWS Lambda's default and range.
TIMEOUT_S_DEFAULT = 3.0
TIMEOUT_S_MAX = 900.0
MEMORY_MB_DEFAULT = 128
# Small guests need a few pages only; Lambda's floor of 128 MB is a container's.
MEMORY_MB_MIN = 1
# The end of a slot of the pool. wasm32 ends at 4 GiB; one slot of virtual memory is reserved at that size anyway, this
# number only bounds what one guest may make resident.
MEMORY_MB_MAX = 1024

# More than the fastest loop spends within the longest timeout (5 G a second were measured): by default a function is
# bounded by its time, as in Lambda, and fuel only measures it. Who wants a bound in fuel says so.
FUEL_DEFAULT = 10_000_000_000_000
assert FUEL_DEFAULT > TIMEOUT_S_MAX * 10_000_000_000, "the deadline comes first"
FUEL_MAX = 10**15

FUNCTION_NAME_CHARS_MAX = 64  # Precedent: Lambda.
ENVIRONMENT_BYTES_MAX = 4 * KIB  # Precedent: Lambda, all names and values together.
DESCRIPTION_CHARS_MAX = 256  # Precedent: Lambda.
ROUTES_MAX = 64
# Entries of each list in `[capabilities]`.
GRANTS_MAX = 64

# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────

# The largest body of a synchronous invocation, in either direction. Precedent: Lambda's 6 MB and its exact message
# "(6291556 bytes)". A body exists three times at once (socket buffer, Python bytes, linear memory): 100 concurrent
# maximal bodies hold 1.8 GiB.
PAYLOAD_BYTES_MAX = 6_291_556
# The most that a streamed answer may have. Precedent: Lambda's first limit of 20 MiB. It is on its way in pieces, of
# which a reader's side holds few; a larger one would only hold its isolate longer.
STREAM_BYTES_MAX = 20 * MIB
# What msgpack may add around a maximal body: envelope, context, headers.
ENVELOPE_BYTES_MAX = 512 * KIB
# Precedent: Lambda's direct zip upload of 50 MB, which is base64 in JSON; 250 MB unzipped, layers included. A zip from
# S3 may be as large as what is in it.
PACKAGE_ZIP_BYTES_MAX = 50 * MIB
PACKAGE_BYTES_MAX = 250 * MIB
LAYERS_MAX = 5  # of a function. Precedent: Lambda.
PACKAGE_FILES_MAX = 1_000
# A bomb: 42.zip has 106,000; wasm, text and images are under 20. Small files of one byte's repetition are no harm.
PACKAGE_RATIO_MAX = 100
PACKAGE_RATIO_FREE_BYTES = MIB
PACKAGE_PATH_CHARS_MAX = 512
# Precedent: Lambda's "Request must be smaller than 70167211 bytes for the CreateFunction operation".
CONTROL_BODY_BYTES_MAX = 70_167_211
assert PACKAGE_ZIP_BYTES_MAX * 4 / 3 < CONTROL_BODY_BYTES_MAX, "a maximal zip fits in its base64 request"

# ── the ABI ─────────────────────────────────────────────────────────────────────────────────────────────────────

# The input buffer asked for when the snapshot is made: an ordinary event then needs no `isolet_buffer` call.
INPUT_BUFFER_BYTES = 64 * KIB
# 1 MB of empty arrays holds the GIL for a quarter of a second when decoded without caps.
OUTCOME_ARRAY_LEN_MAX = 100_000
OUTCOME_MAP_LEN_MAX = 100_000
OUTCOME_DEPTH_MAX = 64
ENTROPY_BYTES = 16

# ── logs ────────────────────────────────────────────────────────────────────────────────────────────────────────

LOG_LINE_BYTES_MAX = 8 * KIB
LOG_INVOCATION_BYTES_MAX = 256 * KIB
# What a line counts beyond its text, so that a million empty lines are bounded too. Precedent: PutLogEvents counts 26.
LOG_ENTRY_BYTES = 26
LOG_TAIL_BYTES = 4 * KIB  # Precedent: X-Amz-Log-Result.

# ── the engine ──────────────────────────────────────────────────────────────────────────────────────────────────

# Live isolates of one worker: waiting and runnable ones. A slot is 4 GiB of address space and no memory until used.
ISOLATES_MAX = 1_024
TABLE_ELEMENTS_MAX = 100_000
# Compilers make one; a slot of the pool has room for this many.
TABLES_MAX = 4
# One slice. An ordinary loop spends it in 9 µs; while nobody else waits, going on costs less than 1 µs (measured: no
# difference to 300,000 for a spinner).
SLICE_FUEL = 45_000
# Fuel is not time: a guest that stores one byte in each fresh page spends 3 fuel a page and 1.3 µs of the kernel's, so
# that 45,000 took 20 ms. So an isolate begins with less (5 ms of that at the most, and more than a short invocation
# spends), and whose slice took longer than SLICE_SLOW_NS goes on with smaller ones, and so do all isolates of its
# function for SLICE_PENANCE_S: else it would be slow once in each invocation.
SLICE_FIRST_FUEL = 12_000
SLICE_FUEL_MIN = 500
SLICE_SLOW_NS = 250_000
SLICE_PENANCE_S = 10.0
assert SLICE_FUEL_MIN < SLICE_FIRST_FUEL < SLICE_FUEL, "slices grow and shrink"
# What one memory.fill, memory.copy or memory.init does before its guest can be suspended (snapshot/meter.py). It costs
# a fuel a byte, so that a slice has at most SLICE_FUEL and one chunk of them: 0.1 ms of CPU where every page is fresh
# (0.4–0.7 ns a byte). Larger chunks save nothing: a turn of the loop takes 3 ns.
BULK_CHUNK_BYTES = 32 * KIB
assert BULK_CHUNK_BYTES < SLICE_FUEL, "a chunk of bulk work is less than a slice"
# The same of one table.copy. An element that nobody has used yet takes 80 ns and one fuel; with the loop around two of
# them it is 9 fuel, so that a slice copies 5,000 elements, in half a millisecond.
BULK_CHUNK_ELEMENTS = 2
# What the scheduler spends on slices before the loop may look at its sockets: so long a quiet tenant waits for others.
# Measured, a spinner alone: 2 % slower than with a millisecond; 4 % with half of this.
TURN_S = 0.0002
# Threads of a worker: they hash large bodies and compile programs' states.
WORKER_THREADS_MAX = 4
# How often a worker looks how late its loop is.
LAG_STEP_S = 0.02
# After so long a thread that waits for the interpreter's lock asks for it aloud, and gets it at the next bytecode. The
# database's thread asks after each call of SQLite's: with Python's own 5 ms, beside a loop that is busy, its jobs took
# a hundred times as long as their work.
SWITCH_S = 0.000_25
# A worker's heap keeps blocks up to this size, and so much that is free at its end (heap.py). A maximal body is four
# times in memory. The first is the largest that glibc takes.
HEAP_BLOCK_BYTES = 32 * MIB
HEAP_FREE_BYTES = 32 * MIB
assert 4 * PAYLOAD_BYTES_MAX < HEAP_FREE_BYTES, "a maximal request finds the pages of the one before"
# So often a worker looks what is free there, and gives back this much of what is beyond HEAP_IDLE_BYTES: the kernel
# takes 0.3 ms for it, and a worker at rest has given back all after two seconds.
HEAP_LOOK_S = 0.25
HEAP_STEP_BYTES = 4 * MIB
HEAP_IDLE_BYTES = 2 * MIB
# A guest's own calls, on the machine's stack. CPython recurses through C up to 1,000 deep before it says
# RecursionError, and a level of the worst kind (`__getattr__`, `__len__`) takes 1.7 KB: less would be a trap. Pages are
# only used as deep as a guest goes.
WASM_STACK_BYTES = 2 * MIB
# The fiber that a guest runs on. Python's own frames run on it too, in host functions: threads under 1 MiB died.
FIBER_STACK_BYTES = 3 * MIB
assert FIBER_STACK_BYTES - WASM_STACK_BYTES >= MIB, "host functions have a mebibyte of stack"
# The first bytes of a slot's memory that are copied back from the image at reuse, where pages beyond are unmapped and
# fault again (5 µs for the first page touched). Measured, life of a hello with a 64 KiB stack: 22.0 µs at 64 KiB, 16.6
# at 128, 17.9 at 1 MiB; of one with a 1 MiB stack, which gains nothing: 21.7, 24.2, 44.8.
MEMORY_KEEP_RESIDENT_BYTES = 128 * KIB

# Isolates restored ahead of their invocation, in one worker; each holds a slot and MEMORY_KEEP_RESIDENT_BYTES.
SPARES_MAX = 64
# All spares are dropped this long after the first was made; those in demand are made again.
SPARE_IDLE_S = 1.0
assert SPARES_MAX < ISOLATES_MAX // 4, "spares leave the pool to invocations"

# Fuel is not time: a host call costs the guest about 3 fuel and us about 2.6 µs. Charged inside each.
HOST_CALL_FUEL = 5_000
HOST_CALLS_MAX = 100_000

# ── what host functions take and keep ───────────────────────────────────────────────────────────────────────────

# A capability request: it may carry a body or an event.
REQUEST_BYTES_MAX = PAYLOAD_BYTES_MAX + ENVELOPE_BYTES_MAX
# The error that `isolet.fail` ends an invocation with: a message and a stack.
FAILURE_BYTES_MAX = 64 * KIB
# Values in a request (abi.unpack_request says how they are counted), and what each costs. An event of 6 MB may be
# another function's; the heaviest holds the loop for 60 ms, as the heaviest outcome does.
REQUEST_WEIGHT_MAX = 500_000
REQUEST_VALUE_FUEL = 60
# A request that goes to the keeper or to another function costs both of us some 100 µs beside the guest's own time.
WORK_FUEL = 100_000
RANDOM_BYTES_MAX = 64 * KIB
# Requests of one tenant that a worker has under way to those above; LINK_CALLS_MAX bounds those of all.
UPWARD_CALLS_MAX = 256
# Functions with reserved concurrency, of all tenants: each has a slot in what workers count together (tally.py).
RESERVED_SLOTS = 4_096
# Functions that invoke each other in a chain. Precedent: Lambda's recursion detection, 16.
INVOKE_DEPTH_MAX = 16
# Keys and values of `kv`. Precedent for the key: Workers KV, 512 bytes.
KV_KEY_BYTES_MAX = 512
KV_VALUE_BYTES_MAX = 1 * MIB
KV_LIST_MAX = 1_000
KV_LIST_DEFAULT = 100
KV_TTL_S_MAX = 3_155_760_000  # a century
# Of one tenant. An entry counts its key, its value and what the database has around them.
KV_TENANT_BYTES_MAX = 1 * GIB
KV_TENANT_ENTRIES_MAX = 1_000_000
KV_ENTRY_BYTES = 128
# Requests of one tenant that the database has before it: a batch has room for those of eight.
KV_TENANT_CALLS_MAX = 64
# The same of large values, written or read. With four writes of a mebibyte each, a neighbour's small one took 16 ms in
# place of 0.8; with one it takes 3. Sixteen such reads: 24 ms.
KV_LARGE_BYTES = 64 * KIB
KV_TENANT_LARGE_MAX = 1
# What is over (entries, deleted secrets) is removed so often; it is invisible before. Of entries at most so many in one
# transaction.
SWEEP_STORAGE_S = 10.0
KV_SWEEP_ENTRIES = 1_000
# Requests to the outside: of one invocation, and what each may carry. Precedent: an invocation's own body, and Lambda's
# 6 MB.
FETCHES_MAX = 100
FETCH_REQUEST_BYTES_MAX = PAYLOAD_BYTES_MAX
FETCH_RESPONSE_BYTES_MAX = PAYLOAD_BYTES_MAX
FETCH_REDIRECTS_MAX = 5
# Of one tenant at a time; more wait, each until its deadline.
FETCH_TENANT_CALLS_MAX = 64
# What requests and answers under way hold: of a tenant, and of everybody.
FETCH_TENANT_BYTES_MAX = 64 * MIB
FETCH_BYTES_MAX = 512 * MIB
assert FETCH_TENANT_BYTES_MAX > 4 * (FETCH_REQUEST_BYTES_MAX + FETCH_RESPONSE_BYTES_MAX), "a few maximal ones fit"
# How fast a tenant's answers come, beyond a burst: a tenth of the keeper's time, which reads 64 KiB in 0.1 ms.
FETCH_TENANT_BYTES_PER_S = 64 * MIB
FETCH_BURST_S = 0.25
# An address of several that does not answer is given up after this long, if there is another.
FETCH_CONNECT_S = 3.0
# Addresses of one name that are tried: a name may have thousands.
FETCH_ADDRESSES_MAX = 8
# Threads that look names up, and how many of them a tenant may hold: a look-up ends when the system lets it end, which
# may be half a minute, and not when its caller has left.
LOOKUPS_MAX = 256
LOOKUPS_TENANT_MAX = 32
assert 4 * LOOKUPS_TENANT_MAX < LOOKUPS_MAX, "slow names of one tenant leave threads to others"
# With name servers of our own: how long one may take, and all of them. Precedent: resolv.conf(5), five seconds and two
# attempts.
LOOKUP_TRY_S = 2.0
LOOKUP_S = 10.0
SECRET_BYTES_MAX = 64 * KIB  # Precedent: Secrets Manager.
SECRETS_MAX = 10_000  # of one tenant, by default
# WASI's random_get has no short answer.
RANDOM_GET_BYTES_MAX = 1 * MIB
SLEEP_S_MAX = TIMEOUT_S_MAX
# What one fd_read or fd_write moves at most; more is a short read or write, which callers must expect anyway. The
# copy runs on the event loop: 4 MiB take about a millisecond.
IO_BYTES_MAX = 4 * MIB
# The same for stdout and stderr, whose bytes are looked at one line at a time.
STREAM_IO_BYTES_MAX = 64 * KIB
# What the guest pays beyond the call itself, so that no call runs longer for its fuel than slow code of its own does
# (700 µs a million). Measured: 0.2 ns a byte copied, 2 ns a random byte, 29 ns a byte of a path ("./././…"), 270 ns a
# directory entry answered and 60 ns one passed over, 420 ns a subscription, 800 ns a log line.
COPIED_BYTES_PER_FUEL = 4
RANDOM_BYTE_FUEL = 3
PATH_BYTE_FUEL = 40
DIRECTORY_ENTRY_FUEL = 300
ENTRY_PASSED_FUEL = 60
SUBSCRIPTION_FUEL = 600
IOVEC_FUEL = 600
LOG_ENTRY_FUEL = 1_000
IOVECS_MAX = 1_024  # Precedent: IOV_MAX.
SUBSCRIPTIONS_MAX = 1_024
DESCRIPTORS_MAX = 1_024  # Precedent: RLIMIT_NOFILE.
# Files and directories of /tmp; their bytes are bounded by the function's memory.
FILES_MAX = 512
PATH_BYTES_MAX = 4_096  # Precedent: PATH_MAX.
FILE_NAME_BYTES_MAX = 255  # Precedent: NAME_MAX.

# ── the builder ─────────────────────────────────────────────────────────────────────────────────────────────────

MODULE_BYTES_MAX = 64 * MIB
# The largest of ours have 2,400 (Go) and 9,400 (CPython). 99,000 empty ones took 5.7 CPU-seconds and 660 MiB.
MODULE_FUNCTIONS_MAX = 50_000
# Of every other list in a module: imports, exports, globals, segments, entries of one segment. A Go program of 4 MB has
# 41,000 data segments, and Go's linker ends at 100,000, too.
MODULE_ITEMS_MAX = 100_000
# Signatures: a Go program has 80. 99,000 took 14 s to compile, into 32 MB.
MODULE_TYPES_MAX = 10_000
MODULE_NAME_BYTES_MAX = 4 * KIB
# Compilation is worse than linear in one function's size: 15,000 nested blocks (120 KB) take 2 CPU-seconds, 60,000
# call_indirect (300 KB) 48 and 1.4 GiB, 100,000 nested blocks more than 58. The largest of Go's have 26 KB, of CPython
# 49, of QuickJS 54. What is below and takes too long nevertheless meets BUILD_CPU_S.
MODULE_FUNCTION_BYTES_MAX = 256 * KIB
# A memory image larger than this is not frozen: it would have to be written, hashed and mapped for every function.
SNAPSHOT_IMAGE_BYTES_MAX = 128 * MIB
# What a build may take. Cranelift on hostile input took 58 s and 1.4 GB; the largest program of our examples, in Go,
# takes 5 CPU-seconds and 210 MB. Interpreters are compiled once a machine, by an allowance of their own (builder.py).
BUILD_CPU_S = 10
BUILD_WALL_S = 15
BUILD_MEMORY_BYTES = 1 * GIB
# What a builder may write: machine code has four times the bytes of its module at most, and an image beside it.
ARTIFACT_BYTES_MAX = 512 * MIB
assert ARTIFACT_BYTES_MAX > 4 * MODULE_BYTES_MAX + SNAPSHOT_IMAGE_BYTES_MAX, "what may be uploaded may be stored"
INIT_FUEL = 50_000_000_000
INIT_WALL_S = 10.0

# ── the cache ───────────────────────────────────────────────────────────────────────────────────────────────────

ARTIFACTS_BYTES_MAX = 4 * GIB
# Compiled interpreters in the user's cache: code, base state and library of one take 35 MB.
INTERPRETERS_KEPT_BYTES_MAX = 512 * MIB
SNAPSHOTS_LOADED_MAX = 1_000
# Memory images of loaded snapshots in one worker: a program in Python has 6 MB, one in JavaScript half of one. Beyond
# it the least recently used one leaves, to be loaded again in some milliseconds.
SNAPSHOT_IMAGES_BYTES_MAX = 512 * MIB
# What may stay of those that nobody called for so long.
SNAPSHOT_IMAGES_IDLE_BYTES_MAX = 32 * MIB
SNAPSHOT_IDLE_S = 60.0

# ── HTTP (uvicorn has none of these) ────────────────────────────────────────────────────────────────────────────

HEADERS_BYTES_MAX = 64 * KIB
HEADERS_MAX = 100
URL_BYTES_MAX = 8 * KIB
HEADERS_TIMEOUT_S = 10.0
# A body must arrive at this rate on average after a grace of HEADERS_TIMEOUT_S.
BODY_BYTES_PER_S_MIN = 1_024
KEEP_ALIVE_S = 75.0
CONNECTIONS_MAX = 10_000
# Those of one peer: of an IPv4 address, or of an IPv6 one's /64, all of which a household has. A fifth of all, so that
# no single one shuts the door for others. Behind a proxy every connection comes from the proxy's address: raise it
# there (`http.connections_per_address`) to what all may have, and let the proxy count its clients.
CONNECTIONS_ADDRESS_MAX = 2_000
assert 4 * CONNECTIONS_ADDRESS_MAX < CONNECTIONS_MAX, "one address is not a crowd"
# Packages that a worker holds open, whose functions looked at their files. One more is opened again in 0.1 ms.
PACKAGES_OPEN_MAX = 128
# Descriptors that a worker keeps for packages, the link and the loop, beside one for each loaded snapshot's image:
# connections may have the others.
DESCRIPTORS_BESIDE = 72 + PACKAGES_OPEN_MAX
PIPELINED_MAX = 64
# Deadlines are checked by one sweep over all connections, not by a timer each: they hold to within one such step.
SWEEP_S = 1.0
# After an early refusal (413 before the body was read) the rest of the request is read and thrown away for this long:
# closing at once would reset the connection and the client would never see the answer. Precedent: nginx, 5 s.
LINGER_S = 5.0
# What all connections of a worker may hold together: bodies being received, and answers that slow readers have not
# taken.
BODIES_BYTES_MAX = 512 * MIB
UNSENT_BYTES_MAX = 256 * MIB
assert BODIES_BYTES_MAX > CONTROL_BODY_BYTES_MAX, "one maximal control request fits"
# Of bodies, those of one peer (as CONNECTIONS_ADDRESS_MAX counts them): two maximal control requests, or 26 maximal
# events, at a time. Behind a proxy: `http.bodies_bytes_per_address`.
BODIES_ADDRESS_BYTES_MAX = 160 * MIB
assert 2 * CONTROL_BODY_BYTES_MAX < BODIES_ADDRESS_BYTES_MAX < BODIES_BYTES_MAX / 3, "one address is not a crowd"
# Chunk sizes and extensions around a chunked body, beyond sixteen bytes for each of its own: a guard against a body
# that is all framing. Precedent: Go's net/http, 16 KiB.
CHUNK_FRAMING_BYTES_MAX = 64 * KIB

# ── the hop between cordons (front/passing.py) ──────────────────────────────────────────────────────────────────

# Requests of one door worker that are with one cordon's workers: a file descriptor and 20 KB each at both ends. Twice
# what one tenant may run at once.
PASSAGES_MAX = 2_048
# Lines to one worker that wait for requests, and for how long: less than the worker keeps a connection that is idle.
PASSAGE_IDLE_MAX = 256
PASSAGE_IDLE_S = 30.0
assert PASSAGE_IDLE_S < KEEP_ALIVE_S, "the door closes first"
# Until a worker greets on a new line: its loop turns every millisecond, and one that was killed is replaced within a
# second, on a busy machine within some, in which the line waits in the backlog. And until any worker of a cordon has,
# its start included.
PASSAGE_GREETING_S = 8.0
PASSAGE_CONNECT_S = 10.0
# For so long, a worker that did not greet is asked after the others.
PASSAGE_DOWN_S = 1.0
# What a worker may take beyond its function's own time to begin an answer.
PASSAGE_GRACE_S = 10.0
# The head of an answer: 64 KiB that a function may say in headers and as much in cookies, and what we add; of the
# shortest lines as many as that holds.
PASSAGE_HEAD_BYTES_MAX = 256 * KIB
PASSAGE_HEADERS_MAX = 20_000

# ── cordons ─────────────────────────────────────────────────────────────────────────────────────────────────────

# Accounts that may have workers of their own: as many processes at the most, of 60 MB each when they serve little.
OWN_WORKERS_MAX = 32
# Until one serves: a fork of a process that has imported everything takes 0.1 s, on a busy machine ten times that.
OWN_START_S = 8.0
assert OWN_START_S < PASSAGE_CONNECT_S, "who waits for it hears why it did not come"
# One that served nothing for so long is ended; how often that is looked at.
OWN_IDLE_S = 300.0
OWN_LOOK_S = 10.0
# How long a worker of the door waits for those of other cordons to know it, before it serves.
DOORS_ACK_S = 1.0
# Of one worker, what it may not have is said in the log so often.
REFUSALS_LOGGED = 10
# What a moved tenant's former workers may take to send their last records, beyond the time of its functions.
MOVE_GRACE_S = 10.0

# ── signatures ──────────────────────────────────────────────────────────────────────────────────────────────────

# How far a client's clock may be from ours, either way. Precedent: AWS, five minutes.
SIGNATURE_SKEW_S = 300
# How long a presigned URL may hold. Precedent: Signature Version 4, a week.
PRESIGNED_S_MAX = 604_800
# Bodies beyond this are hashed on a thread: a mebibyte takes 0.7 ms (with the CPU's own instructions; 3 ms without).
HASH_INLINE_BYTES_MAX = MIB
# Access keys that are valid at a time, of all accounts together: the keeper knows them by heart, 300 bytes each.
ACCESS_KEYS_MAX = 10_000
# Derived keys that a worker knows, of a day, region and service each: 400 bytes. The least recently used one leaves.
SIGNING_KEYS_MAX = 4_096
# Access keys that a worker knows to be none: it asks again after this long. Whoever guesses ids costs the keeper one
# question each, and no more than these in memory.
UNKNOWN_KEYS_MAX = 4_096
UNKNOWN_KEY_S = 1.0

# ── admission ───────────────────────────────────────────────────────────────────────────────────────────────────

# What follows is what a tenant has by default; `isolet limits` sets others (quota.py has the table of all of them).

# Precedent: Lambda's 1,000 concurrent executions an account and region.
CONCURRENCY_TENANT_MAX = 1_000
assert CONCURRENCY_TENANT_MAX <= ISOLATES_MAX, "one tenant's share fits in a worker's pool"
# Invocations that a tenant begins a second, and at once. Lambda's precedent, ten times the concurrency, is what one
# worker here serves of a small function in half a second: by default turns are what keeps tenants apart (scheduler.py),
# and a rate is for an operator who sells one.
REQUESTS_TENANT_PER_S = 100_000
REQUESTS_TENANT_BURST = 100_000
# Log bytes of a tenant, as its functions wrote them. Precedent: PutLogEvents took 5 MB a second of a stream.
LOG_TENANT_BYTES_PER_S = 4 * MIB
LOG_TENANT_BURST_BYTES = 32 * MIB
# What of its lines is stored, as packed; the oldest go first. A quarter of LOG_TOTAL_BYTES_MAX.
LOG_TENANT_STORED_BYTES_MAX = GIB
# Calls of the APIs but Invoke: of a tenant a second, and ten times as many at once. A call costs the keeper about
# a millisecond: one tenant leaves it half of its time, and one client that asks in a loop is not refused. Precedent:
# Lambda takes 15 a second.
CALLS_TENANT_PER_S = 500
CALLS_BURST_S = 10
# Builds of a tenant, and as many at once: a stack of a thousand functions is deployed without a pause. BUILDS_AT_ONCE
# bounds what they cost.
BUILDS_TENANT_PER_H = 2_000
# Those that wait for their turn; each has its package on the disk and nothing else.
BUILDS_TENANT_WAITING_MAX = 200
# Requests to the outside that a tenant begins a second, and as many at once: each costs the keeper about a millisecond.
FETCH_TENANT_PER_S = 1_000
# What a tenant may keep. A worker's routing table has 2 KB of each function and version.
FUNCTIONS_TENANT_MAX = 10_000
VERSIONS_TENANT_MAX = 50_000
LAYERS_TENANT_MAX = 10_000
CODE_TENANT_BYTES_MAX = 75 * GIB  # Precedent: Lambda's 75 GB of functions and layers, all their versions together.
SCHEDULES_TENANT_MAX = 300  # Precedent: EventBridge, rules of a bus.

# What a refusal tells its caller to wait at the most: rates of one in hours are asked about before.
RETRY_AFTER_S_MAX = 60
# Tenants that the workers of a server count together: each has a slot in their shared memory (tally.py).
TENANT_SLOTS = 16_384
# Of a limit, what the workers together may hold in reserve while others ask for it: a sixteenth. It saves them from
# going to their shared memory for every invocation.
RESERVE_PART = 16
# And at most so many tokens of a bucket each.
RESERVE_TOKENS_MAX = 64

# ── asynchronous plumbing ───────────────────────────────────────────────────────────────────────────────────────

# One part of a message on the link: 256 KiB cross a UNIX socket in about 0.1 ms, which is what a small message may have
# to wait behind a large one.
LINK_FRAME_BYTES = 256 * KIB
LINK_MESSAGE_BYTES_MAX = 128 * MIB
assert LINK_MESSAGE_BYTES_MAX > CONTROL_BODY_BYTES_MAX, "a control request crosses the link"
# Calls under way on one link, each way. A call is a task and a future: 10 KB, so 40 MB at worst.
LINK_CALLS_MAX = 4_096
# Unsent bytes: of messages of one part together, and of larger ones. A message always fits in an empty lane.
LINK_SMALL_BYTES_MAX = 16 * MIB
LINK_LARGE_BYTES_MAX = 256 * MIB
# Unfinished messages that a peer may have us hold.
LINK_PARTIAL_BYTES_MAX = 512 * MIB
assert LINK_PARTIAL_BYTES_MAX > LINK_LARGE_BYTES_MAX, "what one side may send, the other may hold"
# What an unfinished message takes beside its bytes: whoever begins a million empty ones is counted.
LINK_PARTIAL_BYTES = 256
# Values of one message, an array or a map counting as one more: decoded, a mebibyte of empty arrays takes 60. Those up
# to LINK_COUNTED_BYTES have no more anyway, and are not counted. A batch of records has some thousands.
LINK_VALUES_MAX = 4_000_000
LINK_COUNTED_BYTES = MIB
# A lost keeper is looked for again after this long, doubling. It restarts within half a second, and to ask costs 0.1
# ms: how long it takes until its workers have found it is not to be seen beside that.
LINK_RETRY_S_MIN = 0.05
LINK_RETRY_S_MAX = 0.2

# A worker's records wait this long, or until there are so many, before they are folded into batches; 256 take 0.5 ms.
RECORD_FLUSH_S = 0.1
RECORDS_FOLD = 256
# Or so many bytes of log lines, which one invocation may have: 2,500 short ones take 1 ms, a MiB of them 5.
RECORDS_FOLD_BYTES = 256 * KIB
# Waiting for a keeper that does not answer: beyond it log lines are dropped and counted; usage never is.
RECORDS_PENDING_MAX = 50_000
RECORDS_PENDING_BYTES_MAX = 64 * MIB
# What one function may have waiting: a flood of log lines pushes out its own lines, not its neighbours'.
RECORDS_FUNCTION_BYTES_MAX = 4 * MIB
# Stored log lines, as packed: of one function, and of all. The oldest segments go first.
LOG_STORE_BYTES_MAX = 64 * MIB
LOG_TOTAL_BYTES_MAX = 4 * GIB
LOG_EVENTS_MAX = 10_000  # Precedent: FilterLogEvents' page.

# Packed records that wait to become spans, and how long a collector of OpenTelemetry may take for one request.
SPANS_QUEUED_BYTES_MAX = 16 * MIB
SPANS_EXPORT_S = 5.0
# Minutes and hours of all functions' metrics, 250 bytes each on disk: a hundred functions that are busy all the time
# keep their minutes for two weeks.
METRIC_ROWS_MAX = 2_000_000
# Functions that have metrics under their own name; the others share one label. A time series costs a scraper 3 KB.
METRIC_FUNCTIONS_MAX = 1_000
METRIC_TENANTS_MAX = 1_000  # the same of tenants, in what was refused for their limits

# An asynchronous invocation's event, as its caller sent it. Precedent: Lambda's 1 MB since 2025.
EVENT_BYTES_MAX = MIB
# Precedent: Lambda, "one minute and then two" after a function's error; one second to five minutes after a throttle.
EVENT_RETRY_S = 60.0
EVENT_THROTTLE_S = 1.0
EVENT_THROTTLE_S_MAX = 300.0
# A function whose attempts are refused is asked for again after its event's pause, but after this long at the latest:
# what keeps it from running may be over.
EVENT_HOLD_S_MAX = 10.0
# Workers that one event may lose: what kills five is to blame for it. They come 1, 2, 3 and 4 seconds apart, so that a
# server which is restarted now and then gives up nothing.
EVENT_LOSSES_MAX = 5
# What one tenant may have queued. Ten minutes of work at 300 events a second; 1 GiB is a tenth of a small disk.
EVENTS_TENANT_MAX = 200_000
EVENTS_TENANT_BYTES_MAX = GIB
# Attempts under way: in each worker, of one tenant there, of one function there; and bytes of bodies in the keeper.
ATTEMPTS_WORKER_MAX = 256
ATTEMPTS_TENANT_MAX = 192
ATTEMPTS_FUNCTION_MAX = 128
ATTEMPTS_BYTES_MAX = 64 * MIB
assert ATTEMPTS_FUNCTION_MAX < ATTEMPTS_TENANT_MAX < ATTEMPTS_WORKER_MAX < ISOLATES_MAX, "there is room beside"
assert ATTEMPTS_WORKER_MAX < LINK_CALLS_MAX, "a link has room beside attempts"
# Of one tenant, on their way through the keeper: 32 take its loop 5 ms, and 2,000 a second pass at that.
EVENTS_MOVING_MAX = 32
# Of one tenant, that fall due at one look: 0.5 ms.
EVENTS_DUE_MAX = 256
# Of all tenants: 300 bytes each in the keeper's memory.
EVENTS_MAX = 2_000_000
# Events of one turn of a worker's loop go in one message, up to so many bytes.
ACCEPT_MESSAGE_BYTES = 8 * MIB
assert EVENT_BYTES_MAX < ACCEPT_MESSAGE_BYTES < LINK_MESSAGE_BYTES_MAX, "an event fits in a message, that in a link's"
# What an attempt may take beyond its function's own time until its worker is given up.
ATTEMPT_GRACE_S = 30.0
# Attempts of a keeper that ends are waited for so long; then the next keeper takes them back.
ATTEMPTS_CLOSE_S = 1.0
# Deliveries to destinations under way: each is a thread that waits; and to one of them, so that one which does not
# answer leaves threads to others.
DELIVERIES_AT_ONCE = 16
DELIVERIES_DESTINATION_MAX = 4
# What could not be told for so long is given up. Precedent: the maximum age of an event.
DELIVERY_AGE_S = 21_600
AWS_CONNECT_S = 5.0
AWS_READ_S = 20.0
# After storage failed: until it is asked again.
EVENT_STORAGE_RETRY_S = 1.0

# The wall clock is read this often at least while there are schedules: a clock that was set is noticed within a minute,
# which is the finest that schedules know.
SCHEDULE_LOOK_S = 60.0
# A rule that could not fire is tried again after this.
SCHEDULE_RETRY_S = 10.0
# Rules that fire together, with 5 events of at most 8 KB each; then the loop serves others.
SCHEDULES_AT_ONCE = 100

# ── the control plane ───────────────────────────────────────────────────────────────────────────────────────────

# Writes that share one transaction and its fsync (about 1 ms): enough to be rid of it, few enough that one slow
# batch delays nobody noticeably.
DATABASE_BATCH_MAX = 512
# For so long jobs join a batch: what somebody who comes now waits for before its own.
DATABASE_BATCH_S = 0.005
# How long a new keeper waits for the one it replaces to let go of the database.
DATABASE_LOCK_S = 5.0
# A worker that does not take a routing table within this time is cut off; it connects again and gets all of it.
ROUTES_ACK_S = 10.0
GAUGES_S = 1.0
CONTROL_REQUEST_S = 120.0
BUILDS_AT_ONCE = 2
# Refused builds that are remembered, so that a second upload of the same bytes is refused at once: of a tenant, and of
# all; a message of REFUSAL_CHARS_MAX each. For a day: initialisation may have failed by the clock it read.
REFUSALS_TENANT_MAX = 200
REFUSALS_MAX = 5_000
REFUSAL_CHARS_MAX = 2_000
REFUSAL_S = 86_400.0
# One by wall time, on a machine that may have been busy.
REFUSAL_BY_TIME_S = 600.0
# Initialisation that took no longer is not what a build's CPU went to: what is refused after it, is for its code.
INIT_QUICK_S = 1.0
assert BUILD_WALL_S < CONTROL_REQUEST_S, "a build may end while its request waits"
DRAIN_S = 30.0

# ── the supervisor ──────────────────────────────────────────────────────────────────────────────────────────────

# A worker's loop says so often that it turns, and the supervisor looks so often: four wake-ups a second of an idle one.
BEAT_S = 0.25
LOOK_S = 0.25
# What may hold a worker's loop at worst, of processor time: a slice 20 ms, the heaviest event or outcome 60 to 200, the
# table of 10,000 functions after a keeper's restart about 500. Twice a second of it is nobody's honest work.
LOOP_HELD_CPU_S = 1.0
LOOP_CPU_S = 2 * LOOP_HELD_CPU_S
assert LOOP_CPU_S > 2 * (BEAT_S + LOOK_S), "a loop is seen to stand still before it is judged"
# A loop that stands still without using the processor: a lock, a disk, a debugger. Nobody knows that it will not go on,
# and who calls may wait for a minute (boto3's read timeout): a quarter of that.
LOOP_WAIT_S = 15.0
# What a worker has before its first invocation (interpreter, engine, what is imported: 90 MiB) and room to work in.
WORKER_BASE_BYTES = 512 * MIB
# A worker is recycled after so much, whichever is first: what leaks a byte a request then leaks a megabyte, and what
# fragments a heap begins anew. Precedent: gunicorn's max_requests with its jitter, php-fpm's pm.max_requests.
WORKER_REQUESTS_MAX = 1_000_000
WORKER_AGE_S_MAX = 86_400.0
# One that is recycled serves what it has begun to the end, streams and all; its replacement serves meanwhile.
RETIRE_S = TIMEOUT_S_MAX + 60.0
# Its idle connections end after this: at once would meet requests that are on their way. Precedent: clients' pools keep
# a connection for 4 to 5 s (Node.js, httpx) or try again (boto3, Go).
RETIRE_IDLE_S = 5.0
# After a replacement that did not begin to serve, until the next one is tried.
RECYCLE_RETRY_S = 60.0

# ── a worker's sandbox ──────────────────────────────────────────────────────────────────────────────────────────

# Lines about what a worker was refused, in its life: one that tries all paths must not fill a disk.
SANDBOX_REFUSALS_LOGGED = 100
SANDBOX_PATH_CHARS_LOGGED = 200
