// The terms of workers and who is told what, as stories on virtual time.
#include "scheduler/lease_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/faulty_store.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using testing::FaultyStore;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

constexpr char kFirst[] = "worker-incarnation-1";
constexpr char kSecond[] = "worker-incarnation-2";

// A worker's end of its lease stream.
struct Stream final : StreamSink<v1::StreamLeasesResponse> {
  explicit Stream(Executor& on) : executor(on) {}
  void Send(v1::StreamLeasesResponse message,
            absl::AnyInvocable<void()> written) override {
    EXPECT_FALSE(end.has_value()) << "sent after its end";
    if (message.has_grant()) grants.push_back(message.grant());
    if (message.has_revoke()) revoked.push_back(message.revoke());
    if (message.has_say()) said.push_back(message.say());
    executor.Post(std::move(written));
  }
  void Finish(absl::Status status) override {
    EXPECT_FALSE(end.has_value()) << "ended twice";
    end = std::move(status);
  }

  Executor& executor;
  std::vector<v1::Lease> grants;
  std::vector<v1::LeaseToken> revoked;
  std::vector<v1::SayNotice> said;
  std::optional<absl::Status> end;
};

class LeaseBookTest : public testing::StoreFixture {
 protected:
  LeaseBookTest() { OpenBook(); }
  ~LeaseBookTest() override { CrashBook(); }

  void OpenBook(LeaseBookOptions options = {}) {
    faulty_ = std::make_unique<FaultyStore>(*executor_, *store_);
    book_ = std::make_unique<LeaseBook>(*executor_, *faulty_, rates_, options);
    auto live = Read<std::vector<LiveRecord>>(
        [](StoreReader& reader) { return reader.ListLive(); });
    book_->Load(*live);
  }
  void CrashBook() {
    executor_->Stop();
    book_.reset();
    faulty_.reset();
  }
  void RestartScheduler(LeaseBookOptions options = {}) {
    CrashBook();
    Restart();
    OpenBook(options);
  }

  int64_t RegisterWorker(const char* incarnation, int capacity = 10) {
    v1::RegisterWorkerRequest request;
    request.set_incarnation(incarnation);
    request.add_accounts("default");
    request.set_capacity(capacity);
    int64_t worker = 0;
    book_->RegisterWorker(
        request, [&](absl::StatusOr<v1::RegisterWorkerResponse> response) {
          EXPECT_OK(response);
          worker = response->worker_id();
        });
    time_.RunUntilIdle();
    return worker;
  }

  absl::Status Renew(int64_t worker) {
    v1::RenewWorkerRequest request;
    request.set_worker_id(worker);
    absl::Status status = absl::UnknownError("no answer");
    book_->RenewWorker(request,
                       [&](absl::StatusOr<v1::RenewWorkerResponse> response) {
                         status = response.status();
                       });
    time_.RunUntilIdle();
    return status;
  }

  std::shared_ptr<Stream> OpenStream(
      int64_t worker, const std::vector<v1::LeaseToken>& held = {}) {
    auto stream = std::make_shared<Stream>(*executor_);
    v1::StreamLeasesRequest request;
    request.set_worker_id(worker);
    for (const v1::LeaseToken& token : held) *request.add_held() = token;
    book_->StreamLeases(request, stream);
    time_.RunUntilIdle();
    return stream;
  }

  LeaseKey KeyOf(const v1::LeaseToken& token) {
    absl::StatusOr<RowKey> task =
        Ids(store_->cluster()).Parse("task_id", token.task_id());
    EXPECT_OK(task);
    return {token.worker_id(), task->row, token.attempt(), token.epoch()};
  }
  RowKey TaskOf(const v1::LeaseToken& token) {
    return *Ids(store_->cluster()).Parse("task_id", token.task_id());
  }

  void RecordSessionOf(const v1::LeaseToken& token) {
    ASSERT_OK(Apply(BeginCreate{KeyOf(token), "nonce-0123456789"}));
    ASSERT_OK(Apply(RecordSession{KeyOf(token), "nonce-0123456789", "sesn_1"}));
  }

