#ifndef MIDWATCH_CLI_EVENT_WORDS_H_
#define MIDWATCH_CLI_EVENT_WORDS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace midwatch::cli {

// An event of a session, given as its JSON, in one printable line for somebody
// who looks on: "bash: make test", "says: All done.". One of a kind that is not
// known is told by its type. "" where it tells nothing (the service's own
// bookkeeping) or is no event.
std::string EventInWords(absl::string_view json);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_EVENT_WORDS_H_
