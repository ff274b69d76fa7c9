#include "scheduler/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "scheduler/fair_share.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

LaneView Lane(int64_t id, std::vector<ReadyTask> ready,
              const std::string& account = "a") {
  LaneView lane;
  lane.lane = id;
  lane.account = account;
  lane.ready = std::move(ready);
  return lane;
}

AdmissionDecisions Decide(const std::vector<WorkerOffer>& offers,
                          const AdmissionView& view) {
  return DecideAdmission(absl::UnixEpoch(), offers, view);
}

TEST(AdmissionTest, LowestRankGoesFirstOverAllLanes) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 50}, {12, 70}}), Lane(2, {{21, 60}})};
  EXPECT_THAT(Decide({{1, 3, {"a"}}}, view).grants,
              ElementsAre(FieldsAre(11, 1, 0, 0), FieldsAre(21, 1, 0, 0),
                          FieldsAre(12, 1, 0, 0)));
}

TEST(AdmissionTest, SlotsBoundGrantsAndAreSpread) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1}, {12, 2}, {13, 3}, {14, 4}, {15, 5}})};
  EXPECT_THAT(Decide({{1, 1, {"a"}}, {2, 3, {"a"}}}, view).grants,
              ElementsAre(FieldsAre(11, 2, 0, 0), FieldsAre(12, 2, 0, 0),
                          FieldsAre(13, 1, 0, 0), FieldsAre(14, 2, 0, 0)));
}

TEST(AdmissionTest, AttemptsThatAreOnComeFirst) {
  AdmissionView view;
  view.adoptable = {{99, "a"}};
  view.lanes = {Lane(1, {{11, 1}})};
  AdmissionDecisions decisions = Decide({{1, 1, {"a"}}}, view);
  EXPECT_THAT(decisions.adoptions, ElementsAre(FieldsAre(99, 1, 0, 0)));
  EXPECT_THAT(decisions.grants, IsEmpty());
}

TEST(AdmissionTest, NewAttemptsLeaveTheSlotsThatAreKept) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1}, {12, 2}, {13, 3}}), Lane(2, {{21, 9}}, "b"),
                Lane(3, {{31, 9}}, "c")};
  const std::vector<WorkerOffer> offers = {
      {1, 2, {"a", "b"}}, {2, 2, {"a"}}, {3, 1, {"c"}}};
  // Of the four for `a` one is left, and that is also the one for `b`.
  EXPECT_THAT(
      DecideAdmission(absl::UnixEpoch(), offers, view, {}, {{"a", 3}}).grants,
      ElementsAre(FieldsAre(11, 1, 0, 0), FieldsAre(31, 3, 0, 0)));
  // What is on needs no slot beyond those that are kept for it.
  view.adoptable = {{98, "a"}, {99, "a"}};
  AdmissionDecisions decisions =
      DecideAdmission(absl::UnixEpoch(), offers, view, {}, {{"a", 3}});
  EXPECT_THAT(decisions.adoptions, SizeIs(2));
  EXPECT_THAT(decisions.grants, ElementsAre(FieldsAre(31, 3, 0, 0)));
}

// Where thousands were to be adopted, every other slot went to a new one.
TEST(AdmissionTest, NothingNewStartsWhileMoreAreOnThanOneViewShows) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1}})};
  for (int i = 0; i < AdmissionBounds::kAdoptable; ++i) {
    view.adoptable.push_back({100 + i, "a"});
  }
  AdmissionDecisions decisions = Decide({{1, 1000, {"a"}}}, view);
  EXPECT_THAT(decisions.adoptions, SizeIs(AdmissionBounds::kAdoptable));
  EXPECT_THAT(decisions.grants, IsEmpty());
  view.adoptable.pop_back();
  EXPECT_THAT(Decide({{1, 1000, {"a"}}}, view).grants, SizeIs(1));
}

