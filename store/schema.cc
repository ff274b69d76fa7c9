#include "store/schema.h"

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

// "midw": other programs' SQLite files have another application_id or none.
constexpr int64_t kApplicationId = 0x6d696477;

// Times are microseconds since the epoch, money is micro-dollars, states and
// kinds are the numbers of their enums. Keys are monotonic wherever rows are
// many: random keys cost SQLite 5 to 10 times as much.
constexpr char kQueue1[] = R"sql(
CREATE TABLE meta(key TEXT PRIMARY KEY, value INT) WITHOUT ROWID;
CREATE TABLE label(id INTEGER PRIMARY KEY, kind INT, name TEXT, UNIQUE(kind, name));
CREATE TABLE template(id INTEGER PRIMARY KEY, spec BLOB);

CREATE TABLE batch(
  id INTEGER PRIMARY KEY, at INT, tenant INT, queue INT, account INT, name TEXT,
  state INT, template INT, max_running INT, lines INT DEFAULT 0,
  blocked INT DEFAULT 0, queued INT DEFAULT 0, running INT DEFAULT 0,
  waiting INT DEFAULT 0, cancelling INT DEFAULT 0, succeeded INT DEFAULT 0,
  failed INT DEFAULT 0, cancelled INT DEFAULT 0, skipped INT DEFAULT 0,
  charged INT DEFAULT 0, reserved INT DEFAULT 0, ended_at INT,
  request_id TEXT UNIQUE, content_hash TEXT, open_hash TEXT, cancel_why TEXT);
CREATE INDEX batch_name ON batch(name, id);
CREATE INDEX batch_cancelling ON batch(id) WHERE state = 3;

-- batch is 0 for a task alone, which has no line.
CREATE TABLE task(
  id INTEGER PRIMARY KEY, at INT, lane INT, batch INT, line INT, name TEXT,
  state INT, template INT, line_blob BLOB, prio INT, max_cost INT, rank INT,
  attempts INT DEFAULT 0, failures INT DEFAULT 0, charged INT DEFAULT 0,
  reserved INT DEFAULT 0, granted_at INT, ended_at INT, not_before INT,
  class INT DEFAULT 0, why TEXT, session TEXT, ending BLOB, retry_of INT);
CREATE UNIQUE INDEX task_line ON task(batch, line) WHERE batch > 0;
CREATE UNIQUE INDEX task_name ON task(batch, name) WHERE batch > 0;
CREATE INDEX task_state ON task(batch, state, id);

CREATE TABLE request(key TEXT PRIMARY KEY, hash TEXT, task INT, day INT) WITHOUT ROWID;
CREATE INDEX request_day ON request(day);

CREATE TABLE lane(
  id INTEGER PRIMARY KEY, tenant INT NOT NULL, queue INT NOT NULL,
  batch INT NOT NULL DEFAULT 0, ckey TEXT NOT NULL DEFAULT '', account INT NOT NULL,
  head INT, blocked INT DEFAULT 0, running INT DEFAULT 0,
  UNIQUE(batch, tenant, queue, ckey, account));
CREATE INDEX lane_ckey ON lane(tenant, ckey) WHERE ckey != '';
CREATE INDEX lane_batch ON lane(batch) WHERE batch > 0;
CREATE INDEX lane_next ON lane(account, head) WHERE blocked = 0 AND head IS NOT NULL;
CREATE TABLE ready(lane INT, rank INT, task INT, PRIMARY KEY(lane, rank, task)) WITHOUT ROWID;
CREATE TABLE timer(at INT, kind INT, ref INT, PRIMARY KEY(at, kind, ref)) WITHOUT ROWID;

-- The hot set: one row for each attempt that is on.
CREATE TABLE live(
  task INTEGER PRIMARY KEY, attempt INT, epoch INT, worker INT, account INT,
  batch INT, phase INT, session TEXT, reserved INT, grant_seq INT,
  granted_at INT, cancelling INT DEFAULT 0);
CREATE INDEX live_worker ON live(worker, task);
CREATE INDEX live_free ON live(account, task) WHERE worker IS NULL;

-- Closed attempts.
CREATE TABLE attempt(
  task INT, n INT, session TEXT, epoch INT, outcome_hash TEXT, state INT,
  reserved INT, charged INT, class INT, why TEXT, granted_at INT, ended_at INT,
  grant_seq INT, PRIMARY KEY(task, n)) WITHOUT ROWID;
