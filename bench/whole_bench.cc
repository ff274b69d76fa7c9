// What a task costs Midwatch itself, and what those who watch cost: a hundred
// thousand tasks that do nothing, from submit to settle, and a thousand
// watchers of one batch.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "bench/benchmarks.h"
#include "bench/canned_service.h"
#include "bench/grpc_status.h"
#include "bench/process.h"
#include "bench/workload.h"
#include "midwatch/v1/batch_service.grpc.pb.h"
#include "midwatch/v1/task_service.grpc.pb.h"
#include "node/scheduler_node.h"
#include "node/worker_node.h"

namespace midwatch::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kAtOnce = 512;
constexpr absl::Duration kLookEvery = absl::Milliseconds(20);
constexpr absl::Duration kRunLimit = absl::Minutes(30);

// Of the files in `dir` and below.
int64_t BytesIn(const std::string& dir) {
  int64_t bytes = 0;
  for (const fs::directory_entry& entry :
       fs::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) {
      bytes += static_cast<int64_t>(entry.file_size());
    }
  }
  return bytes;
}

// All of `midwatch run` but the harness, and the service in the harness's
// place, in this process.
struct WholeProcess {
  std::unique_ptr<CannedService> service;
  std::unique_ptr<SchedulerNode> scheduler;
  std::unique_ptr<WorkerNode> worker;
  ~WholeProcess() {
    worker.reset();
    if (scheduler != nullptr) scheduler->Stop();
  }
};

absl::Status Start(const std::string& state_dir, WholeProcess& whole) {
  ASSIGN_OR_RETURN(whole.service, CannedService::Start(absl::Hours(1)));
  whole.service->EndAtOnce();
  ASSIGN_OR_RETURN(
      whole.scheduler,
      SchedulerNode::Start({.data_dir = state_dir, .embeds_workers = true}));
  WorkerNodeOptions options;
  options.scheduler = whole.scheduler.get();
  options.artifacts_dir = whole.scheduler->artifacts_dir();
  options.accounts["default"] = {.base_url = whole.service->base_url(),
                                 .api_key = "bench"};
  options.capacity = kAtOnce;
  ASSIGN_OR_RETURN(whole.worker, WorkerNode::Start(options));
  return absl::OkStatus();
}

// As SendBatch, but each step is sent once the one before is acknowledged: a
// channel within a process holds nothing for a reader that is writing.
absl::Status SendStepwise(const std::shared_ptr<grpc::Channel>& channel,
                          const std::vector<v1::SubmitBatchRequest>& steps) {
  auto stub = v1::BatchService::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->SubmitBatch(&context);
  v1::SubmitBatchResponse response;
  for (const v1::SubmitBatchRequest& step : steps) {
    if (!stream->Write(step) || !stream->Read(&response)) break;
  }
  stream->WritesDone();
  return FromGrpc(stream->Finish());
}

// From the first message until every task is settled; in seconds.
absl::StatusOr<double> RunBatch(WholeProcess& whole, const std::string& name,
                                int64_t tasks) {
  auto channel = whole.scheduler->InProcessChannel();
  std::vector<v1::SubmitBatchRequest> steps = UsualBatch(name, tasks);
  // Or it would be waited for whether more files come.
  v1::TaskSpec& spec = *steps[0].mutable_open()->mutable_spec();
  spec.mutable_expect()->add_files("report.md");
  const absl::Duration begin = RealClock().Steady();
  RETURN_IF_ERROR(SendStepwise(channel, steps));
  while (true) {
    ASSIGN_OR_RETURN(v1::Batch batch, FindBatch(channel, name));
    if (batch.counts().succeeded() == tasks) break;
    if (batch.state() == v1::BATCH_STATE_DONE ||
        RealClock().Steady() - begin > kRunLimit) {
      return absl::InternalError(batch.ShortDebugString());
    }
    Wait(kLookEvery);
  }
  return absl::ToDoubleSeconds(RealClock().Steady() - begin);
}

}  // namespace