TEST(AdmissionTest, NewAttemptsNeedASlotOfTheirAccount) {
  AdmissionView view;
  view.adoptable = {{99, "a"}};
  view.lanes = {Lane(1, {{11, 1}, {12, 2}, {13, 3}}), Lane(2, {{21, 9}}, "b")};
  AdmissionDecisions decisions = DecideAdmission(
      absl::UnixEpoch(), {{1, 9, {"a", "b"}}}, view, {{"a", 2}});
  EXPECT_THAT(decisions.adoptions, ElementsAre(FieldsAre(99, 1, 0, 0)));
  EXPECT_THAT(decisions.grants,
              ElementsAre(FieldsAre(11, 1, 0, 0), FieldsAre(12, 1, 0, 0),
                          FieldsAre(21, 1, 0, 0)));
  EXPECT_THAT(decisions.blocks, IsEmpty());
  EXPECT_TRUE(decisions.waits_for_slot);
}

TEST(AdmissionTest, AWorkerServesItsAccountsOnly) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1}}, "x"), Lane(2, {{21, 2}}, "y")};
  EXPECT_THAT(Decide({{1, 5, {"y"}}}, view).grants,
              ElementsAre(FieldsAre(21, 1, 0, 0)));
}

TEST(AdmissionTest, ABusyKeyBlocksItsLane) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1}}), Lane(2, {{21, 2}, {22, 3}}),
                Lane(3, {{31, 4}})};
  view.lanes[0].concurrency_key = "t/k1";
  view.lanes[0].key_room = 0;
  view.lanes[1].concurrency_key = "t/k2";
  view.lanes[2].concurrency_key = "t/k2";
  AdmissionDecisions decisions = Decide({{1, 9, {"a"}}}, view);
  EXPECT_THAT(decisions.grants, ElementsAre(FieldsAre(21, 1, 0, 0)));
  EXPECT_THAT(decisions.blocks, ElementsAre(FieldsAre(1, LaneBlock::kKeyBusy),
                                            FieldsAre(2, LaneBlock::kKeyBusy),
                                            FieldsAre(3, LaneBlock::kKeyBusy)));
}

TEST(AdmissionTest, ABatchCapIsSharedByItsLanes) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1}, {12, 3}}), Lane(2, {{21, 2}})};
  view.lanes[0].batch = view.lanes[1].batch = 7;
  view.batch_caps = {{7, /*running=*/3, /*cap=*/5}};
  AdmissionDecisions decisions = Decide({{1, 9, {"a"}}}, view);
  EXPECT_THAT(decisions.grants,
              ElementsAre(FieldsAre(11, 1, 0, 0), FieldsAre(21, 1, 0, 0)));
  EXPECT_THAT(decisions.blocks,
              ElementsAre(FieldsAre(1, LaneBlock::kBatchCap)));
}

TEST(AdmissionTest, EveryCapOfALaneHasRoomForWhatStarts) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1}, {12, 3}, {13, 5}}),
                Lane(2, {{21, 2}, {22, 4}}), Lane(3, {{31, 6}})};
  view.lanes[0].caps = {7, 8};
  view.lanes[1].caps = {7};
  view.caps = {{7, /*running=*/2, /*max=*/6}, {8, 0, 2}};
  AdmissionDecisions decisions = Decide({{1, 9, {"a"}}}, view);
  EXPECT_THAT(decisions.grants,
              ElementsAre(FieldsAre(11, 1, 0, 0), FieldsAre(21, 1, 0, 0),
                          FieldsAre(12, 1, 0, 0), FieldsAre(22, 1, 0, 0),
                          FieldsAre(31, 1, 0, 0)));
  EXPECT_THAT(decisions.blocks, ElementsAre(FieldsAre(1, LaneBlock::kCap)));
}

TEST(AdmissionTest, ACapBelowWhatRunsLetsNothingStartAndAdoptsAllTheSame) {
  AdmissionView view;
  view.adoptable = {{99, "a"}};
  view.lanes = {Lane(1, {{11, 1}})};
  view.lanes[0].caps = {7};
  view.caps = {{7, /*running=*/5, /*max=*/2}};
  AdmissionDecisions decisions = Decide({{1, 9, {"a"}}}, view);
  EXPECT_THAT(decisions.adoptions, ElementsAre(FieldsAre(99, 1, 0, 0)));
  EXPECT_THAT(decisions.grants, IsEmpty());
  EXPECT_THAT(decisions.blocks, ElementsAre(FieldsAre(1, LaneBlock::kCap)));
}

