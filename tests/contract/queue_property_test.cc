// The store against a model of the queue, in stories drawn by seeds.
//
//   MIDWATCH_QUEUE_SEED=17 MIDWATCH_QUEUE_STORIES=1   one story again
//   MIDWATCH_QUEUE_STORIES=20000                      many others
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "absl/strings/numbers.h"
#include "tests/contract/queue_story.h"
#include "tests/contract/queue_trial.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::DrawStory;
using testing::QueueTrial;
using testing::Retell;
using testing::ShrinkStory;
using testing::StoreKind;
using testing::Story;

constexpr int kSteps = 60;
constexpr int kStories = 200;

int FromEnvironment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  int number = 0;
  return value != nullptr && absl::SimpleAtoi(value, &number) ? number
                                                              : otherwise;
}

class QueuePropertyTest : public ::testing::TestWithParam<StoreKind> {};

TEST_P(QueuePropertyTest, TheStoreIsTheModelInEveryStory) {
  const int first = FromEnvironment("MIDWATCH_QUEUE_SEED", 1);
  const int stories = FromEnvironment("MIDWATCH_QUEUE_STORIES", kStories);
  std::map<std::string, int> answers;
  for (int seed = first; seed < first + stories; ++seed) {
    const Story story = DrawStory(static_cast<uint64_t>(seed), kSteps);
    QueueTrial trial(GetParam().make());
    const std::string difference = trial.Play(story);
    for (const auto& [answer, times] : trial.answers()) {
      answers[answer] += times;
    }
    if (difference.empty()) continue;
    FAIL() << "MIDWATCH_QUEUE_SEED=" << seed << ": " << difference
           << "\nWhat of it is enough:\n"
           << Retell(ShrinkStory(story, GetParam().make), GetParam().make);
  }
  if (stories < kStories) return;
  // They were worth telling.
  for (const char* answer : {"AddTasks OK",
                             "AddTasks OUT_OF_RANGE",
                             "AddTasks ALREADY_EXISTS",
                             "AddTasks FAILED_PRECONDITION",
                             "AnswerTask OK",
                             "AnswerTask FAILED_PRECONDITION",
                             "BeginCreate OK",
                             "BeginCreate ABORTED",
                             "CancelBatch OK",
                             "CancelTask OK",
                             "ClearSession OK",
                             "DeleteBudget OK",
                             "FreeLeases OK",
                             "HandBack OK",
                             "OpenBatch ALREADY_EXISTS",
                             "PauseBatch OK",
                             "PauseBatch FAILED_PRECONDITION",
                             "PauseQueue OK",
                             "ResumeBatch OK",
                             "ResumeQueue OK",
                             "SetBatchCap OK",
                             "SetControl OK",
                             "SetKeyCap OK",
                             "Park OK",
                             "Park ABORTED",
                             "RecordSession OK",
                             "RecordSession ABORTED",
                             "RecordSession FAILED_PRECONDITION",
                             "SealBatch OK",
                             "SealBatch FAILED_PRECONDITION",
                             "SetBudget FAILED_PRECONDITION",
                             "Settle OK",
                             "Settle ABORTED",
                             "SubmitTask ALREADY_EXISTS",
                             "adopted",
                             "granted"}) {
    EXPECT_GE(answers[answer], 5) << answer;
  }
}

MIDWATCH_ON_EVERY_STORE(QueuePropertyTest);

}  // namespace
}  // namespace midwatch
