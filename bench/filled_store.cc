#include "bench/filled_store.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/sqlite.h"
#include "base/status_macros.h"
#include "bench/workload.h"
#include "scheduler/from_proto.h"
#include "store/sqlite_store.h"

namespace midwatch::bench {
namespace {

constexpr int64_t kOriginals = 1000;
// How many copies of all originals one transaction makes.
constexpr int64_t kCopies = 100;

}  // namespace

// A worker that answers each grant with a settle, at once.
class LocalScheduler::Worker final
    : public StreamSink<v1::StreamLeasesResponse>,
      public std::enable_shared_from_this<Worker> {
 public:
  Worker(Scheduler& scheduler, int64_t tasks, bool settle)
      : scheduler_(scheduler), tasks_(tasks), settle_(settle) {}

  void Send(v1::StreamLeasesResponse message,
            absl::AnyInvocable<void()>) override {
    if (!message.has_grant()) return;
    ++grants_;
    if (!settle_) return Count(absl::OkStatus());
    // More are granted than were asked for.
    if (told_) return held_.push_back(message.grant().token());
    Settle(message.grant().token(),
           [self = shared_from_this()](absl::Status status) {
             self->Count(std::move(status));
           });
  }
  void Finish(absl::Status status) override { Count(std::move(status)); }

  absl::Status Wait() { return done_.get_future().get(); }

  // On the executor: how many were granted so far.
  int64_t grants() const { return grants_; }
  // On the executor, once the stream is lost: leaves no lease behind, which
  // would count as running until its worker's term is over.
  void SettleHeld(std::promise<absl::Status>& done) {
    if (held_.empty()) return done.set_value(absl::OkStatus());
    const v1::LeaseToken token = held_.back();
    held_.pop_back();
    Settle(token, [self = shared_from_this(), &done](const absl::Status& s) {
      if (!s.ok()) return done.set_value(s);
      self->SettleHeld(done);
    });
  }

 private:
  void Settle(const v1::LeaseToken& token,
              absl::AnyInvocable<void(absl::Status)> done) {
    v1::SettleRequest request;
    *request.mutable_token() = token;
    *request.mutable_ending() = UsualEnding();
    scheduler_.Settle(request,
                      [done = std::move(done)](
                          absl::StatusOr<v1::SettleResponse> answer) mutable {
                        done(answer.status());
                      });
  }
  void Count(absl::Status status) {
    if (told_) return;
    ++counted_;
    if (status.ok() && counted_ < tasks_) return;
    told_ = true;
    done_.set_value(std::move(status));
  }

  Scheduler& scheduler_;
  const int64_t tasks_;
  const bool settle_;
  int64_t counted_ = 0, grants_ = 0;
  std::vector<v1::LeaseToken> held_;
  bool told_ = false;
  std::promise<absl::Status> done_;
};

absl::StatusOr<std::unique_ptr<LocalScheduler>> LocalScheduler::Open(
    const std::string& dir) {
  auto local = std::make_unique<LocalScheduler>();
  ASSIGN_OR_RETURN(local->store_,
                   OpenSqliteStore(local->executor_, local->pool_, RealClock(),
                                   local->random_, {.dir = dir}));
  std::promise<absl::Status> started;
  local->executor_.Post([&] {
    local->scheduler_.emplace(local->executor_, RealClock(), local->random_,
                              *local->store_);
    local->scheduler_->Start(
        [&](absl::Status status) { started.set_value(std::move(status)); });
  });
  RETURN_IF_ERROR(started.get_future().get());
  return local;
}

LocalScheduler::~LocalScheduler() {
  executor_.Stop();
  scheduler_.reset();
  store_.reset();
}

absl::Status LocalScheduler::Queue(const std::string& batch, int64_t first,
                                   int64_t tasks) {
  std::vector<v1::SubmitBatchRequest> steps;
  if (first == 0) steps = UsualBatch(batch, 0);
  if (first == 0) steps.pop_back();  // not sealed
  for (int64_t line = first; line < first + tasks; line += kChunkLinesMax) {
    steps.push_back(UsualChunk(batch, line, first + tasks - line));
    for (const v1::SubmitBatchRequest& step : steps) {
      std::promise<absl::Status> done;
      executor_.Post([&] {
        scheduler_->SubmitBatchStep(
            step, [&](absl::StatusOr<v1::SubmitBatchResponse> response) {
              done.set_value(response.status());
            });
      });
      RETURN_IF_ERROR(done.get_future().get());
    }
    steps.clear();
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> LocalScheduler::Admit(int64_t tasks,
                                                     int capacity,
                                                     bool settle) {
  const absl::Duration begin = RealClock().Steady();
  auto worker = std::make_shared<Worker>(*scheduler_, tasks, settle);
  executor_.Post([&] {
    v1::RegisterWorkerRequest request;
    request.set_incarnation(random_.Hex(16));
    request.set_description("bench");
    request.add_accounts("default");
    request.set_capacity(capacity);
    scheduler_->leases().RegisterWorker(
        request, [this, worker](absl::StatusOr<v1::RegisterWorkerResponse> r) {
          if (!r.ok()) return worker->Finish(r.status());
          v1::StreamLeasesRequest open;
          open.set_worker_id(r->worker_id());
          scheduler_->leases().StreamLeases(open, worker);
        });
  });
  absl::Status status = worker->Wait();
  const absl::Duration took = RealClock().Steady() - begin;
  if (!status.ok() || !settle) {
    RunOn(executor_, [&] { scheduler_->leases().LoseStream(worker.get()); });
    RETURN_IF_ERROR(status);
    return took;
  }
  // Until nothing more comes: its slots are full, or the queue is empty.
  for (int64_t before = -1, now = 0; before != now;) {
    before = now;
    absl::SleepFor(absl::Milliseconds(50));
    RunOn(executor_, [&] { now = worker->grants(); });
  }
  std::promise<absl::Status> left;
  RunOn(executor_, [&] {
    scheduler_->leases().LoseStream(worker.get());
    worker->SettleHeld(left);
  });
  RETURN_IF_ERROR(left.get_future().get());
  return took;
}

absl::Status MakeHistory(const std::string& dir, int64_t tasks) {
  if (tasks == 0) return absl::OkStatus();
  {
    ASSIGN_OR_RETURN(std::unique_ptr<LocalScheduler> local,
                     LocalScheduler::Open(dir));
    RETURN_IF_ERROR(local->Queue("history", 0, kOriginals));
    RETURN_IF_ERROR(local->Admit(kOriginals, 512, /*settle=*/true).status());
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> db,
                   Sqlite::Open(dir + "/queue.db", {.synchronous_full = false,
                                                    .cache_kib = 1 << 20}));
  // The journal knows no tasks, so without its bound each copy reads all of it.
  int64_t last_entry = 0;
  {
    SqliteStatement row = db->Query("SELECT max(seq) FROM journal");
    if (row.Step()) last_entry = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  // The originals are the first rows of a new database, so copy k of task t is
  // k thousand further.
  const int64_t rounds = (tasks + kOriginals - 1) / kOriginals;
  for (int64_t from = 1; from < rounds; from += kCopies) {
    const int64_t to = std::min(rounds, from + kCopies);
    const std::string copies =
        absl::StrCat("WITH RECURSIVE k(d) AS (SELECT ", from * kOriginals,
                     " UNION ALL SELECT d + ", kOriginals, " FROM k WHERE d < ",
                     (to - 1) * kOriginals, ") ");
    const std::string originals =
        absl::StrCat(" BETWEEN 1 AND ", kOriginals, ";");
    RETURN_IF_ERROR(db->Script(absl::StrCat(
        "BEGIN;", copies,
        "INSERT INTO task(id, at, lane, batch, line, name, state, template, "
        "line_blob, prio, max_cost, attempts, failures, charged, reserved, "
        "granted_at, ended_at, class, why, session, ending, queue) SELECT "
        // In the order of their index: otherwise ten million take an hour.
        "t.id + d, "
        "at, lane, batch, line + d, printf('item-%010d', line + d), state, "
        "template, "
        "line_blob, prio, max_cost, attempts, failures, charged, reserved, "
        "granted_at, ended_at, class, why, session, ending, queue FROM k, "
        "task t "
        "WHERE t.id",
        originals, copies,
        "INSERT INTO attempt(task, n, session, epoch, outcome_hash, state, "
        "reserved, charged, class, why, granted_at, ended_at, grant_seq) "
        "SELECT task + d, n, session, epoch, outcome_hash, "
        "state, reserved, charged, class, why, granted_at, ended_at, grant_seq "
        "FROM k, attempt WHERE task",
        originals, copies,
        "INSERT INTO journal(at, kind, batch, task, n, state, who, reserve_d, "
        "charge_d, over_d, class, why) SELECT at, kind, batch, task + d, n, "
        "state, who, reserve_d, charge_d, over_d, class, why FROM k, journal "
        "WHERE seq <= ",
        last_entry, " AND task", originals,
        "COMMIT;PRAGMA wal_checkpoint(TRUNCATE);")));
  }
  return db->Run("UPDATE batch SET lines = ?, succeeded = ? WHERE name = ?",
                 rounds * kOriginals, rounds * kOriginals, "history");
}

}  // namespace midwatch::bench
