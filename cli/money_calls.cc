// Budgets and the journal, of SchedulerConnection.
#include <vector>

#include "cli/connection_call.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

absl::StatusOr<v1::SetBudgetResponse> SchedulerConnection::SetBudget(
    const v1::SetBudgetRequest& request) {
  v1::SetBudgetResponse response;
  MIDWATCH_CALL(budgets_, SetBudget, request, response);
  return response;
}

absl::StatusOr<std::vector<v1::Budget>> SchedulerConnection::ListBudgets() {
  std::vector<v1::Budget> budgets;
  v1::ListBudgetsRequest request;
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListBudgetsResponse response;
    MIDWATCH_CALL(budgets_, ListBudgets, request, response);
    budgets.insert(budgets.end(), response.budgets().begin(),
                   response.budgets().end());
    if (response.next_page_token().empty()) return budgets;
    request.set_page_token(response.next_page_token());
  }
}

absl::Status SchedulerConnection::DeleteBudget(
    const v1::DeleteBudgetRequest& request) {
  v1::DeleteBudgetResponse response;
  MIDWATCH_CALL(budgets_, DeleteBudget, request, response);
  return absl::OkStatus();
}

absl::Status SchedulerConnection::ForEachJournalEntry(
    v1::ListJournalRequest request,
    absl::FunctionRef<absl::Status(const v1::JournalEntry&)> visit) {
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListJournalResponse response;
    MIDWATCH_CALL(budgets_, ListJournal, request, response);
    for (const v1::JournalEntry& entry : response.entries()) {
      RETURN_IF_ERROR(visit(entry));
    }
    if (response.next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(response.next_page_token());
  }
}

}  // namespace midwatch::cli
