// Which requests may be sent to which service, and when: a bucket for each
// limit group and class of request (scheduler/rate_bucket.h).
//
// Limits come with the workers that have the keys. Nothing here is durable: a
// scheduler that starts begins with empty buckets and knows of no refusal.
#ifndef MIDWATCH_SCHEDULER_RATE_BOOK_H_
#define MIDWATCH_SCHEDULER_RATE_BOOK_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "midwatch/v1/account_service.pb.h"
#include "midwatch/v1/worker_service.pb.h"
#include "scheduler/admission.h"
#include "scheduler/rate_bucket.h"
#include "scheduler/reply.h"
#include "scheduler/why.h"

namespace midwatch {

// Lives on the scheduler's executor.
class RateBook {
 public:
  // `clock` outlives it.
  explicit RateBook(const Clock& clock) : clock_(clock) {}

  // A worker with a key for `account` has registered. Without limits the
  // account keeps those that it has.
  void Know(const std::string& account);
  void SetLimits(const v1::AccountLimits& limits);

  // WorkerService. See the proto.
  void AskSlots(const v1::AskSlotsRequest& request,
                Reply<v1::AskSlotsResponse> reply);

  // How the account's rates stand, into `account`, by its name.
  void Describe(v1::Account& account) const;

  // How fast sessions may be created, and when the next one.
  void DescribeStarts(const std::string& account, ServingFacts& serving) const;
  // What is handed out at most now, of each class; unchanged where the account
  // is not known.
  void DescribeLimits(const std::string& account,
                      v1::AccountLimits& limits) const;

  // How many creates of each of these accounts have a slot, `most` at most;
  // accounts without a limit are left out.
  StartRoom RoomOf(const std::vector<std::string>& accounts, int most) const;
  // Until one of the accounts without room has some.
  absl::Duration UntilRoom(const std::vector<std::string>& accounts) const;
  // The slot of a create that is granted, from now.
  absl::Duration TakeStart(const std::string& account);

 private:
  using Key = std::pair<std::string, v1::RequestClass>;  // group, class
  struct Account {
    std::string group;
    bool writes_apart = false;
  };

  RateBucket& Bucket(const Account& account, v1::RequestClass request_class);
  const RateBucket* FindCreates(const std::string& account) const;
  void SetLimit(const Account& account, v1::RequestClass request_class,
                const v1::RequestLimit& limit);
  void Note(const Account& account, const v1::RequestReport& report);

  const Clock& clock_;
  std::map<std::string, Account> accounts_;
  std::map<Key, RateBucket> buckets_;
};

// kInvalidArgument, naming the field.
absl::Status CheckLimits(const v1::AccountLimits& limits);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_RATE_BOOK_H_
