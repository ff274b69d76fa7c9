// What the command line's clients do when the connection breaks, against a
// service that breaks it at will.
#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/real_clock.h"
#include "cli/batch_file.h"
#include "cli/batch_watch.h"
#include "cli/commands.h"
#include "cli/export.h"
#include "cli/json_views.h"
#include "cli/scheduler_connection.h"
#include "cli/submit.h"
#include "midwatch/v1/artifact_service.grpc.pb.h"
#include "midwatch/v1/batch_service.grpc.pb.h"
#include "midwatch/v1/task_service.grpc.pb.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "worker/grpc_scheduler_client.h"

namespace midwatch::cli {
namespace {

using ::midwatch::testing::StatusIs;
using ::testing::ElementsAre;

constexpr int kNever = 1 << 30;

// Takes lines, and ends a stream with `error` before it answers its n-th
// message, once.
class FakeBatchService final : public v1::BatchService::Service {
 public:
  int fail_at_message = kNever;
  grpc::StatusCode error = grpc::StatusCode::UNAVAILABLE;
  std::vector<v1::Batch> batches;
  bool more = false;  // lists have a second page

  // What came, in order: "open", "lines 0+2", "seal 3".
  std::vector<std::string> steps() {
    MutexLock lock(mutex_);
    return steps_;
  }
  // Of the lines that were new.
  std::vector<std::string> names() {
    MutexLock lock(mutex_);
    return names_;
  }
  std::vector<std::string> request_ids() {
    MutexLock lock(mutex_);
    return request_ids_;
  }
  // How many batches were asked for at a time.
  std::vector<int> pages() {
    MutexLock lock(mutex_);
    return pages_;
  }
  std::vector<int64_t> watched_from() {
    MutexLock lock(mutex_);
    return watched_from_;
  }

  grpc::Status ListBatches(grpc::ServerContext*,
                           const v1::ListBatchesRequest* request,
                           v1::ListBatchesResponse* response) override {
    MutexLock lock(mutex_);
    pages_.push_back(request->page_size());
    for (const v1::Batch& batch : batches) {
      if (batch.name() == request->name()) *response->add_batches() = batch;
    }
    // One page follows the first.
    if (request->page_token().empty() && more) {
      response->set_next_page_token("more");
    }
    return grpc::Status::OK;
  }

  grpc::Status SubmitBatch(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::SubmitBatchResponse, v1::SubmitBatchRequest>*
          stream) override {
    v1::SubmitBatchRequest request;
    while (stream->Read(&request)) {
      v1::SubmitBatchResponse response;
      {
        MutexLock lock(mutex_);
        Take(request);
        if (static_cast<int>(steps_.size()) == fail_at_message) {
          return {error, "broken"};
        }
        response.set_batch_id("batch");
        response.set_accepted_lines(accepted_);
      }
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

  // Sends one change a stream and breaks it; the third stream ends well.
  grpc::Status WatchBatch(
      grpc::ServerContext*, const v1::WatchBatchRequest* request,
      grpc::ServerWriter<v1::WatchBatchResponse>* writer) override {
    size_t streams;
    {
      MutexLock lock(mutex_);
      watched_from_.push_back(request->resume_token());
      streams = watched_from_.size();
    }
    if (streams == 3) return grpc::Status::OK;
    v1::WatchBatchResponse message;
    message.set_resume_token(request->resume_token() + 10);
    writer->Write(message);
    return {error, "broken"};
  }

 private:
  void Take(const v1::SubmitBatchRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    request_ids_.push_back(request.request_id());
    if (request.has_open()) {
      steps_.push_back("open");
    } else if (request.has_chunk()) {
      steps_.push_back(absl::StrCat("lines ", request.chunk().first_line(), "+",
                                    request.chunk().lines_size()));
      for (int64_t i = accepted_ - request.chunk().first_line();
           i < request.chunk().lines_size(); ++i) {
        names_.push_back(request.chunk().lines(static_cast<int>(i)).name());
      }
      accepted_ =
          std::max<int64_t>(accepted_, request.chunk().first_line() +
                                           request.chunk().lines_size());
    } else {
      steps_.push_back(absl::StrCat("seal ", request.seal().lines()));
    }
  }

  Mutex mutex_;
  int64_t accepted_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> steps_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> names_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> request_ids_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> pages_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> watched_from_ ABSL_GUARDED_BY(mutex_);
};

// Takes retries, and loses the answers to the first `lost` of them.
class FakeTaskService final : public v1::TaskService::Service {
 public:
  int lost = 0;
  std::vector<std::string> request_ids;
  std::vector<int> pages;  // how many tasks were asked for at a time

  std::vector<v1::Task> listed;

  grpc::Status ListTasks(grpc::ServerContext*,
                         const v1::ListTasksRequest* request,
                         v1::ListTasksResponse* response) override {
    pages.push_back(request->page_size());
    for (const v1::Task& task : listed) *response->add_tasks() = task;
    return grpc::Status::OK;
  }

  grpc::Status RetryTask(grpc::ServerContext*,
                         const v1::RetryTaskRequest* request,
                         v1::RetryTaskResponse* response) override {
    request_ids.push_back(request->request_id());
    if (--lost >= 0) return {grpc::StatusCode::UNAVAILABLE, "broken"};
    response->set_task_id("another");
    return grpc::Status::OK;
  }
};

class LostConnectionTest : public ::testing::Test {
 protected:
  LostConnectionTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&service_);
    builder.RegisterService(&tasks_);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
    connection_ =
        std::make_unique<SchedulerConnection>(MakeSchedulerChannel(address_));
    file_.open.set_name("n");
    file_.open.set_content_sha256("hash");
    file_.open.set_account("default");
  }

