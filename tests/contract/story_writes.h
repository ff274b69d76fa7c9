// What the steps of a story write: few batches, tasks, endings and questions.
#ifndef MIDWATCH_TESTS_CONTRACT_STORY_WRITES_H_
#define MIDWATCH_TESTS_CONTRACT_STORY_WRITES_H_

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "scheduler/retry.h"
#include "store/writes.h"
#include "tests/contract/money_model.h"
#include "tests/contract/queue_story.h"

namespace midwatch::testing {

inline constexpr int64_t kCent = 10'000;
inline constexpr size_t kBatches = 3;
inline constexpr size_t kSinglesMax = 4;
// The number with which a step is the rare kind of it.
inline constexpr size_t kRare = kNumbers - 1;
inline constexpr const char* kAccounts[] = {"east", "west"};

// Two batches of one tenant, of which the second runs one task at a time; and
// another tenant's, with a budget and an account of its own.
inline OpenBatch BatchAt(size_t index) {
  OpenBatch open{.request_id = absl::StrCat("batch", index),
                 .name = absl::StrCat("batch", index),
                 .tenant = index == 2 ? "bob" : "ann",
                 .queue = index == 0 ? "fast" : "slow",
                 .account = kAccounts[index == 2 ? 1 : 0]};
  open.spec.mutable_agent()->set_agent_id("agent_1");
  open.spec.set_prompt("do it");
  open.max_running = index == 1 ? 1 : 0;
  open.budget = index == 2 ? 250 * kCent : 0;
  return open;
}

inline NewTask TaskNamed(std::string name, int64_t number) {
  NewTask task;
  task.line.set_name(std::move(name));
  task.max_cost = number % 3 == 2 ? 40 * kCent : 100 * kCent;
  task.priority = number % 3 == 2 ? 6 : 5;
  task.concurrency_key = number % 4 == 1 ? "key" : "";
  return task;
}

// From the fifth on every third line needs the one before it and one further
// back, and every seventh all, of which it minds no failure.
inline void AddNeeds(const std::string& batch, int64_t line, NewTask& task) {
  auto add = [&](int64_t other) {
    task.line.add_needs()->set_name(absl::StrCat(batch, ".", other));
    task.needs.emplace_back();
  };
  if (line % 7 == 6) {
    task.line.add_needs()->set_all_earlier(true);
    task.line.set_on_need_failure(v1::NEED_POLICY_RUN_ANYWAY);
    task.needs.emplace_back();
  } else if (line >= 4 && line % 3 == 1) {
    add(line - 1);
    add(line - 4);
  }
}

struct NamedEnding {
  const char* name;
  v1::Ending::Kind kind;
  int64_t cost;  // not charged where negative
};
inline constexpr NamedEnding kEndings[] = {
    {"succeeded at 3 cents", v1::Ending::KIND_IDLE, 3 * kCent},
    {"terminated at 10 cents", v1::Ending::KIND_TERMINATED, 10 * kCent},
    {"the service broke it at 5 cents", v1::Ending::KIND_BROKEN, 5 * kCent},
    {"not started", v1::Ending::KIND_NOT_STARTED, -1},
    {"succeeded at 130 cents", v1::Ending::KIND_IDLE, 130 * kCent},
    {"deleted at 95 cents", v1::Ending::KIND_DELETED, 95 * kCent},
};

inline v1::Ending EndingOf(const NamedEnding& named) {
  v1::Ending ending;
  ending.set_kind(named.kind);
  if (named.kind == v1::Ending::KIND_IDLE) ending.set_stop_reason("end_turn");
  if (named.kind == v1::Ending::KIND_BROKEN ||
      named.kind == v1::Ending::KIND_NOT_STARTED) {
    ending.mutable_failure()->set_operation("create_session");
    ending.mutable_failure()->set_http_status(503);
  }
  if (named.cost >= 0) {
    ending.set_charged(true);
    ending.set_list_cost_usd_micros(named.cost);
  }
  return ending;
}

inline Settle SettleAs(const LeaseKey& lease, const v1::Ending& ending) {
  return {lease, ending, [](const Tally& tally, const v1::Ending& e) {
            return Decide(tally, e, /*jitter=*/1.0);
          }};
}

// One question, another, both, or whether it may spend more.
inline Park AskFor(const LeaseKey& lease, size_t how) {
  Park park{.lease = lease};
  for (size_t i = 0; i < 2; ++i) {
    if (how % 4 != 2 && how % 4 != i) continue;
    v1::Question& question = park.questions.emplace_back();
    question.set_question_id(absl::StrCat("question", i));
    question.set_tool("bash");
  }
  if (how % 4 == 3) {
    v1::Question& question = park.questions.emplace_back();
    question.set_question_id(MoneyModel::kRaise);
    question.set_spent_usd_micros(100 * kCent);
  }
  park.policy.answer = [](const v1::TaskSpec&, const v1::Question&) {
    return v1::SAY_KIND_UNSPECIFIED;
  };
  park.policy.raise = [](const v1::TaskSpec&, const BudgetSpent&) {
    return BudgetAnswer{};
  };
  park.policy.within = [](const v1::TaskSpec&) { return absl::Hours(12); };
  return park;
}

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_STORY_WRITES_H_