TEST(AdmissionTest, EveryBudgetOfALaneHasRoomForWhatStarts) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1, 40}, {12, 4, 40}}),
                Lane(2, {{21, 2, 50}, {22, 5, 10}}), Lane(3, {{31, 3, 99}})};
  view.lanes[0].budgets = {7, 8};
  view.lanes[1].budgets = {7};
  view.budgets = {{7, 100}, {8, 60}};
  AdmissionDecisions decisions = Decide({{1, 9, {"a"}}}, view);
  EXPECT_THAT(decisions.grants,
              ElementsAre(FieldsAre(11, 1, 0, 0), FieldsAre(21, 1, 0, 0),
                          FieldsAre(31, 1, 0, 0), FieldsAre(22, 1, 0, 0)));
  EXPECT_THAT(decisions.blocks, ElementsAre(FieldsAre(1, LaneBlock::kBudget)));
}

TEST(AdmissionTest, OvershootIsSetAsideWhereThereIsRoomAndBlocksNothing) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1, 40, 15}, {12, 3, 40, 15}}),
                Lane(2, {{21, 2, 50, 15}})};
  view.lanes[0].budgets = {7, 8};
  view.budgets = {{7, 100}, {8, 200}};
  AdmissionDecisions decisions = Decide({{1, 9, {"a"}}}, view);
  EXPECT_THAT(decisions.grants,
              ElementsAre(FieldsAre(11, 1, 15, 0), FieldsAre(21, 1, 0, 0),
                          FieldsAre(12, 1, 5, 0)));
  EXPECT_THAT(decisions.blocks, IsEmpty());
}

TEST(AdmissionTest, ALimitBelowWhatIsSpentLetsNothingStart) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1, 10}})};
  view.lanes[0].budgets = {7};
  view.budgets = {{7, -5}};
  AdmissionDecisions decisions = Decide({{1, 9, {"a"}}}, view);
  EXPECT_THAT(decisions.grants, IsEmpty());
  EXPECT_THAT(decisions.blocks, ElementsAre(FieldsAre(1, LaneBlock::kBudget)));
}

TEST(AdmissionTest, NothingIsBlockedForWantOfASlot) {
  AdmissionView view;
  view.lanes = {Lane(1, {{11, 1}, {12, 2}})};
  AdmissionDecisions decisions = Decide({{1, 1, {"a"}}}, view);
  EXPECT_EQ(decisions.grants.size(), 1u);
  EXPECT_THAT(decisions.blocks, IsEmpty());
}

TEST(RankTest, PriorityOutweighsWaitingUpToItsAgeing) {
  absl::Time t = absl::FromUnixSeconds(1'000'000);
  EXPECT_LT(RankOf(t, 6), RankOf(t, 5));
  EXPECT_LT(RankOf(t + absl::Minutes(29), 6), RankOf(t, 5));
  EXPECT_GT(RankOf(t + absl::Minutes(31), 6), RankOf(t, 5));
}

TEST(RankTest, ADeadlineBringsATaskForward) {
  const absl::Time t = absl::FromUnixSeconds(1'000'000);
  // Two hours at the usual priority; it has to start in one.
  EXPECT_LT(RankOf(t, 5, t + absl::Hours(1)), RankOf(t, 5));
  EXPECT_EQ(RankOf(t, 5, t + absl::Hours(3)), RankOf(t, 5));
}

// ---- Shares ----

LaneView LaneOf(int64_t tenant, int64_t queue, int64_t id, int64_t cost,
                int tasks) {
  std::vector<ReadyTask> ready;
  for (int i = 0; i < tasks; ++i) {
    ready.push_back(
        {.task = 100 * id + i, .rank = id, .reserve = 0, .predicted = cost});
  }
  LaneView lane = Lane(id, std::move(ready));
  lane.tenant = tenant;
  lane.queue = queue;
  return lane;
}

