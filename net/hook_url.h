// Where hooks may go: what a batch asks the scheduler's machine to send a
// request to. Pure functions.
#ifndef MIDWATCH_NET_HOOK_URL_H_
#define MIDWATCH_NET_HOOK_URL_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace midwatch {

inline constexpr size_t kHookUrlBytesMax = 2000;

// Whether `url` may be a hook's: https, or http to this machine's loopback;
// with `plain_http` http anywhere. No user or password (a hook's row is no
// place for them), no fragment.
//   kInvalidArgument  what is wrong; what is expected
absl::Status CheckHookUrl(absl::string_view url, bool plain_http);

// "https://host:port" of a URL that passed. Hooks of one are sent by turns.
std::string HookOrigin(absl::string_view url);

}  // namespace midwatch

#endif  // MIDWATCH_NET_HOOK_URL_H_
