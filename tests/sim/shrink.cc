#include "tests/sim/shrink.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace midwatch::sim {
namespace {

// Every story that is smaller by one thing, the largest things first.
std::vector<Story> Smaller(const Story& story) {
  std::vector<Story> all;
  auto with = [&](auto change) {
    Story changed = story;
    change(changed);
    all.push_back(std::move(changed));
  };
  const size_t faults = story.faults.size();
  if (faults > 3) {
    with([&](Story& s) { s.faults.resize(faults / 2); });
    with([&](Story& s) {
      s.faults.erase(s.faults.begin(),
                     s.faults.begin() + static_cast<ptrdiff_t>(faults / 2));
    });
  }
  for (size_t i = 0; i < faults; ++i) {
    with([&](Story& s) {
      s.faults.erase(s.faults.begin() + static_cast<ptrdiff_t>(i));
    });
  }
  if (story.tasks > 1) {
    with([](Story& s) { s.tasks /= 2; });
    with([](Story& s) { --s.tasks; });
  }
  if (story.workers > 1) {
    with([](Story& s) {
      --s.workers;
      for (Fault& fault : s.faults) {
        fault.worker = std::min(fault.worker, s.workers);
      }
    });
  }
  for (auto rate : {&Story::asks, &Story::own_faults, &Story::overshoots,
                    &Story::flushes, &Story::hides_cost, &Story::needs,
                    &Story::waits, &Story::bad_outputs}) {
    if (story.*rate != 0) with([&](Story& s) { s.*rate = 0; });
  }
  for (auto flag : {&Story::budgets, &Story::one_call, &Story::merges}) {
    if (story.*flag) with([&](Story& s) { s.*flag = false; });
  }
  if (story.cancels > 0) with([](Story& s) { s.cancels = 0; });
  for (auto rule : {&Story::canary, &Story::stop_failed, &Story::stop_tenths}) {
    if (story.*rule > 0) with([&](Story& s) { s.*rule = 0; });
  }
  for (auto part :
       {&Sides::batches, &Sides::cancels, &Sides::batch_retries,
        &Sides::task_retries, &Sides::deletes, &Sides::keep_newest,
        &Sides::singles, &Sides::single_cancels, &Sides::single_retries,
        &Sides::single_changes, &Sides::keep_newest_singles}) {
    if (story.sides.*part > 0) with([&](Story& s) { s.sides.*part = 0; });
    if (story.sides.*part > 1) with([&](Story& s) { --(s.sides.*part); });
  }
  if (story.timetable.every > 0) {
    with([](Story& s) { s.timetable = Timetable(); });
  }
  for (auto part :
       {&Timetable::runs, &Timetable::pauses, &Timetable::deletes}) {
    if (story.timetable.*part == 0) continue;
    with([&](Story& s) { s.timetable.*part = 0; });
  }
  if (story.timetable.goes) with([](Story& s) { s.timetable.goes = false; });
  if (story.timetable.deaths > 0) {
    with([](Story& s) { s.timetable.deaths = 0; });
  }
  if (story.sides.deaths > 0) with([](Story& s) { s.sides.deaths = 0; });
  for (auto keep : {&Sides::keep_for, &Sides::keep_singles_for}) {
    if (story.sides.*keep == absl::ZeroDuration()) continue;
    with([&](Story& s) { s.sides.*keep = absl::ZeroDuration(); });
  }
  if (story.hooks) {
    with([](Story& s) {
      s.hooks = false;
      s.budget_tenths = 0;
      s.deadline = absl::ZeroDuration();
    });
  }
  if (story.told > 0) with([](Story& s) { s.told = s.allowed = 0; });
  for (auto quirk : {&Story::list_spread, &Story::status_lag}) {
    if (story.*quirk != absl::ZeroDuration()) {
      with([&](Story& s) { s.*quirk = absl::ZeroDuration(); });
    }
  }
  return all;
}

}  // namespace

Story Shrink(Story story, const std::function<bool(const Story&)>& fails) {
  bool smaller = true;
  while (smaller) {
    smaller = false;
    for (Story& next : Smaller(story)) {
      if (!fails(next)) continue;
      story = std::move(next);
      smaller = true;
      break;
    }
  }
  return story;
}

}  // namespace midwatch::sim