-- Creates that were sent and not yet explained.
CREATE TABLE create_try(task INT, n INT, nonce TEXT, at INT,
  PRIMARY KEY(task, n, nonce)) WITHOUT ROWID;
-- The outbox.
CREATE TABLE say(task INT, n INT, k INT, kind INT, key TEXT, body TEXT,
  said INT DEFAULT 0, PRIMARY KEY(task, n, k)) WITHOUT ROWID;

CREATE TABLE worker(id INTEGER PRIMARY KEY, at INT, incarnation TEXT UNIQUE, info TEXT);
CREATE TABLE remote_id(account INT, key TEXT, id TEXT, PRIMARY KEY(account, key)) WITHOUT ROWID;

-- History and ledger in one append; watchers resume from seq.
CREATE TABLE journal(
  seq INTEGER PRIMARY KEY, at INT, kind INT, batch INT, task INT, n INT,
  state INT, who INT, reserve_d INT, charge_d INT, over_d INT, class INT, why TEXT);
CREATE INDEX journal_batch ON journal(batch, seq);
)sql";

// task.labels holds "key=value" lines, rising, and NULL for none; task_label
// has a row for each of them, under the number that `label` gives the line.
// Running tasks are found in `live`, so the index is not written to when a task
// starts.
constexpr char kQueue2[] = R"sql(
ALTER TABLE task ADD COLUMN queue INT;
ALTER TABLE task ADD COLUMN labels TEXT;
UPDATE task SET queue = (SELECT l.queue FROM lane l WHERE l.id = task.lane);
CREATE INDEX task_queue ON task(queue, state) WHERE state NOT IN (3, 5);
CREATE TABLE task_label(label INT, task INT, PRIMARY KEY(label, task)) WITHOUT ROWID;
)sql";

// A balance is what one window of a budget holds: of attempts granted in it,
// after `since` (the journal's number; 0: all of them). ref is a label of a
// tenant or a queue, or a batch's row.
constexpr char kQueue3[] = R"sql(
ALTER TABLE batch ADD COLUMN over INT DEFAULT 0;
UPDATE batch SET over =
  (SELECT ifnull(sum(j.over_d), 0) FROM journal j WHERE j.batch = batch.id);
CREATE TABLE budget(
  id INTEGER PRIMARY KEY, scope INT, ref INT, win INT, zone TEXT, lim INT,
  since INT, UNIQUE(scope, ref, win));
CREATE TABLE balance(
  budget INT, start INT, until INT, charged INT DEFAULT 0,
  reserved INT DEFAULT 0, over INT DEFAULT 0,
  PRIMARY KEY(budget, start)) WITHOUT ROWID;
CREATE INDEX lane_budget ON lane(tenant, queue) WHERE blocked & 4 != 0;
)sql";

// A parked attempt is live without a worker, and not to be adopted until its
// questions are answered or its time (answer_by) is over (unanswered).
// parked_for adds up how long it was.
constexpr char kQueue4[] = R"sql(
ALTER TABLE live ADD COLUMN parked_at INT;
ALTER TABLE live ADD COLUMN answer_by INT;
ALTER TABLE live ADD COLUMN parked_for INT DEFAULT 0;
ALTER TABLE live ADD COLUMN unanswered INT DEFAULT 0;
DROP INDEX live_free;
CREATE INDEX live_free ON live(account, task) WHERE worker IS NULL AND parked_at IS NULL;
-- What parked attempts wait for.
CREATE TABLE question(task INT, id TEXT, tool TEXT, input TEXT, wants_result INT,
  PRIMARY KEY(task, id)) WITHOUT ROWID;
)sql";

// What of an account is not as it is at first: open. A kept attempt (held_at)
// waits for its account with its session; an excused one began nothing.
constexpr char kQueue5[] = R"sql(
CREATE TABLE account(
  label INTEGER PRIMARY KEY, state INT, why TEXT, since INT, until INT,
  next_probe INT, probe_every INT, probe INT, bad_templates TEXT);
ALTER TABLE live ADD COLUMN held_at INT;
ALTER TABLE task ADD COLUMN excused INT DEFAULT 0;
)sql";

