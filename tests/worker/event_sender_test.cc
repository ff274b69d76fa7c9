// Which events go together, and who hears what of it.
#include "worker/event_sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/testing/fake_executor.h"
#include "tests/testing/fake_scheduler.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::testing {
namespace {

class EventSenderTest : public ::testing::Test {
 protected:
  EventSenderTest() {
    scheduler_.on_call = [this](const std::string&) {
      ++calls_;
      return fault_;
    };
  }
  ~EventSenderTest() override { node_.Stop(); }

  // A task that is held.
  std::string Held() {
    std::string id = scheduler_.Add(v1::TaskSpec());
    FakeTask& task = scheduler_.task(id);
    task.worker = 1;
    task.lease.mutable_token()->set_worker_id(1);
    return id;
  }
  void Send(const std::string& task, std::string event, int64_t first = 0) {
    v1::AttemptEvents events;
    *events.mutable_token() = scheduler_.task(task).lease.token();
    events.set_first_sequence(first);
    events.add_events_json(std::move(event));
    Spawn(node_, Deliver(*this, task, std::move(events)));
  }
  static Async<void> Deliver(EventSenderTest& self, std::string task,
                             v1::AttemptEvents events) {
    self.stored_[task] = co_await self.sender_->Send(std::move(events));
  }

  VirtualTime time_;
  FakeClock clock_{time_};
  FakeExecutor node_{time_};
  FakeScheduler scheduler_{clock_};
  FakeSchedulerClient client_{scheduler_, node_, absl::Milliseconds(10)};
  std::shared_ptr<EventSender> sender_ =
      std::make_shared<EventSender>(node_, client_);
  FakeCallFault fault_;
  int calls_ = 0;
  std::map<std::string, absl::StatusOr<int64_t>> stored_;
};

TEST_F(EventSenderTest, WhatComesDuringACallGoesWithTheNextOne) {
  std::vector<std::string> tasks;
  for (int i = 0; i < 100; ++i) tasks.push_back(Held());
  Send(tasks[0], "{}");
  time_.Advance(absl::Milliseconds(5));  // its call is under way
  for (int i = 1; i < 100; ++i) Send(tasks[static_cast<size_t>(i)], "{}");
  time_.Advance(absl::Milliseconds(16));
  EXPECT_EQ(stored_.size(), 1u);
  time_.Advance(absl::Milliseconds(20));
  EXPECT_EQ(calls_, 2);
  ASSERT_EQ(stored_.size(), 100u);
  for (const auto& [task, stored] : stored_)
    EXPECT_EQ(stored.value_or(-1), 1) << task;
}

TEST_F(EventSenderTest, ACallHoldsNoMoreThanItsBounds) {
  std::vector<std::string> tasks;
  for (int i = 0; i < EventSender::kAttemptsMax + 2; ++i) {
    tasks.push_back(Held());
  }
  Send(tasks[0], std::string(EventSender::kCallBytes, 'x'));
  for (size_t i = 1; i < tasks.size(); ++i) Send(tasks[i], "{}");
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(stored_.size(), tasks.size());
  EXPECT_EQ(calls_, 3);  // the large one, a full one, and what is left
}

// A large event took those of others beyond what a call may hold, and they
// failed with it.
TEST_F(EventSenderTest, WhatIsLargeGoesAlone) {
  std::string first = Held(), small = Held(), large = Held(), after = Held(),
              huge = Held();
  Send(first, "{}");
  time_.Advance(absl::Milliseconds(5));
  Send(small, "{}");
  Send(large, std::string(EventSender::kCallBytes + 1, 'x'));
  Send(after, "{}");
  Send(huge, std::string(EventSender::kAttemptBytesMax + 1, 'x'));
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(calls_, 4);
  for (const std::string& task : {first, small, large, after}) {
    EXPECT_EQ(stored_[task].value_or(-1), 1) << task;
  }
  EXPECT_THAT(stored_[huge], StatusIs(absl::StatusCode::kInvalidArgument));
}

// One attempt's lost lease failed what others had to store.
TEST_F(EventSenderTest, EachHearsOfItsOwn) {
  std::string first = Held(), lost = Held(), gap = Held(), good = Held();
  Send(first, "{}");
  time_.Advance(absl::Milliseconds(1));
  Send(lost, "{}");
  Send(gap, "{}", 7);
  Send(good, "{}");
  scheduler_.task(lost).worker = 2;
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(calls_, 2);
  EXPECT_THAT(stored_[lost], StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(stored_[gap], StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(stored_[good].value_or(-1), 1);
}

TEST_F(EventSenderTest, ACallThatFailsFailsForAllThatItHeldAndNoOther) {
  std::string task = Held(), other = Held();
  fault_.after = absl::UnavailableError("gone");
  Send(task, "{}");
  time_.Advance(absl::Milliseconds(1));
  Send(other, "{}");
  time_.Advance(absl::Milliseconds(18));
  fault_.after = absl::OkStatus();
  time_.Advance(absl::Seconds(1));
  EXPECT_THAT(stored_[task], StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(stored_[other].value_or(-1), 1);
  Send(task, "{}");  // again, as its attempt does
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(stored_[task].value_or(-1), 1);
}

}  // namespace
}  // namespace midwatch::testing
