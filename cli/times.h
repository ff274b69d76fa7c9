// Instants and spans, as the API has them and as people read them.
#ifndef MIDWATCH_CLI_TIMES_H_
#define MIDWATCH_CLI_TIMES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace midwatch::cli {

absl::Time ToTime(const google::protobuf::Timestamp& timestamp);
absl::Duration ToDuration(const google::protobuf::Duration& duration);

// "0.4 s", "12 s", "1 m 05 s", "2 h 03 m".
std::string FormatSpan(absl::Duration duration);
// Local time to the second; "-" where unset.
std::string FormatInstant(const google::protobuf::Timestamp& timestamp);

// A day (its midnight here) or a time, of the option named so. A time to come
// is said in more ways: see ReadWhen.
//   kInvalidArgument  neither
absl::Status ReadInstant(const std::string& option, const std::string& text,
                         google::protobuf::Timestamp& out);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TIMES_H_
