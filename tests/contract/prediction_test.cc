// What is foretold of tasks from how others of their kind went.
#include "store/prediction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::SizeIs;

class PredictionTest : public testing::ContractTest {
 protected:
  void RunTask(const GrantRecord& grant, int seconds, int64_t cost) {
    time_.Advance(absl::Seconds(seconds));
    ASSERT_OK(SettleWith(grant.lease, Success(cost)));
  }
};

TEST_P(PredictionTest, ABatchIsForetoldFromAnEarlierOneOfItsKind) {
  RowKey first = SubmitBatch(5, 0, "first");
  const int64_t worker = Register();
  EXPECT_EQ(Batch(first).forecast.samples, 0);
  for (int i = 1; i <= 5; ++i) {
    RunTask(AdmitTo(worker, 1).at(0), i, i * 10'000);
  }
  Forecast forecast = Batch(first).forecast;
  EXPECT_EQ(forecast.samples, 5);
  EXPECT_EQ(forecast.cost_p50, 30'000);
  EXPECT_EQ(forecast.cost_p90, 50'000);
  EXPECT_EQ(forecast.time_p50, absl::Seconds(3));
  EXPECT_EQ(forecast.time_p90, absl::Seconds(5));
  // The first had no forecast, each other the one of those before it.
  EXPECT_EQ(Batch(first).calibration.foretold, 4);
  EXPECT_EQ(Batch(first).calibration.cost_in_p90, 0) << "each was dearer";

  Restart();
  RowKey second = SubmitBatch(3, 0, "second");
  EXPECT_EQ(Batch(second).forecast, forecast);
  const int64_t other = Register("worker-incarnation-2");
  std::vector<GrantRecord> grants = AdmitTo(other, 3);
  ASSERT_THAT(grants, SizeIs(3));
  EXPECT_EQ(Task(grants[0].task).forecast, forecast);
  RunTask(grants[0], 3, 30'000);   // within both
  RunTask(grants[1], 1, 40'000);   // 4 s: within p90
  RunTask(grants[2], 10, 60'000);  // within neither
  Calibration held = Batch(second).calibration;
  EXPECT_EQ(held.foretold, 3);
  EXPECT_EQ(held.cost_in_p50, 1);
  EXPECT_EQ(held.cost_in_p90, 2);
  EXPECT_EQ(held.time_in_p50, 1);
  EXPECT_EQ(held.time_in_p90, 2);
  EXPECT_EQ(Batch(first).calibration.foretold, 4);
}

TEST_P(PredictionTest, OnlySuccessAtAKnownCostIsASample) {
  RowKey batch = SubmitBatch(2);
  const int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 2);
  v1::Ending failed = Success();
  failed.set_kind(v1::Ending::KIND_TERMINATED);
  ASSERT_OK(SettleWith(grants.at(0).lease, failed));
  ASSERT_OK(SettleWith(grants.at(1).lease, SuccessAtUnknownCost()));
  EXPECT_EQ(Batch(batch).forecast.samples, 0);
}

TEST_P(PredictionTest, AsManySamplesAreKeptAsThereArePlaces) {
  constexpr int kTasks = kSamplesMax + 96;
  RowKey batch = SubmitBatch(kTasks);
  const int64_t worker = Register();
  std::vector<int64_t> costs;  // by place
  constexpr int64_t kTheKind = 1;
  for (int n = 1; n <= kTasks; ++n) {
    const int64_t cost = n * 1'000;
    RunTask(AdmitTo(worker, 1).at(0), 1, cost);
    const std::optional<int> place = PlaceOfSample(kTheKind, n);
    if (n <= kSamplesMax) {
      costs.push_back(cost);
    } else if (place) {
      costs.at(static_cast<size_t>(*place)) = cost;
    }
  }
  auto kind = Read<KindRecord>(
      [](StoreReader& reader) { return reader.ReadKind(KindOf(Spec())); });
  ASSERT_OK(kind);
  std::vector<int64_t> kept;
  for (const Sample& sample : kind->samples) kept.push_back(sample.cost);
  EXPECT_EQ(kept, costs);
  EXPECT_EQ(kind->forecast, Predict(kind->samples));
  EXPECT_EQ(Batch(batch).forecast, kind->forecast);
  EXPECT_EQ(kind->forecast.samples, kSamplesMax);
}

MIDWATCH_ON_EVERY_STORE(PredictionTest);

}  // namespace
}  // namespace midwatch
