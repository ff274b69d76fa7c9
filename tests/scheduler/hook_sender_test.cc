// Hooks on their way: a scheduler on a real store, and a server that answers as
// it is told.
#include "scheduler/hook_sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "scheduler/hook_message.h"
#include "scheduler/hook_rules.h"
#include "scheduler/scheduler.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

constexpr char kKey[] = "0123456789abcdef01234567";
constexpr char kUrl[] = "https://example.com/hook";

// Answers with `answers` in turn, then with 200; each after `takes`.
class HookServer final : public HttpTransport {
 public:
  explicit HookServer(Executor& executor) : executor_(executor) {}

  Async<absl::StatusOr<HttpResponse>> Fetch(HttpRequest request) override {
    asked.push_back(request);
    ++under_way;
    most_under_way = std::max(most_under_way, under_way);
    HttpResponse response;
    response.status = 200;
    if (!answers.empty()) {
      response.status = answers.front();
      answers.erase(answers.begin());
    }
    if (takes > absl::ZeroDuration()) co_await Sleep(executor_, takes);
    --under_way;
    if (response.status == 0) co_return absl::UnavailableError("cut off");
    co_return response;
  }
  Async<absl::StatusOr<HttpResponse>> Download(HttpRequest,
                                               std::string) override {
    co_return absl::UnimplementedError("no downloads here");
  }
  Async<absl::StatusOr<std::unique_ptr<HttpStream>>> OpenStream(
      HttpRequest) override {
    co_return absl::UnimplementedError("no streams here");
  }

  std::vector<HttpRequest> asked;
  std::vector<int> answers;  // 0: none
  absl::Duration takes;
  int under_way = 0, most_under_way = 0;

 private:
  Executor& executor_;
};

class HookSenderTest : public testing::StoreFixture {
 protected:
  HookSenderTest() { StartScheduler(); }
  ~HookSenderTest() override { CrashScheduler(); }

  void StartScheduler(bool sends = true) {
    server_ = std::make_unique<HookServer>(*executor_);
    SchedulerOptions options;
    options.hooks.keys = {{"default", kKey}, {"other", kKey}};
    if (sends) options.hooks.transport = server_.get();
    scheduler_ = std::make_unique<Scheduler>(*executor_, clock_, random_,
                                             *store_, std::move(options));
    scheduler_->Start([](absl::Status status) { EXPECT_OK(status); });
    time_.RunUntilIdle();
  }
  void CrashScheduler() {
    if (executor_ != nullptr) executor_->Stop();
    scheduler_.reset();
    Crash();
    server_.reset();
  }
  void RestartScheduler(bool sends = true) {
    CrashScheduler();
    Open();
    StartScheduler(sends);
  }

  absl::StatusOr<v1::SubmitBatchResponse> Step(
      const v1::SubmitBatchRequest& step) {
    absl::StatusOr<v1::SubmitBatchResponse> result =
        absl::InternalError("no answer");
    scheduler_->SubmitBatchStep(step,
                                [&](absl::StatusOr<v1::SubmitBatchResponse> r) {
                                  result = std::move(r);
                                });
    time_.RunUntilIdle();
    return result;
  }
  static v1::SubmitBatchRequest Opened(const std::string& name,
                                       const std::string& url) {
    v1::SubmitBatchRequest step;
    step.set_request_id(name);
    step.mutable_open()->set_name(name);
    *step.mutable_open()->mutable_spec() = Spec();
    step.mutable_open()->mutable_on_finish()->set_url(url);
    return step;
  }
  // A batch without tasks, which is done as soon as it is sealed; its id.
  std::string Finish(const std::string& name, const std::string& url = kUrl) {
    auto opened = Step(Opened(name, url));
    EXPECT_OK(opened);
    v1::SubmitBatchRequest seal;
    seal.set_request_id(name);
    seal.mutable_seal();
    EXPECT_OK(Step(seal));
    // Its timer is due now.
    time_.Advance(absl::ZeroDuration());
    return opened.ok() ? opened->batch_id() : "";
  }
  v1::HookDelivery HookOf(const std::string& batch_id) {
    v1::GetBatchRequest request;
    request.set_batch_id(batch_id);
    v1::HookDelivery hook;
    scheduler_->GetBatch(request, [&](absl::StatusOr<v1::GetBatchResponse> r) {
      ASSERT_OK(r);
      ASSERT_THAT(r->batch().hooks(), SizeIs(1));
      hook = r->batch().hooks(0);
    });
    time_.RunUntilIdle();
    return hook;
  }
  static std::string Header(const HttpRequest& request, const char* name) {
    return std::string(HeaderValue(request.headers, name));
  }

