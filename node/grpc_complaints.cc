#include "node/grpc_complaints.h"

#include <grpc/support/log.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/mutex.h"

namespace midwatch {
namespace {

struct GrpcLine {
  std::string file;
  int line = 0;
  gpr_log_severity severity = GPR_LOG_SEVERITY_ERROR;
  std::string message;
};

// gRPC's threads write, and its function for that knows no object.
struct HeldLines {
  Mutex mutex;
  std::vector<GrpcLine> lines ABSL_GUARDED_BY(mutex);
};
HeldLines& Held() {
  static auto& held = *new HeldLines();
  return held;
}

void Hold(gpr_log_func_args* said) {
  MutexLock lock(Held().mutex);
  Held().lines.push_back(
      {said->file, said->line, said->severity, said->message});
}

}  // namespace

GrpcComplaints::GrpcComplaints() {
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function(Hold);
}

GrpcComplaints::~GrpcComplaints() {
  gpr_set_log_function(nullptr);  // its own again
  std::vector<GrpcLine> lines;
  {
    MutexLock lock(Held().mutex);
    lines = std::exchange(Held().lines, {});
  }
  for (const GrpcLine& each : lines) {
    gpr_log_message(each.file.c_str(), each.line, each.severity,
                    each.message.c_str());
  }
}

std::string GrpcComplaints::Cause() const {
  constexpr absl::string_view kBefore = "os_error:\"";
  MutexLock lock(Held().mutex);
  if (Held().lines.empty()) return "";
  const absl::string_view said = Held().lines.back().message;
  const size_t at = said.rfind(kBefore);
  if (at == said.npos) return "";
  const absl::string_view words = said.substr(at + kBefore.size());
  return std::string(words.substr(0, words.find('"')));
}

void GrpcComplaints::Drop() {
  MutexLock lock(Held().mutex);
  Held().lines.clear();
}

}  // namespace midwatch