// A question with `spent` wants a higher budget for a session that cost so
// much.
constexpr char kQueue6[] = R"sql(
ALTER TABLE question ADD COLUMN spent INT;
)sql";

// Sessions that outlived their attempts, until somebody has archived them. A
// lease of one is that it is not due.
constexpr char kQueue7[] = R"sql(
CREATE TABLE errand(account INT, session TEXT, due INT,
  PRIMARY KEY(account, session)) WITHOUT ROWID;
CREATE INDEX errand_due ON errand(account, due);
)sql";

// An attempt with unknown_cost was charged its reservation, until its session's
// errand knows better; with 2, nobody ever will.
constexpr char kQueue8[] = R"sql(
ALTER TABLE attempt ADD COLUMN unknown_cost INT DEFAULT 0;
ALTER TABLE errand ADD COLUMN task INT;
ALTER TABLE errand ADD COLUMN n INT;
)sql";

// What predictions are made from and what they say: see store/prediction.h. A
// live row holds what was foretold at its grant, a batch how well that held.
constexpr char kQueue9[] = R"sql(
CREATE TABLE kind(
  id INTEGER PRIMARY KEY, hash TEXT UNIQUE, last INT DEFAULT 0,
  samples INT DEFAULT 0, cost_p50 INT DEFAULT 0, cost_p90 INT DEFAULT 0,
  time_p50 INT DEFAULT 0, time_p90 INT DEFAULT 0);
CREATE TABLE sample(kind INT, place INT, cost INT, time INT,
  PRIMARY KEY(kind, place)) WITHOUT ROWID;
ALTER TABLE template ADD COLUMN kind INT;
ALTER TABLE live ADD COLUMN samples INT DEFAULT 0;
ALTER TABLE live ADD COLUMN cost_p50 INT DEFAULT 0;
ALTER TABLE live ADD COLUMN cost_p90 INT DEFAULT 0;
ALTER TABLE live ADD COLUMN time_p50 INT DEFAULT 0;
ALTER TABLE live ADD COLUMN time_p90 INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN foretold INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN cost_in_p50 INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN cost_in_p90 INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN time_in_p50 INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN time_in_p90 INT DEFAULT 0;
)sql";

// A disowned create is one that a sweep gave up: its session is archived and
// may not be recorded any more; with 2, it was recorded, and the row stays only
// until its attempt is over. sweep has a row for each account with creates
// that may be unexplained: those that were begun from from_at on, the last at
// last_at. A lease of it is that it is not due; it was given out at began.
constexpr char kQueue10[] = R"sql(
ALTER TABLE create_try ADD COLUMN disowned INT DEFAULT 0;
CREATE TABLE sweep(
  account INTEGER PRIMARY KEY, from_at INT, last_at INT, due INT,
  began INT DEFAULT 0);
INSERT INTO sweep(account, from_at, last_at, due)
  SELECT l.account, min(c.at) - 600000000, max(c.at), 0
  FROM create_try c JOIN task t ON t.id = c.task JOIN lane l ON l.id = t.lane
  GROUP BY l.account;
)sql";

// The dearest model request of a kind's tasks, and what of a live attempt's
// reservation is set aside for one that crosses its session's budget.
constexpr char kQueue11[] = R"sql(
ALTER TABLE kind ADD COLUMN dearest INT DEFAULT 0;
ALTER TABLE live ADD COLUMN overshoot INT DEFAULT 0;
)sql";

constexpr char kQueue12[] = R"sql(
DROP INDEX request_day;
CREATE INDEX request_task ON request(task);
)sql";

// deadline: from a task's submit. share: see ShareView. lane_flow takes the
// place of lane_next, so that each tenant's queue shows its first lanes.
constexpr char kQueue13[] = R"sql(
ALTER TABLE template ADD COLUMN deadline INT;
ALTER TABLE live ADD COLUMN counted INT DEFAULT 0;
CREATE TABLE share(
  tenant INT, queue INT, finish INT, clock INT,
  PRIMARY KEY(tenant, queue)) WITHOUT ROWID;
DROP INDEX lane_next;
CREATE INDEX lane_flow ON lane(account, tenant, queue, head)
  WHERE blocked = 0 AND head IS NOT NULL;
)sql";

