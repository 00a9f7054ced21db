"""The reference dispatcher: the executable specification of a correct one.

In the order in which to read it: `job` (the key and the payload), `assembler` (which route comes next),
`routes` (one attempt each), `effect` (one effect per job), `store` and `database` (jobs, claims, leases),
`dispatcher` (looks after jobs until they end), `assembly` (the work itself), `api` and `worker` (the two
processes). Around them: `settings`, `values`, `tasks_client` (which way a task may go, and the development
console), `events` and `log_format` (what is logged, and how), `auth`, `http_input`, `lanes`, `breaker`,
`shutdown`, `server_log`, `check_config`.

What is not changed after it was made is a `NamedTuple`: a frozen dataclass compiles six functions for itself whenever
a process starts, which takes seven times as long, and a process that starts quickly is ready quickly.
"""
