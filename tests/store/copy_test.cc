// A copy of the database is another queue than the original.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class CopyTest : public testing::StoreFixture {
 protected:
  absl::StatusOr<std::string> MarkOf(const std::string& dir, bool moved) {
    testing::FakeExecutor executor(time_);
    SqliteStoreOptions options{.dir = dir,
                               .threads = false,
                               .watch_disk_space = false,
                               .moved = moved};
    absl::StatusOr<std::unique_ptr<Store>> store =
        OpenSqliteStore(executor, pool_, clock_, random_, options);
    if (!store.ok()) return store.status();
    std::string mark = (*store)->cluster_mark();
    executor.Stop();
    return mark;
  }
};

TEST_F(CopyTest, ACopyDoesNotOpenAndTheOriginalStillDoes) {
  SubmitBatch(1);
  const std::string mark = store_->cluster_mark();
  Crash();
  testing::TempDir parent;
  const std::string copy = parent / "copy";
  std::filesystem::copy(dir_.path(), copy);
  EXPECT_THAT(MarkOf(copy, false),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("once with --moved")));
  EXPECT_THAT(MarkOf(dir_.path(), false), IsOk());
  // Said to be the only one, it lives on as another than the original.
  EXPECT_EQ(*MarkOf(copy, true), mark + ".2");
  EXPECT_EQ(*MarkOf(copy, false), mark + ".2") << "said once is enough";
  EXPECT_EQ(*MarkOf(dir_.path(), false), mark);
}

TEST_F(CopyTest, ARenamedDirectoryIsNoCopy) {
  const std::string mark = store_->cluster_mark();
  Crash();
  const std::string renamed = dir_.path() + "-renamed";
  std::filesystem::rename(dir_.path(), renamed);
  EXPECT_EQ(*MarkOf(renamed, false), mark);
  EXPECT_EQ(*MarkOf(renamed, true), mark) << "nothing had moved";
  std::filesystem::rename(renamed, dir_.path());
}

}  // namespace
}  // namespace midwatch