  // As the scheduler does it.
  void Cancel(RowKey task) {
    auto result = Apply(CancelTask{task, "enough"});
    ASSERT_OK(result);
    book_->Deliver(result->notices);
    time_.RunUntilIdle();
  }

  template <typename W>
  void FailNext(int times) {
    faulty_->on_write = [times](const Write& write) mutable {
      if (!std::holds_alternative<W>(write) || times-- <= 0) {
        return absl::OkStatus();
      }
      return absl::ResourceExhaustedError("disk full");
    };
  }

  RateBook rates_{clock_};
  std::unique_ptr<FaultyStore> faulty_;
  std::unique_ptr<LeaseBook> book_;
};

// Terms -----------------------------------------------------------------------

TEST_F(LeaseBookTest, RegisteringAgainIsTheSameWorker) {
  int64_t worker = RegisterWorker(kFirst);
  EXPECT_EQ(RegisterWorker(kFirst), worker);
  EXPECT_NE(RegisterWorker(kSecond), worker);
}

TEST_F(LeaseBookTest, WhoRenewsKeepsItsTerm) {
  int64_t worker = RegisterWorker(kFirst);
  auto stream = OpenStream(worker);
  for (int i = 0; i < 5; ++i) {
    time_.Advance(absl::Seconds(29));
    EXPECT_OK(Renew(worker));
  }
  EXPECT_FALSE(stream->end.has_value());
}

