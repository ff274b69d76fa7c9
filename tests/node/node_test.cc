// The parts as processes put them together, in one process: a scheduler, a
// harness and a worker, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "cli/batch_file.h"
#include "cli/batch_watch.h"
#include "cli/export.h"
#include "cli/scheduler_connection.h"
#include "cli/submit.h"
#include "node/account_check.h"
#include "node/harness_node.h"
#include "node/scheduler_node.h"
#include "node/worker_node.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

namespace fs = std::filesystem;
using ::midwatch::testing::StatusIs;
using ::testing::HasSubstr;

class NodeTest : public ::testing::Test {
 protected:
  NodeTest() {
    std::string form = (fs::temp_directory_path() / "midwatch-XXXXXX").string();
    folder_ = mkdtemp(form.data());
    absl::StatusOr<std::unique_ptr<SchedulerNode>> scheduler =
        SchedulerNode::Start(
            {.data_dir = folder_ / "state", .listen = {"127.0.0.1:0"}});
    EXPECT_OK(scheduler);
    scheduler_ = *std::move(scheduler);
    HarnessNodeOptions harness;
    harness.data_dir = folder_ / "harness";
    absl::StatusOr<std::unique_ptr<HarnessNode>> started =
        HarnessNode::Start(harness);
    EXPECT_OK(started);
    harness_ = *std::move(started);
    connection_ = std::make_unique<cli::SchedulerConnection>(
        scheduler_->InProcessChannel());
  }
  ~NodeTest() override {
    worker_.reset();
    connection_.reset();
    harness_.reset();
    scheduler_.reset();
    fs::remove_all(folder_);
  }

  AccountOptions account() const {
    return {harness_->base_url(), harness_->api_key()};
  }

  void StartWorker(WorkerNodeOptions options) {
    options.accounts["default"] = account();
    options.capacity = 4;
    absl::StatusOr<std::unique_ptr<WorkerNode>> worker =
        WorkerNode::Start(options);
    ASSERT_OK(worker);
    worker_ = *std::move(worker);
  }
  // A worker in another process would be no different.
  WorkerNodeOptions Remote() const {
    WorkerNodeOptions options;
    options.scheduler_address =
        absl::StrCat("127.0.0.1:", scheduler_->ports()[0]);
    options.cache_dir = folder_ / "cache";
    return options;
  }
  WorkerNodeOptions Embedded() const {
    WorkerNodeOptions options;
    options.scheduler = scheduler_.get();
    options.artifacts_dir = scheduler_->artifacts_dir();
    return options;
  }

  std::string Submit(const std::string& text) {
    std::ofstream(folder_ / "in.txt") << "the input";
    std::ofstream(folder_ / "batch.yaml") << text;
    absl::StatusOr<cli::BatchFile> file =
        cli::LoadBatchFile(folder_ / "batch.yaml", {});
    EXPECT_OK(file);
    absl::StatusOr<cli::Submitted> submitted =
        cli::SubmitBatch(*connection_, *file, {}, [] { return false; });
    EXPECT_OK(submitted);
    return submitted->batch_id;
  }

  v1::Batch WaitUntilDone(const std::string& batch_id) {
    cli::BatchWatch watch(*connection_, RealClock(), batch_id,
                          cli::BatchWatch::kFromNow);
    v1::Batch batch;
    while (!watch.ended()) {
      auto message = watch.Next(absl::Seconds(1));
      if (!message.ok()) {
        ADD_FAILURE() << message.status();
        break;
      }
      if (*message && (*message)->has_batch()) batch = (*message)->batch();
    }
    return batch;
  }

  fs::path folder_;
  std::unique_ptr<SchedulerNode> scheduler_;
  std::unique_ptr<HarnessNode> harness_;
  std::unique_ptr<cli::SchedulerConnection> connection_;
  std::unique_ptr<WorkerNode> worker_;
};