// What a person has set of a tenant, a queue or an account. running is kept
// where max_running is set: attempts that are on and not parked. It is paused
// while paused_at is set, a batch likewise.
constexpr char kQueue14[] = R"sql(
CREATE TABLE control(
  label INTEGER PRIMARY KEY, weight INT DEFAULT 1, max_running INT DEFAULT 0,
  running INT DEFAULT 0, paused_at INT, pause_why TEXT, pause_until INT);
ALTER TABLE batch ADD COLUMN paused_at INT;
ALTER TABLE batch ADD COLUMN pause_why TEXT;
ALTER TABLE batch ADD COLUMN pause_until INT;
CREATE INDEX lane_cap ON lane(queue, tenant, account) WHERE blocked & 8 != 0;
)sql";

// A schedule is awake while it is to be planned, or a firing of it is not yet
// submitted. Its times up to `since` are dealt with; the next one's timer is at
// `wake`. paused is 0, or 1, or when the pause ends by itself, which is then
// `wake`. schedule_step holds what each of its batches is submitted with, by
// revision: that of the schedule, and those of firings that are under way.
constexpr char kQueue15[] = R"sql(
CREATE TABLE schedule(
  id INTEGER PRIMARY KEY, at INT, name TEXT UNIQUE, timing BLOB, hash TEXT,
  revision INT, changed_at INT, paused INT DEFAULT 0, pause_why TEXT,
  since INT, wake INT, awake INT DEFAULT 1, tenant TEXT, queue TEXT,
  account TEXT, content_hash TEXT, lines INT);
CREATE INDEX schedule_awake ON schedule(id) WHERE awake != 0;
CREATE TABLE schedule_step(schedule INT, revision INT, k INT, step BLOB,
  PRIMARY KEY(schedule, revision, k)) WITHOUT ROWID;
CREATE TABLE firing(
  id INTEGER PRIMARY KEY, schedule INT, key TEXT, due INT, state INT, at INT,
  by_hand INT, batch INT, batch_name TEXT, why TEXT, revision INT,
  UNIQUE(schedule, key));
CREATE INDEX firing_last ON firing(schedule, id);
)sql";

// What tasks need: a row for each need of their lines, by its place there.
// `need` is a task; where it is NULL, every task of `batch` before `until` is
// meant. open: it is waited for. mentions: how often the prompt holds its
// task's message.
// task.given is a TaskLine with what a task that waited was given: messages and
// inputs.
constexpr char kQueue16[] = R"sql(
CREATE TABLE need(
  task INT, k INT, need INT, batch INT, until INT, policy INT, mentions INT,
  open INT, PRIMARY KEY(task, k)) WITHOUT ROWID;
CREATE INDEX need_one ON need(need, task) WHERE open = 1 AND need IS NOT NULL;
CREATE INDEX need_all ON need(batch, task) WHERE open = 1 AND batch IS NOT NULL;
ALTER TABLE task ADD COLUMN given BLOB;
CREATE INDEX task_retry ON task(retry_of) WHERE retry_of IS NOT NULL;
)sql";

// See store/request_book.h.
constexpr char kQueue17[] = R"sql(
CREATE TABLE request_log(task INTEGER PRIMARY KEY, key TEXT, hash TEXT, day INT);
CREATE TABLE request_index(
  day INT, fingerprint INT, task INT, PRIMARY KEY(day, fingerprint, task)) WITHOUT ROWID;
INSERT OR IGNORE INTO request_log(task, key, hash, day)
  SELECT task, key, hash, day FROM request ORDER BY task;
DROP TABLE request;
)sql";

// A task that is delayed is QUEUED without a rank until not_before; a blocked
// one may have a not_before too, and no timer for it yet. expires_at is NULL
// once the first attempt was granted. unique_key has a row for each key that is
// held, until `until`, or where that is NULL until its task is final.
// batch.retry_of is the batch whose tasks this one tries again.
constexpr char kQueue18[] = R"sql(
ALTER TABLE task ADD COLUMN expires_at INT;
ALTER TABLE task ADD COLUMN ukey TEXT;
ALTER TABLE batch ADD COLUMN retry_of INT;
CREATE TABLE unique_key(tenant INT, key TEXT, task INT, until INT,
  PRIMARY KEY(tenant, key)) WITHOUT ROWID;