absl::Status NoopTasks(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  const std::string state_dir = context.dir + "/state";
  const int64_t tasks = context.Scaled(100'000, 100);
  const auto all = static_cast<double>(tasks);
  WholeProcess whole;
  RETURN_IF_ERROR(Start(state_dir, whole));
  // Agents, connections and caches are there.
  RETURN_IF_ERROR(RunBatch(whole, "warm-up", tasks / 100 + 1).status());
  std::vector<double> rates, cpu, disk, memory;
  for (int run = 0; run < context.runs; ++run) {
    const Usage before = UsageOf(getpid());
    const int64_t bytes_before = BytesIn(state_dir);
    ASSIGN_OR_RETURN(const double seconds,
                     RunBatch(whole, absl::StrCat("noop-", run), tasks));
    const Usage after = UsageOf(getpid());
    rates.push_back(all / seconds);
    cpu.push_back(absl::ToDoubleMicroseconds(after.cpu - before.cpu) / all);
    disk.push_back(static_cast<double>(BytesIn(state_dir) - bytes_before) /
                   all);
    memory.push_back(after.rss_mib);
  }
  const std::string what = absl::StrCat(
      tasks, " tasks that do nothing, five events and one output file each, ",
      kAtOnce,
      " at once: scheduler, worker and a service that ends each turn as it "
      "begins in one process, HTTP/1.1 over loopback, no limits");
  context.report.Add({"noop_tasks.rate",
                      what + "; from the first message of the submit until all "
                             "are settled",
                      "tasks/s",
                      rates,
                      {}});
  context.report.Add({"noop_tasks.cpu",
                      what + "; of the whole process, service included",
                      "us/task",
                      cpu,
                      {}});
  context.report.Add({"noop_tasks.disk",
                      what + "; by which the state directory grows",
                      "bytes/task",
                      disk,
                      {}});
  context.report.Add({"noop_tasks.memory",
                      what + "; resident after it, sessions of the service "
                             "included",
                      "MiB",
                      memory,
                      {}});
  return absl::OkStatus();
}

namespace {

constexpr int kWatchersAChannel = 250;

// One WatchBatch stream, on gRPC's threads.
class Watcher final : public grpc::ClientReadReactor<v1::WatchBatchResponse> {
 public:
  using OnMessage = std::function<void(const v1::WatchBatchResponse&)>;

  Watcher(v1::BatchService::Stub& stub, const std::string& batch_id,
          OnMessage on_message)
      : on_message_(std::move(on_message)) {
    request_.set_batch_id(batch_id);
    stub.async()->WatchBatch(&context_, &request_, this);
    StartRead(&message_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    on_message_(message_);
    StartRead(&message_);
  }
  void OnDone(const grpc::Status& status) override {
    status_ = FromGrpc(status);
    done_.count_down();
  }
  absl::Status Await() {
    done_.wait();
    return status_;
  }

 private:
  OnMessage on_message_;
  grpc::ClientContext context_;
  v1::WatchBatchRequest request_;
  v1::WatchBatchResponse message_;
  std::latch done_{1};
  absl::Status status_;
};

// How many watchers have begun, what was cancelled when, and how long each
// watcher's news of it took.
class Audience {
 public:
  void Begin(const std::string& task, absl::Duration now) {
    MutexLock lock(mutex_);
    begun_[task] = now;
  }
  void Hear(const v1::WatchBatchResponse& message) {
    const absl::Duration now = RealClock().Steady();
    MutexLock lock(mutex_);
    if (!message.has_change()) {
      ++batches_;
      return;
    }
    ++changes_;
    auto begun = begun_.find(message.change().task_id());
    if (begun == begun_.end()) return;
    millis_.push_back(absl::ToDoubleMilliseconds(now - begun->second));
  }
  int64_t batches() {
    MutexLock lock(mutex_);
    return batches_;
  }
  int64_t changes() {
    MutexLock lock(mutex_);
    return changes_;
  }
  std::vector<double> TakeMillis() {
    MutexLock lock(mutex_);
    return std::exchange(millis_, {});
  }

 private:
  Mutex mutex_;
  int64_t batches_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, absl::Duration> begun_ ABSL_GUARDED_BY(mutex_);
  std::vector<double> millis_ ABSL_GUARDED_BY(mutex_);
};

absl::Status AwaitCount(int64_t wanted, const std::function<int64_t()>& count) {
  const absl::Duration until = RealClock().Steady() + absl::Minutes(5);
  while (count() < wanted) {
    if (RealClock().Steady() > until) {
      return absl::DeadlineExceededError(
          absl::StrCat(count(), " messages of ", wanted));
    }
    Wait(absl::Milliseconds(2));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> TaskIds(
    const std::shared_ptr<grpc::Channel>& channel,
    const std::string& batch_id) {
  auto stub = v1::TaskService::NewStub(channel);
  v1::ListTasksRequest request;
  request.set_batch_id(batch_id);
  request.set_page_size(1000);
  std::vector<std::string> ids;
  do {
    grpc::ClientContext context;
    v1::ListTasksResponse response;
    RETURN_IF_ERROR(FromGrpc(stub->ListTasks(&context, request, &response)));
    for (const v1::Task& task : response.tasks()) ids.push_back(task.task_id());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return ids;
}

absl::Status CancelTask(v1::TaskService::Stub& stub, const std::string& task) {
  grpc::ClientContext context;
  v1::CancelTaskRequest request;
  request.set_task_id(task);
  v1::CancelTaskResponse response;
  return FromGrpc(stub.CancelTask(&context, request, &response));
}

}  // namespace

absl::Status WatchFanout(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  ASSIGN_OR_RETURN(std::unique_ptr<SchedulerProcess> scheduler,
                   SchedulerProcess::Start(context, context.dir + "/state"));
  const int64_t watching = context.Scaled(1'000, 20);
  const int64_t paced = context.Scaled(200, 5);
  const int64_t at_once = context.Scaled(500, 5);
  const absl::Duration pace = absl::Milliseconds(50);
  auto channel = scheduler->NewChannel();
  auto batches = v1::BatchService::NewStub(channel);
  auto tasks = v1::TaskService::NewStub(channel);
  std::vector<std::unique_ptr<v1::BatchService::Stub>> stubs;
  for (int64_t i = 0; i < watching; i += kWatchersAChannel) {
    stubs.push_back(v1::BatchService::NewStub(scheduler->NewChannel()));
  }
  std::vector<double> p50s, p99s, cores, rates;
  for (int run = 0; run < context.runs; ++run) {
    const std::string name = absl::StrCat("watched-", run);
    RETURN_IF_ERROR(SendBatch(channel, UsualBatch(name, paced + at_once)));
    ASSIGN_OR_RETURN(v1::Batch batch, FindBatch(channel, name));
    ASSIGN_OR_RETURN(std::vector<std::string> ids,
                     TaskIds(channel, batch.batch_id()));
    Audience audience;
    std::vector<std::unique_ptr<Watcher>> watchers;
    for (int64_t i = 0; i < watching; ++i) {
      watchers.push_back(std::make_unique<Watcher>(
          *stubs[static_cast<size_t>(i / kWatchersAChannel)], batch.batch_id(),
          [&audience](const auto& message) { audience.Hear(message); }));
    }
    RETURN_IF_ERROR(AwaitCount(watching, [&] { return audience.batches(); }));

    // One change at a time, each told to all before the next.
    const Usage before = scheduler->usage();
    const absl::Duration begin = RealClock().Steady();
    for (int64_t i = 0; i < paced; ++i) {
      const absl::Duration due = begin + i * pace;
      Wait(std::max(absl::ZeroDuration(), due - RealClock().Steady()));
      const std::string& task = ids[static_cast<size_t>(i)];
      audience.Begin(task, RealClock().Steady());
      RETURN_IF_ERROR(CancelTask(*tasks, task));
    }
    RETURN_IF_ERROR(
        AwaitCount(watching * paced, [&] { return audience.changes(); }));
    const absl::Duration took = RealClock().Steady() - begin;
    cores.push_back(
        absl::FDivDuration(scheduler->usage().cpu - before.cpu, took));
    const std::vector<double> millis = audience.TakeMillis();
    p50s.push_back(Quantile(millis, 0.5));
    p99s.push_back(Quantile(millis, 0.99));

    // And all the rest in one.
    grpc::ClientContext call;
    v1::CancelBatchRequest cancel;
    cancel.set_batch_id(batch.batch_id());
    v1::CancelBatchResponse cancelled;
    const absl::Duration burst = RealClock().Steady();
    RETURN_IF_ERROR(FromGrpc(batches->CancelBatch(&call, cancel, &cancelled)));
    for (auto& watcher : watchers) RETURN_IF_ERROR(watcher->Await());
    rates.push_back(static_cast<double>(watching * at_once) /
                    absl::ToDoubleSeconds(RealClock().Steady() - burst));
    if (audience.changes() != watching * (paced + at_once)) {
      return absl::DataLossError(absl::StrCat(audience.changes(),
                                              " changes told of ",
                                              watching * (paced + at_once)));
    }
  }
  const std::string what = absl::StrCat(
      watching, " WatchBatch streams of one batch over ", stubs.size(),
      " channels to a scheduler process, clients on the same cores");
  const std::string change = absl::StrCat(
      what, "; a task is cancelled every ", absl::ToInt64Milliseconds(pace),
      " ms: from before the call until a watcher hears of it");
  context.report.Add({"watch_fanout.p50", change, "ms", p50s, {}});
  context.report.Add({"watch_fanout.p99", change, "ms", p99s, {}});
  context.report.Add({"watch_fanout.scheduler_cpu",
                      change + ", meanwhile",
                      "cores",
                      cores,
                      {}});
  context.report.Add({"watch_fanout.rate",
                      absl::StrCat(what, "; ", at_once,
                                   " tasks are cancelled at once: changes told "
                                   "until all watches have ended"),
                      "changes/s",
                      rates,
                      {}});
  return absl::OkStatus();
}

}  // namespace midwatch::bench
