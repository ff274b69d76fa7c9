// A test of the property test: a store that breaks one rule is found out, in a
// story of few steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/contract/queue_story.h"
#include "tests/contract/queue_trial.h"
#include "tests/contract/shrink.h"
#include "tests/testing/faulty_store.h"
#include "tests/testing/store_host.h"

namespace midwatch {
namespace {

using testing::DrawStory;
using ::testing::ElementsAre;
using testing::FaultyStore;
using ::testing::HasSubstr;
using testing::QueueTrial;
using testing::Retell;
using testing::Shrink;
using testing::ShrinkStory;
using testing::SqliteStoreFactory;
using testing::Story;
using testing::TempDir;

// Calls `change` with each write of kind W, before it is carried out.
template <typename W, typename F>
void Before(FaultyStore& store, F change) {
  store.on_write = [change](Write& write) mutable {
    if (W* it = std::get_if<W>(&write)) change(*it);
    return absl::OkStatus();
  };
}

// Shows admission something else than there is.
template <typename F>
void Show(FaultyStore& store, F change) {
  Before<Admit>(store, [change](Admit& admit) {
    admit.decide = [change, decide = admit.decide](
                       absl::Time now, const auto& offers, AdmissionView view) {
      change(view);
      return decide(now, offers, view);
    };
  });
}

void AcceptLateSettles(FaultyStore& store) {
  auto last = std::make_shared<std::map<int64_t, LeaseKey>>();
  store.on_result = [last](absl::StatusOr<WriteResult>& result) {
    if (!result.ok() || !std::holds_alternative<Grants>(*result)) return;
    for (const GrantRecord& grant : std::get<Grants>(*result).grants) {
      (*last)[grant.lease.task] = grant.lease;
    }
  };
  Before<Settle>(store, [last](Settle& settle) {
    auto lease = last->find(settle.lease.task);
    if (lease != last->end()) settle.lease = lease->second;
  });
}

void TakeLinesAgain(FaultyStore& store) {
  Before<AddTasks>(
      store, [taken = std::map<std::string, int64_t>()](AddTasks& add) mutable {
        int64_t& end = taken[add.request_id];
        const int64_t next = add.first_line + std::ssize(add.tasks);
        if (next <= end) {
          add.first_line = end;
          for (NewTask& task : add.tasks) task.line.mutable_name()->append("'");
        }
        end = std::max(end, next);
      });
}

void ChargeTwice(FaultyStore& store) {
  Before<Settle>(store, [](Settle& settle) {
    settle.decide = [decide = settle.decide](const Tally& tally,
                                             const v1::Ending& ending) {
      Disposition next = decide(tally, ending);
      next.charged *= 2;
      return next;
    };
  });
}

void ForgetBatchCaps(FaultyStore& store) {
  Show(store, [](AdmissionView& view) { view.batch_caps.clear(); });
}

void ForgetKeys(FaultyStore& store) {
  Show(store, [](AdmissionView& view) {
    for (LaneView& lane : view.lanes) lane.concurrency_key.clear();
  });
}

void KeepLeasesOfTheDead(FaultyStore& store) {
  Before<FreeLeases>(store, [](FreeLeases& free) { free.worker = 0; });
}

void AnswerWithTheLastSession(FaultyStore& store) {
  auto asked = std::make_shared<std::string>();
  Before<RecordSession>(
      store, [asked](RecordSession& record) { *asked = record.session_id; });
  store.on_result = [asked](absl::StatusOr<WriteResult>& result) {
    if (!result.ok() || !std::holds_alternative<RecordedSession>(*result)) {
      return;
    }
    std::get<RecordedSession>(*result).session_id = *asked;
  };
}

void OpenAccountsTooSoon(FaultyStore& store) {
  Before<PauseAccount>(
      store, [](PauseAccount& pause) { pause.until = absl::UnixEpoch(); });
}

struct Breach {
  const char* name;
  void (*commit)(FaultyStore&);
  size_t steps;  // of the story that is left
  const char* difference;

  friend std::ostream& operator<<(std::ostream& out, const Breach& breach) {
    return out << breach.name;
  }
};

class BreakingFactory final : public testing::StoreFactory {
 public:
  explicit BreakingFactory(void (*commit)(FaultyStore&)) : commit_(commit) {}

  absl::StatusOr<std::unique_ptr<Store>> Open(Executor& executor,
                                              BlockingPool& pool,
                                              const Clock& clock,
                                              Random& random) override {
    auto sound = sqlite_.Open(executor, pool, clock, random);
    if (!sound.ok()) return sound.status();
    auto broken = std::make_unique<FaultyStore>(executor, *std::move(sound));
    commit_(*broken);
    return broken;
  }

 private:
  SqliteStoreFactory sqlite_{TempDir::InMemory()};
  void (*commit_)(FaultyStore&);
};

class BrokenStoreTest : public ::testing::TestWithParam<Breach> {};

TEST_P(BrokenStoreTest, IsFoundOutInFewSteps) {
  const Breach& breach = GetParam();
  auto make = [&] { return std::make_unique<BreakingFactory>(breach.commit); };
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const Story story = DrawStory(seed, 60);
    if (QueueTrial(make()).Play(story).empty()) continue;
    const Story enough = ShrinkStory(story, make);
    const std::string told = Retell(enough, make);
    EXPECT_LE(enough.size(), breach.steps) << told;
    EXPECT_THAT(told, HasSubstr(breach.difference));
    return;
  }
  FAIL() << "not found out";
}

INSTANTIATE_TEST_SUITE_P(
    Breaches, BrokenStoreTest,
    ::testing::ValuesIn<Breach>({
        {"ALateSettleIsAccepted", AcceptLateSettles, 7, "Settle"},
        {"LinesSentAgainAreTakenAgain", TakeLinesAgain, 3, "number of tasks"},
        {"AChargeIsDoubled", ChargeTwice, 4, "charge"},
        {"ABatchCapIsForgotten", ForgetBatchCaps, 4, "one too many"},
        {"AKeyIsForgotten", ForgetKeys, 6, "one too many of its key"},
        {"ALapsedWorkerKeepsItsLeases", KeepLeasesOfTheDead, 4, "lease"},
        {"ALaterSessionIsTakenForTheFirst", AnswerWithTheLastSession, 6,
         "session"},
        {"APauseEndsTooSoon", OpenAccountsTooSoon, 5, "is not"},
    }),
    [](const auto& each) { return std::string(each.param.name); });

TEST(ShrinkTest, KeepsWhatFailsTogether) {
  std::vector<int> all;
  for (int i = 0; i < 100; ++i) all.push_back(i);
  auto fails = [](const std::vector<int>& some) {
    return std::ranges::count(some, 17) + std::ranges::count(some, 83) == 2;
  };
  EXPECT_THAT(Shrink(all, fails), ElementsAre(17, 83));
  EXPECT_THAT(Shrink(all, [](const auto&) { return true; }), ElementsAre());
}

}  // namespace
}  // namespace midwatch
