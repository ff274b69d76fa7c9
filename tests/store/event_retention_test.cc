// Old events go, those of attempts that are on stay.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

class EventRetentionTest : public testing::StoreFixture {
 protected:
  int64_t DropBefore(absl::Time before) {
    std::optional<absl::StatusOr<int64_t>> dropped;
    static_cast<SqliteStore&>(*store_).DropEvents(
        before, [&](absl::StatusOr<int64_t> result) { dropped = result; });
    time_.RunUntilIdle();
    EXPECT_OK(*dropped);
    return dropped->value_or(-1);
  }
  int64_t CountOf(const GrantRecord& grant) {
    auto count = Read<int64_t>([&](StoreReader& reader) {
      return reader.CountEvents(grant.grant_seq);
    });
    EXPECT_OK(count);
    return count.value_or(-1);
  }
  // In so many chunks.
  void Store(const GrantRecord& grant, int chunks) {
    for (int i = 0; i < chunks; ++i) {
      ASSERT_OK(Append(grant.grant_seq, i, {"{}"}));
    }
  }
};

TEST_F(EventRetentionTest, OldOnesGoButForThoseOfAttemptsThatAreOn) {
  SubmitBatch(4);
  int64_t worker = Register();
  std::vector<GrantRecord> old = AdmitTo(worker, 2);
  Store(old[0], 40);  // some steps' work
  Store(old[1], 3);
  ASSERT_OK(SettleWith(old[0].lease, Success()));
  time_.Advance(absl::Hours(48));
  std::vector<GrantRecord> young = AdmitTo(worker, 1);
  Store(young[0], 2);
  ASSERT_OK(SettleWith(young[0].lease, Success()));

  EXPECT_EQ(DropBefore(clock_.Now() - absl::Hours(49)), 0);
  EXPECT_EQ(CountOf(old[0]), 40);
  EXPECT_EQ(DropBefore(clock_.Now() - absl::Hours(24)), 40);
  EXPECT_EQ(CountOf(old[0]), 0);
  EXPECT_EQ(CountOf(old[1]), 3) << "it is on";
  EXPECT_EQ(CountOf(young[0]), 2);
  EXPECT_EQ(DropBefore(clock_.Now() - absl::Hours(24)), 0) << "said again";

  ASSERT_OK(SettleWith(old[1].lease, Success()));
  EXPECT_EQ(DropBefore(clock_.Now() - absl::Hours(24)), 3);
  EXPECT_EQ(DropBefore(absl::InfiniteFuture()), 2);
}

TEST_F(EventRetentionTest, AStoreThatClosesDropsNoMore) {
  SubmitBatch(1);
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  Store(grant, 100);
  ASSERT_OK(SettleWith(grant.lease, Success()));
  bool told = false;
  static_cast<SqliteStore&>(*store_).DropEvents(
      absl::InfiniteFuture(), [&](absl::StatusOr<int64_t>) { told = true; });
  Restart();
  EXPECT_FALSE(told);
  EXPECT_EQ(DropBefore(absl::InfiniteFuture()), 100);
  EXPECT_EQ(CountOf(grant), 0);
}

TEST_F(EventRetentionTest, ThoseOfDeletedBatchesGoAndNoOthers) {
  RowKey batch = SubmitBatch(2);
  const int64_t worker = Register();
  std::vector<GrantRecord> gone = AdmitTo(worker, 2);
  Store(gone[0], 40);
  Store(gone[1], 3);
  ASSERT_OK(SettleWith(gone[0].lease, Success()));
  ASSERT_OK(SettleWith(gone[1].lease, Success()));
  SubmitBatch(1, 0, "batch-2");
  GrantRecord on = AdmitTo(worker, 1).at(0);
  Store(on, 2);
  auto drop = [&] {
    std::optional<absl::StatusOr<int64_t>> dropped;
    static_cast<SqliteStore&>(*store_).DropDeletedEvents(
        [&](absl::StatusOr<int64_t> result) { dropped = result; });
    time_.RunUntilIdle();
    EXPECT_OK(*dropped);
    return dropped->value_or(-1);
  };
  EXPECT_EQ(drop(), 0);
  for (bool more = true; more;) more = Apply(DeleteBatch{batch, ""})->more;
  EXPECT_EQ(drop(), 43);
  EXPECT_EQ(CountOf(gone[0]), 0);
  EXPECT_EQ(CountOf(on), 2);
  EXPECT_EQ(drop(), 0) << "said again";
}

// Where rows of the journal are missing, the search by age took what was young.
TEST_F(EventRetentionTest, AgeIsToldAlsoWhereBatchesAreDeleted) {
  RowKey batch = SubmitBatch(20);
  ASSERT_FALSE(Apply(CancelBatch{batch, ""})->more);
  SubmitBatch(2, 0, "batch-2");
  std::vector<GrantRecord> young = AdmitTo(Register(), 2);
  Store(young[0], 2);
  ASSERT_OK(SettleWith(young[0].lease, Success()));
  for (bool more = true; more;) more = Apply(DeleteBatch{batch, ""})->more;
  EXPECT_EQ(DropBefore(clock_.Now() - absl::Hours(1)), 0);
  EXPECT_EQ(CountOf(young[0]), 2);
}

}  // namespace
}  // namespace midwatch
