// Which sessions nobody remembers, and when they are looked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/session_fate.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::StatusIs;

constexpr char kNonce[] = "nonce-0123456789";

class SweepTest : public testing::ContractTest {
 protected:
  LeasedErrands Lease() {
    auto leased = Apply(LeaseErrands{"default", 10});
    EXPECT_OK(leased);
    return leased.ok() ? *std::move(leased) : LeasedErrands();
  }

  SessionClaim Claim(const GrantRecord& grant, const std::string& session,
                     const std::string& nonce = kNonce) {
    return {.session = session,
            .cluster = store_->cluster_mark(),
            .task = grant.task,
            .attempt = grant.lease.attempt,
            .nonce = nonce};
  }

  ExplainedSession Explain(SessionClaim claim) {
    auto explained =
        Apply(ExplainSessions{"default",
                              {std::move(claim)},
                              [mark = store_->cluster_mark(),
                               now = clock_.Now()](const SessionFacts& facts) {
                                return DecideFate(facts, mark, now);
                              }});
    EXPECT_OK(explained);
    return explained.ok() ? explained->sessions.at(0) : ExplainedSession();
  }

  v1::SessionFate FateOf(const GrantRecord& grant, const std::string& session,
                         const std::string& nonce = kNonce) {
    return Explain(Claim(grant, session, nonce)).fate;
  }

  // An attempt whose create was begun.
  GrantRecord Begin() {
    SubmitBatch(1);
    GrantRecord grant = AdmitTo(Register(), 1).at(0);
    EXPECT_OK(Apply(BeginCreate{grant.lease, kNonce}));
    return grant;
  }
};

