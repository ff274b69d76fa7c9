// Short words for what tests do with a store.
#ifndef MIDWATCH_TESTS_TESTING_STORE_FIXTURE_H_
#define MIDWATCH_TESTS_TESTING_STORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "scheduler/admission.h"
#include "scheduler/retry.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/store_host.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::testing {

class AnyStoreFixture : public ::testing::Test, protected StoreHost {
 protected:
  using StoreHost::StoreHost;

  TaskRecord Task(RowKey key) {
    auto task = Read<TaskRecord>(
        [&](StoreReader& reader) { return reader.GetTask(key); });
    EXPECT_OK(task);
    return task.ok() ? *std::move(task) : TaskRecord();
  }
  BatchRecord Batch(RowKey key) {
    auto batch = Read<BatchRecord>(
        [&](StoreReader& reader) { return reader.GetBatch(key); });
    EXPECT_OK(batch);
    return batch.ok() ? *std::move(batch) : BatchRecord();
  }

  std::vector<TaskRecord> Tasks(const TaskFilter& filter = {},
                                int limit = 1000) {
    auto page = Read<RowPage<TaskRecord>>([&](StoreReader& reader) {
      return reader.ListTasks(filter, 0, limit);
    });
    EXPECT_OK(page);
    return page.ok() ? std::move(page->rows) : std::vector<TaskRecord>();
  }

  static v1::TaskSpec Spec() {
    v1::TaskSpec spec;
    spec.mutable_agent()->set_agent_id("agent_1");
    spec.set_prompt("do it");
    spec.set_max_cost_usd_micros(1'000'000);
    return spec;
  }

  static NewTask Line(const std::string& name) {
    NewTask task;
    task.line.set_name(name);
    task.max_cost = 1'000'000;
    return task;
  }

  static OpenBatch Opening(const std::string& request,
                           int32_t max_running = 0) {
    return {.request_id = request,
            .name = "b",
            .tenant = "default",
            .queue = "default",
            .account = "default",
            .content_sha256 = "",
            .spec = Spec(),
            .max_running = max_running};
  }

  // A sealed batch of `n` tasks named t0, t1, ...
  RowKey SubmitBatch(int n, int32_t max_running = 0,
                     const std::string& request = "batch-1") {
    auto batch = Apply(Opening(request, max_running));
    EXPECT_OK(batch);
    AddTasks add{.request_id = request, .first_line = 0, .tasks = {}};
    for (int i = 0; i < n; ++i) add.tasks.push_back(Line(absl::StrCat("t", i)));
    if (n > 0) {
      EXPECT_OK(Apply(add));
    }
    EXPECT_OK(Apply(SealBatch{request, n}));
    return batch->batch;
  }

  static SubmitTask Single(const std::string& request) {
    return {.request_id = request,
            .tenant = "default",
            .queue = "default",
            .account = "default",
            .spec = Spec(),
            .task = Line("one")};
  }

  RowKey SubmitOne(const std::string& request = "one") {
    auto task = Apply(Single(request));
    EXPECT_OK(task);
    return task->task;
  }

  int64_t Register(const std::string& incarnation = "worker-incarnation-1") {
    auto worker = Apply(RegisterWorker{incarnation, "test"});
    EXPECT_OK(worker);
    return worker->worker;
  }

  std::vector<GrantRecord> AdmitTo(int64_t worker, int slots) {
    auto decide = [](absl::Time now, const std::vector<WorkerOffer>& offers,
                     const AdmissionView& view) {
      return DecideAdmission(now, offers, view);
    };
    auto grants = Apply(Admit{{{worker, slots, {"default"}}}, decide});
    EXPECT_OK(grants);
    return std::move(grants->grants);
  }

  static v1::Ending Success(int64_t cost = 30'000) {
    v1::Ending ending;
    ending.set_kind(v1::Ending::KIND_IDLE);
    ending.set_stop_reason("end_turn");
    ending.set_charged(true);
    ending.set_list_cost_usd_micros(cost);
    return ending;
  }
  // Charged, by a session that said nothing of its cost.
  static v1::Ending SuccessAtUnknownCost() {
    v1::Ending ending = Success();
    ending.clear_list_cost_usd_micros();
    return ending;
  }

  absl::StatusOr<Settled> SettleWith(const LeaseKey& lease, v1::Ending ending) {
    return Apply(Settle{lease, std::move(ending),
                        [](const Tally& tally, const v1::Ending& e) {
                          return Decide(tally, e, 1.0);
                        }});
  }

  // Grants the first task and records a session for it.
  GrantRecord GrantAndRecord(int64_t worker) {
    GrantRecord grant = AdmitTo(worker, 1).at(0);
    EXPECT_OK(Apply(BeginCreate{grant.lease, "nonce-0123456789"}));
    EXPECT_OK(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}));
    return grant;
  }
};

// On SQLite's store.
class StoreFixture : public AnyStoreFixture {
 protected:
  StoreFixture()
      : AnyStoreFixture(std::make_unique<SqliteStoreFactory>()),
        dir_(static_cast<SqliteStoreFactory&>(*factory_).dir()) {}

  const TempDir& dir_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_STORE_FIXTURE_H_