CREATE INDEX unique_task ON unique_key(task) WHERE until IS NULL;
CREATE INDEX unique_until ON unique_key(until) WHERE until IS NOT NULL;
)sql";

// A lane with canary = 1 is of a batch's first tasks, canary_tasks of them: the
// others stand in lanes of their own, which are blocked until the verdict
// (canary) is there. lane is made anew, since its UNIQUE grows. Of the canary's
// tasks it is counted how they ended (canary_good, canary_bad, canary_out) and
// what they cost; stop_bad and stop_ended count tasks since the batch was
// submitted or resumed. Parts (canary_min, stop_ratio) are in millionths.
constexpr char kQueue19[] = R"sql(
CREATE TABLE lane_anew(
  id INTEGER PRIMARY KEY, tenant INT NOT NULL, queue INT NOT NULL,
  batch INT NOT NULL DEFAULT 0, ckey TEXT NOT NULL DEFAULT '', account INT NOT NULL,
  head INT, blocked INT DEFAULT 0, running INT DEFAULT 0,
  canary INT NOT NULL DEFAULT 0,
  UNIQUE(batch, tenant, queue, ckey, account, canary));
INSERT INTO lane_anew(id, tenant, queue, batch, ckey, account, head, blocked, running)
  SELECT id, tenant, queue, batch, ckey, account, head, blocked, running FROM lane;
DROP TABLE lane;
ALTER TABLE lane_anew RENAME TO lane;
CREATE INDEX lane_ckey ON lane(tenant, ckey) WHERE ckey != '';
CREATE INDEX lane_batch ON lane(batch) WHERE batch > 0;
CREATE INDEX lane_budget ON lane(tenant, queue) WHERE blocked & 4 != 0;
CREATE INDEX lane_flow ON lane(account, tenant, queue, head)
  WHERE blocked = 0 AND head IS NOT NULL;
CREATE INDEX lane_cap ON lane(queue, tenant, account) WHERE blocked & 8 != 0;
ALTER TABLE batch ADD COLUMN canary INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary_tasks INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary_min INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary_cost INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary_good INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary_bad INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary_out INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary_charged INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary_why TEXT;
ALTER TABLE batch ADD COLUMN stop_failed INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN stop_ratio INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN stop_after INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN stop_bad INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN stop_ended INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN stopped INT DEFAULT 0;
)sql";

// A hook is DUE from `at` on: `news` (HookNews) is to be delivered, from `due`
// on. task is the one that failed. The keys are whole, so that a message needs
// nothing else.
constexpr char kQueue20[] = R"sql(
CREATE TABLE hook(
  id INTEGER PRIMARY KEY, batch INT, batch_at INT, event INT, url TEXT,
  secret TEXT, state INT, at INT, task INT, task_at INT, news BLOB,
  tries INT DEFAULT 0, due INT, why TEXT, ended_at INT, UNIQUE(batch, event));
CREATE INDEX hook_due ON hook(due) WHERE due IS NOT NULL;
)sql";

// Concurrency keys of which other than one task may run at once.
constexpr char kQueue21[] = R"sql(
CREATE TABLE key_cap(tenant INT, ckey TEXT, max_running INT,
  PRIMARY KEY(tenant, ckey)) WITHOUT ROWID;
)sql";

// A batch with deleted_at is one that nobody is shown any more. While it is
// deleting, rows of what hung on it are left (with 2, its spec is to stay); its
// own stays. The meta row `tasks_deleted` is the highest number of a task that
// went.
constexpr char kQueue22[] = R"sql(
ALTER TABLE batch ADD COLUMN deleted_at INT;
ALTER TABLE batch ADD COLUMN deleting INT;
CREATE INDEX batch_deleted ON batch(deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX batch_deleting ON batch(id) WHERE deleting != 0;
CREATE INDEX batch_retry ON batch(retry_of) WHERE retry_of IS NOT NULL;
)sql";

// What a batch's risk is foretold from (see RiskView; risk_time and risk_since
// are in microseconds), and the risk there is (v1::Risk).
constexpr char kQueue23[] = R"sql(
ALTER TABLE batch ADD COLUMN risk_ended INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN risk_cost INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN risk_squares REAL DEFAULT 0;
ALTER TABLE batch ADD COLUMN risk_reserved INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN risk_time INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN risk_since INT;
ALTER TABLE batch ADD COLUMN risk_sunk INT DEFAULT 0;
ALTER TABLE batch ADD COLUMN risk BLOB;
)sql";

