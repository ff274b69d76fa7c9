#include "base/end_process.h"

#include <cstdlib>
#include <utility>

#include "base/log.h"

namespace midwatch {
namespace {

std::function<void(absl::string_view)>& Handler() {
  static auto* handler = new std::function<void(absl::string_view)>;
  return *handler;
}

}  // namespace

void EndProcess(absl::string_view why) {
  LogError("stopping", {{"why", why}});
  if (Handler()) Handler()(why);
  std::abort();
}

void SetEndProcess(std::function<void(absl::string_view why)> handler) {
  Handler() = std::move(handler);
}

}  // namespace midwatch
