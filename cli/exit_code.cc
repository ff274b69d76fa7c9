#include "cli/exit_code.h"

#include <cstdio>

#include "absl/strings/cord.h"
#include "absl/strings/str_split.h"
#include "absl/types/optional.h"
#include "cli/utf8.h"
#include "google/rpc/error_details.pb.h"

namespace midwatch::cli {

ExitCode Report(const absl::Status& status) {
  for (absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    std::fprintf(stderr, "midwatch: %s\n", Printable(line).c_str());
  }
  google::rpc::RetryInfo retry;
  absl::optional<absl::Cord> payload =
      status.GetPayload("type.googleapis.com/google.rpc.RetryInfo");
  if (payload.has_value() && retry.ParseFromString(std::string(*payload))) {
    std::fprintf(stderr, "midwatch: try again in %d s\n",
                 static_cast<int>(retry.retry_delay().seconds()));
  }
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return kExitBadInput;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return kExitUnreachable;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailed;
  }
}

}  // namespace midwatch::cli
