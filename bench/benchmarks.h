// The benchmarks. Each measures figures of the real code and adds them to the
// report; what each figure is stands in its `what`.
#ifndef MIDWATCH_BENCH_BENCHMARKS_H_
#define MIDWATCH_BENCH_BENCHMARKS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "bench/report.h"

namespace midwatch::bench {

struct Context {
  // Empty, and this benchmark's own.
  std::string dir;
  std::string midwatch;  // path of the program
  std::string self;      // path of this one
  int runs = 5;
  // So small that the figures mean nothing: shows that the benchmark works.
  bool tiny = false;
  // With the sizes that take many minutes to fill.
  bool full = false;
  int64_t streams = 10'000;  // of StreamsStored
  Report& report;

  int64_t Scaled(int64_t size, int64_t when_tiny) const {
    return tiny ? when_tiny : size;
  }
};

// submit_bench.cc
absl::Status SubmitSingle(Context& context);
absl::Status SubmitSingleStore(Context& context);
absl::Status SubmitBulk(Context& context);
// lease_bench.cc
absl::Status ReadyToLeased(Context& context);
absl::Status EventStorage(Context& context);
// depth_bench.cc
absl::Status AdmitSettle(Context& context);
absl::Status Restart(Context& context);
absl::Status IdleScheduler(Context& context);
// streams_bench.cc
absl::Status StreamsPerWorker(Context& context);
// scale_bench.cc
absl::Status StreamsStored(Context& context);
absl::Status RestartLive(Context& context);
// whole_bench.cc
absl::Status NoopTasks(Context& context);
absl::Status WatchFanout(Context& context);
// harness_bench.cc
absl::Status HarnessTurn(Context& context);

// The far end of StreamsPerWorker, a process of its own: event streams that
// each send an event a second. Ends with its parent.
int ServeStreams();

}  // namespace midwatch::bench

#endif  // MIDWATCH_BENCH_BENCHMARKS_H_
