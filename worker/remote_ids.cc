#include "worker/remote_ids.h"

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace midwatch {

std::string AgentKey(const std::string& definition_json) {
  return absl::StrCat("agent:", Sha256Hex(definition_json));
}

std::string EnvironmentKey(const std::string& definition_json) {
  return absl::StrCat("environment:", Sha256Hex(definition_json));
}

std::string VersionKey(const std::string& pin_scope,
                       const std::string& agent_id) {
  return absl::StrCat("version:", pin_scope, ":", agent_id);
}

std::string FileKey(const std::string& sha256) {
  return absl::StrCat("file:", sha256);
}

Async<absl::StatusOr<std::string>> RemoteIds::Ensure(std::string account,
                                                     std::string name,
                                                     Make make) {
  Key key(std::move(account), std::move(name));
  if (auto it = known_.find(key); it != known_.end()) co_return it->second;
  if (auto it = finding_.find(key); it != finding_.end()) {
    absl::AnyInvocable<void(Waiter)> start = [&waiters =
                                                  it->second](Waiter waiter) {
      waiters.push_back(std::move(waiter));
    };
    co_return co_await AwaitCallback<Result>(executor_, std::move(start));
  }
  finding_[key];
  Result result = co_await Find(key, std::move(make));
  if (result.ok()) {
    if (known_.size() >= kKnownMax) known_.clear();
    known_[key] = *result;
  }
  std::vector<Waiter> waiters = std::move(finding_[key]);
  finding_.erase(key);
  for (Waiter& waiter : waiters) waiter(result);
  co_return result;
}

Async<RemoteIds::Result> RemoteIds::Find(const Key& key, Make make) {
  auto gone = gone_.find(key);
  std::string replaces = gone == gone_.end() ? "" : gone->second;
  v1::FindRemoteIdsRequest find;
  find.set_account(key.first);
  find.add_keys(key.second);
  CO_ASSIGN_OR_RETURN(v1::FindRemoteIdsResponse found,
                      co_await scheduler_.FindRemoteIds(std::move(find)));
  auto it = found.ids().find(key.second);
  if (it != found.ids().end() && it->second != replaces) {
    gone_.erase(key);
    co_return it->second;
  }

  CO_ASSIGN_OR_RETURN(std::string id, co_await make());
  v1::RecordRemoteIdRequest record;
  record.set_account(key.first);
  record.set_key(key.second);
  record.set_id(id);
  record.set_replaces(replaces);
  CO_ASSIGN_OR_RETURN(v1::RecordRemoteIdResponse recorded,
                      co_await scheduler_.RecordRemoteId(std::move(record)));
  FaultPoint("worker.remoteid.after");
  gone_.erase(key);
  // Another worker may have been first: its id stays, ours is never used.
  co_return recorded.id();
}

void RemoteIds::Forget(const std::string& account, const std::string& key,
                       const std::string& id) {
  Key place(account, key);
  auto it = known_.find(place);
  // Another attempt may have replaced it already.
  if (it == known_.end() || it->second != id) return;
  known_.erase(it);
  gone_[place] = id;
}

}  // namespace midwatch
