// Tasks that wait for a person, and what becomes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/wait_policy.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::StoreTest;

// The lane that a failed chunk had made was remembered, and its tasks stood in

// a lane that does not exist.

// The call was repeated, and the first one came once all was over.

v1::Question Question(const std::string& id, bool wants_result = false) {
  v1::Question question;
  question.set_question_id(id);
  question.set_tool("bash");
  question.set_wants_result(wants_result);
  return question;
}

Park ParkFor(const LeaseKey& lease, std::vector<v1::Question> questions) {
  return {lease, std::move(questions), SpecWaitPolicy()};
}

// A batch was read as done whose last changes had not been read.

TEST_P(StoreTest, AParkedTaskIsHeldByNobodyUntilAllIsAnswered) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  auto parked =
      Apply(ParkFor(grant.lease, {Question("a"), Question("b", true)}));
  ASSERT_OK(parked);
  EXPECT_TRUE(parked->parked);
  EXPECT_OK(Apply(HandBack{grant.lease}));
  EXPECT_THAT(Apply(ParkFor(grant.lease, {Question("a")})),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(AdmitTo(worker, 1), IsEmpty());
  TaskRecord task = Task(grant.task);
  EXPECT_EQ(task.state, v1::TASK_STATE_WAITING);
  EXPECT_EQ(task.reserved, 1'000'000);
  EXPECT_EQ(task.answer_by, clock_.Now() + absl::Hours(12));
  EXPECT_THAT(task.questions, SizeIs(2));
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_WAITING], 1);

  Restart();
  AnswerTask answer{grant.task, "", v1::SAY_KIND_ALLOW, ""};
  EXPECT_THAT(Apply(answer), StatusIs(absl::StatusCode::kFailedPrecondition));
  answer.question = "b";
  EXPECT_THAT(Apply(answer), StatusIs(absl::StatusCode::kFailedPrecondition));
  answer.question = "a";
  EXPECT_EQ(Apply(answer)->state, v1::TASK_STATE_WAITING);
  EXPECT_EQ(Apply(answer)->state, v1::TASK_STATE_WAITING);
  EXPECT_THAT(AdmitTo(worker, 1), IsEmpty());
  time_.Advance(absl::Hours(1));
  AnswerTask broken{grant.task, "b", v1::SAY_KIND_DENY, "no such tool"};
  EXPECT_EQ(Apply(broken)->state, v1::TASK_STATE_RUNNING);
  EXPECT_EQ(Apply(broken)->state, v1::TASK_STATE_RUNNING);
  answer.kind = v1::SAY_KIND_DENY;
  EXPECT_THAT(Apply(answer), StatusIs(absl::StatusCode::kFailedPrecondition));
  GrantRecord again = AdmitTo(worker, 1).at(0);
  EXPECT_EQ(again.parked, absl::Hours(1));
  EXPECT_EQ(again.budget, grant.budget);
  ASSERT_THAT(again.outbox, SizeIs(2));
  EXPECT_EQ(again.outbox[0].kind(), v1::SAY_KIND_ALLOW);
  EXPECT_EQ(again.outbox[1].kind(), v1::SAY_KIND_ERROR);
  EXPECT_EQ(again.outbox[1].text(), "no such tool");
  // Asked again of what the outbox holds: nobody has to be.
  EXPECT_FALSE(Apply(ParkFor(again.lease, {Question("a")}))->parked);
  ASSERT_OK(SettleWith(again.lease, Success()));
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(StoreTest, AnUnansweredTaskIsGrantedAgainToBeSettled) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  ASSERT_OK(Apply(ParkFor(grant.lease, {Question("a")})));
  time_.Advance(absl::Hours(12) - absl::Seconds(1));
  EXPECT_EQ(Apply(FireTimers{})->fired, 0);
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(Apply(FireTimers{})->fired, 1);
  EXPECT_THAT(Apply(AnswerTask{grant.task, "", v1::SAY_KIND_ALLOW, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  GrantRecord again = AdmitTo(worker, 1).at(0);
  EXPECT_TRUE(again.unanswered);
  v1::Ending ending = Success(20'000);
  ending.set_stop_reason("requires_action");
  EXPECT_EQ(SettleWith(again.lease, ending)->state, v1::TASK_STATE_FAILED);
  EXPECT_EQ(Task(grant.task).charged, 20'000);
  EXPECT_EQ(Batch(batch).reserved, 0);
}

TEST_P(StoreTest, ACancelledParkedTaskIsGrantedAgainToBeEnded) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  ASSERT_OK(Apply(ParkFor(grant.lease, {Question("a")})));
  EXPECT_EQ(Apply(CancelTask{grant.task, ""})->state,
            v1::TASK_STATE_CANCELLING);
  GrantRecord again = AdmitTo(worker, 1).at(0);
  EXPECT_TRUE(again.cancelling);
  EXPECT_TRUE(Apply(ParkFor(again.lease, {Question("a")}))->cancelling);
  time_.Advance(absl::Hours(13));
  EXPECT_EQ(Apply(FireTimers{})->fired, 0);
  ASSERT_OK(SettleWith(again.lease, Success()));
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_CANCELLED], 1);
}

// Its questions were left behind, and an answer to one of them ended the
// process.
TEST_P(StoreTest, ATaskThatWasCancelledWhileItWaitedAsksNothing) {
  SubmitBatch(1);
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  ASSERT_OK(Apply(ParkFor(grant.lease, {Question("a")})));  // no session yet
  EXPECT_EQ(Apply(CancelTask{grant.task, ""})->state, v1::TASK_STATE_CANCELLED);
  EXPECT_THAT(Apply(AnswerTask{grant.task, "a", v1::SAY_KIND_ALLOW, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  time_.Advance(absl::Hours(12));
  EXPECT_EQ(Apply(FireTimers{})->fired, 0);
}

TEST_P(StoreTest, AParkedTaskLeavesItsPlaceUnderTheBatchCap) {
  SubmitBatch(3, /*max_running=*/1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  ASSERT_OK(Apply(ParkFor(grant.lease, {Question("a")})));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  // Answered, it goes on beside the one that took its place.
  ASSERT_OK(Apply(AnswerTask{grant.task, "a", v1::SAY_KIND_ALLOW, ""}));
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(grants[0].lease.task, grant.lease.task);
}

TEST_P(StoreTest, ARaiseIsReservedBeforeTheSessionHearsOfIt) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  v1::Question question;
  question.set_question_id("idle-1");
  question.set_spent_usd_micros(grant.budget);
  ASSERT_OK(Apply(ParkFor(grant.lease, {question})));
  const int64_t to = grant.budget + 50'000;
  AnswerTask raise{grant.task, "", v1::SAY_KIND_BUDGET,
                   absl::StrCat(grant.budget + 9'999)};
  EXPECT_THAT(Apply(raise), StatusIs(absl::StatusCode::kFailedPrecondition));
  raise.text = absl::StrCat(to);
  ASSERT_OK(Apply(raise));
  raise.question = "idle-1";
  EXPECT_OK(Apply(raise));  // again
  EXPECT_EQ(Batch(batch).reserved, to);
  EXPECT_EQ(Task(grant.task).max_cost, to);
  std::vector<GrantRecord> grants = AdmitTo(worker, 1);
  ASSERT_THAT(grants, SizeIs(1));
  const GrantRecord& again = grants[0];
  EXPECT_EQ(again.budget, to);
  ASSERT_EQ(again.outbox.size(), 1U);
  EXPECT_EQ(again.outbox[0].kind(), v1::SAY_KIND_BUDGET);
  EXPECT_EQ(again.outbox[0].key(), "idle-1");
}

TEST_P(StoreTest, ThePolicyOfTheSpecAnswersPermissions) {
  v1::TaskSpec spec;
  EXPECT_EQ(AnswerOf(spec, Question("a")), v1::SAY_KIND_UNSPECIFIED);
  spec.set_answers(v1::ANSWER_POLICY_ALLOW);
  EXPECT_EQ(AnswerOf(spec, Question("a")), v1::SAY_KIND_ALLOW);
  EXPECT_EQ(AnswerOf(spec, Question("a", true)), v1::SAY_KIND_UNSPECIFIED);
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  Park park = ParkFor(grant.lease, {Question("a")});
  park.policy.answer = [](const v1::TaskSpec&, const v1::Question&) {
    return v1::SAY_KIND_DENY;
  };
  auto answered = Apply(park);
  ASSERT_OK(answered);
  EXPECT_FALSE(answered->parked);
  ASSERT_THAT(answered->answers, SizeIs(1));
  EXPECT_EQ(answered->answers[0].key(), "a");
  EXPECT_EQ(Task(grant.task).state, v1::TASK_STATE_RUNNING);
}

}  // namespace
}  // namespace midwatch
