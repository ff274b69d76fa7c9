// What clients ask about accounts.
#include <utility>

#include "base/fault_points.h"
#include "scheduler/control_proto.h"
#include "scheduler/from_proto.h"
#include "scheduler/scheduler.h"

namespace midwatch {
namespace {

// As the store has it, and with the rates, which the store knows nothing of.
v1::Account WithRates(const RateBook& rates, const AccountRecord& record) {
  v1::Account account = ToProto(record);
  rates.Describe(account);
  return account;
}

// `rates` outlives the answer.
template <typename Response>
Store::Callback<AccountSet> AnswerWithAccount(const RateBook& rates,
                                              Reply<Response> reply) {
  return [&rates,
          reply = std::move(reply)](absl::StatusOr<AccountSet> set) mutable {
    if (!set.ok()) return reply(set.status());
    FaultPoint("scheduler.account.after");
    Response response;
    *response.mutable_account() = WithRates(rates, set->account);
    reply(std::move(response));
  };
}

}  // namespace

void Scheduler::ListAccounts(const v1::ListAccountsRequest&,
                             Reply<v1::ListAccountsResponse> reply) {
  store_.Read<std::vector<AccountRecord>>(
      [](StoreReader& reader) { return reader.ListAccounts(); },
      [this, reply = std::move(reply)](
          absl::StatusOr<std::vector<AccountRecord>> found) mutable {
        if (!found.ok()) return reply(found.status());
        v1::ListAccountsResponse response;
        for (const AccountRecord& account : *found) {
          *response.add_accounts() = WithRates(rates_, account);
        }
        reply(std::move(response));
      });
}

void Scheduler::GetAccount(const v1::GetAccountRequest& request,
                           Reply<v1::GetAccountResponse> reply) {
  store_.Read<std::vector<AccountRecord>>(
      [](StoreReader& reader) { return reader.ListAccounts(); },
      [this, name = request.name(), reply = std::move(reply)](
          absl::StatusOr<std::vector<AccountRecord>> found) mutable {
        if (!found.ok()) return reply(found.status());
        for (const AccountRecord& account : *found) {
          if (account.name != name) continue;
          v1::GetAccountResponse response;
          *response.mutable_account() = WithRates(rates_, account);
          return reply(std::move(response));
        }
        reply(absl::NotFoundError(
            "no such account: no task and no worker has named it"));
      });
}

void Scheduler::PauseAccount(const v1::PauseAccountRequest& request,
                             Reply<v1::PauseAccountResponse> reply) {
  absl::Status reason = CheckPauseReason(request.reason());
  if (!reason.ok()) return reply(reason);
  absl::StatusOr<absl::Time> until =
      PauseEnd(request.has_until(), request.until(), clock_.Now());
  if (!until.ok()) return reply(until.status());
  auto answer = AnswerWithAccount(rates_, std::move(reply));
  store_.Apply(midwatch::PauseAccount{request.name(), request.reason(), *until},
               [this, answer = std::move(answer)](
                   absl::StatusOr<AccountSet> set) mutable {
                 // Its end may be the first thing that is due.
                 PlanTimers(clock_.Now());
                 answer(std::move(set));
               });
}

void Scheduler::ResumeAccount(const v1::ResumeAccountRequest& request,
                              Reply<v1::ResumeAccountResponse> reply) {
  auto answer = AnswerWithAccount(rates_, std::move(reply));
  store_.Apply(midwatch::ResumeAccount{request.name()},
               [this, answer = std::move(answer)](
                   absl::StatusOr<AccountSet> set) mutable {
                 leases_.WantAdmission();
                 PlanTimers(clock_.Now());
                 answer(std::move(set));
               });
}

}  // namespace midwatch
