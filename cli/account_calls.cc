// Accounts, of SchedulerConnection.
#include <vector>

#include "cli/connection_call.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

absl::StatusOr<std::vector<v1::Account>> SchedulerConnection::ListAccounts() {
  v1::ListAccountsResponse response;
  MIDWATCH_CALL(accounts_, ListAccounts, v1::ListAccountsRequest(), response);
  return std::vector<v1::Account>(response.accounts().begin(),
                                  response.accounts().end());
}

absl::StatusOr<v1::Account> SchedulerConnection::GetAccount(
    const std::string& name) {
  v1::GetAccountRequest request;
  request.set_name(name);
  v1::GetAccountResponse response;
  MIDWATCH_CALL(accounts_, GetAccount, request, response);
  return response.account();
}

absl::StatusOr<v1::Account> SchedulerConnection::PauseAccount(
    const v1::PauseAccountRequest& request) {
  v1::PauseAccountResponse response;
  MIDWATCH_CALL(accounts_, PauseAccount, request, response);
  return response.account();
}

absl::StatusOr<v1::Account> SchedulerConnection::ResumeAccount(
    const std::string& name) {
  v1::ResumeAccountRequest request;
  request.set_name(name);
  v1::ResumeAccountResponse response;
  MIDWATCH_CALL(accounts_, ResumeAccount, request, response);
  return response.account();
}

absl::StatusOr<v1::Account> SchedulerConnection::UpdateAccount(
    const v1::UpdateAccountRequest& request) {
  v1::UpdateAccountResponse response;
  MIDWATCH_CALL(accounts_, UpdateAccount, request, response);
  return response.account();
}

}  // namespace midwatch::cli
