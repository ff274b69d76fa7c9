// The store as it runs in a process: writers and readers on threads of their
// own, callers on others. The other tests of the store are single-threaded, so
// this is where ThreadSanitizer sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/thread.h"
#include "store/sqlite_store.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch {
namespace {

using ::testing::SizeIs;

constexpr int kCallers = 4;
constexpr int kTasksEach = 50;

// A store and its threads, taken down in the order of a node.
class ThreadedStore {
 public:
  explicit ThreadedStore(const std::string& dir) {
    SqliteStoreOptions options{.dir = dir, .watch_disk_space = false};
    auto store =
        OpenSqliteStore(executor_, pool_, RealClock(), random_, options);
    EXPECT_OK(store);
    store_ = *std::move(store);
  }
  ~ThreadedStore() { executor_.Stop(); }

  Store* operator->() { return store_.get(); }

  absl::StatusOr<std::vector<TaskRecord>> ListTasks() {
    std::promise<absl::StatusOr<std::vector<TaskRecord>>> done;
    store_->Read<std::vector<TaskRecord>>(
        [](StoreReader& reader) -> absl::StatusOr<std::vector<TaskRecord>> {
          auto page = reader.ListTasks({}, 0, 1000);
          if (!page.ok()) return page.status();
          return std::move(page->rows);
        },
        [&done](absl::StatusOr<std::vector<TaskRecord>> tasks) {
          done.set_value(std::move(tasks));
        });
    return done.get_future().get();
  }

 private:
  RealRandom random_;
  RealExecutor executor_{"store-test"};
  std::unique_ptr<Store> store_;
  ThreadBlockingPool pool_{"store-pool", 2};  // readers end before the store
};

SubmitTask Submit(const std::string& request) {
  SubmitTask submit{.request_id = request,
                    .tenant = "default",
                    .queue = "default",
                    .account = "default",
                    .spec = {},
                    .task = {}};
  submit.spec.mutable_agent()->set_agent_id("agent_1");
  submit.spec.set_prompt("do it");
  submit.task.line.set_name("one");
  return submit;
}

TEST(StoreThreadsTest, CallersOnManyThreads) {
  testing::TempDir dir(testing::TempDir::InMemory());
  ThreadedStore store(dir.path());
  // Counted in tasks of the executor alone.
  int answers = 0;
  std::promise<void> all;
  auto count = [&](const absl::Status& status) {
    EXPECT_OK(status);
    if (++answers == kCallers * (kTasksEach + 1)) all.set_value();
  };
  std::vector<Thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back("caller", [&, caller] {
      for (int i = 0; i < kTasksEach; ++i) {
        store->Apply(
            Submit(absl::StrCat(caller, "-", i)),
            [&](const absl::StatusOr<TaskKey>& task) { count(task.status()); });
      }
      store->AppendEvents(
          {caller + 1, 0, {"{}", "{}"}},
          [&](const absl::StatusOr<int64_t>& end) { count(end.status()); });
      EXPECT_OK(store.ListTasks());
    });
  }
  for (Thread& caller : callers) caller.Join();
  all.get_future().wait();
  EXPECT_THAT(*store.ListTasks(), SizeIs(kCallers * kTasksEach));
}

TEST(StoreThreadsTest, WhatWaitsIsCommittedWhenItGoes) {
  testing::TempDir dir(testing::TempDir::InMemory());
  {
    ThreadedStore store(dir.path());
    for (int i = 0; i < kTasksEach; ++i) {
      store->Apply(Submit(absl::StrCat(i)),
                   [](const absl::StatusOr<TaskKey>&) {});
      store->Read<int64_t>(
          [](StoreReader& reader) { return reader.LastJournalSeq(); },
          [](const absl::StatusOr<int64_t>&) {});
    }
  }
  EXPECT_THAT(*ThreadedStore(dir.path()).ListTasks(), SizeIs(kTasksEach));
}

// 200 MB of events, while readers come and go.
TEST(StoreThreadsTest, TheLogStaysShort) {
  testing::TempDir dir(testing::TempDir::InMemory());
  {
    ThreadedStore store(dir.path());
    std::mt19937_64 noise(1);  // so that it does not compress
    std::string event(256 << 10, ' ');
    for (char& c : event) c = static_cast<char>('A' + noise() % 58);
    for (int i = 0; i < 800; ++i) {
      std::promise<absl::Status> stored;
      store->AppendEvents({1, i, {event}}, [&](absl::StatusOr<int64_t> end) {
        stored.set_value(end.status());
      });
      ASSERT_OK(stored.get_future().get());
      if (i % 50 == 0) {
        EXPECT_OK(store.ListTasks());
      }
      ASSERT_LT(std::filesystem::file_size(dir.path() + "/events.db-wal"),
                100 << 20);
    }
  }
  ThreadedStore store(dir.path());
  std::promise<absl::StatusOr<int64_t>> count;
  store->Read<int64_t>(
      [](StoreReader& reader) { return reader.CountEvents(1); },
      [&](absl::StatusOr<int64_t> events) {
        count.set_value(std::move(events));
      });
  EXPECT_EQ(count.get_future().get().value_or(0), 800);
}

}  // namespace
}  // namespace midwatch
