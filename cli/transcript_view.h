// A session's events as people read them.
#ifndef MIDWATCH_CLI_TRANSCRIPT_VIEW_H_
#define MIDWATCH_CLI_TRANSCRIPT_VIEW_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace midwatch::cli {

// The lines of one event: when, who, and what was said or done. What a tool is
// given stands on one line, of what it answers the first lines are shown.
// Events that only mark progress have none. Without control characters, and
// `width` columns wide at most.
//
//   12:00:01  agent   First I look at the files.
//   12:00:02  bash    {"command":"ls"}
//   12:00:02  result  a.txt
//                     b.txt
//   12:00:03  cost    $0.03
std::vector<std::string> TranscriptLines(absl::string_view event_json,
                                         int width);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TRANSCRIPT_VIEW_H_
