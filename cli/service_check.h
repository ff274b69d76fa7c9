// What `midwatch doctor` finds out about the queue and the services around it.
#ifndef MIDWATCH_CLI_SERVICE_CHECK_H_
#define MIDWATCH_CLI_SERVICE_CHECK_H_

#include <string>

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/finding.h"
#include "node/account_check.h"

namespace midwatch::cli {

// The files of the queue in `state_dir`: who holds them, and whether they are
// sound.
Findings CheckDatabase(const std::string& state_dir);

// The scheduler of --server, or the one that serves `state_dir`.
Finding CheckScheduler(const std::string& server, const std::string& state_dir);

// The service and the key to it; never shows the key.
absl::StatusOr<AccountOptions> FindAccount(const ServiceOptions& service);

// Whether the service answers and takes the key.
Findings CheckService(const ServiceOptions& service);

// How far the service's clock is from ours.
Finding CompareClocks(const AccountAnswer& answer);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_SERVICE_CHECK_H_
