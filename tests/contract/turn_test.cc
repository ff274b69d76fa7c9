// Whose task is next: shares of tenants and queues, and deadlines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;

class TurnTest : public testing::ContractTest {
 protected:
  void Add(const std::string& name, const std::string& tenant,
           absl::Duration deadline = absl::ZeroDuration()) {
    SubmitTask submit = Single(name);
    submit.tenant = tenant;
    submit.task.line.set_name(name);
    if (deadline > absl::ZeroDuration()) {
      submit.spec.mutable_deadline()->set_seconds(
          absl::ToInt64Seconds(deadline));
    }
    ASSERT_OK(Apply(submit));
  }
  std::vector<std::string> Names(const std::vector<GrantRecord>& grants) {
    std::vector<std::string> names;
    for (const GrantRecord& grant : grants) names.push_back(grant.name);
    return names;
  }
};

TEST_P(TurnTest, TenantsShareWhatIsSpentAndRealCostsCount) {
  for (const char* name : {"a1", "a2", "a3", "a4", "a5"}) Add(name, "a");
  for (const char* name : {"b1", "b2", "b3"}) Add(name, "b");
  const int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 4);
  EXPECT_THAT(Names(grants), ElementsAre("a1", "b1", "a2", "b2"));
  // Of a they cost a fourteenth of what was counted, so more of them start.
  for (const GrantRecord& grant : {grants[0], grants[2]}) {
    ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-0123456789"}));
    ASSERT_OK(Apply(RecordSession{grant.lease, "nonce-0123456789",
                                  absl::StrCat("sesn_", grant.name)}));
    ASSERT_OK(SettleWith(grant.lease, Success(70'000)));
  }
  EXPECT_THAT(Names(AdmitTo(worker, 3)), ElementsAre("a3", "a4", "a5"));
  EXPECT_THAT(Names(AdmitTo(worker, 3)), ElementsAre("b3"));
}

// Where one account's few queues were looked at between, the queues of another
// past the first 64 never had a turn.
TEST_P(TurnTest, EveryQueueHasItsTurn) {
  constexpr int kQueues = 100;
  for (int i = 0; i < kQueues; ++i) {
    for (int n = 0; n < 3; ++n) {
      SubmitTask submit = Single(absl::StrCat("q", i, "-", n));
      submit.queue = absl::StrCat("q", i);
      submit.task.line.set_name(absl::StrCat("q", i));
      ASSERT_OK(Apply(submit));
    }
  }
  SubmitTask other = Single("other");
  other.account = "another";
  ASSERT_OK(Apply(other));
  const int64_t worker = Register();
  std::set<std::string> seen;
  for (int pass = 0; pass < 4; ++pass) {
    auto grants = Apply(Admit{
        {{worker, 60, {"another", "default"}}},
        [](absl::Time now, const auto& offers, const AdmissionView& view) {
          return DecideAdmission(now, offers, view);
        }});
    ASSERT_OK(grants);
    for (const GrantRecord& grant : grants->grants) seen.insert(grant.name);
  }
  EXPECT_GE(seen.size(), static_cast<size_t>(kQueues));
}

TEST_P(TurnTest, ADeadlineGoesBeforeWhatCameFirst) {
  Add("first", "a");
  Add("soon", "a", absl::Hours(1));
  Add("late", "a", absl::Hours(9));
  EXPECT_THAT(Names(AdmitTo(Register(), 3)),
              ElementsAre("soon", "first", "late"));
}

MIDWATCH_ON_EVERY_STORE(TurnTest);

}  // namespace
}  // namespace midwatch