TEST_F(LeaseBookTest, ALapseFreesTheTasksForOthers) {
  SubmitBatch(1);
  int64_t first = RegisterWorker(kFirst);
  auto lost = OpenStream(first);
  ASSERT_THAT(lost->grants, SizeIs(1));
  const v1::LeaseToken old = lost->grants[0].token();
  time_.Advance(absl::Seconds(29));
  auto stream = OpenStream(RegisterWorker(kSecond));
  EXPECT_THAT(stream->grants, IsEmpty());

  time_.Advance(absl::Seconds(2));
  ASSERT_TRUE(lost->end.has_value());
  EXPECT_THAT(*lost->end, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Renew(first), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(stream->grants, SizeIs(1));
  EXPECT_GT(stream->grants[0].token().epoch(), old.epoch());
  EXPECT_EQ(stream->grants[0].token().attempt(), old.attempt());
  EXPECT_THAT(book_->Find(old), StatusIs(absl::StatusCode::kAborted));
  EXPECT_OK(book_->Find(stream->grants[0].token()));
}

// A worker that was killed and started again filled its slots with new tasks
// before its old term was over, and its sessions ran on unheard until those had
// ended.
TEST_F(LeaseBookTest, SlotsAreKeptForWhatASilentWorkerHolds) {
  SubmitBatch(5);
  auto lost = OpenStream(RegisterWorker(kFirst, /*capacity=*/2));
  ASSERT_THAT(lost->grants, SizeIs(2));
  book_->LoseStream(lost.get());
  auto stream = OpenStream(RegisterWorker(kSecond, /*capacity=*/3));
  ASSERT_THAT(stream->grants, SizeIs(1));
  EXPECT_EQ(stream->grants[0].task_name(), "t2");
  time_.Advance(absl::Seconds(31));
  ASSERT_THAT(stream->grants, SizeIs(3));
  EXPECT_EQ(stream->grants[1].task_name(), "t0");
  EXPECT_EQ(stream->grants[2].task_name(), "t1");
}

TEST_F(LeaseBookTest, SlotsAreKeptAfterARestartToo) {
  SubmitBatch(5);
  auto lost = OpenStream(RegisterWorker(kFirst, /*capacity=*/2));
  ASSERT_THAT(lost->grants, SizeIs(2));
  RestartScheduler();
  auto stream = OpenStream(RegisterWorker(kSecond, /*capacity=*/3));
  ASSERT_THAT(stream->grants, SizeIs(1));
  // It was only away for a moment: its slots are its own again.
  auto back = OpenStream(RegisterWorker(kFirst, /*capacity=*/2),
                         {lost->grants[0].token(), lost->grants[1].token()});
  EXPECT_THAT(back->revoked, IsEmpty());
  time_.RunUntilIdle();
  EXPECT_THAT(stream->grants, SizeIs(3));
}

TEST_F(LeaseBookTest, ALapsedWorkersTasksAreFreedThoughTheDiskWasFull) {
  SubmitBatch(1);
  OpenStream(RegisterWorker(kFirst));
  time_.Advance(absl::Seconds(29));
  auto stream = OpenStream(RegisterWorker(kSecond));
  FailNext<FreeLeases>(3);
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(stream->grants, IsEmpty());
  time_.Advance(absl::Seconds(3));
  EXPECT_THAT(stream->grants, SizeIs(1));
}

TEST_F(LeaseBookTest,
       AWorkerThatComesBackWhileItsTasksAreFreedIsNotOverfilled) {
  SubmitBatch(3);
  int64_t worker = RegisterWorker(kFirst, /*capacity=*/1);
  ASSERT_THAT(OpenStream(worker)->grants, SizeIs(1));
  FailNext<FreeLeases>(1);
  time_.Advance(absl::Milliseconds(30'500));  // lapsed, and not freed yet
  ASSERT_EQ(RegisterWorker(kFirst, 1), worker);
  time_.Advance(absl::Seconds(1));
  EXPECT_THAT(OpenStream(worker)->grants, SizeIs(1));
}

// `midwatch run`, killed and run again, waited for the term of a worker that
// had died with it.
TEST_F(LeaseBookTest, WorkersThatDiedWithTheSchedulerHoldNothing) {
  SubmitBatch(2);
  v1::LeaseToken held =
      OpenStream(RegisterWorker(kFirst, 2))->grants.at(0).token();
  LeaseBookOptions options;
  options.workers_died_too = true;
  RestartScheduler(options);
  time_.RunUntilIdle();
  EXPECT_THAT(book_->Find(held), StatusIs(absl::StatusCode::kAborted));
  // Taken up by the next one at once.
  auto stream = OpenStream(RegisterWorker(kSecond, 2));
  ASSERT_EQ(stream->grants.size(), 2u);
  EXPECT_EQ(stream->grants[0].token().attempt(), 1);
}

TEST_F(LeaseBookTest, ARestartGivesEveryWorkerAFullTerm) {
  SubmitBatch(2);
  int64_t first = RegisterWorker(kFirst, 1);
  int64_t second = RegisterWorker(kSecond, 1);
  v1::LeaseToken held = OpenStream(first)->grants.at(0).token();
  v1::LeaseToken lost = OpenStream(second)->grants.at(0).token();
  time_.Advance(absl::Seconds(29));

  RestartScheduler();
  EXPECT_OK(book_->Find(held));
  EXPECT_OK(book_->Find(lost));
  // What it can do is not known before it registers.
  EXPECT_THAT(Renew(first), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_EQ(RegisterWorker(kFirst, 1), first);
  auto stream = OpenStream(first, {held});
  EXPECT_THAT(stream->revoked, IsEmpty());
  EXPECT_THAT(stream->grants, IsEmpty());  // its only slot is in use

  time_.Advance(absl::Seconds(29));
  EXPECT_OK(Renew(first));
  EXPECT_OK(book_->Find(lost));
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(book_->Find(lost), StatusIs(absl::StatusCode::kAborted));
  EXPECT_OK(book_->Find(held));
}

// Streams ---------------------------------------------------------------------

TEST_F(LeaseBookTest, GrantsComeOnceTheStreamIsOpen) {
  SubmitBatch(3);
  int64_t worker = RegisterWorker(kFirst, /*capacity=*/2);
  time_.RunUntilIdle();
  EXPECT_EQ(book_->live_attempts(), 0u);
  auto stream = OpenStream(worker);
  ASSERT_THAT(stream->grants, SizeIs(2));
  EXPECT_EQ(stream->grants[0].task_name(), "t0");
  // A slot comes free.
  ASSERT_OK(SettleWith(KeyOf(stream->grants[0].token()), Success()));
  book_->Forget(KeyOf(stream->grants[0].token()));
  time_.RunUntilIdle();
  EXPECT_THAT(stream->grants, SizeIs(3));
}

TEST_F(LeaseBookTest, AStreamNeedsATerm) {
  auto stream = OpenStream(77);
  ASSERT_TRUE(stream->end.has_value());
  EXPECT_THAT(*stream->end, StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(LeaseBookTest, ASecondStreamEndsTheFirst) {
  SubmitBatch(2);
  int64_t worker = RegisterWorker(kFirst);
  auto first = OpenStream(worker);
  ASSERT_THAT(first->grants, SizeIs(2));
  // Of the two grants, one was lost on the wire.
  auto second = OpenStream(worker, {first->grants[0].token()});
  ASSERT_TRUE(first->end.has_value());
  EXPECT_THAT(*first->end, StatusIs(absl::StatusCode::kAborted));
  ASSERT_THAT(second->grants, SizeIs(1));
  EXPECT_EQ(second->grants[0].token().task_id(),
            first->grants[1].token().task_id());
  EXPECT_GT(second->grants[0].token().epoch(),
            first->grants[1].token().epoch());
  EXPECT_OK(book_->Find(first->grants[0].token()));
  // The carrier of the first says so late.
  book_->LoseStream(first.get());
  EXPECT_TRUE(book_->HasStream(second.get()));
}

TEST_F(LeaseBookTest, WhatIsHeldWronglyIsRevoked) {
  SubmitBatch(1);
  int64_t worker = RegisterWorker(kFirst);
  v1::LeaseToken right = OpenStream(worker)->grants.at(0).token();
  v1::LeaseToken old = right;
  old.set_epoch(right.epoch() - 1);
  auto stream = OpenStream(worker, {old, right});
  ASSERT_THAT(stream->revoked, SizeIs(1));
  EXPECT_EQ(stream->revoked[0].epoch(), old.epoch());
  EXPECT_OK(book_->Find(right));

  // Another's is not its own, however live.
  auto other = OpenStream(RegisterWorker(kSecond), {right});
  EXPECT_THAT(other->revoked, SizeIs(1));
}

TEST_F(LeaseBookTest, NothingIsGrantedToALostStream) {
  int64_t worker = RegisterWorker(kFirst);
  auto stream = OpenStream(worker);
  book_->LoseStream(stream.get());
  SubmitBatch(1);
  book_->WantAdmission();
  time_.RunUntilIdle();
  EXPECT_EQ(book_->live_attempts(), 0u);
  EXPECT_THAT(OpenStream(worker)->grants, SizeIs(1));
}

// Cancelling ------------------------------------------------------------------

TEST_F(LeaseBookTest, CancelIsToldToTheHolder) {
  SubmitBatch(2);
  auto stream = OpenStream(RegisterWorker(kFirst));
  ASSERT_THAT(stream->grants, SizeIs(2));
  RecordSessionOf(stream->grants[1].token());
  Cancel(TaskOf(stream->grants[0].token()));
  Cancel(TaskOf(stream->grants[1].token()));
  // Without a session the task is over at once.
  ASSERT_THAT(stream->revoked, SizeIs(1));
  EXPECT_EQ(stream->revoked[0].epoch(), stream->grants[0].token().epoch());
  ASSERT_THAT(stream->said, SizeIs(1));
  EXPECT_EQ(stream->said[0].token().epoch(), stream->grants[1].token().epoch());
  EXPECT_EQ(stream->said[0].say().kind(), v1::SAY_KIND_INTERRUPT);
  EXPECT_TRUE(stream->said[0].cancelling());
  EXPECT_EQ(book_->live_attempts(), 1u);
}

// A cancel between two streams was lost, and the session went on spending to
// its natural end.
TEST_F(LeaseBookTest, ACancelThatTheHolderMissedComesWithItsNextStream) {
  SubmitBatch(1);
  int64_t worker = RegisterWorker(kFirst);
  auto stream = OpenStream(worker);
  v1::LeaseToken token = stream->grants.at(0).token();
  RecordSessionOf(token);
  book_->LoseStream(stream.get());
  Cancel(TaskOf(token));

  stream = OpenStream(worker, {token});
  ASSERT_THAT(stream->said, SizeIs(1));
  EXPECT_TRUE(stream->said[0].cancelling());
  EXPECT_EQ(stream->said[0].say().number(), 1);
  EXPECT_THAT(stream->grants, IsEmpty());
  EXPECT_THAT(stream->revoked, IsEmpty());
}

TEST_F(LeaseBookTest, ACancelledTaskThatNobodyHoldsIsForgotten) {
  SubmitBatch(1);
  int64_t worker = RegisterWorker(kFirst);
  auto stream = OpenStream(worker);
  const v1::LeaseToken token = stream->grants.at(0).token();
  book_->LoseStream(stream.get());
  ASSERT_OK(Apply(HandBack{KeyOf(token)}));
  book_->Release(KeyOf(token));
  time_.RunUntilIdle();
  EXPECT_EQ(book_->live_attempts(), 1u);
  Cancel(TaskOf(token));
  EXPECT_EQ(book_->live_attempts(), 0u);
}

// Adopting --------------------------------------------------------------------

class AdoptTest : public LeaseBookTest {
 protected:
  // One attempt with a session, held by the first worker; the second waits for
  // work, and appends of events take until they are let go.
  AdoptTest() {
    SubmitBatch(1);
    auto first = OpenStream(RegisterWorker(kFirst));
    old_ = first->grants.at(0).token();
    RecordSessionOf(old_);
    book_->LoseStream(first.get());
    second_ = RegisterWorker(kSecond);
    stream_ = OpenStream(second_);
    faulty_->HoldAppends();
  }

  void HandBackOld() {
    ASSERT_OK(Apply(HandBack{KeyOf(old_)}));
    book_->Release(KeyOf(old_));
    time_.RunUntilIdle();
  }

  int64_t second_ = 0;
  v1::LeaseToken old_;
  std::shared_ptr<Stream> stream_;
};

// They were not, and the adopter's own events were taken for theirs.
TEST_F(AdoptTest, EventsUnderWayAreCountedToo) {
  int64_t grant_seq = book_->Find(old_)->grant_seq;
  faulty_->AppendEvents({grant_seq, 0, {"{}", "{}"}},
                        [](absl::StatusOr<int64_t>) {});
  HandBackOld();
  EXPECT_THAT(stream_->grants, IsEmpty());
  faulty_->LetAppendsGo();
  time_.RunUntilIdle();
  ASSERT_THAT(stream_->grants, SizeIs(1));
  EXPECT_EQ(stream_->grants[0].stored_events(), 2);
  EXPECT_EQ(stream_->grants[0].session_id(), "sesn_1");
}

// A cancel overtook the grant that it was about, and was dropped as unknown.
TEST_F(AdoptTest, ACancelDoesNotOvertakeTheGrant) {
  HandBackOld();
  Cancel(TaskOf(old_));
  EXPECT_THAT(stream_->said, IsEmpty());
  faulty_->LetAppendsGo();
  time_.RunUntilIdle();
  ASSERT_THAT(stream_->grants, SizeIs(1));
  EXPECT_TRUE(stream_->grants[0].cancelling());
  ASSERT_EQ(stream_->grants[0].outbox_size(), 1);
  EXPECT_EQ(stream_->grants[0].outbox(0).kind(), v1::SAY_KIND_INTERRUPT);
}

// An older grant came after a newer one and made the worker drop that.
TEST_F(AdoptTest, AGrantThatWasLostMeanwhileIsNotSent) {
  HandBackOld();
  ASSERT_THAT(stream_->grants, IsEmpty());
  // The worker, which knows of nothing, opens another stream.
  stream_ = OpenStream(second_);
  faulty_->LetAppendsGo();
  time_.RunUntilIdle();
  ASSERT_THAT(stream_->grants, SizeIs(1));
  EXPECT_OK(book_->Find(stream_->grants[0].token()));
}

// Admission -------------------------------------------------------------------

// What was wanted while a pass failed was never admitted, nor anything after.
TEST_F(LeaseBookTest, AdmissionGoesOnAfterItFailed) {
  auto stream = OpenStream(RegisterWorker(kFirst));
  SubmitBatch(1);
  FailNext<Admit>(2);
  book_->WantAdmission();
  // Posted behind the pass that is about to begin.
  executor_->Post([this] { book_->WantAdmission(); });
  time_.RunUntilIdle();
  EXPECT_THAT(stream->grants, IsEmpty());
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(stream->grants, SizeIs(1));
}

}  // namespace
}  // namespace midwatch
