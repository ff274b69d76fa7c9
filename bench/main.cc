// midwatch_bench [NAME...]: runs the benchmarks named, or the quick ones.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/log.h"
#include "bench/benchmarks.h"
#include "bench/report.h"

namespace midwatch::bench {
namespace {

namespace fs = std::filesystem;

struct Benchmark {
  const char* name;
  absl::Status (*run)(Context&);
  bool quick;  // under a minute
  const char* what;
};

constexpr Benchmark kBenchmarks[] = {
    {"submit_single", SubmitSingle, true,
     "64 callers of SubmitTask, alone and beside transcripts"},
    {"submit_single_store", SubmitSingleStore, true, "the same without gRPC"},
    {"submit_bulk", SubmitBulk, true, "one stream of chunks"},
    {"ready_to_leased", ReadyToLeased, true, "from submit to grant"},
    {"event_storage", EventStorage, false,
     "5,000 and 10,000 events/s of 1,000 attempts"},
    {"admit_settle", AdmitSettle, false,
     "with 10 k and 1 M tasks waiting (--full: and 10 M settled)"},
    {"restart", Restart, false, "with 1 M tasks waiting and 5,000 live"},
    {"streams_per_worker", StreamsPerWorker, false, "10,000 event streams"},
    {"streams_stored", StreamsStored, false,
     "10,000 event streams of a worker, stored by a scheduler"},
    {"restart_live", RestartLive, false,
     "1 M waiting and 5,000 sessions that run: until all are known (--full: "
     "and attached)"},
    {"noop_tasks", NoopTasks, false,
     "100,000 tasks that do nothing, from submit to settle"},
    {"watch_fanout", WatchFanout, true, "1,000 watchers of one batch"},
    {"harness_turn", HarnessTurn, true, "what a turn costs beside its work"},
    {"idle_scheduler", IdleScheduler, true, "CPU and memory of doing nothing"},
};

const Benchmark* Find(const std::string& name) {
  for (const Benchmark& each : kBenchmarks) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

std::string Listing() {
  std::string text = "Benchmarks (* run when none is named):\n";
  for (const Benchmark& each : kBenchmarks) {
    absl::StrAppendFormat(&text, "  %s %-20s %s\n", each.quick ? "*" : " ",
                          each.name, each.what);
  }
  return text;
}

absl::Status RunOne(const Benchmark& benchmark, const std::string& parent,
                    Context context) {
  // Each in an empty directory, gone afterwards.
  std::string form = parent + "/midwatch-bench-XXXXXX";
  if (mkdtemp(form.data()) == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make a directory in ", parent));
  }
  context.dir = form;
  absl::FPrintF(stderr, "%s: %s\n", benchmark.name, benchmark.what);
  absl::Status status = benchmark.run(context);
  std::error_code ignored;
  if (status.ok()) fs::remove_all(form, ignored);
  return status;
}

int Main(int argc, char** argv) {
  CLI::App app("Measures what ARCHITECTURE.md promises in figures.");
  app.footer(Listing());
  std::vector<std::string> names;
  // On a disk, by the file system's standard; /tmp may be memory.
  std::string parent = "/var/tmp", midwatch, commit = "unknown";
  int runs = 5;
  int64_t streams = 10'000;
  bool tiny = false, full = false, all = false;
  app.add_option("name", names, "Which; serve-streams is for itself");
  app.add_option("--dir", parent, "Where data goes")->capture_default_str();
  app.add_option("--midwatch", midwatch, "The program, where not beside this");
  app.add_option("--commit", commit, "Named in each line");
  app.add_option("--runs", runs, "Of each, at least")
      ->check(CLI::Range(1, 1000));
  app.add_option("--streams", streams, "Of streams_stored, where not 10,000")
      ->check(CLI::Range(1, 100'000));
  app.add_flag("--all", all, "Every benchmark, the slow ones too");
  app.add_flag("--full", full, "Sizes that take many minutes to fill, too");
  app.add_flag("--tiny", tiny, "Whether they work; the figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (names == std::vector<std::string>{"serve-streams"}) return ServeStreams();

  const std::string self = fs::read_symlink("/proc/self/exe");
  if (midwatch.empty()) {
    midwatch = fs::path(self).parent_path().parent_path() / "cli/midwatch";
  }
  std::vector<const Benchmark*> chosen;
  for (const std::string& name : names) {
    chosen.push_back(Find(name));
    if (chosen.back() == nullptr) {
      absl::FPrintF(stderr, "no benchmark '%s'\n%s", name, Listing());
      return 2;
    }
  }
  if (names.empty()) {
    for (const Benchmark& each : kBenchmarks) {
      if (each.quick || all) chosen.push_back(&each);
    }
    absl::FPrintF(stderr, "%s\n", Listing());
  }
  // Lines are made, as in a process of its own, and go nowhere.
  SetLogSink([](LogLevel, absl::string_view) {});
  Report figures(commit);

  int failed = 0;
  for (const Benchmark* each : chosen) {
    Context context{.dir = "",
                    .midwatch = midwatch,
                    .self = self,
                    .runs = tiny ? 1 : runs,
                    .tiny = tiny,
                    .full = full,
                    .streams = streams,
                    .report = figures};
    absl::Status status = RunOne(*each, parent, context);
    if (status.ok()) continue;
    ++failed;
    absl::FPrintF(stderr, "%s failed: %s\n", each->name,
                  std::string(status.message()));
  }
  figures.PrintTable();
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace midwatch::bench

int main(int argc, char** argv) { return midwatch::bench::Main(argc, argv); }