// A need that is met (open = 2) keeps what it needs until all is given. Each
// row of the journal that concerns a batch or a task is in one of two indexes.
// Of single tasks that are deleted a row of the journal has the money, by
// tenant, queue and hour: `who` is a lane of those.
constexpr char kQueue24[] = R"sql(
UPDATE need SET open = 2 WHERE open = 0 AND need IS NOT NULL AND task IN
  (SELECT id FROM task WHERE state = 1);
CREATE INDEX need_met ON need(need) WHERE open = 2 AND need IS NOT NULL;
DROP INDEX journal_batch;
CREATE INDEX journal_batch ON journal(batch, seq) WHERE batch > 0;
CREATE INDEX journal_task ON journal(task, seq) WHERE batch = 0 AND task > 0;
)sql";

// A kind's samples were a ring of 64 places, the n-th in n % 64. They are taken
// for the first that came, in the places from 0 on (see PlaceOfSample), so that
// more fill the other places.
constexpr char kQueue25[] = R"sql(
UPDATE sample SET place = 0 WHERE place =
  (SELECT last FROM kind WHERE id = sample.kind AND last < 64);
UPDATE kind SET last = 64 WHERE last > 64;
)sql";

constexpr char kEvents1[] = R"sql(
-- One row for each chunk of events of an attempt, keyed by the journal's number
-- of the attempt's first grant; body is a zstd frame of JSON lines.
CREATE TABLE chunk(
  grant_seq INT, first INT, events INT, body BLOB,
  PRIMARY KEY(grant_seq, first)) WITHOUT ROWID;
)sql";

absl::StatusOr<int64_t> ReadPragma(Sqlite& db, const char* sql) {
  SqliteStatement row = db.Query(sql);
  if (!row.Step()) {
    return row.status().ok() ? absl::DataLossError("no value") : row.status();
  }
  return row.Int(0);
}

}  // namespace

const SchemaSteps& QueueSchema() {
  static const SchemaSteps* steps = new SchemaSteps{
      kQueue1,  kQueue2,  kQueue3,  kQueue4,  kQueue5,  kQueue6,  kQueue7,
      kQueue8,  kQueue9,  kQueue10, kQueue11, kQueue12, kQueue13, kQueue14,
      kQueue15, kQueue16, kQueue17, kQueue18, kQueue19, kQueue20, kQueue21,
      kQueue22, kQueue23, kQueue24, kQueue25};
  return *steps;
}

const SchemaSteps& EventsSchema() {
  static const SchemaSteps* steps = new SchemaSteps{kEvents1};
  return *steps;
}

absl::Status Migrate(Sqlite& db, const SchemaSteps& steps,
                     const std::string& path) {
  ASSIGN_OR_RETURN(int64_t version, ReadPragma(db, "PRAGMA user_version"));
  ASSIGN_OR_RETURN(int64_t app, ReadPragma(db, "PRAGMA application_id"));
  ASSIGN_OR_RETURN(int64_t tables,
                   ReadPragma(db, "SELECT count(*) FROM sqlite_master"));
  if (tables > 0 && app != kApplicationId) {
    return absl::DataLossError(absl::StrCat(
        path,
        " is an SQLite database, but not one of Midwatch's; name another "
        "directory"));
  }
  int64_t newest = static_cast<int64_t>(steps.size());
  if (version > newest) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " was written by a newer release (schema ", version,
                     ", this program knows ", newest, "); use that release"));
  }
  for (; version < newest; ++version) {
    absl::Status status = db.Script(
        absl::StrCat("BEGIN IMMEDIATE;", steps[static_cast<size_t>(version)],
                     "PRAGMA user_version=", version + 1,
                     ";PRAGMA application_id=", kApplicationId, ";COMMIT;"));
    if (!status.ok()) {
      (void)db.Script("ROLLBACK");
      return absl::Status(status.code(),
                          absl::StrCat(path, ": schema step ", version + 1,
                                       " failed: ", status.message()));
    }
    FaultPoint("store.migrate.after");
  }
  return absl::OkStatus();
}

}  // namespace midwatch
