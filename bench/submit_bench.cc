// How fast work is taken: single tasks over gRPC and straight to the store, and
// batches.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/blocking_pool.h"
#include "base/mutex.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "bench/benchmarks.h"
#include "bench/grpc_status.h"
#include "bench/workload.h"
#include "midwatch/v1/task_service.grpc.pb.h"
#include "scheduler/from_proto.h"
#include "store/sqlite_store.h"

namespace midwatch::bench {
namespace {

constexpr int kCallers = 64;
constexpr int kEventsBeside = 5000;
constexpr int kAttemptsBeside = 500;

double Micros(absl::Duration duration) {
  return absl::ToDoubleMicroseconds(duration);
}

struct Run {
  double rate = 0;
  double p50_ms = 0, p99_ms = 0;
};

// Callers that each submit a task, wait until it is acknowledged, and submit
// the next, until `total` were submitted in all.
class GrpcCallers {
 public:
  GrpcCallers(const std::shared_ptr<grpc::Channel>& channel, int64_t first,
              int64_t total)
      : stub_(v1::TaskService::NewStub(channel)),
        next_(first),
        end_(first + total),
        callers_(kCallers) {}

  absl::StatusOr<Run> Submit() {
    const int64_t total = end_ - next_;
    const absl::Duration begin = RealClock().Steady();
    for (Caller& caller : callers_) Next(caller);
    running_.wait();
    const absl::Duration took = RealClock().Steady() - begin;
    std::vector<double> all;
    for (Caller& caller : callers_) {
      RETURN_IF_ERROR(caller.failure);
      all.insert(all.end(), caller.millis.begin(), caller.millis.end());
    }
    return Run{static_cast<double>(total) / absl::ToDoubleSeconds(took),
               Quantile(all, 0.5), Quantile(all, 0.99)};
  }

 private:
  struct Caller {
    std::unique_ptr<grpc::ClientContext> context;
    v1::SubmitTaskRequest request;
    v1::SubmitTaskResponse response;
    absl::Duration begin;
    std::vector<double> millis;
    absl::Status failure;
  };

  void Next(Caller& caller) {
    const int64_t number = next_.fetch_add(1);
    if (number >= end_ || !caller.failure.ok()) return running_.count_down();
    caller.context = std::make_unique<grpc::ClientContext>();
    caller.request = UsualSubmit(number);
    caller.begin = RealClock().Steady();
    stub_->async()->SubmitTask(
        caller.context.get(), &caller.request, &caller.response,
        [this, &caller](grpc::Status status) {
          caller.millis.push_back(Micros(RealClock().Steady() - caller.begin) /
                                  1000);
          caller.failure = FromGrpc(status);
          Next(caller);
        });
  }

