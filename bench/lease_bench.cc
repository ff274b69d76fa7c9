// What passes between scheduler and workers: grants, and events.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "bench/benchmarks.h"
#include "bench/grpc_status.h"
#include "bench/workload.h"
#include "midwatch/v1/task_service.grpc.pb.h"

namespace midwatch::bench {
namespace {

// From before the submit leaves to the grant's arrival, in milliseconds.
class LeaseLatency {
 public:
  explicit LeaseLatency(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::TaskService::NewStub(channel)),
        holder_(channel, 100'000, [this](v1::Lease) {
          granted_.set_value(RealClock().Steady());
        }) {}

  absl::Status Start() { return holder_.Start(); }

  absl::StatusOr<double> Measure(int64_t number) {
    granted_ = std::promise<absl::Duration>();
    std::future<absl::Duration> granted = granted_.get_future();
    v1::SubmitTaskRequest request = UsualSubmit(number);
    v1::SubmitTaskResponse response;
    grpc::ClientContext context;
    const absl::Duration begin = RealClock().Steady();
    RETURN_IF_ERROR(FromGrpc(stub_->SubmitTask(&context, request, &response)));
    return absl::ToDoubleMilliseconds(granted.get() - begin);
  }

 private:
  std::unique_ptr<v1::TaskService::Stub> stub_;
  std::promise<absl::Duration> granted_;
  Holder holder_;
};

}  // namespace

absl::Status ReadyToLeased(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  ASSIGN_OR_RETURN(std::unique_ptr<SchedulerProcess> scheduler,
                   SchedulerProcess::Start(context, context.dir + "/state"));
  LeaseLatency latency(scheduler->NewChannel());
  RETURN_IF_ERROR(latency.Start());
  const int64_t tasks = context.Scaled(1'000, 20);
  std::vector<double> p50s, p99s;
  for (int run = 0; run <= context.runs; ++run) {
    std::vector<double> millis;
    for (int64_t i = 0; i < tasks; ++i) {
      ASSIGN_OR_RETURN(double one, latency.Measure(run * tasks + i));
      millis.push_back(one);
    }
    if (run == 0) continue;
    p50s.push_back(Quantile(millis, 0.5));
    p99s.push_back(Quantile(millis, 0.99));
  }
  const std::string what = absl::StrCat(
      "from before SubmitTask to the grant's arrival on a lease stream, "
      "capacity free, one task at a time, ",
      tasks, " a run");
  context.report.Add({"ready_to_leased.p50", what, "ms", p50s, AtMost(1.5)});
  context.report.Add({"ready_to_leased.p99", what, "ms", p99s, AtMost(3)});
  return absl::OkStatus();
}

absl::Status EventStorage(Context& context) {
  context.report.Begin(context.dir,
                       "SQLite WAL, synchronous=FULL, group commit, a zstd "
                       "frame for each chunk");
  ASSIGN_OR_RETURN(std::unique_ptr<SchedulerProcess> scheduler,
                   SchedulerProcess::Start(context, context.dir + "/state"));
  const int attempts = static_cast<int>(context.Scaled(1'000, 100));
  ASSIGN_OR_RETURN(std::unique_ptr<EventLoad> load,
                   EventLoad::Start(*scheduler, attempts));
  const absl::Duration window =
      context.tiny ? absl::Milliseconds(300) : absl::Seconds(5);
  for (int rate : {5'000, 10'000}) {
    load->SetRate(rate);
    Wait(window / 2);
    std::vector<double> stored, scheduler_cores, worker_cores;
    for (int run = 0; run < context.runs; ++run) {
      const absl::Duration begin = RealClock().Steady();
      const Usage scheduler_before = scheduler->usage();
      const Usage self_before = UsageOf(getpid());
      const EventLoad::Totals before = load->totals();
      Wait(window);
      const EventLoad::Totals after = load->totals();
      const absl::Duration took = RealClock().Steady() - begin;
      stored.push_back(static_cast<double>(after.stored - before.stored) /
                       absl::ToDoubleSeconds(took));
      scheduler_cores.push_back(absl::FDivDuration(
          scheduler->usage().cpu - scheduler_before.cpu, took));
      worker_cores.push_back(
          absl::FDivDuration(UsageOf(getpid()).cpu - self_before.cpu, took));
    }
    const std::string what =
        absl::StrCat(attempts,
                     " attempts, a chunk each second over gRPC, 520 bytes an "
                     "event, ",
                     rate, " events/s asked for");
    if (int64_t failed = load->totals().failed_calls; failed > 0) {
      return absl::InternalError(absl::StrCat(failed, " appends failed"));
    }
    const std::string name = absl::StrCat("event_storage.", rate);
    // Within two percent of what is asked for is what a window can show.
    context.report.Add({absl::StrCat(name, ".stored"), what, "events/s", stored,
                        AtLeast(0.98 * rate)});
    context.report.Add({absl::StrCat(name, ".scheduler_cpu"), what, "cores",
                        scheduler_cores, AtMost(1)});
    context.report.Add({absl::StrCat(name, ".sender_cpu"),
                        absl::StrCat(what, "; making and sending them"),
                        "cores", worker_cores, AtMost(1)});
  }
  return absl::OkStatus();
}

}  // namespace midwatch::bench
