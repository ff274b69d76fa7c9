// A store on virtual time that a test crashes and opens again, whichever store
// it is.
#ifndef MIDWATCH_TESTS_TESTING_STORE_HOST_H_
#define MIDWATCH_TESTS_TESTING_STORE_HOST_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/blocking_pool.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "base/sqlite.h"
#include "store/schema.h"
#include "store/sqlite_store.h"
#include "store/store.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::testing {

// Where one store's data is: empty at first, gone with the factory.
class StoreFactory {
 public:
  virtual ~StoreFactory() = default;

  // Opens a store on the data, as whoever was killed left it. Its work is done
  // in tasks of `executor` and on `pool`, which runs them inline: once the
  // executor is idle, every answer is there. All four outlive the store.
  virtual absl::StatusOr<std::unique_ptr<Store>> Open(Executor& executor,
                                                      BlockingPool& pool,
                                                      const Clock& clock,
                                                      Random& random) = 0;
};

class SqliteStoreFactory final : public StoreFactory {
 public:
  SqliteStoreFactory() = default;
  // In `parent`, with tables that were made once: for tests that open so many
  // that making them would take most of the time.
  explicit SqliteStoreFactory(const std::filesystem::path& parent)
      : dir_(parent) {
    static const Tables tables(parent);
    for (const char* file : {"queue.db", "events.db"}) {
      std::filesystem::copy_file(tables.dir / file, dir_ / file);
    }
  }

  absl::StatusOr<std::unique_ptr<Store>> Open(Executor& executor,
                                              BlockingPool& pool,
                                              const Clock& clock,
                                              Random& random) override {
    return OpenSqliteStore(
        executor, pool, clock, random,
        {.dir = dir_.path(), .threads = false, .watch_disk_space = false});
  }
  const TempDir& dir() const { return dir_; }

 private:
  struct Tables {
    explicit Tables(const std::filesystem::path& parent) : dir(parent) {
      auto queue = Sqlite::Open(dir / "queue.db");
      EXPECT_OK(queue);
      EXPECT_OK(Migrate(**queue, QueueSchema(), "queue.db"));
      auto events = Sqlite::Open(dir / "events.db");
      EXPECT_OK(events);
      EXPECT_OK(Migrate(**events, EventsSchema(), "events.db"));
    }
    TempDir dir;
  };

  TempDir dir_;
};

class StoreHost {
 public:
  explicit StoreHost(std::unique_ptr<StoreFactory> factory)
      : factory_(std::move(factory)) {
    Open();
  }
  ~StoreHost() { Crash(); }
  StoreHost(const StoreHost&) = delete;
  StoreHost& operator=(const StoreHost&) = delete;

  void Open() {
    executor_ = std::make_unique<FakeExecutor>(time_);
    auto store = factory_->Open(*executor_, pool_, clock_, random_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }

  // As if the process were killed: what was not committed is gone.
  void Crash() {
    if (executor_ != nullptr) executor_->Stop();
    store_.reset();
    executor_.reset();
  }
  void Restart() {
    Crash();
    Open();
  }

  template <typename W>
  absl::StatusOr<typename W::Result> Apply(W write) {
    std::optional<absl::StatusOr<typename W::Result>> result;
    store_->Apply(std::move(write), [&](absl::StatusOr<typename W::Result> r) {
      result = std::move(r);
    });
    time_.RunUntilIdle();
    return *std::move(result);
  }

  template <typename T, typename F>
  absl::StatusOr<T> Read(F work) {
    std::optional<absl::StatusOr<T>> result;
    store_->Read<T>(
        [&](StoreReader& reader) -> absl::StatusOr<T> { return work(reader); },
        [&](absl::StatusOr<T> r) { result = std::move(r); });
    time_.RunUntilIdle();
    return *std::move(result);
  }

  absl::StatusOr<int64_t> Append(int64_t grant_seq, int64_t first,
                                 std::vector<std::string> events) {
    std::optional<absl::StatusOr<int64_t>> result;
    store_->AppendEvents({grant_seq, first, std::move(events)},
                         [&](absl::StatusOr<int64_t> r) { result = r; });
    time_.RunUntilIdle();
    return *result;
  }

 protected:
  std::unique_ptr<StoreFactory> factory_;
  VirtualTime time_;
  FakeClock clock_{time_};
  SeededRandom random_{1};
  InlineBlockingPool pool_;
  std::unique_ptr<FakeExecutor> executor_;
  std::unique_ptr<Store> store_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_STORE_HOST_H_