// How many of the first `starts` each lane got, pass by pass, one at a time.
std::map<int64_t, int> Share(std::vector<LaneView> lanes, int starts,
                             std::vector<WeightView> weights = {}) {
  std::map<int64_t, int> got;
  std::map<std::pair<int64_t, int64_t>, ShareView> shares;
  for (int i = 0; i < starts; ++i) {
    AdmissionView view;
    view.lanes = lanes;
    view.shared = true;
    view.weights = weights;
    for (const auto& [key, share] : shares) view.shares.push_back(share);
    AdmissionDecisions decisions = Decide({{1, 1, {"a"}}}, view);
    for (const ShareView& share : decisions.shares) {
      shares[{share.tenant, share.queue}] = share;
    }
    ++got[decisions.grants.at(0).task / 100];
  }
  return got;
}

TEST(FairShareTest, TenantsGetEqualMoneyWhateverTheirTasksCost) {
  // Rank alone would give everything to lane 1.
  EXPECT_THAT(Share({LaneOf(1, 7, 1, 30, 1), LaneOf(2, 7, 2, 10, 1)}, 40),
              ElementsAre(std::pair(1, 10), std::pair(2, 30)));
}

TEST(FairShareTest, ATenantIsNotGivenMoreForHavingMoreQueues) {
  EXPECT_THAT(
      Share({LaneOf(1, 7, 1, 10, 1), LaneOf(2, 7, 2, 10, 1),
             LaneOf(2, 8, 3, 10, 1)},
            40),
      ElementsAre(std::pair(1, 20), std::pair(2, 10), std::pair(3, 10)));
}

TEST(FairShareTest, TenantsAndQueuesGetMoneyByTheirWeights) {
  const std::vector<LaneView> lanes = {LaneOf(1, 7, 1, 1200, 1),
                                       LaneOf(2, 7, 2, 1200, 1),
                                       LaneOf(2, 8, 3, 1200, 1)};
  EXPECT_THAT(
      Share(lanes, 40, {{.of = 2, .weight = 3}}),
      ElementsAre(std::pair(1, 10), std::pair(2, 15), std::pair(3, 15)));
  // A queue's counts beside its tenant's others alone.
  EXPECT_THAT(Share(lanes, 40, {{.of = 7, .weight = 4}}),
              ElementsAre(std::pair(1, 20), std::pair(2, 16), std::pair(3, 4)));
}

TEST(FairShareTest, AStartGetsSomewhereHoweverGreatItsWeight) {
  FairShare shares({}, {{.of = 1, .weight = 1000}});
  shares.Start(1, 7, 1);
  EXPECT_EQ(shares.BeginOf(1, 7), std::pair(int64_t{1}, int64_t{1}));
}

TEST(FairShareTest, WhoWasIdleHasNoClaimToWhatItDidNotUse) {
  FairShare shares({}, {});
  for (int i = 0; i < 100; ++i) shares.Start(1, 7, 10);
  // Both begin about where the other stands, not a thousand behind.
  EXPECT_GE(shares.BeginOf(2, 7).first, 990);
}

TEST(FairShareTest, OnePassGoesAroundToo) {
  AdmissionView view;
  view.shared = true;
  view.lanes = {LaneOf(1, 7, 1, 10, 5), LaneOf(2, 7, 2, 10, 5)};
  AdmissionDecisions decisions = Decide({{1, 4, {"a"}}}, view);
  EXPECT_THAT(decisions.grants,
              ElementsAre(FieldsAre(100, 1, 0, 10), FieldsAre(200, 1, 0, 10),
                          FieldsAre(101, 1, 0, 10), FieldsAre(201, 1, 0, 10)));
  EXPECT_THAT(decisions.shares,
              ElementsAre(FieldsAre(0, 0, 0, 10), FieldsAre(1, 0, 20, 10),
                          FieldsAre(1, 7, 20, 0), FieldsAre(2, 0, 20, 10),
                          FieldsAre(2, 7, 20, 0)));
}

}  // namespace
}  // namespace midwatch
