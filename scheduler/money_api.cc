// What clients ask about money.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"
#include "scheduler/from_proto.h"
#include "scheduler/money_proto.h"
#include "scheduler/scheduler.h"

namespace midwatch {

void Scheduler::SetBudget(const v1::SetBudgetRequest& request,
                          Reply<v1::SetBudgetResponse> reply) {
  absl::StatusOr<midwatch::SetBudget> write =
      FromProto(request, ids_, clock_.Now());
  if (!write.ok()) return reply(write.status());
  store_.Apply(*std::move(write), [this, reply = std::move(reply)](
                                      absl::StatusOr<BudgetSet> set) mutable {
    if (!set.ok()) return reply(set.status());
    FaultPoint("scheduler.budget.after");
    leases_.WantAdmission();
    if (set->budget == 0) return reply(v1::SetBudgetResponse());
    // Its window's end may be the first thing that is due.
    PlanTimers(clock_.Now());
    store_.Read<RowPage<BudgetRecord>>(
        [at = clock_.Now(), id = set->budget](StoreReader& reader) {
          return reader.ListBudgets(at, id - 1, 1);
        },
        [this, id = set->budget, reply = std::move(reply)](
            absl::StatusOr<RowPage<BudgetRecord>> found) mutable {
          if (!found.ok()) return reply(found.status());
          v1::SetBudgetResponse response;
          // Unless another caller deleted it meanwhile.
          if (!found->rows.empty() && found->rows[0].id == id) {
            *response.mutable_budget() = ToProto(found->rows[0], ids_);
          }
          reply(std::move(response));
        });
  });
}

void Scheduler::ListBudgets(const v1::ListBudgetsRequest& request,
                            Reply<v1::ListBudgetsResponse> reply) {
  absl::StatusOr<int> size = CheckPageSize(request.page_size(), 100);
  if (!size.ok()) return reply(size.status());
  absl::StatusOr<int64_t> after = ParsePageToken(request.page_token(), 0);
  if (!after.ok()) return reply(after.status());
  store_.Read<RowPage<BudgetRecord>>(
      [at = clock_.Now(), after = *after, size = *size](StoreReader& reader) {
        return reader.ListBudgets(at, after, size);
      },
      [this, reply = std::move(reply)](
          absl::StatusOr<RowPage<BudgetRecord>> found) mutable {
        if (!found.ok()) return reply(found.status());
        v1::ListBudgetsResponse response;
        for (const BudgetRecord& budget : found->rows) {
          *response.add_budgets() = ToProto(budget, ids_);
        }
        if (found->next.has_value()) {
          response.set_next_page_token(absl::StrCat(*found->next));
        }
        reply(std::move(response));
      });
}

void Scheduler::DeleteBudget(const v1::DeleteBudgetRequest& request,
                             Reply<v1::DeleteBudgetResponse> reply) {
  absl::StatusOr<midwatch::DeleteBudget> write = FromProto(request, ids_);
  if (!write.ok()) return reply(write.status());
  store_.Apply(*std::move(write),
               [this, reply = std::move(reply)](
                   absl::StatusOr<BudgetSet> deleted) mutable {
                 if (!deleted.ok()) return reply(deleted.status());
                 leases_.WantAdmission();
                 reply(v1::DeleteBudgetResponse());
               });
}

void Scheduler::ListJournal(const v1::ListJournalRequest& request,
                            Reply<v1::ListJournalResponse> reply) {
  absl::StatusOr<int> size = CheckPageSize(request.page_size(), 1000);
  if (!size.ok()) return reply(size.status());
  absl::StatusOr<int64_t> after = ParsePageToken(request.page_token(), 0);
  if (!after.ok()) return reply(after.status());
  absl::StatusOr<MoneyFilter> filter = FromProto(request, ids_);
  if (!filter.ok()) return reply(filter.status());
  store_.Read<RowPage<JournalRecord>>(
      [filter = *std::move(filter), after = *after,
       size = *size](StoreReader& reader) {
        return reader.ListMoney(filter, after, size);
      },
      [this, reply = std::move(reply)](
          absl::StatusOr<RowPage<JournalRecord>> found) mutable {
        if (!found.ok()) return reply(found.status());
        v1::ListJournalResponse response;
        for (const JournalRecord& entry : found->rows) {
          *response.add_entries() = ToLedgerEntry(entry, ids_);
        }
        if (found->next.has_value()) {
          response.set_next_page_token(absl::StrCat(*found->next));
        }
        reply(std::move(response));
      });
}

}  // namespace midwatch
