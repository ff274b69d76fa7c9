// What depth does: admission and settling over long queues and histories, how
// long a restart takes with them, and what nothing to do costs.
#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "bench/benchmarks.h"
#include "bench/filled_store.h"
#include "bench/grpc_status.h"
#include "bench/workload.h"
#include "midwatch/v1/batch_service.grpc.pb.h"

namespace midwatch::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kCapacity = 512;

struct Depth {
  const char* name;
  int64_t queued;
  int64_t settled;
};

absl::StatusOr<std::vector<double>> AdmitSettleAt(Context& context,
                                                  const Depth& depth) {
  const std::string dir = absl::StrCat(context.dir, "/", depth.name);
  RETURN_IF_ERROR(MakeHistory(dir, depth.settled));
  ASSIGN_OR_RETURN(std::unique_ptr<LocalScheduler> scheduler,
                   LocalScheduler::Open(dir));
  RETURN_IF_ERROR(scheduler->Queue("queue", 0, depth.queued));
  const int64_t tasks = context.Scaled(10'000, 100);
  int64_t lines = depth.queued;
  std::vector<double> rates;
  // The first two runs warm the cache up and are not counted.
  for (int run = -2; run < context.runs; ++run) {
    ASSIGN_OR_RETURN(const absl::Duration took,
                     scheduler->Admit(tasks, kCapacity, /*settle=*/true));
    if (run >= 0) {
      rates.push_back(static_cast<double>(tasks) / absl::ToDoubleSeconds(took));
    }
    // As deep again for the next run.
    RETURN_IF_ERROR(scheduler->Queue("queue", lines, tasks + kCapacity));
    lines += tasks + kCapacity;
  }
  return rates;
}

absl::Status AnswerOnce(const SchedulerProcess& scheduler) {
  auto stub = v1::BatchService::NewStub(scheduler.NewChannel());
  grpc::ClientContext context;
  v1::ListBatchesResponse response;
  return FromGrpc(
      stub->ListBatches(&context, v1::ListBatchesRequest(), &response));
}

}  // namespace

absl::Status AdmitSettle(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  std::vector<Depth> depths = {{"10k", 10'000, 10'000},
                               {"1M", 1'000'000, 1'000'000}};
  if (context.full) depths.push_back({"10M", 1'000'000, 10'000'000});
  if (context.tiny) depths = {{"1k", 1'000, 2'000}};
  double shallow = 0;
  for (const Depth& depth : depths) {
    ASSIGN_OR_RETURN(std::vector<double> rates, AdmitSettleAt(context, depth));
    const std::string what = absl::StrCat(
        depth.queued, " queued and ", depth.settled,
        " settled; scheduler and store in one process, without gRPC; a worker "
        "of 512 slots that settles each grant at once");
    const double median = SpreadOf(rates).median;
    context.report.Add({absl::StrCat("admit_settle.", depth.name), what,
                        "tasks/s", rates, AtLeast(25'000)});
    if (shallow == 0) {
      shallow = median;
      continue;
    }
    context.report.Add({absl::StrCat("admit_settle.", depth.name, ".slower"),
                        absl::StrCat("how many times slower than at ",
                                     depths[0].name, ", medians"),
                        "times",
                        {shallow / median},
                        AtMost(1.3)});
  }
  return absl::OkStatus();
}

absl::Status Restart(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  const std::string dir = context.dir + "/state";
  const int64_t queued = context.Scaled(1'000'000, 2'000);
  const int64_t live = context.Scaled(5'000, 50);
  {
    ASSIGN_OR_RETURN(std::unique_ptr<LocalScheduler> scheduler,
                     LocalScheduler::Open(dir));
    RETURN_IF_ERROR(scheduler->Queue("queue", 0, queued + live));
    RETURN_IF_ERROR(scheduler
                        ->Admit(live, static_cast<int>(live),
                                /*settle=*/false)
                        .status());
  }
  const double disk = static_cast<double>(fs::file_size(dir + "/queue.db")) /
                      static_cast<double>(queued + live);
  std::vector<double> seconds, rss;
  for (int run = 0; run <= context.runs; ++run) {
    const absl::Duration begin = RealClock().Steady();
    ASSIGN_OR_RETURN(std::unique_ptr<SchedulerProcess> scheduler,
                     SchedulerProcess::Start(context, dir));
    RETURN_IF_ERROR(AnswerOnce(*scheduler));
    if (run > 0) {
      seconds.push_back(absl::ToDoubleSeconds(RealClock().Steady() - begin));
    }
    // Leaves a log behind that the next start recovers from.
    RETURN_IF_ERROR(SendBatch(scheduler->NewChannel(),
                              UsualBatch(absl::StrCat("more-", run), 10)));
    if (run > 0) rss.push_back(scheduler->usage().rss_mib);
    scheduler->Kill();
  }
  context.report.Add(
      {"restart.serving",
       absl::StrCat(queued, " queued and ", live,
                    " live, after kill -9, files in the page cache: from the "
                    "start of the process to its first answer"),
       "s", seconds, AtMost(2)});
  context.report.Add(
      {"restart.memory",
       absl::StrCat(queued, " queued and ", live,
                    " live: resident memory of the scheduler that has taken a "
                    "batch of ten after its start"),
       "MiB",
       rss,
       {}});
  context.report.Add(
      {"restart.disk",
       absl::StrCat(queued, " queued and ", live,
                    " live, prompts and parameters of about 300 bytes: the "
                    "size of queue.db for each task"),
       "bytes/task",
       {disk},
       {}});
  return absl::OkStatus();
}

absl::Status IdleScheduler(Context& context) {
  context.report.Begin(context.dir, "nothing is stored");
  ASSIGN_OR_RETURN(std::unique_ptr<SchedulerProcess> scheduler,
                   SchedulerProcess::Start(context, context.dir + "/state"));
  RETURN_IF_ERROR(AnswerOnce(*scheduler));
  const absl::Duration window =
      context.tiny ? absl::Milliseconds(100) : absl::Seconds(5);
  std::vector<double> percent, rss;
  for (int run = 0; run < context.runs; ++run) {
    const Usage before = scheduler->usage();
    Wait(window);
    const Usage after = scheduler->usage();
    percent.push_back(100 * absl::FDivDuration(after.cpu - before.cpu, window));
    rss.push_back(after.rss_mib);
  }
  const std::string what =
      "`midwatch scheduler` with an empty store and no client, windows of 5 s "
      "(the kernel counts CPU in steps of 10 ms)";
  context.report.Add(
      {"idle_scheduler.cpu", what, "% of core", percent, AtMost(1)});
  context.report.Add({"idle_scheduler.rss", what, "MiB", rss, AtMost(40)});
  return absl::OkStatus();
}

}  // namespace midwatch::bench
