// midwatch_sim: nights in a second. See ./dev sim.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "tests/sim/play.h"
#include "tests/sim/story.h"

namespace midwatch::sim {
namespace {

int Run(int argc, char** argv) {
  int64_t seeds = 0;
  uint64_t seed = 0, first = 1;
  int tasks = 0;
  CLI::App app("Simulates nights of Midwatch");
  app.add_option("--seeds", seeds);
  app.add_option("--first", first);
  auto* one = app.add_option("--seed", seed);
  app.add_option("--tasks", tasks);
  CLI11_PARSE(app, argc, argv);
  if (one->count() > 0) {
    Story story = MakeStory(seed, tasks);
    std::fputs(Describe(story).c_str(), stdout);
    PlayOptions options;
    options.on_trace = [](absl::Duration at, absl::string_view line) {
      std::printf("%12.6f  %.*s\n", absl::ToDoubleSeconds(at),
                  static_cast<int>(line.size()), line.data());
    };
    Outcome outcome = Play(story, options);
    for (const Violation& violation : outcome.violations) {
      std::printf("VIOLATION at %s: %s: %s\n",
                  absl::FormatDuration(violation.at).c_str(),
                  violation.invariant.c_str(), violation.what.c_str());
    }
    for (const auto& [what, n] : outcome.counts.all()) {
      std::printf("%8lld  %s\n", static_cast<long long>(n), what.c_str());
    }
    std::printf("night %s, trace %s\n",
                absl::FormatDuration(outcome.night).c_str(),
                outcome.trace_hash.c_str());
    return outcome.violations.empty() ? 0 : 1;
  }
  Counts all;
  int failed = 0;
  absl::Duration nights;
  for (int64_t i = 0; i < seeds; ++i) {
    Outcome outcome = Play(MakeStory(first + static_cast<uint64_t>(i), tasks));
    all.Add(outcome.counts);
    nights += outcome.night;
    if (outcome.violations.empty()) continue;
    ++failed;
    std::printf("seed %lld: %zu violations; %s: %s\n",
                static_cast<long long>(first) + static_cast<long long>(i), outcome.violations.size(),
                outcome.violations[0].invariant.c_str(),
                outcome.violations[0].what.c_str());
  }
  for (const auto& [what, n] : all.all()) {
    std::printf("%8lld  %s\n", static_cast<long long>(n), what.c_str());
  }
  std::printf("%lld seeds, %d failed, %s\n", static_cast<long long>(seeds),
              failed, absl::FormatDuration(nights).c_str());
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace midwatch::sim

int main(int argc, char** argv) { return midwatch::sim::Run(argc, argv); }