TEST_F(NodeTest, RemoteWorkerRunsABatch) {
  StartWorker(Remote());
  const std::string batch_id = Submit(R"(
name: two
defaults:
  agent: {name: a, model: runbook, tools: [{type: agent_toolset_20260401}]}
  prompt: |
    ```sh
    mkdir -p /mnt/session/outputs/sub
    cp /mnt/session/uploads/in.txt /mnt/session/outputs/sub/{{file}}
    ```
  max_cost: $0.10
  expect: {files: ["sub/{{file}}"]}
tasks:
  - name: one
    parameters: {file: out.txt}
    inputs: [{path: in.txt, mount: in.txt}]
  - name: a/b
    parameters: {file: other.txt}
    inputs: [{path: in.txt, mount: in.txt}]
)");
  const v1::Batch batch = WaitUntilDone(batch_id);
  EXPECT_EQ(batch.state(), v1::BATCH_STATE_DONE);
  EXPECT_EQ(batch.counts().succeeded(), 2);
  EXPECT_EQ(batch.charged_usd_micros(), 40'000);  // two requests each

  const std::string results = folder_ / "results";
  absl::StatusOr<cli::Outcome> outcome =
      cli::WriteResults(*connection_, batch_id, results);
  ASSERT_OK(outcome);
  EXPECT_TRUE(outcome->failures.empty());
  EXPECT_EQ(fs::file_size(results + "/outputs/one/sub/out.txt"), 9u);
  EXPECT_EQ(fs::file_size(results + "/outputs/a%2Fb/sub/other.txt"), 9u);
  EXPECT_TRUE(fs::exists(results + "/results.jsonl"));
  EXPECT_FALSE(fs::exists(results + "/results.jsonl.partial"));
  worker_->Drain();
}

TEST_F(NodeTest, RefusedSpecFailsEveryTaskForOneCause) {
  StartWorker(Embedded());
  const std::string batch_id = Submit(R"(
name: refused
defaults:
  agent: {name: a, model: no-such-model}
  prompt: x
tasks: [{name: a}, {name: b}, {name: c}, {name: d}]
)");
  EXPECT_EQ(WaitUntilDone(batch_id).counts().failed(), 4);
  absl::StatusOr<cli::Outcome> outcome =
      cli::WriteResults(*connection_, batch_id, folder_ / "results");
  ASSERT_OK(outcome);
  ASSERT_EQ(outcome->failures.size(), 1u);
  const auto& [cause, failures] = *outcome->failures.begin();
  EXPECT_EQ(cause.first, "spec");
  EXPECT_THAT(cause.second, HasSubstr("no-such-model"));
  EXPECT_EQ(failures.count, 4);
  EXPECT_THAT(failures.examples, ::testing::ElementsAre("a", "b", "c"));
  worker_->Drain();
}

TEST_F(NodeTest, DrainedWorkHandsOverToTheNextWorker) {
  const std::string batch_id = Submit(R"(
name: slow
defaults:
  agent: {name: a, model: runbook, tools: [{type: agent_toolset_20260401}]}
  prompt: "```sh\nsleep 2\n```"
  max_cost: $0.10
tasks: [{name: a}, {name: b}]
)");
  StartWorker(Embedded());
  // Both are on before the worker is drained.
  cli::BatchWatch watch(*connection_, RealClock(), batch_id,
                        cli::BatchWatch::kFromNow);
  while (true) {
    auto message = watch.Next(absl::Seconds(1));
    ASSERT_OK(message);
    if (*message && (*message)->batch().counts().running() == 2) break;
  }
  worker_->Drain();
  worker_.reset();
  StartWorker(Embedded());
  const v1::Batch batch = WaitUntilDone(batch_id);
  EXPECT_EQ(batch.counts().succeeded(), 2);
  v1::ListTasksRequest filter;
  filter.set_batch_id(batch_id);
  ASSERT_OK(connection_->ForEachTask(filter, [](const v1::Task& task) {
    EXPECT_EQ(task.attempts(), 1) << task.reason();
    return absl::OkStatus();
  }));
  worker_->Drain();
}

TEST_F(NodeTest, AccountCheckTellsWhatIsWrong) {
  EXPECT_OK(CheckAccount(account()));
  EXPECT_THAT(CheckAccount({harness_->base_url(), "wrong"}),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       HasSubstr("refuses the key")));
  EXPECT_THAT(
      CheckAccount({harness_->base_url() + "/elsewhere", harness_->api_key()}),
      StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(CheckAccount({"http://127.0.0.1:1", "key"}),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("cannot reach http://127.0.0.1:1")));
}

TEST_F(NodeTest, WorkerNodeRefusesContradictions) {
  EXPECT_THAT(WorkerNode::Start({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  WorkerNodeOptions both = Embedded();
  both.scheduler_address = "127.0.0.1:1";
  EXPECT_THAT(WorkerNode::Start(both),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(WorkerNode::Start(Embedded()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("at least one account")));
}

}  // namespace
}  // namespace midwatch