TEST_P(SweepTest, ASessionIsWhatBecameOfItsCreate) {
  GrantRecord grant = Begin();
  EXPECT_EQ(FateOf(grant, "sesn_1"), v1::SESSION_FATE_PENDING);
  EXPECT_EQ(FateOf(grant, "sesn_1", "forged-0123456789"),
            v1::SESSION_FATE_UNEXPLAINED);
  ASSERT_OK(Apply(RecordSession{grant.lease, kNonce, "sesn_1"}));
  EXPECT_EQ(FateOf(grant, "sesn_1"), v1::SESSION_FATE_LIVE);
  EXPECT_EQ(FateOf(grant, "sesn_2"), v1::SESSION_FATE_UNEXPLAINED);
  ASSERT_OK(SettleWith(grant.lease, Success(70'000)));
  Restart();
  ExplainedSession settled = Explain(Claim(grant, "sesn_1"));
  EXPECT_EQ(settled.fate, v1::SESSION_FATE_SETTLED);
  EXPECT_EQ(settled.charged, 70'000);
}

TEST_P(SweepTest, WhatRunsAlreadyIsNotGivenUpWhileItsAttemptLooksForIt) {
  SubmitTask submit = Single("one");
  submit.spec.set_start(v1::START_MODE_ONE_CALL);
  ASSERT_OK(Apply(submit));
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  ASSERT_OK(Apply(BeginCreate{grant.lease, kNonce}));
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(FateOf(grant, "sesn_1"), v1::SESSION_FATE_PENDING);
  ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-of-another"}));
  ASSERT_OK(Apply(RecordSession{grant.lease, "nonce-of-another", "sesn_2"}));
  EXPECT_EQ(FateOf(grant, "sesn_1"), v1::SESSION_FATE_SUPERSEDED);
}

TEST_P(SweepTest, WhatCannotBeOursIsNotExplained) {
  GrantRecord grant = Begin();
  SessionClaim claim = Claim(grant, "sesn_1");
  claim.task->unix_millis += 1;  // a number from another database
  EXPECT_EQ(Explain(claim).fate, v1::SESSION_FATE_UNEXPLAINED);
  claim.task = std::nullopt;
  EXPECT_EQ(Explain(claim).fate, v1::SESSION_FATE_UNEXPLAINED);
  claim = Claim(grant, "sesn_1");
  claim.attempt = 2;
  EXPECT_EQ(Explain(claim).fate, v1::SESSION_FATE_UNEXPLAINED);
  claim.cluster = "another";
  EXPECT_EQ(Explain(claim).fate, v1::SESSION_FATE_FOREIGN);
}

// Archived by the sweep, it must not become the attempt's session afterwards.
TEST_P(SweepTest, ASessionThatWasGivenUpIsNotRecordedAnyMore) {
  GrantRecord grant = Begin();
  time_.Advance(absl::Minutes(3));
  EXPECT_EQ(FateOf(grant, "sesn_1"), v1::SESSION_FATE_SUPERSEDED);
  EXPECT_THAT(Apply(RecordSession{grant.lease, kNonce, "sesn_1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(FateOf(grant, "sesn_1"), v1::SESSION_FATE_SUPERSEDED)
      << "explained as before, so that another sweep ends it";
  ASSERT_OK(Apply(BeginCreate{grant.lease, "another-0123456789"}));
  EXPECT_OK(Apply(RecordSession{grant.lease, "another-0123456789", "sesn_2"}));
}

// A create that waits long for its turn is asked for again and again, under one
// nonce.
TEST_P(SweepTest, ACreateThatIsBegunAnewIsPendingAnew) {
  GrantRecord grant = Begin();
  time_.Advance(absl::Minutes(5));
  ASSERT_OK(Apply(BeginCreate{grant.lease, kNonce}));
  EXPECT_EQ(FateOf(grant, "sesn_1"), v1::SESSION_FATE_PENDING);
  EXPECT_OK(Apply(RecordSession{grant.lease, kNonce, "sesn_1"}));
}

TEST_P(SweepTest, ASweepIsDueWhileCreatesMayBeUnexplainedAndGivenToOne) {
  SubmitOne();
  EXPECT_FALSE(Lease().sweep_from) << "nothing was ever created";
  const absl::Time begun = clock_.Now();
  GrantRecord grant = Begin();
  EXPECT_FALSE(Lease().sweep_from);
  time_.Advance(absl::Minutes(10));
  const std::optional<absl::Time> from = Lease().sweep_from;
  ASSERT_TRUE(from.has_value());
  EXPECT_LT(*from, begun);
  EXPECT_FALSE(Lease().sweep_from) << "it is somebody's";
  // Who had it died.
  Restart();
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(Lease().sweep_from, from);
  // Explaining prolongs it.
  time_.Advance(absl::Minutes(4));
  (void)FateOf(grant, "sesn_1");
  time_.Advance(absl::Minutes(4));
  EXPECT_FALSE(Lease().sweep_from);
}

TEST_P(SweepTest, AWindowIsClosedOnceNothingInItIsOpen) {
  GrantRecord grant = Begin();
  ASSERT_OK(Apply(RecordSession{grant.lease, kNonce, "sesn_1"}));
  const absl::Time created = clock_.Now();
  time_.Advance(absl::Hours(1));
  std::optional<absl::Time> from = Lease().sweep_from;
  ASSERT_TRUE(from.has_value());
  // Its session is on: the next sweep looks from there.
  ASSERT_OK(Apply(CompleteSweep{
      .account = "default", .sweep_from = from, .oldest_open = created}));
  time_.Advance(absl::Minutes(10));
  EXPECT_EQ(Lease().sweep_from, created - absl::Minutes(10));
  ASSERT_OK(SettleWith(grant.lease, Success()));
  const CompleteSweep nothing_open{.account = "default",
                                   .sweep_from = created - absl::Minutes(10)};
  ASSERT_OK(Apply(nothing_open));
  EXPECT_OK(Apply(nothing_open));
  time_.Advance(absl::Hours(24));
  EXPECT_FALSE(Lease().sweep_from);
}

// Its list was taken when it began: what came later is the next one's, however
// often it was given out meanwhile.
TEST_P(SweepTest, ASlowSweepLeavesWhatCameMeanwhileToTheNext) {
  GrantRecord grant = Begin();
  time_.Advance(absl::Minutes(30));
  const std::optional<absl::Time> from = Lease().sweep_from;
  ASSERT_TRUE(from.has_value());
  const absl::Time began = clock_.Now();
  time_.Advance(absl::Minutes(2));
  ASSERT_OK(Apply(BeginCreate{grant.lease, "another-0123456789"}));
  ASSERT_OK(SettleWith(grant.lease, Success()));
  time_.Advance(absl::Minutes(25));
  EXPECT_EQ(Lease().sweep_from, from) << "again, since it takes so long";
  ASSERT_OK(Apply(CompleteSweep{.account = "default", .sweep_from = from}));
  time_.Advance(absl::Minutes(10));
  EXPECT_EQ(Lease().sweep_from, began - absl::Minutes(10));
}

TEST_P(SweepTest, AWindowStaysOpenWhileAnAttemptIsOn) {
  Begin();
  time_.Advance(absl::Hours(1));
  const std::optional<absl::Time> from = Lease().sweep_from;
  ASSERT_TRUE(from.has_value());
  const absl::Time began = clock_.Now();
  ASSERT_OK(Apply(CompleteSweep{.account = "default", .sweep_from = from}));
  time_.Advance(absl::Minutes(10));
  EXPECT_EQ(Lease().sweep_from, began - absl::Minutes(10));
}

TEST_P(SweepTest, WhatWasFoundIsInTheJournal) {
  Begin();
  ASSERT_OK(Apply(
      CompleteSweep{.account = "default", .summary = "3 superseded sessions"}));
  auto page = Read<RowPage<JournalRecord>>([&](StoreReader& reader) {
    return reader.ListMoney({.kinds = {JournalKind::kSwept}}, 0, 10);
  });
  ASSERT_OK(page);
  ASSERT_EQ(page->rows.size(), 1u);
  EXPECT_EQ(page->rows[0].why, "account default: 3 superseded sessions");
}

MIDWATCH_ON_EVERY_STORE(SweepTest);

}  // namespace
}  // namespace midwatch
