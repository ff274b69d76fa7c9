// The store as it runs in a process: writers and readers on threads of their
// own, callers on others. The other tests of the store are single-threaded, so
// this is where ThreadSanitizer sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
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
#include "base/sqlite.h"
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
  SqliteStore& sqlite() { return *store_; }

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
  std::unique_ptr<SqliteStore> store_;
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

// Whoever stored events waited five seconds, again and again, for the reader
// that copied them.
TEST(StoreThreadsTest, NobodyWaitsForACopy) {
  testing::TempDir dir(testing::TempDir::InMemory());
  testing::TempDir copied(testing::TempDir::InMemory());
  ThreadedStore store(dir.path());
  std::mt19937_64 noise(1);  // so that it does not compress
  std::string event(256 << 10, ' ');
  for (char& c : event) c = static_cast<char>('A' + noise() % 58);
  int64_t stored = 0;
  absl::Duration longest;
  auto append = [&](int times) {
    for (int i = 0; i < times; ++i) {
      const absl::Duration begun = RealClock().Steady();
      std::promise<absl::Status> done;
      store->AppendEvents(
          {1, stored, {event}},
          [&](absl::StatusOr<int64_t> end) { done.set_value(end.status()); });
      ASSERT_OK(done.get_future().get());
      ++stored;
      longest = std::max(longest, RealClock().Steady() - begun);
    }
  };
  // The number of the attempt is one that the queue knows.
  std::promise<void> submitted;
  store->Apply(Submit("one"),
               [&](const absl::StatusOr<TaskKey>&) { submitted.set_value(); });
  submitted.get_future().wait();
  append(40);
  std::promise<void> held, go_on;
  std::promise<absl::Status> ended;
  std::atomic<bool> waited = false;
  store.sqlite().CopyTo(
      copied.path(),
      [&] {
        if (!waited.exchange(true)) {
          held.set_value();
          go_on.get_future().wait();
        }
        return false;
      },
      [&](const absl::StatusOr<DatabaseCopy>& copy) {
        ended.set_value(copy.status());
      });
  held.get_future().wait();
  append(600);  // 150 MB
  EXPECT_LT(longest, absl::Seconds(3));
  EXPECT_GT(std::filesystem::file_size(dir.path() + "/events.db-wal"),
            120 << 20);
  go_on.set_value();
  ASSERT_OK(ended.get_future().get());
  auto copy = Sqlite::Open(copied.path() + "/events.db", {.read_only = true});
  ASSERT_OK(copy);
  SqliteStatement row = (*copy)->Query("SELECT count(*) FROM chunk");
  ASSERT_TRUE(row.Step());
  EXPECT_EQ(row.Int(0), 40) << "as it was when the copy began";
  // The log is begun anew, and what it had grown to is given back.
  append(400);
  EXPECT_LT(std::filesystem::file_size(dir.path() + "/events.db-wal"),
            100 << 20);
}

}  // namespace
}  // namespace midwatch