  std::unique_ptr<HookServer> server_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(HookSenderTest, SaysItOnceAndSigned) {
  const std::string batch = Finish("b");
  ASSERT_THAT(server_->asked, SizeIs(1));
  const HttpRequest& request = server_->asked[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, kUrl);
  const std::string id = Header(request, "webhook-id");
  EXPECT_EQ(id, absl::StrCat("msg_", batch, "_finish"));
  const int64_t now = absl::ToUnixSeconds(clock_.Now());
  EXPECT_EQ(Header(request, "webhook-timestamp"), absl::StrCat(now));
  const std::string& body = request.body.at(0).bytes;
  EXPECT_EQ(Header(request, "webhook-signature"),
            SignHook(kKey, id, now, body));
  EXPECT_THAT(body, HasSubstr(absl::StrCat("\"batch_id\":\"", batch, "\"")));

  EXPECT_EQ(HookOf(batch).state(), v1::HOOK_STATE_DELIVERED);
  EXPECT_EQ(HookOf(batch).tries(), 1);
  time_.Advance(absl::Hours(48));
  RestartScheduler();
  time_.Advance(absl::Hours(48));
  EXPECT_THAT(server_->asked, IsEmpty());
}

TEST_F(HookSenderTest, SaysTheSameUntilItIsTaken) {
  server_->answers = {500, 0, 302};
  const std::string batch = Finish("b");
  EXPECT_EQ(HookOf(batch).state(), v1::HOOK_STATE_DUE);
  EXPECT_EQ(HookOf(batch).trouble(), "answered 500");
  time_.Advance(absl::Minutes(10));
  ASSERT_THAT(server_->asked, SizeIs(4));
  std::set<std::string> ids, bodies, signatures;
  for (const HttpRequest& request : server_->asked) {
    ids.insert(Header(request, "webhook-id"));
    bodies.insert(request.body.at(0).bytes);
    signatures.insert(Header(request, "webhook-signature"));
  }
  EXPECT_THAT(ids, SizeIs(1));
  EXPECT_THAT(bodies, SizeIs(1));
  EXPECT_THAT(signatures, SizeIs(4));  // each of its own time
  EXPECT_EQ(HookOf(batch).state(), v1::HOOK_STATE_DELIVERED);
  EXPECT_EQ(HookOf(batch).trouble(), "");
}

TEST_F(HookSenderTest, GivesUp) {
  server_->answers = std::vector<int>(kHookTriesMax + 5, 404);
  const std::string batch = Finish("b");
  time_.Advance(absl::Hours(15));
  EXPECT_EQ(HookOf(batch).state(), v1::HOOK_STATE_DUE);
  time_.Advance(absl::Hours(48));
  EXPECT_THAT(server_->asked, SizeIs(kHookTriesMax));
  EXPECT_EQ(HookOf(batch).state(), v1::HOOK_STATE_GIVEN_UP);
  EXPECT_EQ(HookOf(batch).trouble(), "answered 404");
}

// Killed while the request is on its way: nobody knows whether it was taken.
TEST_F(HookSenderTest, ADeathAmidATryRepeatsIt) {
  server_->takes = absl::Seconds(5);
  const std::string batch = Finish("b");
  ASSERT_THAT(server_->asked, SizeIs(1));
  const std::string id = Header(server_->asked[0], "webhook-id");
  RestartScheduler();
  ASSERT_THAT(server_->asked, SizeIs(1));
  EXPECT_EQ(Header(server_->asked[0], "webhook-id"), id);
  EXPECT_EQ(HookOf(batch).state(), v1::HOOK_STATE_DELIVERED);
}

TEST_F(HookSenderTest, WaitsForASchedulerThatSends) {
  RestartScheduler(/*sends=*/false);
  const std::string batch = Finish("b");
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(HookOf(batch).state(), v1::HOOK_STATE_DUE);
  EXPECT_EQ(HookOf(batch).tries(), 0);
  RestartScheduler();
  EXPECT_EQ(HookOf(batch).state(), v1::HOOK_STATE_DELIVERED);
}

// A server that takes its time holds up neither the queue nor others.
TEST_F(HookSenderTest, ASlowServerHoldsUpNobody) {
  server_->takes = absl::Seconds(10);
  for (int i = 0; i < 20; ++i) Finish(absl::StrCat("slow-", i));
  EXPECT_EQ(server_->under_way, HookSender::kHooksPerOrigin);
  Finish("other", "https://other.example.com/");
  EXPECT_EQ(server_->asked.back().url, "https://other.example.com/");
  time_.Advance(absl::Minutes(5));
  EXPECT_THAT(server_->asked, SizeIs(21));
  for (int i = 0; i < 20; ++i) {
    Finish(absl::StrCat("n-", i), absl::StrCat("https://h", i, ".example.com"));
  }
  EXPECT_EQ(server_->under_way, static_cast<int>(HookSender::kHooksAtOnce));
  time_.Advance(absl::Minutes(5));
  EXPECT_THAT(server_->asked, SizeIs(41));
}

TEST_F(HookSenderTest, RefusesWhatItCouldNotSend) {
  v1::SubmitBatchRequest open = Opened("b", kUrl);
  open.mutable_open()->mutable_on_finish()->set_secret("unknown");
  EXPECT_THAT(Step(open), StatusIs(absl::StatusCode::kInvalidArgument,
                                   HasSubstr("--hook-secrets")));
  EXPECT_THAT(Step(Opened("b", "http://example.com/")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("open.on_finish.url")));
  EXPECT_THAT(
      Step(Opened("b", "gopher://example.com/")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("on_finish.url")));
  EXPECT_OK(Step(Opened("b", "http://127.0.0.1:1/")));
}

}  // namespace
}  // namespace midwatch