  std::unique_ptr<v1::TaskService::Stub> stub_;
  std::atomic<int64_t> next_;
  const int64_t end_;
  std::vector<Caller> callers_;
  std::latch running_{kCallers};
};

void AddRuns(Context& context, const std::string& name, const std::string& what,
             const std::vector<Run>& runs) {
  std::vector<double> rates, p50s, p99s;
  for (const Run& run : runs) {
    rates.push_back(run.rate);
    p50s.push_back(run.p50_ms);
    p99s.push_back(run.p99_ms);
  }
  context.report.Add(
      {absl::StrCat(name, ".rate"), what, "tasks/s", rates, AtLeast(25'000)});
  context.report.Add({absl::StrCat(name, ".p50"), what, "ms", p50s, {}});
  context.report.Add({absl::StrCat(name, ".p99"), what, "ms", p99s, AtMost(7)});
}

// The same callers without gRPC: what the store alone can do.
class StoreCallers {
 public:
  StoreCallers(Executor& executor, Store& store, int64_t first, int64_t total)
      : executor_(executor), store_(store), next_(first), end_(first + total) {}

  absl::StatusOr<Run> Submit() {
    const int64_t total = end_ - next_;
    const absl::Duration begin = RealClock().Steady();
    executor_.Post([this] {
      for (int i = 0; i < kCallers; ++i) Next();
    });
    finished_.get_future().wait();
    const absl::Duration took = RealClock().Steady() - begin;
    RETURN_IF_ERROR(failure_);
    return Run{static_cast<double>(total) / absl::ToDoubleSeconds(took),
               Quantile(millis_, 0.5), Quantile(millis_, 0.99)};
  }

 private:
  void Next() {
    if (next_ >= end_ || !failure_.ok()) {
      if (++idle_callers_ == kCallers) finished_.set_value();
      return;
    }
    absl::StatusOr<SubmitTask> write = FromProto(UsualSubmit(next_++));
    const absl::Duration begin = RealClock().Steady();
    store_.Apply(
        *std::move(write), [this, begin](absl::StatusOr<TaskKey> task) {
          millis_.push_back(Micros(RealClock().Steady() - begin) / 1000);
          failure_.Update(task.status());
          Next();
        });
  }

  Executor& executor_;
  Store& store_;
  int64_t next_;
  const int64_t end_;
  int idle_callers_ = 0;
  std::vector<double> millis_;
  absl::Status failure_;
  std::promise<void> finished_;
};

}  // namespace

absl::Status SubmitSingle(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  ASSIGN_OR_RETURN(std::unique_ptr<SchedulerProcess> scheduler,
                   SchedulerProcess::Start(context, context.dir + "/state"));
  auto channel = scheduler->NewChannel();
  const int64_t total = context.Scaled(50'000, 200);
  int64_t first = 0;
  auto measure = [&](std::vector<Run>& runs) -> absl::Status {
    // One run more than is counted, to warm up.
    for (int i = 0; i <= context.runs; ++i, first += total) {
      ASSIGN_OR_RETURN(Run run, GrpcCallers(channel, first, total).Submit());
      if (i > 0) runs.push_back(run);
    }
    return absl::OkStatus();
  };
  std::vector<Run> alone, beside;
  RETURN_IF_ERROR(measure(alone));
  AddRuns(context, "submit_single.grpc",
          absl::StrCat("64 callers over one channel to a scheduler process, ",
                       total, " tasks a run, client on the same cores"),
          alone);
  ASSIGN_OR_RETURN(std::unique_ptr<EventLoad> events,
                   EventLoad::Start(*scheduler, static_cast<int>(context.Scaled(
                                                    kAttemptsBeside, 4))));
  events->SetRate(static_cast<int>(context.Scaled(kEventsBeside, 40)));
  const int64_t stored_before = events->totals().stored;
  const absl::Duration begin = RealClock().Steady();
  RETURN_IF_ERROR(measure(beside));
  const double seconds = absl::ToDoubleSeconds(RealClock().Steady() - begin);
  const double stored =
      static_cast<double>(events->totals().stored - stored_before) / seconds;
  AddRuns(context, "submit_single.grpc.beside_events",
          absl::StrCat("the same while 500 attempts store events, 5,000/s "
                       "asked for, ",
                       static_cast<int64_t>(stored), "/s stored"),
          beside);
  return absl::OkStatus();
}

absl::Status SubmitSingleStore(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  RealExecutor executor("bench");
  ThreadBlockingPool pool("bench-pool", 1);
  RealRandom random;
  ASSIGN_OR_RETURN(std::unique_ptr<Store> store,
                   OpenSqliteStore(executor, pool, RealClock(), random,
                                   {.dir = context.dir + "/state"}));
  const int64_t total = context.Scaled(50'000, 200);
  std::vector<Run> runs;
  for (int i = 0; i <= context.runs; ++i) {
    ASSIGN_OR_RETURN(Run run,
                     StoreCallers(executor, *store, i * total, total).Submit());
    if (i > 0) runs.push_back(run);
  }
  executor.Stop();
  AddRuns(context, "submit_single.store",
          absl::StrCat("64 callers in the store's process, ", total,
                       " tasks a run"),
          runs);
  return absl::OkStatus();
}

absl::Status SubmitBulk(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  ASSIGN_OR_RETURN(std::unique_ptr<SchedulerProcess> scheduler,
                   SchedulerProcess::Start(context, context.dir + "/state"));
  auto channel = scheduler->NewChannel();
  const int64_t lines = context.Scaled(100'000, 500);
  std::vector<double> rates;
  for (int i = 0; i <= context.runs; ++i) {
    std::vector<v1::SubmitBatchRequest> steps =
        UsualBatch(absl::StrCat("bulk-", i), lines);
    const absl::Duration begin = RealClock().Steady();
    RETURN_IF_ERROR(SendBatch(channel, steps));
    const absl::Duration took = RealClock().Steady() - begin;
    if (i > 0) {
      rates.push_back(static_cast<double>(lines) / absl::ToDoubleSeconds(took));
    }
  }
  context.report.Add(
      {"submit_bulk.rate",
       absl::StrCat("one stream of 10,000-line chunks to a scheduler process, ",
                    lines, " tasks a run, from open to the seal's answer"),
       "tasks/s", rates, AtLeast(100'000)});
  return absl::OkStatus();
}

}  // namespace midwatch::bench
