// Times to come, as options give them.
#ifndef MIDWATCH_CLI_WHEN_H_
#define MIDWATCH_CLI_WHEN_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace midwatch::cli {

// The next time after `now` that clocks in `zone` show "22:00" or "6:30";
// nothing where `text` is no such time of day. One that a change of the clocks
// leaves out is the moment of the change.
std::optional<absl::Time> NextClockTime(absl::string_view text, absl::Time now,
                                        absl::TimeZone zone);

// A time to come, as every option has it that wants one (AddTime says so in
// their help): one of the clock here (22:00: the next one), how long from `now`
// on (90m, 12h; 100 years at most), or as ReadInstant has it.
//   kInvalidArgument  none of these, or over; `option` is named, and `word`,
//                     which it takes besides ("never"; "": none)
absl::Status ReadWhen(const std::string& option, const std::string& text,
                      absl::Time now, google::protobuf::Timestamp& out,
                      absl::string_view word = "");

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_WHEN_H_