  void AddLines(int count) {
    for (int i = 0; i < count; ++i) {
      file_.lines.emplace_back().set_name(absl::StrCat(i));
    }
  }
  absl::StatusOr<Submitted> Submit(bool always_new = false) {
    return SubmitBatch(*connection_, file_, {.always_new = always_new},
                       [] { return false; });
  }

  FakeBatchService service_;
  FakeTaskService tasks_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::unique_ptr<SchedulerConnection> connection_;
  BatchFile file_;
};

TEST_F(LostConnectionTest, SubmitsInChunks) {
  AddLines(2500);
  ASSERT_OK(Submit());
  EXPECT_THAT(service_.steps(),
              ElementsAre("open", "lines 0+1000", "lines 1000+1000",
                          "lines 2000+500", "seal 2500"));
}

TEST_F(LostConnectionTest, LargeLinesMakeSmallChunks) {
  AddLines(3);
  for (v1::TaskLine& line : file_.lines) {
    (*line.mutable_parameters())["p"] = std::string(3 << 20, 'x');
  }
  ASSERT_OK(Submit());
  EXPECT_THAT(service_.steps(), ElementsAre("open", "lines 0+1", "lines 1+1",
                                            "lines 2+1", "seal 3"));
}

TEST_F(LostConnectionTest, SubmitGoesOnFromTheLastAcknowledgedLine) {
  AddLines(2500);
  service_.fail_at_message = 3;
  absl::StatusOr<Submitted> submitted = Submit();
  ASSERT_OK(submitted);
  EXPECT_EQ(submitted->batch_id, "batch");
  // The second chunk was taken, and its answer lost.
  EXPECT_THAT(service_.steps(),
              ElementsAre("open", "lines 0+1000", "lines 1000+1000", "open",
                          "lines 2000+500", "seal 2500"));
  EXPECT_THAT(service_.request_ids(),
              ::testing::Each(service_.request_ids()[0]));
}

TEST_F(LostConnectionTest, AFileOfTasksGoesOnFromTheLastAcknowledgedLine) {
  testing::TempDir folder;
  std::string text =
      "{\"batch\":{\"name\":\"n\",\"defaults\":{\"agent\":\"a\","
      "\"prompt\":\"p\"}}}\n";
  for (int i = 0; i < 2500; ++i) absl::StrAppend(&text, "{\"name\":", i, "}\n");
  std::ofstream(folder / "b.jsonl") << text;
  absl::StatusOr<BatchFile> file = LoadBatchFile(folder / "b.jsonl", {});
  ASSERT_OK(file);
  file_ = *std::move(file);
  service_.fail_at_message = 3;
  ASSERT_OK(Submit());
  EXPECT_THAT(service_.steps(),
              ElementsAre("open", "lines 0+1000", "lines 1000+1000", "open",
                          "lines 2000+500", "seal 2500"));
  std::vector<std::string> names;
  for (int i = 0; i < 2500; ++i) names.push_back(absl::StrCat(i));
  EXPECT_EQ(service_.names(), names);
}

TEST_F(LostConnectionTest, RefusedSubmitIsNotRepeated) {
  AddLines(1);
  service_.fail_at_message = 1;
  service_.error = grpc::StatusCode::INVALID_ARGUMENT;
  EXPECT_THAT(Submit(), StatusIs(absl::StatusCode::kInvalidArgument, "broken"));
  EXPECT_EQ(service_.steps().size(), 1u);
}

TEST_F(LostConnectionTest, SubmitStopsWhenToldTo) {
  AddLines(2500);
  int asked = 0;
  EXPECT_THAT(
      SubmitBatch(*connection_, file_, {}, [&] { return ++asked == 2; }),
      StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(service_.steps(), ElementsAre("open", "lines 0+1000"));
}

TEST_F(LostConnectionTest, UnfinishedBatchOfEqualContentIsContinued) {
  AddLines(1);
  auto add = [&](const std::string& request_id, v1::BatchState state,
                 const std::string& content, const std::string& account) {
    v1::Batch& batch = service_.batches.emplace_back();
    batch.set_name("n");
    batch.set_request_id(request_id);
    batch.set_state(state);
    batch.set_content_sha256(content);
    batch.set_account(account);
  };
  add("done", v1::BATCH_STATE_DONE, "hash", "default");
  add("cancelled", v1::BATCH_STATE_CANCELLING, "hash", "default");
  add("other content", v1::BATCH_STATE_SEALED, "other", "default");
  add("other account", v1::BATCH_STATE_SEALED, "hash", "other");
  absl::StatusOr<Submitted> fresh = Submit();
  ASSERT_OK(fresh);
  EXPECT_FALSE(fresh->continued);

  add("this", v1::BATCH_STATE_OPEN, "hash", "default");
  absl::StatusOr<Submitted> continued = Submit();
  ASSERT_OK(continued);
  EXPECT_TRUE(continued->continued);
  EXPECT_EQ(service_.request_ids().back(), "this");

  absl::StatusOr<Submitted> forced = Submit(/*always_new=*/true);
  ASSERT_OK(forced);
  EXPECT_FALSE(forced->continued);
  EXPECT_NE(service_.request_ids().back(), "this");
}

TEST_F(LostConnectionTest, WhatARunHasBegunIsContinuedThoughItIsDone) {
  AddLines(1);
  v1::Batch& batch = service_.batches.emplace_back();
  batch.set_name("n");
  batch.set_request_id("begun");
  batch.set_state(v1::BATCH_STATE_DONE);
  batch.mutable_counts()->set_succeeded(1);
  std::string told;
  SubmitRules rules;
  rules.begun = "begun";
  rules.on_request_id = [&](const std::string& id) {
    told = id;
    return absl::OkStatus();
  };
  auto submit = [&] {
    return SubmitBatch(*connection_, file_, rules, [] { return false; });
  };
  ASSERT_OK(submit());
  EXPECT_EQ(told, "begun");
  EXPECT_EQ(service_.request_ids().back(), "begun");

  // Nobody wants what was cancelled.
  batch.mutable_counts()->set_cancelled(1);
  ASSERT_OK(submit());
  EXPECT_NE(told, "begun");
  EXPECT_EQ(service_.request_ids().back(), told);

  // One that was cancelled before its line was there has no cancelled task, and
  // takes no more lines.
  batch.clear_counts();
  ASSERT_OK(submit());
  EXPECT_NE(told, "begun");

  batch.mutable_counts()->set_succeeded(1);
  rules.always_new = true;
  ASSERT_OK(submit());
  EXPECT_NE(told, "begun");
}

TEST_F(LostConnectionTest, ARetryWhoseAnswerIsLostMakesNoSecondTask) {
  tasks_.lost = 2;
  absl::StatusOr<v1::RetryTaskResponse> retried =
      connection_->RetryTask("task", "once");
  ASSERT_OK(retried);
  EXPECT_EQ(retried->task_id(), "another");
  EXPECT_THAT(tasks_.request_ids, ElementsAre("once", "once", "once"));
}

// A folder that is not here was once taken for a file that is not there.
TEST_F(LostConnectionTest, AFileThatCannotBeMadeIsNoneThatIsLost) {
  testing::TempDir folder;
  EXPECT_THAT(connection_->Download(std::string(64, 'a'), folder / "gone/x"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       ::testing::HasSubstr("gone/x: No such file")));
}

// They were in the order of the alphabet.
TEST_F(LostConnectionTest, FailuresAreInTheOrderOfTheirFirstTasks) {
  auto fail = [&](const char* name, v1::FailureClass why, const char* reason) {
    v1::Task& task = tasks_.listed.emplace_back();
    task.set_name(name);
    task.set_state(v1::TASK_STATE_FAILED);
    task.set_failure_class(why);
    task.set_reason(reason);
  };
  fail("1", v1::FAILURE_CLASS_TASK, "z");
  fail("2", v1::FAILURE_CLASS_SPEC, "s");
  fail("3", v1::FAILURE_CLASS_TASK, "a");
  fail("4", v1::FAILURE_CLASS_TASK, "z");
  absl::StatusOr<Outcome> outcome = FindFailures(*connection_, "batch");
  ASSERT_OK(outcome);
  std::vector<std::string> told;
  for (const Json& each : ToJson(*outcome)) {
    told.push_back(absl::StrCat(each["reason"].get<std::string>(), " ",
                                each["examples"].dump()));
  }
  EXPECT_THAT(told, ElementsAre("z [\"1\",\"4\"]", "s [\"2\"]", "a [\"3\"]"));
}

// `batch list --limit 3` once read a thousand.
TEST_F(LostConnectionTest, AListAsksForWhatIsWanted) {
  GlobalOptions global;
  global.server = address_;
  ASSERT_EQ(BatchList(global, {.limit = 3}), 0);
  EXPECT_THAT(service_.pages(), ElementsAre(3));
  ASSERT_EQ(BatchList(global, {.limit = 5000}), 0);
  EXPECT_THAT(service_.pages(), ElementsAre(3, 1000));
  ASSERT_EQ(TaskList(global, {.limit = 3}), 0);
  EXPECT_THAT(tasks_.pages, ElementsAre(4));
}

// What the words for states leave out is read in whole pages.
TEST_F(LostConnectionTest, AListThatLeavesSomethingOutGoesOnInWholePages) {
  service_.more = true;
  GlobalOptions global;
  global.server = address_;
  ASSERT_EQ(BatchList(global, {.states = {"paused"}, .limit = 3}), 0);
  EXPECT_THAT(service_.pages(), ElementsAre(3, 1000));
}

TEST_F(LostConnectionTest, WatchResumesAfterWhatItSaw) {
  BatchWatch watch(*connection_, RealClock(), "batch", BatchWatch::kFromNow);
  std::vector<int64_t> tokens;
  while (!watch.ended()) {
    auto message = watch.Next(absl::Seconds(5));
    ASSERT_OK(message);
    if (*message) tokens.push_back((*message)->resume_token());
  }
  EXPECT_THAT(tokens, ElementsAre(10, 20));
  EXPECT_THAT(service_.watched_from(), ElementsAre(0, 10, 20));
}

TEST_F(LostConnectionTest, WatchOfAnUnknownBatchEnds) {
  service_.error = grpc::StatusCode::NOT_FOUND;
  BatchWatch watch(*connection_, RealClock(), "batch", BatchWatch::kFromNow);
  ASSERT_OK(watch.Next(absl::Seconds(5)));
  EXPECT_THAT(watch.Next(absl::Seconds(5)),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace midwatch::cli
