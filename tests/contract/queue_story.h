// Stories of the queue: what happens to it, step by step, drawn by a seed. A
// step names batches, tasks and workers by small numbers, so that it means
// something wherever others are left out.
#ifndef MIDWATCH_TESTS_CONTRACT_QUEUE_STORY_H_
#define MIDWATCH_TESTS_CONTRACT_QUEUE_STORY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace midwatch::testing {

enum class Act {
  kOpen,
  kAddLines,
  kSeal,
  kSubmit,
  kRegister,
  kLapse,
  kAdmit,
  kBegin,
  kRecord,
  kClear,
  kStart,
  kSettle,
  kPark,
  kAnswer,
  kCostLate,
  kHandBack,
  kCancelTask,
  kCancelBatch,
  kSetBudget,
  kDeleteBudget,
  kSetMaxCost,
  kPause,
  kResume,
  kPauseQueue,
  kResumeQueue,
  kPauseBatch,
  kResumeBatch,
  kSetCap,  // of a queue, a tenant, an account or a key
  kSetBatchCap,
  kAdvance,  // and what is due by then
  kSleep,    // nobody sees what is due
  kCrash,
};

// The numbers of a step are below this; 0 is the plainest.
inline constexpr size_t kNumbers = 12;

struct Step {
  Act act{};
  // Each act reads what it needs.
  size_t which = 0, how = 0, much = 0;
  bool twice = false;  // the first answer was lost
};

using Story = std::vector<Step>;

inline Story DrawStory(uint64_t seed, int steps) {
  struct Weight {
    Act act;
    int weight;
  };
  static constexpr Weight kWeights[] = {
      {Act::kOpen, 4},        {Act::kAddLines, 8},    {Act::kSeal, 3},
      {Act::kSubmit, 4},      {Act::kRegister, 1},    {Act::kLapse, 3},
      {Act::kAdmit, 16},      {Act::kBegin, 9},       {Act::kRecord, 12},
      {Act::kClear, 3},       {Act::kStart, 4},       {Act::kSettle, 14},
      {Act::kPark, 7},        {Act::kAnswer, 7},      {Act::kHandBack, 3},
      {Act::kCostLate, 3},    {Act::kCancelTask, 3},  {Act::kCancelBatch, 1},
      {Act::kSetBudget, 4},   {Act::kSetMaxCost, 2},  {Act::kDeleteBudget, 1},
      {Act::kPause, 2},       {Act::kResume, 2},      {Act::kAdvance, 6},
      {Act::kSleep, 1},       {Act::kCrash, 2},       {Act::kPauseQueue, 2},
      {Act::kResumeQueue, 2}, {Act::kPauseBatch, 2},  {Act::kResumeBatch, 2},
      {Act::kSetCap, 3},      {Act::kSetBatchCap, 2},
  };
  int total = 0;
  for (const Weight& each : kWeights) total += each.weight;
  SeededRandom random(seed);
  auto below = [&](int bound) {
    return static_cast<int>(random.Fraction() * bound);
  };
  auto number = [&] { return static_cast<size_t>(below(kNumbers)); };
  const size_t batch = number();
  Story story = {{Act::kOpen, batch}, {Act::kAddLines, batch, 0, number()}};
  while (static_cast<int>(story.size()) < steps) {
    int left = below(total);
    const Weight* drawn = kWeights;
    while (left >= drawn->weight) left -= (drawn++)->weight;
    Step step{drawn->act, number(), number(), number(), below(6) == 0};
    // Mostly of a create that was begun.
    if (step.act == Act::kRecord && below(4) > 0) {
      story.push_back(step);
      story.back().act = Act::kBegin;
    }
    story.push_back(step);
  }
  return story;
}

// Steps that say less than this one: once, and with lower numbers.
inline std::vector<Step> SimplerSteps(const Step& step) {
  std::vector<Step> simpler;
  if (step.twice) {
    simpler.push_back(step);
    simpler.back().twice = false;
  }
  for (size_t Step::*number : {&Step::which, &Step::how, &Step::much}) {
    for (size_t lower : {size_t{0}, step.*number / 2, step.*number - 1}) {
      if (lower >= step.*number) continue;
      simpler.push_back(step);
      simpler.back().*number = lower;
    }
  }
  return simpler;
}

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_QUEUE_STORY_H_
