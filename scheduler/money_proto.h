// Budgets and the journal, as clients write and see them.
#ifndef MIDWATCH_SCHEDULER_MONEY_PROTO_H_
#define MIDWATCH_SCHEDULER_MONEY_PROTO_H_

#include <string>

#include "absl/status/statusor.h"
#include "midwatch/v1/budget_service.pb.h"
#include "scheduler/to_proto.h"
#include "store/store.h"

namespace midwatch {

// "granted", "settled", ...
std::string NameOf(JournalKind kind);

v1::Budget ToProto(const BudgetRecord& budget, const Ids& ids);
v1::JournalEntry ToLedgerEntry(const JournalRecord& entry, const Ids& ids);

// All: kInvalidArgument, with every field that is wrong (rich_error.h), and
// kNotFound for another database's id. `now` is when a time zone is tried.
absl::StatusOr<SetBudget> FromProto(const v1::SetBudgetRequest& request,
                                    const Ids& ids, absl::Time now);
absl::StatusOr<DeleteBudget> FromProto(const v1::DeleteBudgetRequest& request,
                                       const Ids& ids);
absl::StatusOr<MoneyFilter> FromProto(const v1::ListJournalRequest& request,
                                      const Ids& ids);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_MONEY_PROTO_H_
