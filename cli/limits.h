#ifndef MIDWATCH_CLI_LIMITS_H_
#define MIDWATCH_CLI_LIMITS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "midwatch/v1/worker_service.pb.h"

namespace midwatch::cli {

// What the service of `account` at `base_url` allows. `words` is "documented"
// (300 creates, 1,200 reads and 500 files a minute), "classic" (60, 600 and
// 500), "none", or a list such as "create=120,read=600,burst=5" in which
// whatever is left out is as documented. Empty: none for a service on this
// machine, which is a harness, else as documented. Nothing where there is no
// limit. Errors name the `option` that the words were given to.
//   kInvalidArgument  it is none of these, with what is wrong
absl::StatusOr<std::optional<v1::AccountLimits>> ReadLimits(
    absl::string_view option, const std::string& words,
    const std::string& base_url, const std::string& account,
    const std::string& limit_group);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_LIMITS_H_
