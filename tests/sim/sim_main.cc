// midwatch_sim: nights of Midwatch in a second each. `./dev sim` builds it and
// runs it.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "tests/sim/makespan.h"
#include "tests/sim/mutations.h"
#include "tests/sim/play.h"
#include "tests/sim/shrink.h"
#include "tests/sim/story.h"

namespace midwatch::sim {
namespace {

constexpr int kMutationSeeds = 200;

struct Flags {
  int seeds = 0;
  uint64_t first = 1;
  std::optional<uint64_t> seed;
  int tasks = 0;
  std::string without;
  bool makespan = false;
  bool shrink = false, mutations = false, counts = false;
};

void Print(const std::string& text) { std::fputs(text.c_str(), stdout); }

void PrintLine(absl::Duration at, absl::string_view line) {
  Print(absl::StrFormat("%12.6f  %s\n", absl::ToDoubleSeconds(at), line));
}

void PrintCounts(const Counts& counts) {
  for (const auto& [what, n] : counts.all()) {
    Print(absl::StrFormat("%9d  %s\n", n, what));
  }
}

void PrintViolations(const Outcome& outcome) {
  for (const Violation& violation : outcome.violations) {
    Print(absl::StrFormat("BROKEN after %s: %s: %s\n",
                          absl::FormatDuration(violation.at),
                          violation.invariant, violation.what));
  }
}

int PlayOne(const Flags& flags, const PlayOptions& without) {
  const Story story = MakeStory(*flags.seed, flags.tasks);
  Print(Describe(story));
  PlayOptions options = without;
  options.on_trace = PrintLine;
  const Outcome outcome = Play(story, options);
  PrintViolations(outcome);
  PrintCounts(outcome.counts);
  Print(absl::StrFormat("seed %d: a night of %s, %s; trace %s\n", story.seed,
                        absl::FormatDuration(outcome.night),
                        outcome.violations.empty() ? "nothing broke" : "broken",
                        outcome.trace_hash));
  return outcome.violations.empty() ? 0 : 1;
}

int ShrinkOne(const Flags& flags, const PlayOptions& options) {
  const Story story = MakeStory(*flags.seed, flags.tasks);
  const Outcome outcome = Play(story, options);
  if (outcome.violations.empty()) {
    Print(absl::StrFormat("seed %d: nothing broke\n", story.seed));
    return 0;
  }
  const std::string broken = outcome.violations[0].invariant;
  int played = 0;
  const Story small = Shrink(story, [&](const Story& smaller) {
    ++played;
    for (const Violation& violation : Play(smaller, options).violations) {
      if (violation.invariant == broken) return true;
    }
    return false;
  });
  Print(Describe(small));
  PlayOptions traced = options;
  traced.on_trace = PrintLine;
  PrintViolations(Play(small, traced));
  Print(
      absl::StrFormat("%d stories played, %d of %d faults and %d of %d tasks "
                      "are left\n",
                      played, small.faults.size(), story.faults.size(),
                      small.tasks, story.tasks));
  return 1;
}

int PlayMany(const Flags& flags, const PlayOptions& options) {
  Counts all;
  int broken = 0;
  absl::Duration nights;
  for (int i = 0; i < flags.seeds; ++i) {
    const uint64_t seed = flags.first + static_cast<uint64_t>(i);
    const Outcome outcome = Play(MakeStory(seed, flags.tasks), options);
    all.Add(outcome.counts);
    nights += outcome.night;
    if (outcome.violations.empty()) continue;
    ++broken;
    const Violation& first = outcome.violations[0];
    Print(
        absl::StrFormat("seed %d: %s: %s (and %d more); ./dev sim --seed %d "
                        "tells the story\n",
                        seed, first.invariant, first.what,
                        outcome.violations.size() - 1, seed));
  }
  if (flags.counts) PrintCounts(all);
  Print(absl::StrFormat(
      "%d seeds, %d broken; %s simulated: %d starts, %d adoptions, %d fences, "
      "%d parks, %d sweeps, %d kills, %d power losses\n",
      flags.seeds, broken,
      absl::FormatDuration(absl::Trunc(nights, absl::Seconds(1))),
      all.Of("starts"), all.Of("adoptions"), all.Of("fences"), all.Of("parks"),
      all.Of("sweeps that found something"),
      all.Of("scheduler kills") + all.Of("worker kills"),
      all.Of("power losses")));
  return broken == 0 ? 0 : 1;
}

int CatchAll(const Flags& flags) {
  int missed = 0;
  for (const NamedMutation& mutation : AllMutations()) {
    const std::optional<Caught> caught =
        Catch(mutation, flags.first, kMutationSeeds);
    if (!caught) ++missed;
    Print(absl::StrFormat(
        "%-32s %s\n", mutation.name,
        caught ? absl::StrFormat("caught by seed %d, the %d.: %s: %s",
                                 caught->seed, caught->seeds,
                                 caught->violation.invariant,
                                 caught->violation.what)
               : absl::StrFormat("NOT CAUGHT by %d seeds", kMutationSeeds)));
  }
  return missed == 0 ? 0 : 1;
}

int Run(int argc, char** argv) {
  Flags flags;
  CLI::App app(
      "Simulates nights of Midwatch: the real scheduler, store and "
      "workers on a virtual clock, with faults drawn from a seed.",
      "./dev sim");
  app.add_option("--seeds", flags.seeds, "Play so many seeds")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--first", flags.first, "From this one on");
  auto* one = app.add_option("--seed", flags.seed, "Tell one seed's story");
  app.add_option("--tasks", flags.tasks, "So many tasks in each story")
      ->check(CLI::Range(1, 1'000'000));
  app.add_flag("--shrink", flags.shrink,
               "With --seed: the smallest story that breaks as it does")
      ->needs(one);
  app.add_flag("--counts", flags.counts,
               "With --seeds: what happened, by name");
  app.add_option("--without", flags.without,
                 "Take this away first, as --mutations names it");
  app.add_flag(
      "--mutations", flags.mutations,
      "Take away what keeps each promise, and see whether it is missed");
  app.add_flag("--makespan", flags.makespan,
               "What batches take, over the soonest that the service's limits "
               "allow: minutes of work");
  CLI11_PARSE(app, argc, argv);

  PlayOptions options;
  bool known = flags.without.empty();
  for (const NamedMutation& mutation : AllMutations()) {
    if (flags.without != mutation.name) continue;
    known = true;
    options.without = mutation.without;
  }
  if (!known) {
    std::fprintf(stderr, "--without \"%s\": not one that --mutations names\n",
                 flags.without.c_str());
    return 2;
  }
  if (flags.makespan) {
    PrintMakespanGrid(std::cout);
    return 0;
  }
  if (flags.mutations) return CatchAll(flags);
  if (flags.seed && flags.shrink) return ShrinkOne(flags, options);
  if (flags.seed) return PlayOne(flags, options);
  if (flags.seeds == 0) flags.seeds = 100;
  return PlayMany(flags, options);
}

}  // namespace
}  // namespace midwatch::sim

int main(int argc, char** argv) { return midwatch::sim::Run(argc, argv); }
